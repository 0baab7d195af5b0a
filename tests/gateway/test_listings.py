"""The bodies that say what runs where, put together as a catalog."""

from __future__ import annotations

from typing import Any

import pytest

from alcf_magics.errors import GatewayError
from alcf_magics.gateway.listings import build_catalog, join_base
from alcf_magics.gateway.models import Status

GATEWAY = "https://gateway.example/resource_server"


@pytest.mark.parametrize("jobs", [None, {"running": [], "queued": [], "stopped": []}, {}])
def test_unreadable_or_empty_jobs_mean_unknown(jobs: dict[str, Any] | None) -> None:
    """What could not be read is not said to be offline, and hides nothing of other clusters."""
    listed = {c: {"frameworks": {"fw": {"models": ["m"]}}} for c in ("red", "blue")}
    other = {"running": [{"Models": "m"}]}
    known = build_catalog(GATEWAY, {"clusters": listed}, {}, {"red": jobs, "blue": other}, {})
    assert [m.status for m in known.models] == [Status.UNKNOWN, Status.LIVE]


def test_a_list_that_is_none_is_an_error_of_the_gateway() -> None:
    """A body without clusters is told, not taken for an empty catalog."""
    with pytest.raises(GatewayError):
        build_catalog(GATEWAY, {"error": "x"}, {}, {}, {})


@pytest.mark.parametrize(
    ("gateway", "base", "joined"),
    [
        (GATEWAY, "/resource_server/red", "https://gateway.example/resource_server/red"),
        (GATEWAY, "/elsewhere/red/", "https://gateway.example/elsewhere/red"),
        (GATEWAY, "red", "https://gateway.example/resource_server/red"),
        # Reached through a prefix that the gateway does not know of.
        (
            "https://hub/p/resource_server",
            "/resource_server/red",
            "https://hub/p/resource_server/red",
        ),
        # Another host's address never gets a bearer: only its path counts.
        (GATEWAY, "https://evil.example/resource_server/red", GATEWAY + "/red"),
    ],
)
def test_a_clusters_address_stays_on_the_gateways_host(
    gateway: str, base: str, joined: str
) -> None:
    """The listed base is used as it is, on the host and behind the prefix of the gateway."""
    assert join_base(gateway, base) == joined


@pytest.mark.parametrize(
    "entry",
    [
        None,
        3,
        [],
        {},
        {"frameworks": []},
        {"frameworks": {"fw": None}},
        {"frameworks": {"fw": {"models": "abc"}}},
        {"frameworks": {"fw": {"models": [None, 3], "endpoints": 4}}},
        {"frameworks": {}, "base_url": "http://["},
    ],
)
def test_one_clusters_nonsense_hides_nothing_of_the_others(entry: object) -> None:
    """An entry that cannot be understood gives no model, and the other clusters stay."""
    good = {"frameworks": {"fw": {"models": ["m"]}}}
    jobs: Any = {"red": {"running": [{"Models": "m"}, None, 3]}, "blue": {"running": 7}}
    known = build_catalog(GATEWAY, {"clusters": {"red": good, "blue": entry}}, {}, jobs, {})
    assert [m.place for m in known] == ["red:m"]
    assert known.models[0].live


ONE = {"clusters": {"red": {"frameworks": {"fw": {"models": ["m"]}}}}}


@pytest.mark.parametrize(
    ("jobs", "status"),
    [
        ({"running": [{"Models": "m"}]}, Status.LIVE),
        ({"running": [{"Models": "a, M ,b", "Model Status": "running"}]}, Status.LIVE),
        ({"running": [{"Models": "m", "Model Status": "starting"}]}, Status.STARTING),
        ({"queued": [{"Models": "m", "Model Status": "never heard of"}]}, Status.QUEUED),
        ({"others": [{"Models": "m", "Model Status": "disconnected"}]}, Status.DISCONNECTED),
        ({"stopped": [{"Models": "m"}], "running": [{"Models": "m"}]}, Status.LIVE),
        ({"running": [{"Models": "other"}]}, Status.OFFLINE),
        ({"running": [{"Models": ["m"]}, {"Models": None}, {}]}, Status.UNKNOWN),
        ({"private_batch_running": [{"Models": "m"}]}, Status.UNKNOWN),
    ],
)
def test_a_job_says_the_state_of_its_models(jobs: dict[str, Any], status: Status) -> None:
    """Its own word goes before the list that it stands in, and the best of several counts."""
    (model,) = build_catalog(GATEWAY, ONE, {"red": True}, {"red": jobs}, {})
    assert model.status is status


@pytest.mark.parametrize(
    ("status", "job", "expected"),
    [
        ({"red": False}, {"Models": "m", "Model Status": "running"}, Status.MAINTENANCE),
        ({"red": True}, {"Models": "m"}, Status.OFFLINE),
        ({}, {"Models": "m"}, Status.OFFLINE),
        (None, {"Models": "m"}, Status.MAINTENANCE),
        (None, {"Models": "m", "Model Status": "stopped"}, Status.OFFLINE),
    ],
)
def test_maintenance_is_what_the_status_says_or_all_jobs_show(
    status: dict[str, Any] | None, job: dict[str, Any], expected: Status
) -> None:
    """Without the status, everything stopped and without a state of its own means maintenance."""
    (model,) = build_catalog(GATEWAY, ONE, status, {"red": {"stopped": [job]}}, {})
    assert model.status is expected


def test_a_framework_without_chats_offers_no_chat_model() -> None:
    """What the routes leave out, no family and no description brings back."""
    offer = {"models": ["gpt-oss-20b"], "endpoints": ["/v1/embeddings"]}
    listed = {"clusters": {"red": {"frameworks": {"fw": offer}}}}
    said = {"red": [{"id": "GPT-OSS-20B", "capabilities": ["chat", "embeddings"]}]}
    (model,) = build_catalog(GATEWAY, listed, {}, {}, said)
    assert model.capabilities.words == ("embeddings",)
    assert model.refuses == {"chat_template_kwargs"}
