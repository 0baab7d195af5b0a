"""What is said to an auth server: exchange, refresh, revoke, and whether it is there at all.

Synchronous on purpose: each call is one small request, made on the thread that needs the answer
(a worker thread when a request on the event loop needs a fresh token).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, urlsplit

import httpx

from ..errors import (
    LOG_IN_AGAIN,
    RUN_AGAIN_OR_LOG_IN,
    AlcfError,
    GatewayUnreachable,
    LoginExpired,
    LoginFailed,
)
from ..network.environment import Way, client_options, trusted_by, way_to
from ..network.quiet import keep_quiet
from ..network.trouble import CHECK_NETWORK, detail_of, trouble_of
from ..runtime import FREE
from ..settings import CLIENT_ID
from ..text import line
from .authorization import PendingLogin
from .grants import Grant, gateway_grant, grants_from_answer
from .hidden import Hidden, HiddenBytes, Secret, parsed

TIMEOUT = httpx.Timeout(15.0, connect=10.0)
#: Seconds that one answer is waited for, however slowly it comes, and bytes of it that are read.
ANSWER_SECONDS = 25.0
LONGEST_ANSWER = 1024 * 1024
#: Seconds that one request to revoke is waited for, and all of them: a logout shall end.
REVOKE_SECONDS = 3.0
REVOKE_ALL_SECONDS = 10.0
#: Seconds that one server of this machine, and all of them, get to take a connection.
CONNECT_SECONDS = 0.3
CONNECT_ALL_SECONDS = 1.0

#: OAuth's word for a code or refresh token that is spent (RFC 6749, 5.2).
INVALID_GRANT = "invalid_grant"
#: Where another try may succeed with the very same code or refresh token.
TRY_AGAIN = frozenset({407, 408, 425, 429})


class GlobusAuth:
    """The token endpoint of one auth server. Its errors are ours; a token is never in them.

    One answer is waited for `seconds` at most.
    """

    def __init__(
        self,
        server: str,
        clock: Callable[[], float] = time.time,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.server = server
        self._clock = clock
        self._seconds = seconds

    def exchange(self, pending: PendingLogin, code: Secret) -> tuple[Grant, ...]:
        """All grants for a code; the gateway's is among them. Raises LoginFailed."""
        status, answer, reason = self._post(
            "token",
            {
                "grant_type": "authorization_code",
                "client_id": CLIENT_ID,
                "code": code,
                "code_verifier": pending.verifier,
                "redirect_uri": pending.redirect_uri,
            },
        )
        if (not 400 <= status < 500 and status != 200) or status in TRY_AGAIN:
            raise GatewayUnreachable(
                f"Globus could not take the code just now (status {status}).",
                "Try again with the same code.",
                status=status,
            )
        if status != 200:
            raise LoginFailed(
                f"Globus did not take the code: {reason}.",
                "A code works once, within ten minutes: open the link again and paste a new one.",
                status=status,
            )
        if answer is None:
            raise _no_json("Try again with the same code.")
        grants = grants_from_answer(answer, now=self._clock(), auth_server=self.server)
        gateway_grant(grants)
        return grants

    def refresh(self, grant: Grant) -> Grant:
        """The grant with a new access token. Raises LoginExpired when it cannot be refreshed.

        The error's `detail` is then OAuth's word for it, INVALID_GRANT for a spent token.
        """
        if grant.refresh_token is None:
            raise LoginExpired("The login has run out.", LOG_IN_AGAIN)
        status, answer, reason = self._post(
            "token",
            {
                "grant_type": "refresh_token",
                "client_id": CLIENT_ID,
                "refresh_token": grant.refresh_token,
            },
        )
        if status == 200:
            if answer is None:
                raise _no_json(RUN_AGAIN_OR_LOG_IN)
            return grant.refreshed(answer, self._clock())
        # Globus answers invalid_grant with 400 or 401: the body decides.
        error = answer.get("error") if answer is not None else None
        if isinstance(error, str) and 400 <= status < 500 and status not in TRY_AGAIN:
            raise LoginExpired(
                "The login has run out: Globus no longer refreshes it (after six months without "
                "use, or because it was revoked)."
                if error == INVALID_GRANT
                else f"Globus refuses to refresh the login ({reason}).",
                LOG_IN_AGAIN,
                status=status,
                detail=INVALID_GRANT if error == INVALID_GRANT else reason,
            )
        raise GatewayUnreachable(
            f"Globus could not refresh the login ({reason}).",
            RUN_AGAIN_OR_LOG_IN,
            status=status,
        )

    def revoke(self, token: Secret) -> None:
        """Make a token useless. Raises GatewayUnreachable when Globus could not be told."""
        status, _, reason = self._post("token/revoke", {"client_id": CLIENT_ID, "token": token})
        if status != 200:
            raise GatewayUnreachable(
                f"Globus did not revoke the login ({reason}).",
                status=status,
            )

    def _post(self, path: str, form: Mapping[str, str | Secret]) -> tuple[int, Hidden | None, str]:
        """Post a form; the status, the JSON object of the answer if it is one, and its reason.

        On a thread of its own, and waited for in short steps: an interrupt ends the wait at once,
        and no traceback of the waiting thread holds what was sent.
        """
        url = f"{self.server}/v2/oauth2/{path}"
        result: list[_Sent] = []
        thread = threading.Thread(
            target=_send, args=(url, form, result), daemon=True, name="alcf_magics login"
        )
        keep_quiet()
        begun = time.monotonic()
        try:
            thread.start()
        except RuntimeError as error:
            result.append((line(str(error), 80), FREE, ""))
        while thread.is_alive() and time.monotonic() - begun < self._seconds:
            thread.join(0.05)
        sent = result[0] if result else ("no answer in time", CHECK_NETWORK, "")
        if isinstance(sent, AlcfError):
            raise sent
        if isinstance(sent, tuple):
            why, next_step, detail = sent
            raise GatewayUnreachable(
                f"Globus at {self.server} cannot be reached ({why}).", next_step, detail=detail
            )
        try:
            answer = parsed(sent.body)
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, Hidden) else None
        return sent.status, answer, _reason(answer or Hidden(), form) or f"status {sent.status}"


