"""The SDK's format: which namespace is whose, and what a change leaves alone. Pure."""

from __future__ import annotations

import copy
import json

import pytest

from alcf_magics.auth.hidden import Hidden, HiddenBytes, Secret, parsed
from alcf_magics.auth.old_token_format import SERVERS, taken_over
from alcf_magics.auth.token_format import (
    DEFAULT,
    grants_in,
    is_empty,
    namespace_of,
    server_of,
    servers_in,
    with_grants,
    without_servers,
)
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH
from support.grants import grant

SANDBOX = "http://127.0.0.1:5000"
OTHER = "https://auth.example.org"


def entry(name: str = GATEWAY_RESOURCE_SERVER, **fields: object) -> dict[str, object]:
    """An entry as a program of the SDK's writes it."""
    return {
        "resource_server": name,
        "identity_id": "alice-id",
        "scope": "x",
        "access_token": "token",
        "refresh_token": "refresh",
        "expires_at_seconds": 9,
        "token_type": "Bearer",
    } | fields


def content(value: object) -> Hidden:
    """A file's content as the parser gives it."""
    hidden = parsed(HiddenBytes(json.dumps(value).encode()))
    assert isinstance(hidden, Hidden)
    return hidden


def plain(value: object) -> object:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("namespace", "server"),
    [
        (DEFAULT, PRODUCTION_GLOBUS_AUTH),
        (SANDBOX, SANDBOX),
        (OTHER, OTHER),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_server_is_known_by_its_namespace_and_back(namespace: str, server: str) -> None:
    """Production is the SDK's own namespace, any other server is called by its address."""
    assert server_of(namespace) == server
    assert namespace_of(server) == namespace


@pytest.mark.parametrize("namespace", ["", "default", "myapp", "auth.globus.org", "ftp://x"])
def test_other_programs_namespaces_are_no_servers(namespace: str) -> None:
    """What is no address is another program's, whatever is in it."""
    value = content({"data": {namespace: {GATEWAY_RESOURCE_SERVER: entry()}}})
    assert server_of(namespace) is None
    assert servers_in(value) == ()
    assert plain(without_servers(value, servers_in(value)))["data"] == plain(value)["data"]  # type: ignore[index]


def test_grants_go_into_the_namespace_of_their_server() -> None:
    """Nothing else changes: neither another namespace nor what stands beside the data."""
    before = content({"data": {"mine": {"x": 1}, DEFAULT: {"a": entry("a")}}, "theirs": [1]})
    sand = grant(auth_server=SANDBOX, identity_id="sand", expires_at_seconds=5)
    after = with_grants(before, (sand,), login=True)
    assert set(after["data"]) == {"mine", DEFAULT, SANDBOX}
    assert {name: after["data"][name] for name in ("mine", DEFAULT)} == before["data"]
    assert after["theirs"] == [1]
    assert "auth_server" not in after["data"][SANDBOX][GATEWAY_RESOURCE_SERVER]
    assert grants_in(after, SANDBOX) == {GATEWAY_RESOURCE_SERVER: sand}
    assert SANDBOX not in before["data"]


def test_what_is_taken_out_leaves_no_empty_namespace() -> None:
    """Entries that are no grant stay, with their namespace; an emptied one goes."""
    odd = {"resource_server": "odd"}
    value = content(
        {"data": {DEFAULT: {"odd": odd, "a": entry("a")}, SANDBOX: {"b": entry("b")}, "x": {}}}
    )
    left = without_servers(value, [PRODUCTION_GLOBUS_AUTH, SANDBOX])
    assert left["data"] == {DEFAULT: {"odd": odd}, "x": {}}
    assert not is_empty(left)
    assert is_empty(without_servers(content({"data": {SANDBOX: {"b": entry("b")}}}), [SANDBOX]))


def test_an_entry_that_names_another_server_is_no_grant() -> None:
    """A token is never sent to a server that did not mint it, whatever the file says."""
    value = content({"data": {OTHER: {GATEWAY_RESOURCE_SERVER: entry(auth_server=SANDBOX)}}})
    assert grants_in(value, OTHER) == {}
    assert grants_in(value, SANDBOX) == {}


def test_a_name_in_the_file_is_cleaned() -> None:
    """Whoever wrote it: control and direction characters never come out of it."""
    name = "ali\x1b]0;x\x07ce\u202e\ud800 b"
    value = content({"data": {DEFAULT: {GATEWAY_RESOURCE_SERVER: entry(username=name)}}})
    (found,) = grants_in(value, PRODUCTION_GLOBUS_AUTH).values()
    assert found.username == "ali]0;xce\ufffd b"


# The form of alcf_magics 0.1.


def of_old(*entries: dict[str, object], **more: object) -> Hidden:
    """A file of the old form, with these entries."""
    data = {DEFAULT: {str(e["resource_server"]): e for e in entries}}
    return content({"data": data, "format_version": "2.0", "globus-sdk.version": "4.9.1"} | more)


MINTED = {"0" * 16: SANDBOX}


def test_a_content_of_todays_form_is_left_alone() -> None:
    """It is given back as it is."""
    value = content({"data": {DEFAULT: {"a": entry("a")}, SANDBOX: {"b": entry("b")}}})
    assert taken_over(value) is value


def test_marked_entries_move_to_the_namespace_of_their_server() -> None:
    """With their unknown fields; marks and hashes go, and the rest of the file stays."""
    old = of_old(
        entry(auth_server=SANDBOX, note="keep me", username="sand", issued_at_seconds=7),
        entry("auth.globus.org", auth_server=SANDBOX),
        entry("transfer", scope="y"),
        **{SERVERS: MINTED, "theirs": 1},
    )
    old["data"]["mine"] = {"x": 1}
    before = copy.deepcopy(plain(old))
    new = taken_over(old)
    assert plain(old) == before
    assert set(new) == {"data", "format_version", "globus-sdk.version", "theirs"}
    assert set(new["data"]) == {DEFAULT, "mine", SANDBOX}
    assert set(new["data"][DEFAULT]) == {"transfer"}
    assert set(new["data"][SANDBOX]) == {GATEWAY_RESOURCE_SERVER, "auth.globus.org"}
    moved = new["data"][SANDBOX][GATEWAY_RESOURCE_SERVER]
    assert (moved["note"], moved["username"], moved["issued_at_seconds"]) == ("keep me", "sand", 7)
    assert "auth_server" not in moved
    assert taken_over(new) is new


def test_a_marked_production_login_stays_and_loses_its_mark() -> None:
    """Every field else is what it was."""
    old = of_old(entry(auth_server=PRODUCTION_GLOBUS_AUTH, note="x"), **{SERVERS: {}})
    assert plain(taken_over(old)["data"]) == {DEFAULT: {GATEWAY_RESOURCE_SERVER: entry(note="x")}}


def test_what_the_sdk_wrote_without_marks_is_known_by_its_refresh_token() -> None:
    """The SDK drops the mark, and keeps the hashes at the top."""
    key = "d6cc0a088c07683c"  # the beginning of sha256("refresh")
    new = taken_over(of_old(entry(), **{SERVERS: {key: SANDBOX}}))
    assert list(new["data"]) == [SANDBOX]
    assert grants_in(new, SANDBOX)[GATEWAY_RESOURCE_SERVER].access_token == Secret("token")


@pytest.mark.parametrize("mark", ["elsewhere", ["x"], 7, {"a": 1}])
def test_an_entry_of_nowhere_stays_and_is_no_grant(mark: object) -> None:
    """What names no address is nobody's to move, and never production's."""
    new = taken_over(of_old(entry(auth_server=mark)))
    assert plain(new["data"]) == {DEFAULT: {GATEWAY_RESOURCE_SERVER: entry(auth_server=mark)}}
    assert servers_in(new) == ()


@pytest.mark.parametrize(("old_ends", "stays"), [(5, "there"), (50, "moved")])
def test_of_two_logins_for_one_server_the_longer_stays(old_ends: int, stays: str) -> None:
    """An older kernel may have written beside a newer one; two people never share a namespace."""
    old = of_old(
        entry(
            auth_server=SANDBOX,
            access_token="moved",
            identity_id="bob-id",
            expires_at_seconds=old_ends,
        )
    )
    old["data"][SANDBOX] = content(
        {GATEWAY_RESOURCE_SERVER: entry(access_token="there"), "openid": entry("openid")}
    )
    new = grants_in(taken_over(old), SANDBOX)
    assert new[GATEWAY_RESOURCE_SERVER].access_token == Secret(stays)
    assert len({g.identity_id for g in new.values()}) == 1


@pytest.mark.parametrize("rubbish", [None, 3, "x", [1], {"a": 2, "b": ["c"]}])
def test_rubbish_in_the_hashes_does_no_harm(rubbish: object) -> None:
    """Then what is not marked is production's, as it was."""
    new = taken_over(of_old(entry(), **{SERVERS: rubbish}))
    assert set(grants_in(new, PRODUCTION_GLOBUS_AUTH)) == {GATEWAY_RESOURCE_SERVER}
