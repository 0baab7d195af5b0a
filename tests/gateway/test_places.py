"""Where a prompt may go, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alcf_magics.errors import ModelNotFound, RequestRefused
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.models import Capabilities, Model, Status
from alcf_magics.gateway.places import Places, names_of, places_of

LIVE, UNKNOWN, OFFLINE = Status.LIVE, Status.UNKNOWN, Status.OFFLINE


def model(place: str, status: Status) -> Model:
    cluster, _, name = place.partition(":")
    return Model(name, cluster, "fw", f"https://g/{cluster}/fw/v1", status)


def catalog(**states: Status) -> Catalog:
    """`red_gpt=LIVE` is gpt on red."""
    models = tuple(model(name.replace("_", ":"), status) for name, status in states.items())
    return Catalog(models, tuple(dict.fromkeys(m.cluster for m in models)))


def order(known: Catalog, name: str, *fallback: str, named: bool = False) -> list[str]:
    places = places_of(known, known.resolve(name), named=named, fallback=fallback)
    return [place.place for place in places.ready]


def test_live_places_come_first_and_then_those_not_known() -> None:
    """A state that cannot be read is no reason to wait; one that is known not to run is."""
    known = catalog(red_gpt=UNKNOWN, blue_gpt=OFFLINE, green_gpt=LIVE, grey_gpt=LIVE)
    assert order(known, "gpt") == ["green:gpt", "grey:gpt", "red:gpt"]


def test_fallback_comes_after_the_model_itself() -> None:
    """In the order in which they are named, live ones first, each wherever it is live."""
    known = catalog(
        red_gpt=OFFLINE, blue_gpt=LIVE, red_a=OFFLINE, red_b=LIVE, blue_b=LIVE, blue_c=UNKNOWN
    )
    assert order(known, "gpt", "c", "a", "b") == [
        "blue:gpt", "blue:c", "red:b", "blue:b",
    ]  # fmt: skip


def test_nothing_that_runs_is_nothing_to_send_to() -> None:
    """Then there is one place to wait at: the one asked for."""
    known = catalog(red_gpt=Status.STARTING, blue_gpt=OFFLINE)
    places = places_of(known, known.resolve("gpt"))
    assert (places.ready, places.start.place) == ((), "red:gpt")


def test_a_named_cluster_is_the_only_one() -> None:
    """The others are remembered for the error, and never asked; a fallback is, as it was named."""
    known = catalog(red_gpt=OFFLINE, blue_gpt=LIVE, blue_other=LIVE)
    places = places_of(known, known.resolve("red:gpt"), named=True, fallback=["other"])
    assert [p.place for p in places.ready] == ["blue:other"]
    assert [p.place for p in places.others] == ["blue:gpt"]


def test_a_fallback_may_name_its_cluster() -> None:
    """Then it is that place alone."""
    known = catalog(red_gpt=OFFLINE, red_b=LIVE, blue_b=LIVE)
    assert order(known, "gpt", "blue:b") == ["blue:b"]


def test_a_fallback_that_is_none_is_said_before_anything_is_sent() -> None:
    """A mistyped name would otherwise be found out at the worst moment."""
    known = catalog(red_gpt=LIVE, blue_gpt_2=LIVE)
    with pytest.raises(ModelNotFound, match="no model 'nosuch'"):
        order(known, "gpt", "nosuch")


def test_a_fallback_that_answers_no_prompts_is_said_before_anything_is_sent() -> None:
    """An embedding model would be asked last, and refuse for a reason of its own."""
    known = catalog(red_gpt=LIVE, blue_a=LIVE)
    deaf = replace(known.models[1], capabilities=Capabilities(chat=False))
    with pytest.raises(RequestRefused, match="a, named as a fallback, answers no prompts"):
        order(replace(known, models=(known.models[0], deaf)), "gpt", "a")


def test_no_place_comes_twice() -> None:
    """Also where a fallback names the model itself."""
    assert order(catalog(red_gpt=LIVE, blue_gpt=LIVE), "gpt", "gpt", "blue:gpt") == [
        "red:gpt", "blue:gpt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ("", ()),
        (None, ()),
        (["a", "red:b"], ("a", "red:b")),
        (("a",), ("a",)),
    ],
)
def test_fallback_is_a_text_with_commas_or_a_list(given: object, names: tuple[str, ...]) -> None:
    """As the option has it, and as Python has it."""
    assert names_of(given) == names  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [7, [7], {"a": None}.items(), b"a,b"])
def test_any_other_fallback_is_refused(given: object) -> None:
    """One line, before anything is sent."""
    with pytest.raises(RequestRefused, match="fallback names models"):
        names_of(given)  # type: ignore[arg-type]


def test_one_place_is_a_place_whatever_its_state() -> None:
    """What is sent again goes where it went."""
    only = Places.only(model("red:gpt", OFFLINE))
    assert only.ready == (only.first,)
