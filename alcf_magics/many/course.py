"""Where the prompts of a map go: found out once for all of them."""

from __future__ import annotations

from dataclasses import replace

import anyio

from ..errors import AlcfError, ModelNotReady
from ..gateway.chat import ChatRequest
from ..gateway.models import Model
from ..gateway.places import Places
from ..gateway.sending import Wait
from ..told import Told
from .questions import RequestFor


class Course:
    """The places of a map, and the request that all prompts share but for their messages.

    What one prompt finds out serves those after it: which place answers, and that a server takes
    no field for a form.
    """

    def __init__(self, places: Places, request_for: RequestFor, wait: Wait) -> None:
        self.places = places
        self.wait: Wait = OneWait(wait)
        self._request_for = request_for
        self._in_words = False
        self.request = self.request_to(places.start)

    def request_to(self, place: Model) -> ChatRequest:
        """The request to a place. Raises RequestRefused where it does not take it.

        A whole answer costs less to read, counts its tokens with the gateway, and may take longer
        to begin than the gateway lets a stream take.
        """
        request = self._request_for(place)
        return replace(request, stream=False, in_words=request.in_words or self._in_words)

    def learn(self, place: Model, request: ChatRequest) -> None:
        """This place has answered this request: those after it begin with both."""
        if place is self.places.start and request.in_words == self.request.in_words:
            return
        self._in_words = self._in_words or request.in_words
        if place is not self.places.start:
            others = (other for other in self.places.ready if other is not place)
            self.places = Places(place, (place, *others), self.places.others)
        self.request = self.request_to(place)


class OneWait:
    """One wait for all prompts that wait at the same time, and one end of it."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self._lock: anyio.Lock | None = None  # anyio's belongs to the loop that it is made on
        self._waits = 0
        self._outcome: Model | AlcfError | None = None

    async def __call__(self, place: Model, error: ModelNotReady | None, told: Told) -> Model:
        self._lock = self._lock or anyio.Lock()
        before = self._waits
        async with self._lock:
            if self._waits == before:
                self._outcome = await self._once(place, error, told)
                self._waits += 1
        if isinstance(self._outcome, Model):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome.with_traceback(None)

    async def _once(
        self, place: Model, error: ModelNotReady | None, told: Told
    ) -> Model | AlcfError:
        try:
            return await self._wait(place, error, told)
        except AlcfError as failure:
            return failure
