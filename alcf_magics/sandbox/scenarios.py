"""Scenarios: what the sandbox does differently under each name, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HIGH_ASSURANCE_TIMEOUT = (
    "Error: Permission denied from internal policies. This is likely due to a high-assurance "
    "timeout. Please logout by visiting https://app.globus.org/logout, and re-authenticate with "
    "the following command: 'python3 inference_auth_token.py authenticate --force'. Make sure you "
    "authenticate with an authorized identity provider: anl.gov, alcf.anl.gov."
)
WRONG_IDENTITY_PROVIDER = (
    "Error: Permission denied. Must authenticate with anl.gov, alcf.anl.gov. Currently "
    "authenticated as Unknown (no active session found). If you are passing an access token "
    "directly to this API, please logout from Globus by visiting https://app.globus.org/logout "
    "and re-authenticate with the following command: 'python3 inference_auth_token.py "
    "authenticate --force'."
)
NOT_ACTIVE = "Token is either not active or invalid"
#: Seconds that nobody waits.
FOR_EVER = 86400.0
GLOBUS_OUTAGE = "Could not introspect the access token: Globus Auth did not answer."


@dataclass(frozen=True)
class Scenario:
    """How the sandbox departs from a healthy gateway. Times are in seconds.

    `refuse` says which access tokens the gateway refuses with `refusal`: "none", "login" (minted
    by a login, not by a refresh), "stale" (whose login did not carry prompt=login) or "all".
    `jobs` is "whole", "empty" (first cluster) or "unreadable" (last cluster); `stream` is "whole",
    "cut", "stalled", "unfinished", "error" or "error_first". `pace` is the least time between two
    pieces of an answer.

    `cold` is what models of the first cluster are that nobody has asked for ("": as listed), and
    `load_seconds` how long one loads that was asked for. `cache_seconds` is for how long the
    gateway uses jobs again (it then says so).

    `fault` is how prompts fail (a name in faults.py; empty: they do not), `failures` how many of
    them (None: all), `fails_on_first` says that only the first cluster's do. `others_per_second`
    is how many requests other kernels of the same user send.
    """

    description: str
    refuse: str = "none"
    refusal: str = NOT_ACTIVE
    cold: str = ""
    load_seconds: float = math.inf
    cache_seconds: float | None = None
    restricted: bool = False
    maintenance: bool = False
    jobs: str = "whole"
    fault: str = ""
    failures: int | None = None
    fails_on_first: bool = False
    others_per_second: int = 0
    stream: str = "whole"
    html: bool = False
    first_token_seconds: float = 0.0
    pace: float = 0.0
    gateway_grant: bool = True
    token_seconds: int | None = None
    validation: str | None = None


TABLE: Mapping[str, Scenario] = MappingProxyType(
    {
        "default": Scenario("Everything works; some models are running, some are not."),
        "cold_model": Scenario(
            "Every model of the first cluster is still starting.", cold="starting"
        ),
        "cold_start": Scenario(
            "Chat models of the first cluster are offline; one asked for is live in 3 s.",
            cold="offline",
            load_seconds=3.0,
            cache_seconds=0.5,
        ),
        "expired_token": Scenario(
            "The gateway refuses access tokens from a login; refreshed ones work.", refuse="login"
        ),
        "policy_timeout": Scenario(
            "The gateway wants a fresh authentication: a login with prompt=login.",
            refuse="stale",
            refusal=HIGH_ASSURANCE_TIMEOUT,
        ),
        "wrong_identity_provider": Scenario(
            "The gateway accepts no session: another identity provider is required.",
            refuse="all",
            refusal=WRONG_IDENTITY_PROVIDER,
        ),
        "group_restricted": Scenario(
            "The last cluster is reserved for a Globus group.", restricted=True
        ),
        "globus_outage": Scenario(
            "The gateway cannot reach Globus to check tokens.", refuse="all", refusal=GLOBUS_OUTAGE
        ),
        "maintenance": Scenario(
            "The first cluster is under maintenance; another serves some of its models.",
            maintenance=True,
        ),
        "jobs_unreadable": Scenario(
            "The status page of the last cluster fails, for jobs and for chat.", jobs="unreadable"
        ),
        "jobs_empty": Scenario(
            "The first cluster lists no jobs although its models run.", jobs="empty"
        ),
        "rate_limited": Scenario("Every prompt is refused: too many requests.", fault="rate"),
        "tokens_per_minute": Scenario(
            "Every prompt is refused: tokens per minute are used up.", fault="tokens"
        ),
        "busy": Scenario(
            "Other kernels of the same user send 6 of the 10 requests a second.",
            others_per_second=6,
        ),
        "bad_gateway": Scenario(
            "Two prompts fail with a proxy's 502, then all is well.",
            fault="bad_gateway",
            failures=2,
        ),
        "proxy_restarting": Scenario(
            "One prompt fails with a proxy's 503, which says when to come again.",
            fault="proxy",
            failures=1,
        ),
        "not_ready": Scenario(
            "Two prompts fail with 503, not ready, then all is well.",
            fault="not_ready",
            failures=2,
        ),
        "gateway_timeout": Scenario(
            "Two prompts fail with 504, then all is well.", fault="timeout", failures=2
        ),
        "no_result": Scenario("Every prompt fails with 408.", fault="no_result"),
        "dead_connection": Scenario(
            "The connections of two prompts die without an answer, then all is well.",
            fault="dead",
            failures=2,
        ),
        "dead_upstream": Scenario(
            "The first cluster's servers cannot be reached, though its jobs are live.",
            fault="down",
            fails_on_first=True,
        ),
        "offline_upstream": Scenario(
            "The first cluster's endpoints are offline, though its jobs are live.",
            fault="offline",
            fails_on_first=True,
        ),
        "hanging": Scenario("The first token never comes.", first_token_seconds=FOR_EVER),
        "stalled": Scenario("After half of an answer nothing comes.", stream="stalled"),
        "cut_mid_stream": Scenario("The connection dies in the middle of an answer.", stream="cut"),
        "silent_truncation": Scenario(
            "Answers end with [DONE] but without a finish_reason.", stream="unfinished"
        ),
        "error_in_stream": Scenario(
            "An error follows the first half of an answer.", stream="error"
        ),
        "error_before_text": Scenario(
            "An error comes in place of an answer, under status 200.", stream="error_first"
        ),
        "html_error": Scenario("A proxy answers everything with an HTML page, 502.", html=True),
        "slow": Scenario(
            "One second of silence before the first token, then slow tokens.",
            first_token_seconds=1.0,
            pace=0.1,
        ),
        "no_gateway_grant": Scenario(
            "Globus grants everything but the gateway.", gateway_grant=False
        ),
        "short_tokens": Scenario("Access tokens live for five seconds.", token_seconds=5),
        "strict": Scenario(
            "The gateway refuses fields it does not know, as before August 2026.",
            validation="strict",
        ),
    }
)

SCENARIOS: Mapping[str, str] = MappingProxyType(
    {name: scenario.description for name, scenario in TABLE.items()}
)
