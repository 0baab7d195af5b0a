"""What jobs say of a model: its state and times, and the job behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alcf_magics.gateway.jobs import free_nodes, moment_of, states
from alcf_magics.gateway.models import Job, Model, Status

CHICAGO = ZoneInfo("America/Chicago")
READ = datetime(2026, 11, 2, 18, 0, tzinfo=CHICAGO).timestamp()


@pytest.fixture(params=[("UTC", "00:30 UTC"), ("America/New_York", "19:30 EST")])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A reader's time zone, and what 18:30 in Chicago is there."""
    zone, said = request.param
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield said
    monkeypatch.undo()
    time.tzset()


def state(entry: dict[str, Any], among: str = "running") -> Model:
    """The model as the one job of its cluster has it."""
    found = states({among: [{"Models": "m", **entry}]}, READ)
    assert found is not None
    status, start, job = found["m"]
    return Model("m", "red", "fw", "/red", status=status, estimated_start=start, job=job)


def test_an_estimate_is_told_in_the_readers_zone(reader: str) -> None:
    """The scheduler says it in Chicago's time."""
    estimate = {"Model Status": "queued", "Estimated Start Time": ESTIMATE}
    assert state(estimate, "queued").state.endswith(reader)


ESTIMATE = "Mon Nov  2 18:30:00 2026 (Chicago time)"


def test_an_estimate_in_other_words_is_told_as_it_is() -> None:
    """What cannot be read is not lost."""
    entry = {"Model Status": "queued", "Estimated Start Time": "when somebody leaves"}
    assert state(entry, "queued").state == "queued, estimated start when somebody leaves"


@pytest.mark.parametrize(
    "entry",
    [
        {"Walltime": "0:10:00"},
        {"Job Comments": "Job run at Mon Nov 02 at 17:50 on (host)"},
    ],
)
def test_a_model_that_starts_says_since_when(entry: dict[str, Any], reader: str) -> None:
    """From the time that its job has used, or the scheduler's comment."""
    model = state({"Model Status": "starting", **entry})
    assert model.job is not None
    assert model.job.started == READ - 600
    assert model.state.startswith("starting since ")
    assert model.state.endswith(
        reader.replace(":30", ":50").replace("00", "23").replace("19", "18")
    )


@pytest.mark.parametrize("word", ["offline", "disconnected", "live", "unknown", "maintenance"])
def test_the_other_states_are_a_word(word: str) -> None:
    """They have no times of their own."""
    assert Model("m", "red", "fw", "/red", status=Status[word.upper()]).state == word


def test_host_job_and_walltime_are_kept() -> None:
    """Of what is not known, nothing; of several chunks of nodes, the first host."""
    job = state({"Job ID": "12.pbs", "Host Name": "sophia-03/0*16", "Walltime": "1:02:03"}).job
    assert job == Job("12.pbs", "sophia-03", "1:02:03", READ - 3723)
    assert state({"Host Name": "N/A"}).job == Job()


@pytest.mark.parametrize(
    "hostile", [None, 3, ["x"], "-1:00:00", "99999999:00:00", "1:2", "\x1b[2J", "Feb 30"]
)
def test_nonsense_is_no_time(hostile: Any) -> None:
    """Whatever stands in the fields, the state is read, and no control character is shown."""
    entry = {
        "Model Status": "starting",
        "Walltime": hostile,
        "Job Comments": f"Job run at {hostile} at 25:99",
        "Estimated Start Time": hostile,
    }
    assert state(entry).state == "starting"
    assert state(entry).state.isprintable()
    assert moment_of(f"{hostile} (Chicago time)") is None


def test_free_nodes_are_known_or_not() -> None:
    """-1 is the gateway's word for not known; a cluster without the count loads nothing."""
    known = [0, 3, -1, "3", None, True, 10**9]
    counts = [free_nodes({"cluster_status": {"free_nodes": n}}) for n in known]
    assert counts == [0, 3, None, None, None, None, None]
    assert free_nodes({"cluster_status": {"live_models": 3}}) is None
    assert free_nodes(None) is None
