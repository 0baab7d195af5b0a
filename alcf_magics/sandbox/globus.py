"""The sandbox's Globus Auth: authorize page with consent, code page, token and revoke endpoints."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .envelopes import JSON, page, reply
from .settings import Settings
from .tokens import AUTH, GATEWAY, GATEWAY_SCOPE, GROUPS, GROUPS_SCOPE, Identity, Token, Tokens

CODE_SECONDS = 600
CONSENT = "/v2/web/consent"
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>SANDBOX: $title</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; }
.sandbox { background: #fff3cd; color: #533f03; padding: .5rem 1rem; border-radius: .3rem; }
code { background: #eee; padding: .2rem .4rem; overflow-wrap: anywhere; }
button { font: inherit; padding: .4rem 1rem; }
</style>
</head>
<body>
<p class="sandbox"><strong>SANDBOX: not Globus.</strong> This page comes from your own computer,
for practice. No password is asked for, and nothing leaves the machine.</p>
<h1>$title</h1>
$content
</body>
</html>
""")
CODE = Template("""<p>Copy this code and paste it where the login asks for it. It can be used once,
within ten minutes.</p>
<p><code id="auth-code">$code</code></p>
<p><button type="button" id="copy">Copy</button> <span id="copied" role="status"></span></p>
<script>
document.getElementById("copy").addEventListener("click", function () {
  var code = document.getElementById("auth-code");
  function say(text) { document.getElementById("copied").textContent = text; }
  function select() { window.getSelection().selectAllChildren(code); say("Press Ctrl+C."); }
  if (!navigator.clipboard) { select(); return; }
  navigator.clipboard.writeText(code.textContent).then(function () { say("Copied."); }, select);
});
</script>""")


@dataclass(frozen=True)
class Authorization:
    """One authorize request that was found in order."""

    client_id: str
    redirect_uri: str
    state: str
    challenge: str
    scopes: frozenset[str]
    offline: bool
    fresh: bool


@dataclass(frozen=True)
class Code:
    """An authorization code. `expires` is in monotonic seconds."""

    authorization: Authorization
    identity: Identity
    expires: float


