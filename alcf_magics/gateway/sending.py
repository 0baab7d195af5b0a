"""Sending: the way of one prompt to the places that may answer it, until the first token.

Places are tried in the order of places.py, each as often as the policy has it
(retries.py). Whatever goes wrong after the first token ends the answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

from ..errors import AlcfError, ModelNotReady, RequestRefused
from ..told import SILENT, Told
from .retries import Policy, Tries

if TYPE_CHECKING:
    from .chat import ChatRequest
    from .chunks import Chunk
    from .client import Gateway
    from .models import Model
    from .places import Places
    from .rounds import Rounds

#: What the client is given for one try.
_Given = tuple["Model", "ChatRequest", Callable[[float], None], Told, str, Policy]

#: Waits until a model runs, and returns the place where: the last step in the order of places.
#:
#: It gets the place that was asked for, the ModelNotReady that came of asking there (None: the
#: catalog said that it is not live, and nothing was sent yet), and whom to tell what is waited
#: for. The prompt is sent to the place that it returns, once, and an error there is the end; what
#: it raises ends the prompt, too: ModelNotReady where nobody is to wait. It runs on the event
#: loop, and is cancelled there when the prompt is interrupted.
Wait = Callable[["Model", ModelNotReady | None, Told], Awaitable["Model"]]


async def no_wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
    """Nothing is waited for: what is not live is asked all the same, and what it says is told."""
    if error is not None:
        raise error
    return place


async def at_once(told: Told) -> None:
    """A prompt waits for no turn of its own."""


class Sending:
    """One prompt on its way. Lives on the event loop.

    `rounds` has the request to the place that comes first, and `request_for` makes that to
    another; it raises RequestRefused for a place that does not take it. `wait` is what comes when
    no place is left that runs, `turn` what the prompt waits for before it leaves. `place` is that
    of the moment.
    """

    def __init__(
        self,
        gateway: Gateway,
        places: Places,
        rounds: Rounds,
        request_for: Callable[[Model], ChatRequest],
        *,
        policy: Policy,
        told: Told = SILENT,
        session_id: str = "",
        wait: Wait = no_wait,
        turn: Callable[[Told], Awaitable[None]] = at_once,
    ) -> None:
        self.place = places.start
        self._rounds = rounds
        self._gateway = gateway
        self._places = places
        self._left = iter(places.ready[1:])
        self._request_for = request_for
        self._policy = policy
        self._told = told
        self._session_id = session_id
        self._wait = wait
        self._turn = turn
        #: The first place that said that the model is not ready, and how.
        self._not_ready: tuple[Model, ModelNotReady | None] | None = None
        self._waited = False
        self._came = False

    async def reads(self, sent: Callable[[float], None]) -> AsyncGenerator[list[Chunk]]:
        """The chunks of a round's answer, those of one read of the network at a time.

        `sent` gets the monotonic time at which each request leaves. Raises what the place that
        was asked last said.
        """
        if not self._rounds.past:
            await self._begin()
        self._came = False
        tries = Tries(self._policy, self._told)
        while True:
            try:
                stream = self._gateway.stream(*self._given(tries, sent), again=tries.refused)
                async with contextlib.aclosing(stream):
                    async for chunks in stream:
                        self._came = self._came or any(map(_has_token, chunks))
                        yield chunks
                return
            except AlcfError as error:
                failure = error
            if await self._moves_on(failure, tries):
                tries = Tries(self._policy, self._told)

    async def whole(self, sent: Callable[[float], None]) -> list[Chunk]:
        """All chunks of a round's answer at once, of a request that asks for no stream."""
        if not self._rounds.past:
            await self._begin()
        tries = Tries(self._policy, self._told)
        while True:
            try:
                return await self._gateway.whole(*self._given(tries, sent), again=tries.refused)
            except AlcfError as error:
                failure = error
            if await self._moves_on(failure, tries):
                tries = Tries(self._policy, self._told)

    async def _begin(self) -> None:
        await self._turn(self._told)
        first = self._places.first
        if not self._places.ready:
            self._not_ready = first, None
            await self._until_ready()
        elif self.place is not first:
            self._tell_move(f"{first.name} is {first.status.said} on {first.cluster}.")

    def _given(self, tries: Tries, sent: Callable[[float], None]) -> _Given:
        """What the client is given for one try."""

        def leaves(at: float) -> None:
            tries.sent(at)
            sent(at)

        request = self._rounds.sending
        return self.place, request, leaves, self._told, self._session_id, self._policy

    async def _moves_on(self, failure: AlcfError, tries: Tries) -> bool:
        """Whether the next try is at a new place, or at one that runs now; else at the same.

        Raises the failure where there is nothing left to try.
        """
        self._name_others(failure)
        if self._came:
            raise failure
        if self._rounds.falls_back(failure):
            return True
        if isinstance(failure, ModelNotReady) and self._not_ready is None:
            self._not_ready = self.place, failure
        if failure.elsewhere and self._goes_on(failure.what):
            return True
        try:
            await tries.again(failure)
        except AlcfError:
            if self._not_ready is None or self._waited:
                raise
        else:
            return False
        await self._until_ready()
        return True

    def _goes_on(self, why: str) -> bool:
        """Whether there is a next place that takes the prompt: then it is that place's turn."""
        for place in () if self._rounds.past else self._left:
            with contextlib.suppress(RequestRefused):
                self._move(place)
                self._tell_move(why)
                return True
        return False

    async def _until_ready(self) -> None:
        """The last step: wait until the model runs somewhere."""
        assert self._not_ready is not None
        self._waited = True
        try:
            place = await self._wait(*self._not_ready, self._told)
        except ModelNotReady as error:
            if self._places.others and error.elsewhere:
                error.next_step = f"{self._live_elsewhere}. {error.next_step}"
            raise
        if place is not self.place:
            self._move(place)

    def _move(self, place: Model) -> None:
        self._rounds.move(self._request_for(place))
        self.place = place

    def _tell_move(self, why: str) -> None:
        self._told.notice(f"{why} Asked {self.place.name} on {self.place.cluster} instead.")

    def _name_others(self, failure: AlcfError) -> None:
        """Where a cluster was named and fails: name the places where the model is live."""
        if failure.elsewhere and self._places.others:
            failure.next_step = self._live_elsewhere

    @property
    def _live_elsewhere(self) -> str:
        live = ", ".join(f"-m {place.place}" for place in self._places.others)
        return f"It is live elsewhere: {live}"


def _has_token(chunk: Chunk) -> bool:
    return any(delta.content or delta.reasoning or delta.tool_calls for delta in chunk.deltas)
