"""Where the gateway and Globus Auth are, and the defaults that a person may set.

The environment is read at each use, so a variable set in a cell counts at once; what a person
sets through `%config AlcfMagics` goes before it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from .errors import GatewayUnreachable

PRODUCTION_GATEWAY = "https://inference-api.alcf.anl.gov/resource_server"
PRODUCTION_GLOBUS_AUTH = "https://auth.globus.org"

#: ALCF's own public native client at Globus: PKCE, no secret.
CLIENT_ID = "58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944"
GATEWAY_RESOURCE_SERVER = "681c10cc-f684-4540-bcd7-0b4df3bc26ef"
GATEWAY_SCOPE = f"https://auth.globus.org/scopes/{GATEWAY_RESOURCE_SERVER}/action_all"
SESSION_POLICY = "83732ff2-9c42-4548-b5ce-17e498c84f6a"

#: The variable in which ALCF's pages have people export a token. Read when needed, never kept.
TOKEN_VARIABLE = "ALCF_AI_TOKEN"

#: More seconds than anybody waits.
_MOST = 1e6

_VARIABLES = {
    "gateway_url": "ALCF_GATEWAY_URL",
    "globus_auth_url": "ALCF_GLOBUS_AUTH_URL",
    "model": "ALCF_MODEL",
}


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    `session_policies` (comma-separated policy ids) and `session_domains` (comma-separated
    domains) are what Globus is asked to require of the login; an empty text asks for nothing.
    `system` is the system text of a request that has none, `aliases` are names of a person's own
    for models. `wait` is for how many minutes a model that is not live is waited for (0: not at
    all). `cassette` is a file of recorded answers, see gateway/cassettes.py.
    `prompts_per_minute` and `requests_per_second` are how many may leave (0: as many as there are);
    the seconds below it are the budgets and time-outs of gateway/retries.py.
    """

    gateway_url: str = PRODUCTION_GATEWAY
    globus_auth_url: str = PRODUCTION_GLOBUS_AUTH
    model: str = ""
    session_policies: str = SESSION_POLICY
    session_domains: str = ""
    system: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    wait: float = 20.0
    cassette: str = ""
    prompts_per_minute: float = 0.0
    requests_per_second: float = 10.0
    address_seconds: float = 3.0
    fault_seconds: float = 20.0
    tokens_seconds: float = 60.0
    outage_seconds: float = 60.0
    connect_seconds: float = 10.0
    first_token_seconds: float = 330.0
    silence_seconds: float = 120.0

    @classmethod
    def load(
        cls, chosen: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Merge what was chosen over the environment over the defaults."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: environ[variable].strip()
            for name, variable in _VARIABLES.items()
            if environ.get(variable, "").strip()
        }
        values.update(chosen or {})
        # A trailing slash is a 404 at the gateway.
        for name in ("gateway_url", "globus_auth_url"):
            if name in values:
                values[name] = values[name].rstrip("/")
        return cls(**values)

    def checked(self) -> Settings:
        """These settings; raises GatewayUnreachable for an address that no bearer may go to."""
        for name in ("gateway_url", "globus_auth_url"):
            _check_url(name, getattr(self, name))
        return self

    @property
    def is_production(self) -> bool:
        """Whether this is ALCF's own service, with ALCF's own logins."""
        return (
            self.gateway_url == PRODUCTION_GATEWAY
            and self.globus_auth_url == PRODUCTION_GLOBUS_AUTH
        )

    def meant(self, name: str) -> str:
        """The model that a name means: an alias in any case stands for another name."""
        aliases = {alias.casefold(): model for alias, model in self.aliases.items()}
        return aliases.get(name.casefold(), name)


SETTING_NAMES = tuple(field.name for field in fields(Settings))
NUMBER_NAMES = frozenset(field.name for field in fields(Settings) if field.type == "float")


def checked_number(name: str, value: object) -> float:
    """A setting that is a number. Raises ValueError with what it may be."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return float(value)
    raise ValueError(f"{name} is a number, 0 or more, not {value!r:.60}")


@lru_cache(maxsize=64)
def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine."""
    if not host:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    if ":" in host:  # an IPv6 address
        return True
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


@lru_cache(maxsize=16)  # it is asked before each request, and few addresses are in use
def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    next_step = f"Set it: %config AlcfMagics.{name} = 'https://…'"
    if parts.scheme not in ("http", "https") or not host:
        raise GatewayUnreachable(f"{name} is no http(s) address: {url!r}.", next_step)
    if parts.query or parts.fragment or not url.isprintable() or not _is_host(host):
        raise GatewayUnreachable(f"{name} is no address of a server: {url!r}.", next_step)
    if parts.username or parts.password:
        raise GatewayUnreachable(f"{name} must not hold a user name or password.", next_step)
    if parts.scheme == "http" and not is_loopback(host):
        raise GatewayUnreachable(
            f"{name} is plain http to {host}: a token would travel readable by others.",
            next_step,
        )
