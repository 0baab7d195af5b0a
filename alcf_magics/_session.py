"""The session: one a kernel, shared by every magic and by Python code.

import alcf_magics
session = alcf_magics.session()
session.catalog()                          # what runs where
session.ask("What is MPI?").text           # one completion
httpx.Client(auth=session.auth)            # your own client, with the same login
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .connection import Connection
from .many.many_texts import ManyTexts
from .prompts.one_prompt import OnePrompt
from .prompts.served_models import ServedModels
from .settings import NUMBER_NAMES, SETTING_NAMES, Settings, checked_number

if TYPE_CHECKING:
    from .auth.account import Account
    from .auth.signing import GatewayAuth
    from .gateway.chat import Message
    from .gateway.chats import Chats
    from .gateway.completions import Completion
    from .gateway.conversations import Chat, Execution
    from .history import History
    from .runtime import Runtime

    Prompt = str | Sequence[Message | Mapping[str, Any]]


class Session(ServedModels, OnePrompt, ManyTexts):
    """A login, a gateway and what was asked of it. Safe to use from several threads.

    Everything that asks the gateway raises an AlcfError for whatever goes wrong.
    """

    def __init__(self) -> None:
        self._chosen: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        self._connection = Connection(lambda: self.settings)
        self._chats: Chats | None = None
        #: Where the notebook was when its cassette was set: %cd does not lead to another file.
        self._cassette_folder = ""
        self.last_map = None

    def __repr__(self) -> str:
        return f"<alcf_magics session with {self.unchecked_settings.gateway_url}>"

    # Settings

    @property
    def settings(self) -> Settings:
        """The settings in force: what was chosen, over the environment, over the defaults.

        Raises GatewayUnreachable for an address that no token may go to.
        """
        return self.unchecked_settings.checked()

    @property
    def unchecked_settings(self) -> Settings:
        """The same, with whatever address is set: to be shown, not to be used."""
        return Settings.load(self._chosen)

    @property
    def chosen(self) -> dict[str, str]:
        """What was chosen for this session, by name; the rest is the environment's."""
        return dict(self._chosen)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The parameters of a request that gives none itself, by their Python names."""
        return dict(self._defaults)

    def choose(self, **values: Any) -> None:
        """Choose settings, and defaults of parameters, for this session; None takes one back.

        Raises TypeError for a name that is none, ValueError for a parameter out of range; nothing
        is chosen then.
        """
        checked = {name: _checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            chosen = self._chosen if name in SETTING_NAMES else self._defaults
            if value is None:
                chosen.pop(name, None)
            else:
                chosen[name] = value
        if "cassette" in checked:
            from .gateway.cassettes import here

            self._cassette_folder = here()

    # Who

    @property
    def account(self) -> Account:
        """Who is logged in; begins, finishes and ends a login."""
        return self._connection.account

    @property
    def auth(self) -> GatewayAuth:
        """An `httpx.Auth` that keeps requests to the gateway authorised, sync or async.

        Clients of httpx2 take it, too.
        """
        return self._connection.auth.for_every_client()

    # What was asked

    @property
    def history(self) -> History:
        """Every completion of this session, in memory; see History."""
        return self._connection.history

    @property
    def chats(self) -> Chats:
        """The chats by name, in memory; see Chat."""
        if self._chats is None:
            from .gateway.chats import Chats

            self._chats = Chats(self._ask_in, _execution)
        return self._chats

    def _ask_in(self, chat: Chat, prompt: Prompt, model: str = "", **given: Any) -> Completion:
        return self.exchange(prompt, model, chat=chat, **given).run()

    # The end

    def close(self) -> None:
        """Give everything back: connections and event loop."""
        self._connection.close()


def _checked(name: str, value: Any) -> Any:
    """A setting or a default as it is kept. Raises TypeError, ValueError."""
    from .gateway.parameters import BY_NAME, checked

    if name in BY_NAME:
        return None if value is None else checked(name, value)
    if name not in SETTING_NAMES:
        raise TypeError(f"no such setting: {name}")
    return checked_number(name, value) if name in NUMBER_NAMES and value is not None else value


def _execution() -> Execution | None:
    """The execution that runs on this thread; None where no cell is named."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return None
    parent = shell.kernel.get_parent() or {}
    cell = parent.get("metadata", {}).get("cellId")
    if not cell:  # a notebook that runs without a person, a console
        return None
    run = parent.get("header", {}).get("msg_id") or shell.execution_count
    from .gateway.conversations import Execution

    return Execution(str(cell), str(run))


_session: Session | None = None


def session() -> Session:
    """This kernel's session, made at first use."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def background() -> Runtime:
    """The event loop of this kernel's session, for the front end's own waiting."""
    return session()._connection.runtime


def _forget_after_fork() -> None:
    """A child process begins anew: its parent's threads, loop and connections are not there."""
    global _session
    if _session is not None:
        atexit.unregister(_session._connection.close)
        _session = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def close() -> None:
    """Close the session, as `%unload_ext` and the end of the kernel do."""
    global _session
    ended, _session = _session, None
    if ended is not None:
        ended.close()
