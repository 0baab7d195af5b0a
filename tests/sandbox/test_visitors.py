"""Who is let in to the sandbox."""

from __future__ import annotations

import httpx
import pytest

from alcf_magics.sandbox import Sandbox


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "evil.example:80"},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://127.0.0.1@evil.example"},
    ],
)
def test_a_page_or_a_name_of_somebody_elses_is_refused(
    sandbox: Sandbox, headers: dict[str, str]
) -> None:
    """At both ports, whatever is asked."""
    for url in (sandbox.gateway_url, sandbox.globus_auth_url):
        for method in ("GET", "POST", "OPTIONS"):
            answer = httpx.request(method, f"{url}/v2/oauth2/token", headers=headers)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:1234"},
        {"Host": "[::1]:1234"},
        {"Host": "LOCALHOST"},
        {"Origin": "http://127.0.0.1:8888"},
        {"Origin": "http://localhost:8888"},
    ],
)
def test_this_machine_is_let_in(sandbox: Sandbox, headers: dict[str, str]) -> None:
    """By each of its names; a login page sends its own origin."""
    answer = httpx.post(f"{sandbox.globus_auth_url}/v2/oauth2/token", headers=headers)
    assert answer.status_code != 403