class Globus:
    """Globus Auth as an ASGI application. `url` is set once its port is known."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self.url = ""
        self._settings = settings
        self._tokens = tokens
        self._waiting: dict[str, Authorization] = {}
        self._codes: dict[str, Code] = {}
        self.app = Starlette(
            routes=[
                Route("/v2/oauth2/authorize", self._authorize),
                Route(CONSENT, self._consent, methods=["POST"]),
                Route("/v2/web/auth-code", self._auth_code),
                Route("/v2/oauth2/token", self._token, methods=["POST"]),
                Route("/v2/oauth2/token/revoke", self._revoke, methods=["POST"]),
            ]
        )

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        reason = self._fault(query)
        if reason:
            return _problem(reason)
        identity = self._settings.identity
        number = secrets.token_urlsafe(18)
        self._waiting[number] = Authorization(
            client_id=query["client_id"],
            redirect_uri=query["redirect_uri"],
            state=query.get("state", ""),
            challenge=query["code_challenge"],
            # Globus writes dependent scopes in brackets behind a scope.
            scopes=frozenset(item.split("[")[0] for item in query.get("scope", "").split()),
            offline=query.get("access_type") == "offline",
            fresh="login" in query.get("prompt", "").split(),
        )
        content = (
            f"<p>You log in as <strong>{html.escape(identity.username)}</strong> "
            f"({html.escape(identity.name)}, {html.escape(identity.idp)}).</p>"
            f"<p>The application <code>{html.escape(query['client_id'])}</code> asks for: "
            f"{html.escape(query.get('scope', '') or 'its usual access')}</p>"
            f'<form method="post" action="{CONSENT}">'
            f'<input type="hidden" name="request" value="{number}">'
            '<button type="submit">Allow</button></form>'
        )
        return _page("Log in to the sandbox", content)

    def _fault(self, query: Mapping[str, str]) -> str:
        """What is wrong with an authorize request, in words for the person who sees the page."""
        checks = (
            (query.get("client_id"), "client_id is missing."),
            (query.get("response_type") == "code", "response_type must be code."),
            (query.get("code_challenge"), "code_challenge is missing: PKCE is required."),
            (query.get("code_challenge_method") == "S256", "code_challenge_method must be S256."),
            (
                self._is_own(query.get("redirect_uri", "")),
                "redirect_uri must be a page of this sandbox: a code is sent nowhere else.",
            ),
        )
        return next((reason for fine, reason in checks if not fine), "")

    def _is_own(self, url: str) -> bool:
        try:
            given, own = urlsplit(url), urlsplit(self.url)
        except ValueError:
            return False
        return (given.scheme, given.netloc) == (own.scheme, own.netloc)

    async def _consent(self, request: Request) -> Response:
        form = await _form(request)
        authorization = self._waiting.pop(form["request"], None)
        if authorization is None:
            return _problem("This consent is no longer open. Start the login again.")
        code = secrets.token_urlsafe(24)
        expires = time.monotonic() + CODE_SECONDS
        self._codes[code] = Code(authorization, self._settings.identity, expires)
        query = urlencode({"code": code, "state": authorization.state})
        separator = "&" if urlsplit(authorization.redirect_uri).query else "?"
        return RedirectResponse(f"{authorization.redirect_uri}{separator}{query}", 302)

    async def _auth_code(self, request: Request) -> Response:
        code = request.query_params.get("code", "")
        if code not in self._codes:
            return _problem("This code is not known, or it was used. Start the login again.")
        return _page("Your code", CODE.substitute(code=html.escape(code)))

    async def _token(self, request: Request) -> Response:
        form = await _form(request)
        answers = {"authorization_code": self._exchange, "refresh_token": self._refresh}
        grant_type = form["grant_type"]
        if grant_type not in answers:
            return _refuse("unsupported_grant_type", f"The grant type is not known: {grant_type}")
        if not form["client_id"]:
            return _refuse("invalid_client", "client_id is missing.", status=401)
        return answers[grant_type](form)

    def _exchange(self, form: Mapping[str, str]) -> Response:
        value = form["code"]
        code = self._codes.get(value)
        if code is None or time.monotonic() >= code.expires:
            return _refuse("invalid_grant", "The code is not known, has expired or was used.")
        authorization = code.authorization
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if not hmac.compare_digest(_base64(digest), authorization.challenge.rstrip("=")):
            return _refuse("invalid_grant", "The code verifier does not fit the challenge.")
        if form["client_id"] != authorization.client_id:
            return _refuse("invalid_grant", "The code belongs to another client.")
        if form["redirect_uri"] != authorization.redirect_uri:
            return _refuse("invalid_grant", "The redirect_uri is not that of the login.")
        del self._codes[value]
        return reply(self._login_answer(code))

    def _login_answer(self, code: Code) -> JSON:
        """One grant per resource server: one on top, the gateway's last among the others."""
        scopes = code.authorization.scopes
        granted = []
        if not scopes or "openid" in scopes:
            granted.append((AUTH, "openid"))
        granted.append((GROUPS, GROUPS_SCOPE))
        if self._settings.behaviour.gateway_grant and (not scopes or GATEWAY_SCOPE in scopes):
            granted.append((GATEWAY, GATEWAY_SCOPE))
        grants = []
        for resource_server, scope in granted:
            access, refresh = (
                self._tokens.mint(
                    kind,
                    resource_server=resource_server,
                    scope=scope,
                    client_id=code.authorization.client_id,
                    identity=code.identity,
                    origin="login",
                    fresh=code.authorization.fresh,
                    seconds=seconds,
                )
                for kind, seconds in (("access", self._seconds), ("refresh", float("inf")))
            )
            grant = self._grant(access)
            if code.authorization.offline:
                grant["refresh_token"] = refresh.value
            if scope == "openid":
                grant["id_token"] = _id_token(code)
            grants.append({**grant, "state": code.authorization.state})
        return {**grants[0], "other_tokens": grants[1:]}

    def _refresh(self, form: Mapping[str, str]) -> Response:
        value = form["refresh_token"]
        token = self._tokens.find(value)
        if token is None or token.kind != "refresh" or not self._tokens.active(value):
            return _refuse("invalid_grant", "The refresh token is not known or was revoked.")
        if form["client_id"] != token.client_id:
            return _refuse("invalid_grant", "The refresh token belongs to another client.")
        access = self._tokens.mint(
            "access",
            resource_server=token.resource_server,
            scope=token.scope,
            client_id=token.client_id,
            identity=token.identity,
            origin="refresh",
            fresh=token.fresh,
            seconds=self._seconds,
        )
        answer = self._grant(access)
        if not self._settings.omit_refresh_token:
            # Globus does not rotate refresh tokens.
            answer["refresh_token"] = token.value
        return reply({**answer, "other_tokens": []})

    @property
    def _seconds(self) -> int:
        limited = self._settings.behaviour.token_seconds
        return self._settings.token_seconds if limited is None else limited

    def _grant(self, access: Token) -> JSON:
        return {
            "access_token": access.value,
            "scope": access.scope,
            "expires_in": self._seconds,
            "token_type": "Bearer",
            "resource_server": access.resource_server,
        }

    async def _revoke(self, request: Request) -> Response:
        self._tokens.revoke((await _form(request))["token"])
        return reply({"active": False})


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a form; those that are missing are empty. (Starlette's own parser would need
    one more package.)"""
    text = (await request.body()).decode("utf-8", "replace")
    return defaultdict(str, parse_qsl(text, keep_blank_values=True))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _id_token(code: Code) -> str:
    """A JSON Web Token with Globus' claims. Nobody signed it, and it says so."""
    now = int(time.time())
    identity = code.identity
    claims = {
        "sub": identity.sub,
        "preferred_username": identity.username,
        "name": identity.name,
        "email": identity.username,
        "identity_provider_display_name": identity.idp,
        "iss": "https://auth.globus.org",
        "aud": code.authorization.client_id,
        "iat": now,
        "exp": now + 172800,
    }
    header = {"alg": "none", "typ": "JWT"}
    parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, _base64(b"sandbox")])


def _refuse(code: str, description: str, status: int = 400) -> Response:
    """An OAuth error in the shape of Globus, which adds a list of its own."""
    own = {
        "id": str(uuid.uuid4()),
        "status": str(status),
        "code": code.upper(),
        "title": code,
        "detail": description,
    }
    return reply({"errors": [own], "error": code, "error_description": description}, status)


def _page(title: str, content: str, status: int = 200) -> Response:
    """`content` is HTML; whatever came from outside must be escaped in it."""
    return page(status, PAGE.substitute(title=html.escape(title), content=content))


def _problem(reason: str) -> Response:
    text = f'<p id="reason">{html.escape(reason)}</p>'
    return _page("This login cannot continue", text, 400)
