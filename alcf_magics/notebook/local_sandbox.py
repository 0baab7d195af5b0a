"""The sandbox that a kernel starts for itself, and the settings that were in force before it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from .._session import session
from ..errors import GatewayError
from ..told import SILENT, Told
from .spelling import did_you_mean

if TYPE_CHECKING:
    from ..sandbox import Sandbox

_ADDRESSES = ("gateway_url", "globus_auth_url")


class LocalSandbox:
    """One sandbox at most; its grants stay in this kernel's memory."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._before: dict[str, str] = {}

    def start(self, told: Told = SILENT, scenario: str = "default", **options: Any) -> str:
        """Start a sandbox in this process and log in to it; the line that says so.

        Raises UsageError for a scenario that there is not; a sandbox that is there goes on then.
        """
        try:
            from ..sandbox import SCENARIOS, Sandbox
            from ..sandbox.settings import COLD_SECONDS
        except ImportError as error:
            raise GatewayError(
                f"The sandbox is not installed ({error.name} is missing).",
                "Install it: %pip install 'alcf_magics[sandbox]'",
            ) from None
        if scenario not in SCENARIOS:
            raise UsageError(f"%alcf_login: {_no_scenario(scenario, SCENARIOS)}")
        self.stop()
        # Some 100 tokens a second: who tries it out wants to see an answer stream.
        real = os.environ.get("ALCF_SANDBOX_MODEL") or None  # the demo sets it
        sandbox = Sandbox(scenario, **{"pace": 0.2, "model_server": real, **options})
        sandbox.cold_seconds = COLD_SECONDS
        sandbox.start()
        self._enter(sandbox)
        try:
            account = session().account
            pending = account.begin()
            line = account.finish(sandbox.approve(pending.authorize_url), pending, told=told)
        except BaseException:
            self.stop()
            raise
        answers = f"only {sandbox.real_model} is a real model" if real else "no real model answers"
        played = "" if scenario == "default" else f" {SCENARIOS[scenario]}"
        return f"{line}\nThis is a sandbox, in this kernel only: {answers}.{played}"

    @property
    def in_force(self) -> bool:
        """Whether what is asked now is asked of this sandbox."""
        sandbox = self._sandbox
        return sandbox is not None and session().settings.globus_auth_url == sandbox.globus_auth_url

    def stop(self) -> None:
        """Stop the sandbox, if there is one; the settings are as they were before."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is None:
            return
        session().choose(**{name: self._before.get(name) for name in _ADDRESSES})
        session().account.leave(sandbox.globus_auth_url)
        sandbox.stop()

    def _enter(self, sandbox: Sandbox) -> None:
        self._sandbox, self._before = sandbox, session().chosen
        session().account.only_in_memory(sandbox.globus_auth_url)
        session().choose(**{name: getattr(sandbox, name) for name in _ADDRESSES})


def scenarios() -> Mapping[str, str]:
    """What a sandbox can play, with a line on each; nothing where no sandbox is installed."""
    try:
        from ..sandbox import SCENARIOS
    except ImportError:
        return {}
    return SCENARIOS


def _no_scenario(name: str, known: Mapping[str, str]) -> str:
    near = did_you_mean(name, known) or f". There are: {', '.join(known)}."
    return f"there is no scenario {name!r}{near}"
