"""The way that the environment has for an address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from alcf_magics.auth.globus import GlobusAuth
from alcf_magics.auth.hidden import Secret
from alcf_magics.errors import GatewayUnreachable
from alcf_magics.gateway.client import Gateway
from alcf_magics.images.fetching import fetched
from alcf_magics.network.environment import fingerprint, trusted_by, way_to
from alcf_magics.settings import Settings

GATEWAY = "https://gateway.example/resource_server"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def ask_gateway() -> None:
    Gateway(GATEWAY, httpx.Auth())


def ask_globus() -> None:
    from alcf_magics.auth.authorization import begin_login

    pending = begin_login(Settings(globus_auth_url="https://auth.example"), 0.0)
    GlobusAuth("https://auth.example").exchange(pending, Secret("code"))


def fetch_image() -> None:
    asyncio.run(fetched("https://pictures.example/a.png"))


ASKING = pytest.mark.parametrize("ask", [ask_gateway, ask_globus, fetch_image])


@ASKING
@pytest.mark.parametrize(
    "value",
    [
        "http://jdoe:Tr0ub#dor@host:1",
        "http://jdoe:Tr0ub/dor@host:1",
        "http://jdoe:Tr0ub?dor@host:1",
        "http://jdoe:Tr0ub@dor@host:1",
        "http://jdoe:Tr0ub dor@host:1",
        "jdoe:Tr0ub#dor@host:1",
        "http://jdoe:[Tr0ub]dor@host:1",
        "http://jdoe:Tr0ub\\dor@host:1",
    ],
)
def test_a_password_to_be_encoded_is_said_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[], None], value: str
) -> None:
    """Gateway, login and images alike: the variable is named, and no piece of what it holds."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(GatewayUnreachable, match="HTTPS_PROXY") as caught:
        ask()
    said = f"{caught.value} {caught.value.detail} {caught.value!r}"
    assert "Percent-encode the password" in said
    assert not any(piece in said for piece in ("Tr0ub", "dor", "jdoe"))


@ASKING
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("foo://jdoe:pa55@bar", "begins with none of http, https, socks5"),
        ("http://jdoe:pa55@host:port", "host or port cannot be read"),
        ("http://jdoe:pa55@:3128", "host or port cannot be read"),
        ("http://jdoe:pa55", "host or port cannot be read"),
        ("http://jdoe:pa55@host:99999", "host or port cannot be read"),
        ("http://", "host or port cannot be read"),
    ],
)
def test_a_proxy_that_is_none_is_said_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[], None], value: str, said: str
) -> None:
    """What is wrong with it, how to set it, and nothing of its user."""
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(GatewayUnreachable, match=said) as caught:
        ask()
    assert "%env ALL_PROXY" in str(caught.value)
    assert "pa55" not in f"{caught.value} {caught.value.detail}"


def test_socks_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing, the line says what to install."""
    monkeypatch.setattr("alcf_magics.network.environment.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://host:1080")
    with pytest.raises(GatewayUnreachable, match=r"ALL_PROXY.*%pip install 'httpx\[socks\]'"):
        ask_gateway()


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("http://proxy.example:3128\n", "http://proxy.example:3128"),
        ("  http://proxy.example:3128 ", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://[fd00::1]:3128/", "http://[fd00::1]:3128/"),
        ("http://jdoe:Tr0ub%23dor@proxy.example:1", "http://jdoe:Tr0ub%23dor@proxy.example:1"),
    ],
)
def test_what_can_be_read_is_used(monkeypatch: pytest.MonkeyPatch, value: str, proxy: str) -> None:
    """A newline at its end, no scheme, IPv6: all of it is a proxy, and no password is shown."""
    monkeypatch.setenv("https_proxy", value)
    way = way_to(GATEWAY)
    assert (way.proxy, way.variable) == (proxy, "https_proxy")
    assert "Tr0ub" not in f"{way!r} {way.shown}"
    ask_gateway()


def test_the_lower_case_and_the_scheme_s_own_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As curl and urllib have it."""
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    assert way_to(GATEWAY).shown == "all.example:1"
    monkeypatch.setenv("HTTPS_PROXY", "http://upper.example:1")
    assert way_to(GATEWAY).shown == "upper.example:1"
    monkeypatch.setenv("https_proxy", "http://lower.example:1")
    assert way_to(GATEWAY).shown == "lower.example:1"
    assert way_to("http://127.0.0.1:8888").proxy == ""


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("localhost,::1,fd00:1::/32", GATEWAY, False),
        ("[::1]", GATEWAY, False),
        ("fd00:1::/32", "https://[fd00:1::7]/x", True),
        ("[fd00:1::7]", "https://[fd00:1::7]/x", True),
        ("10.0.0.0/8", "https://10.1.2.3/x", True),
        ("10.0.0.0/8", "https://11.1.2.3/x", False),
        ("gateway.example", GATEWAY, True),
        (".example", GATEWAY, True),
        ("*.example", GATEWAY, True),
        ("EXAMPLE", GATEWAY, True),
        ("ample", GATEWAY, False),
        ("gateway.example:443", "https://gateway.example:443/x", True),
        ("gateway.example:8443", "https://gateway.example:443/x", False),
        ("https://gateway.example", GATEWAY, True),
        ("a b gateway.example", GATEWAY, True),
        ("*", GATEWAY, True),
        (",,  ,", GATEWAY, False),
        ("fd00:1::/999,[,]:x,%zz", GATEWAY, False),
    ],
)
def test_no_proxy_means_names_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, entries: str, url: str, direct: bool
) -> None:
    """An entry that is none of these keeps nobody from asking."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", entries)
    assert (way_to(url).proxy == "") is direct
    ask_gateway()


@ASKING
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_gone_are_said(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[], None], variable: str
) -> None:
    """With the variable and the path that it names."""
    monkeypatch.setenv(variable, "/nowhere.pem")
    with pytest.raises(GatewayUnreachable, match=f"{variable} names /nowhere.pem, which is not"):
        ask()


def test_a_file_without_certificates_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the library says of it stands in the detail."""
    file = tmp_path / "empty.pem"
    file.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(GatewayUnreachable, match=r"empty.pem, which holds no certif") as caught:
        trusted_by(GATEWAY)
    assert caught.value.detail
    assert trusted_by("http://127.0.0.1:1")  # a sandbox needs none


def test_a_changed_environment_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`%env HTTPS_PROXY=…` counts at once, and so does taking it away."""
    before = fingerprint()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert fingerprint() != before
    monkeypatch.delenv("HTTPS_PROXY")
    assert fingerprint() == before
    monkeypatch.setenv("SSL_CERT_FILE", "x")
    assert fingerprint() != before
