"""Settings: defaults, environment, choices, and addresses that no bearer may go to."""

from __future__ import annotations

import pytest

from alcf_magics._session import Session
from alcf_magics.errors import GatewayUnreachable
from alcf_magics.settings import Settings, is_loopback


def test_defaults_are_production() -> None:
    """Without any setting, the real gateway and the real Globus."""
    settings = Settings.load(environ={})
    assert settings.gateway_url == "https://inference-api.alcf.anl.gov/resource_server"
    assert settings.globus_auth_url == "https://auth.globus.org"
    assert settings.model == ""


def test_a_choice_goes_before_the_environment() -> None:
    """Environment over default, choice over environment; a trailing slash is dropped."""
    environ = {"ALCF_GATEWAY_URL": "https://a/x/", "ALCF_MODEL": "m", "ALCF_GLOBUS_AUTH_URL": " "}
    assert Settings.load(environ=environ).gateway_url == "https://a/x"
    chosen = Settings.load({"gateway_url": "https://b"}, environ)
    assert (chosen.gateway_url, chosen.model) == ("https://b", "m")
    assert chosen.globus_auth_url == "https://auth.globus.org"


def test_the_environment_is_read_at_each_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set in a cell counts at once, without loading anything again."""
    session = Session()
    monkeypatch.setenv("ALCF_MODEL", "one")
    assert session.settings.model == "one"
    monkeypatch.setenv("ALCF_MODEL", "two")
    assert session.settings.model == "two"
    session.choose(model="three")
    assert session.settings.model == "three"
    session.choose(model=None)
    assert session.settings.model == "two"


@pytest.mark.parametrize(
    "url",
    [
        "inference-api.alcf.anl.gov",
        "ftp://host/x",
        "http://inference-api.alcf.anl.gov/resource_server",
        "https://user:secret@host/x",
        "https://",
        "https://[half",
        "http://127.0.0.1.evil.example/x",
    ],
)
def test_an_address_no_bearer_may_go_to_is_refused(url: str) -> None:
    """What is no address, or is readable on the way, is named with the setting to change."""
    with pytest.raises(GatewayUnreachable, match="gateway_url") as caught:
        Settings.load({"gateway_url": url}).checked()
    assert "secret" not in str(caught.value)


def test_loopback_is_this_machine_only() -> None:
    """127.0.0.0/8, ::1 and localhost; nothing that merely looks like them."""
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "localhost.evil.example", "0.0.0.0", "", None)))


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt setting is no setting."""
    with pytest.raises(TypeError, match="gatewayurl"):
        Session().choose(gatewayurl="x")
