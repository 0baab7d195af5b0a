"""Texts turned into vectors: several requests under way at once, one array in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import AlcfError
from ..gateway.models import Model
from ..told import SILENT, Told
from .vectors import ROUTE, Part, joined, packed, part_of, request

if TYPE_CHECKING:
    from ..gateway.client import Gateway

#: Requests under way at once.
IN_FLIGHT = 4


async def embed(
    gateway: Gateway,
    place: Model,
    texts: Sequence[str],
    dimensions: int | None = None,
    told: Told = SILENT,
) -> Any:
    """The vectors of texts, on the event loop of the gateway's client. Raises an AlcfError."""
    path, asked = f"{place.base_url}/{ROUTE}", f"{place.name} on {place.cluster}"

    async def ask(pack: list[str]) -> Part:
        body = request(place, pack, dimensions)
        answer = await gateway.post(path, body, told=told, asked=asked, repeatable=True)
        return part_of(answer, len(pack))

    return joined(await _each(list(packed(texts)), ask), place)


async def _each(packs: list[list[str]], ask: Callable[[list[str]], Awaitable[Part]]) -> list[Part]:
    """What is answered to each, in their order. The first that fails ends the others."""
    parts: dict[int, Part] = {}
    failures: list[AlcfError] = []
    waiting = iter(enumerate(packs))

    async def work() -> None:
        for number, pack in waiting:
            try:
                parts[number] = await ask(pack)
            except AlcfError as error:
                failures.append(error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(min(IN_FLIGHT, len(packs))):
            group.start_soon(work)
    if failures:
        raise failures[0]
    return [parts[number] for number in range(len(packs))]