def revoke(grants: Iterable[Grant]) -> AlcfError | None:
    """Revoke every token of these grants; what went wrong, if anything did.

    A server that does not answer is asked once, for REVOKE_SECONDS; all take no longer than
    REVOKE_ALL_SECONDS.
    """
    end = time.monotonic() + REVOKE_ALL_SECONDS
    failed: dict[str, AlcfError] = {}
    silent: set[str] = set()
    for grant in grants:
        server = grant.auth_server
        # The refresh token first: whoever meets a revoked access token must not renew it.
        for token in filter(None, (grant.refresh_token, grant.access_token)):
            if server in silent:
                break
            seconds = min(REVOKE_SECONDS, max(0.0, end - time.monotonic()))
            try:
                GlobusAuth(server, seconds=seconds).revoke(token)
            except AlcfError as error:
                failed.setdefault(server, error)
                if error.status is None:  # nobody answers: one wait is enough
                    silent.add(server)
    if len(failed) < 2:
        return next(iter(failed.values()), None)
    return GatewayUnreachable(f"These could not be told: {', '.join(failed)}.")


def not_there(servers: Iterable[str]) -> set[str]:
    """Those of these servers on this machine that take no connection.

    Whoever is not asked within CONNECT_ALL_SECONDS counts as there.
    """
    end = time.monotonic() + CONNECT_ALL_SECONDS
    gone = set()
    for server in servers:
        left = end - time.monotonic()
        if left > 0 and not _answers(server, min(left, CONNECT_SECONDS)):
            gone.add(server)
    return gone


def _answers(server: str, seconds: float) -> bool:
    try:
        parts = urlsplit(server)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=seconds).close()
    except (OSError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class _Answer:
    status: int
    body: HiddenBytes


#: An answer, or why there is none: an error, or in words with what to do next, and in detail.
_Sent = _Answer | AlcfError | tuple[str, str, str]


def _send(url: str, form: Mapping[str, str | Secret], result: list[_Sent]) -> None:
    """Send a form, and put the answer, or why there is none, into `result`."""
    way = Way()
    try:
        way = way_to(url)
        with httpx.Client(timeout=TIMEOUT, **client_options(way, trusted_by(url))) as client:
            plain = {k: v.reveal() if isinstance(v, Secret) else v for k, v in form.items()}
            # What is not asked for is not unpacked: a few bytes may become gigabytes.
            asked = client.stream("POST", url, data=plain, headers={"Accept-Encoding": "identity"})
            with asked as response:
                result.append(_Answer(response.status_code, _beginning(response)))
    except AlcfError as error:
        result.append(error)
    except Exception as error:  # whatever proxies, certificates and resolvers come up with
        result.append((*trouble_of(error, way), detail_of(error, way)))


def _beginning(response: httpx.Response) -> HiddenBytes:
    """The body up to what any answer of Globus holds; a longer one is none, and is no JSON."""
    end = time.monotonic() + ANSWER_SECONDS
    pieces, size = [], 0
    for piece in response.iter_raw():
        pieces.append(HiddenBytes(piece))
        size += len(piece)
        if size > LONGEST_ANSWER or time.monotonic() > end:
            break
    return HiddenBytes(b"".join(pieces))


def _no_json(next_step: str) -> GatewayUnreachable:
    return GatewayUnreachable(
        "Globus answered with something that is no JSON (a login page of the network, perhaps).",
        next_step,
    )


def _reason(answer: Hidden, form: Mapping[str, str | Secret]) -> str:
    """What the answer says, without what was sent: a server may echo it."""
    said = str(answer.get("error_description") or answer.get("error") or "")
    for secret in form.values():
        if isinstance(secret, Secret) and secret:
            said = said.replace(secret.reveal(), "…").replace(quote_plus(secret.reveal()), "…")
    return line(said, 120).rstrip(".")
