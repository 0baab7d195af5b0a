"""Proxies and hosts that go without, as people and their sites write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.network.proxies import Proxy, goes_without, unread

PASSWORD = st.text("Tr0ub#/?@:%[]\\& é", min_size=5).map(lambda text: f"QZ{text}ZQ")


@given(PASSWORD, st.sampled_from(["http://", "", "https://", "socks5://", "socks9://", "http:/"]))
def test_no_part_of_a_password_is_shown(password: str, scheme: str) -> None:
    """Whatever it is made of: it is read whole, or nothing of it is repeated."""
    shown = ""
    try:
        proxy = Proxy.parsed(f"{scheme}jdoe:{password}@proxy.example:3128")
        shown = f"{proxy!r} {proxy.address} {proxy.url}"
        assert (proxy.host, proxy.port, proxy.user) == ("proxy.example", 3128, "jdoe")
    except ValueError as error:
        shown = str(error)
    assert "QZ" not in shown
    assert "jdoe" not in shown


@pytest.mark.parametrize("sign", "#/?")
def test_a_password_that_ends_the_address_is_to_be_encoded(sign: str) -> None:
    """Encoded, it is the password."""
    with pytest.raises(ValueError, match="percent-encode the password"):
        Proxy.parsed(f"http://jdoe:12{sign}dor@host:1")
    proxy = Proxy.parsed(f"http://jdoe:12%{ord(sign):02x}dor@host:1")
    assert proxy.password == f"12{sign}dor"


@pytest.mark.parametrize(
    "text",
    ["http://", "http://:3128", "http://host:port", "http://ho st:1", "http://h\n:1", "ftp://h:1"],
)
def test_what_is_no_address_is_none(text: str) -> None:
    """Said without repeating it."""
    with pytest.raises(ValueError, match=r"^(is no address|holds a line break)"):
        Proxy.parsed(text)


def test_addresses_are_read_as_curl_reads_them() -> None:
    """Without a scheme, in capitals, of IPv6, with an at sign in the password."""
    assert Proxy.parsed("proxy:3128").url == "http://proxy:3128"
    assert Proxy.parsed("HTTP://proxy").url == "http://proxy"
    assert Proxy.parsed("http://[::1]:3128/").url == "http://[::1]:3128"
    assert Proxy.parsed("http://a:p@ss@proxy:1").password == "p@ss"


@pytest.mark.parametrize(
    ("entries", "host", "without"),
    [
        ("localhost,::1,fd00:1::/32", "api.example", False),
        ("[::1],.example", "api.example", True),
        ("example", "api.example", True),
        ("*.example", "api.example", True),
        ("API.Example:443", "api.example", True),
        ("api.example:8443", "api.example", False),
        ("https://api.example", "api.example", True),
        ("xample", "api.example", False),
        ("*", "api.example", True),
        ("a b api.example", "api.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("fd00:1::/32", "fd00:1::5", True),
        ("[fd00:1::5]:443", "fd00:1::5", True),
        ("[fd00:1::5]", "fd00:1::5", True),
        ("", "api.example", False),
    ],
)
def test_hosts_go_without_a_proxy(entries: str, host: str, without: bool) -> None:
    """Names and those below them, networks, ports."""
    assert goes_without(host, 443, entries) is without
    assert unread(entries) == []


def test_entries_that_mean_nothing_are_named() -> None:
    """The others count."""
    assert unread("[::1,a.example,10.0.0.0/99,b:port") == ["[::1", "10.0.0.0/99", "b:port"]
    assert goes_without("a.example", 443, "[::1,a.example")


@given(st.text(), st.text())
def test_nothing_in_no_proxy_fails(entries: str, host: str) -> None:
    """Whatever somebody has put there."""
    goes_without(host, 443, entries)
    unread(entries)
