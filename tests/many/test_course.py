"""Where the prompts of a map go: what one finds out serves the others."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from alcf_magics.errors import ModelNotReady
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.models import Model
from alcf_magics.gateway.places import Places
from alcf_magics.gateway.sending import no_wait
from alcf_magics.many.course import Course, OneWait
from alcf_magics.told import SILENT, Told

HERE, THERE, ELSEWHERE = (Model("m", cluster, "vllm", base_url="") for cluster in "abc")


def request_for(place: Model) -> ChatRequest:
    return ChatRequest(f"{place.cluster}/m", ())


def course() -> Course:
    return Course(Places(HERE, (HERE, THERE, ELSEWHERE), ()), request_for, no_wait)


def test_those_after_it_begin_where_one_was_answered() -> None:
    """The place comes first, and no place is lost."""
    known = course()
    assert (known.places.start, known.request.model) == (HERE, "a/m")
    known.learn(THERE, known.request_to(THERE))
    assert known.places.ready == (THERE, HERE, ELSEWHERE)
    assert known.request.model == "b/m"
    assert not known.request.stream


def test_a_form_that_goes_in_words_stays_so_at_every_place() -> None:
    """A server that takes no field for it is not asked to take it again."""
    known = course()
    known.learn(HERE, replace(known.request, in_words=True))
    assert known.request.in_words
    known.learn(THERE, replace(known.request, in_words=False))
    assert known.request.in_words


def test_all_that_wait_at_the_same_time_wait_once() -> None:
    """A later one waits anew: the model may have been put away."""
    waits: list[Model] = []

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        waits.append(place)
        await anyio.sleep(0.01)
        return THERE

    async def main() -> list[Model]:
        found: list[Model] = []
        once = OneWait(wait)

        async def one() -> None:
            found.append(await once(HERE, None, SILENT))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
        assert waits == [HERE]
        await one()
        return found

    assert anyio.run(main) == [THERE] * 6
    assert waits == [HERE] * 2


def test_a_wait_that_fails_fails_for_all() -> None:
    """Each of them has the error; nobody begins a wait of its own."""
    waits: list[Model] = []

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        waits.append(place)
        await anyio.sleep(0.01)
        raise ModelNotReady("m is offline.", "Ask another.")

    async def main() -> int:
        once, failed = OneWait(wait), 0

        async def one() -> None:
            nonlocal failed
            with pytest.raises(ModelNotReady, match="offline"):
                await once(HERE, None, SILENT)
            failed += 1

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one)
        return failed

    assert anyio.run(main) == 4
    assert len(waits) == 1


def test_a_wait_that_is_cancelled_leaves_the_next_one_to_wait() -> None:
    """Its end is nobody's outcome."""
    waits: list[Model] = []

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        waits.append(place)
        await anyio.sleep(0 if len(waits) > 1 else 60)
        return THERE

    async def main() -> Model:
        once = OneWait(wait)
        with anyio.move_on_after(0.01):
            await once(HERE, None, SILENT)
        return await once(HERE, None, SILENT)

    assert anyio.run(main) is THERE
