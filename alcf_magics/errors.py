"""The error tree. Every message says what happened; `next_step` says what to type next.

    AlcfError
    ├── NotLoggedIn         no grant and no token to use
    ├── LoginFailed         a code was wrong or spent, or brought no grant for the gateway
    ├── LoginExpired        the grant can no longer be refreshed, or the gateway wants a fresh login
    ├── AccessDenied        logged in, but not allowed
    ├── ModelNotFound       no model, cluster or endpoint of that name
    ├── ModelNotReady       the model exists and does not answer yet (it is loading, or stopped)
    ├── Maintenance         the cluster is down for maintenance
    ├── RateLimited         too many requests, or too many tokens a minute
    ├── RequestRefused      the request itself was refused (4xx, context overflow)
    ├── GatewayError        the gateway failed (5xx, HTML); shows the error id where there is one
    ├── GatewayUnreachable  nothing answered in time (network, 408, 504)
    ├── StreamBroken        an answer began or was promised, and broke off; carries what came
    └── AnswerInvalid       a whole answer that is not in the format asked for

In a cell each reads as one line; what the server said in full stays on the exception.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from .text import line, words

if TYPE_CHECKING:
    from .gateway.completions import Completion


# What to type next, each worded once: the second half of an error's line.

LOG_IN = "Log in: %alcf_login"
LOG_IN_ANEW = "Again: %alcf_login"
LOG_IN_AGAIN = "Log in again: %alcf_login"
RUN_AGAIN_OR_LOG_IN = "Run the cell again; if it stays so: %alcf_login"
LOG_IN_AS_ARGONNE = (
    "Log in with that account (if Globus does not ask which, sign out of Globus first): %alcf_login"
)
LOG_IN_OR_SET = "Set another, or log in: %alcf_login"
NOT_YOUR_LOGIN = "It is not your login; run the cell again in a minute."
RUN_AGAIN = "Run the cell again."
RUN_AGAIN_IN = "Run the cell again in {wait}."
SEE_HELP = "See %alcf --help"
SEE_MODELS = "See what runs: %alcf_models"
ANOTHER_PLACE = "Another cluster may have the model: %alcf_models"
SEE_BATCHES = "Yours: alcf_magics.session().batches()"
NO_BATCHES = "Take another model (ALCF's list marks those with batches), or session().map(…)"
CHECK_BATCH = "Can the service read and write in its folder? Then submit it anew."
LOADING = f"Loading takes 10 to 15 minutes; run the cell again then. {SEE_MODELS}"
START_IT = "Start it: %alcf_models --start {place} (loading takes 10 to 15 minutes)"
NOTHING_LOADS = "Nothing is loaded on demand on {cluster}; what runs: %alcf_models --live"
WAIT_LONGER = "It goes on loading; run the cell again later, or wait longer: --wait {minutes}"
SHORTEN = "Shorten the prompt, ask for less with --max-tokens, or take another model: %alcf_models"
CHECK_NETWORK = (
    "Check the network (on a compute node: the proxy) and %config AlcfMagics.gateway_url"
)
INSTALL_SCHEMA = "Install it: %pip install 'alcf-magics[schema]'"
CHECK_GATEWAY = "Check the gateway's address: %config AlcfMagics.gateway_url"

#: Characters of what an error says in a cell.
_LONGEST = 1000


class Fault(Enum):
    """What may clear by itself. Each kind has a budget in time; see gateway/retries.py."""

    #: The address refuses connections, or is not known.
    ADDRESS = "address"
    #: Something on the way, or a model server, fails just now.
    PASSING = "passing"
    #: Too many requests a second.
    RATE = "rate"
    #: The tokens of a minute are spent.
    TOKENS = "tokens"
    #: The gateway cannot ask Globus about tokens.
    OUTAGE = "outage"


class AlcfError(Exception):
    """Something between the cell and the model went wrong.

    `what` and `next_step` are single lines for the reader. `status` is the HTTP status (or the
    code inside a stream's error event), `detail` the server's own text in full, `error_id` what
    the facility's support can look up. `completion` holds the part of an answer that had come.

    `fault` says what may clear by itself (None: another try is of no use), `retry_after` in how
    many seconds, where the server said it, and `pause` in how many as far as we know. `elsewhere`
    says that the place is at fault, and that another one may answer.
    """

    fault: Fault | None = None
    retry_after: float | None = None
    pause: float | None = None
    elsewhere: bool = False

    def __init__(
        self,
        what: str,
        next_step: str = "",
        *,
        status: int | None = None,
        detail: str = "",
        error_id: str = "",
    ) -> None:
        self.what = _sentence(line(what, _LONGEST))
        self.next_step = line(next_step, _LONGEST)
        self.status = status
        self.detail = words(detail)
        self.error_id = error_id
        self.completion: Completion | None = None
        super().__init__(self.what, self.next_step)

    def __str__(self) -> str:
        return f"{self.what} {self.next_step}".strip()

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: what the cell shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class NotLoggedIn(AlcfError):
    """There is no grant and no token to use."""


class LoginFailed(AlcfError):
    """A code was wrong, spent or too old, or the login brought no grant for the gateway.

    `another_code` is false where only another account, or ALCF's support, can help.
    """

    another_code: bool = True


class LoginExpired(AlcfError):
    """The token is no longer accepted.

    `fresh_login` is true when only a new authentication at Globus helps (the facility's session
    policy), and false when a refreshed token may do.
    """

    fresh_login: bool = False


class AccessDenied(AlcfError):
    """The gateway knows who asks, and refuses."""


class ModelNotFound(AlcfError):
    """No model, cluster or endpoint of that name."""


class ModelNotReady(AlcfError):
    """The model is known, and not (yet) able to answer."""


class Maintenance(AlcfError):
    """The cluster is under maintenance; the message holds the facility's notice."""


class RateLimited(AlcfError):
    """Too many requests or tokens. `retry_after` is in seconds where the server said it."""


class RequestRefused(AlcfError):
    """The request itself was refused: a wrong value, or a prompt longer than the window.

    `no_batches` says that the model takes no batches where it was asked.
    """

    no_batches: bool = False


class GatewayError(AlcfError):
    """The gateway, or a model server behind it, failed."""


class GatewayUnreachable(AlcfError):
    """Nothing answered: no network, a wrong address, or a time-out on the way."""


class StreamBroken(AlcfError):
    """A stream of status 200 that did not end well. `completion` holds what came before.

    `reason_hidden` says that the model server failed, and its reason was kept back on the way.
    """

    reason_hidden: bool = False


class AnswerInvalid(AlcfError):
    """A whole answer that is not in the format asked for; `completion` holds it."""


def in_one_line(interrupt: KeyboardInterrupt, said: str) -> None:
    """Let a cell show an interrupt as a line, as it shows our errors, and not our insides.

    It stays a KeyboardInterrupt, so that whatever catches one goes on doing so.
    """
    line = f"KeyboardInterrupt: {said}"
    interrupt._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]


def interrupted_prompt(*, kept: bool) -> str:
    """What is said of an interrupted prompt; `kept`: a part of an answer had come."""
    what = "what came is kept" if kept else "nothing had come yet"
    return f"The prompt was interrupted; {what}."


def _sentence(text: str) -> str:
    """A line closed as a sentence, because the next step follows it."""
    return text if text.endswith((".", "!", "?", "…")) or not text else f"{text}."
