"""A model that is not live: asked for with a request that can wait, and followed until it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import anyio

from ..errors import (
    ANOTHER_PLACE,
    NOTHING_LOADS,
    START_IT,
    WAIT_LONGER,
    AlcfError,
    Fault,
    GatewayError,
    GatewayUnreachable,
    Maintenance,
    ModelNotReady,
    RateLimited,
)
from ..showing.times import lasting
from ..told import SILENT, Told
from .catalog import Catalog
from .chat import one_token
from .client import Gateway
from .discovery import Discovery
from .families import same_model
from .models import Model, Status

#: Seconds for which a request that is not streamed is kept: the gateway gives up after about 300.
ASK_TIMEOUT = 330.0
#: Seconds between two changes of the line that says what is waited for.
TICK_SECONDS = 0.2
#: Waits shorter than this are not told afterwards.
TOLD_SECONDS = 1.0
#: What may clear while a model loads.
_LATER = (ModelNotReady, GatewayUnreachable, RateLimited, GatewayError)
#: How often the gateway may fail while nothing says that the model loads.
_FAILURES = 3


def not_ready(place: Model) -> ModelNotReady:
    """A model that is not live, and that nobody waits for: its state, and what to type next."""
    what = f"{place.name} on {place.cluster} is {place.state}; nothing was sent."
    error = ModelNotReady(what, next_step(place))
    error.elsewhere = True
    return error


def next_step(place: Model) -> str:
    """What to type for a model that is not ready."""
    return (START_IT if place.loads else NOTHING_LOADS).format(
        place=place.place, cluster=place.cluster
    )


async def started(gateway: Gateway, discovery: Discovery, place: Model) -> None:
    """Ask a place for one token, which loads the model there, and wait for the answer.

    Nothing is sent where the model is on its way. Raises ModelNotReady where nothing is loaded on
    demand, and whatever says more than that the model is being loaded.
    """
    if place.live or place.on_its_way:
        return
    if not place.loads:
        raise not_ready(place)
    try:
        await _ask_for_a_token(gateway, place)
    except ModelNotReady as error:
        if not _is_loading(error):
            error.next_step = ANOTHER_PLACE
            raise
    else:
        discovery.note_live(place)


def _is_loading(error: AlcfError) -> bool:
    """Whether the gateway refuses because the model is being loaded; one that is offline is not."""
    return isinstance(error, ModelNotReady) and error.fault is Fault.PASSING


async def _ask_for_a_token(gateway: Gateway, place: Model) -> None:
    path = f"{place.base_url}/chat/completions"
    await gateway.post(path, one_token(place.name), ASK_TIMEOUT)


@dataclass(frozen=True)
class Waiting:
    """Waits for models of one gateway, `seconds` long at most; 0: not at all."""

    gateway: Gateway
    discovery: Discovery
    seconds: float

    async def __call__(self, place: Model, error: ModelNotReady | None, told: Told) -> Model:
        """The place as it is when the model runs there.

        `error` is what asking there came to (None: nothing was sent). Where nothing is loaded on
        demand, or nobody waits, it is raised, or a ModelNotReady that says the state; what no job
        of such a cluster tells of may be asked all the same.
        """
        if error is None and not place.cold:
            return place  # maintenance, say: its own refusal has the notice
        if place.loads and self.seconds > 0:
            if error is not None:
                self.discovery.forget()  # what it said before was wrong
            return await Loading(self.gateway, self.discovery, place, self.seconds, told).run()
        if error is not None:
            error.next_step = next_step(place)
            raise error
        if self.seconds > 0 and place.job is None:
            return place
        raise not_ready(place)


class Loading:
    """One wait for one model. Lives on the gateway's event loop; cancelled, it leaves nothing."""

    def __init__(
        self, gateway: Gateway, discovery: Discovery, place: Model, seconds: float, told: Told
    ) -> None:
        self._gateway = gateway
        self._discovery = discovery
        self._place = place
        self._seconds = seconds
        self._told = told
        self._began = time.monotonic()
        self._ended = anyio.Event()
        self._failure: AlcfError | None = None
        #: What our own request came to last.
        self._said: AlcfError | None = None

    async def run(self) -> Model:
        """The place when the model runs. Raises ModelNotReady when the time is over.

        Whatever says that waiting is of no use is raised, too: Maintenance, AccessDenied, ….
        """
        try:
            with anyio.move_on_after(self._seconds):
                async with anyio.create_task_group() as group:
                    group.start_soon(self._ask)
                    group.start_soon(self._follow)
                    await self._tell()
                    group.cancel_scope.cancel()
        finally:
            self._told.waiting("")
        if self._failure is not None:
            raise self._failure
        if not self._ended.is_set():
            raise self._late()
        if self._elapsed >= TOLD_SECONDS:
            name, cluster = self._place.name, self._place.cluster
            self._told.notice(f"{name} on {cluster} was loaded in {lasting(self._elapsed)}.")
        self._discovery.note_live(self._place)
        return replace(self._place, status=Status.LIVE)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _end(self, failure: AlcfError | None = None) -> None:
        if not self._ended.is_set():
            self._failure = failure
            self._ended.set()

    async def _ask(self) -> None:
        """Ask for one token: that loads the model, and the answer says that it runs."""
        failed = 0
        while True:
            try:
                await _ask_for_a_token(self._gateway, self._place)
            except _LATER as error:
                self._said = error
                failed += isinstance(error, GatewayError | ModelNotReady) and not _is_loading(error)
                if failed == _FAILURES and not self._place.on_its_way:
                    return self._end(error)
            except AlcfError as error:
                return self._end(error)
            else:
                return self._end()
            await self._pause()

    async def _follow(self) -> None:
        """Look at the jobs, as often as that can show something new."""
        while True:
            try:
                self._look(await self._discovery.catalog(described=False, told=SILENT))
            except AlcfError as error:
                self._said = error
            await self._pause()

    async def _pause(self) -> None:
        await anyio.sleep(self._discovery.seconds(self._place.cluster))

    def _look(self, catalog: Catalog) -> None:
        now = catalog.at(self._place)
        if now is None or now.status is Status.UNKNOWN:
            return  # what is not known now may be in a minute
        self._place = now
        if now.live:
            self._end()
        elif now.status is Status.MAINTENANCE:
            self._end(Maintenance(f"{now.cluster} is under maintenance now.", ANOTHER_PLACE))

    async def _tell(self) -> None:
        while not self._ended.is_set():
            self._told.waiting(self._line())
            with anyio.move_on_after(TICK_SECONDS):
                await self._ended.wait()

    def _line(self) -> str:
        place, said = self._place, self._said
        state = place.state if place.on_its_way else f"{place.state}, asked to load"
        trouble = said is not None and not _is_loading(said)
        return " · ".join(
            [
                f"{place.name} · {place.cluster} · {state}",
                *([] if place.free_nodes is None else [f"{place.free_nodes} nodes free"]),
                f"waiting for {lasting(self._elapsed)} of {lasting(self._seconds)}"
                " (loading takes 10 to 15 minutes)",
                *self._elsewhere(),
                *([said.what] if said is not None and trouble else []),
            ]
        )

    def _elsewhere(self) -> list[str]:
        """Where nobody would have to wait; the prompt does not go there, as a cluster was named."""
        live = [model for model in self._discovery.last or () if model.live]
        named = self._place.name
        return [
            f"live at once: -m {model.place}" for model in live if same_model(named, model.name)
        ][:1]

    def _late(self) -> ModelNotReady:
        """The time is over; the model may go on loading without us."""
        place, waited = self._place, lasting(self._seconds)
        what = f"{place.name} on {place.cluster} is still {place.state} after {waited}"
        if self._said is not None:
            what += f": {self._said.what}"
        late = ModelNotReady(what, WAIT_LONGER.format(minutes=f"{self._seconds / 30:g}"))
        late.elsewhere = True
        if self._said is not None:
            late.status, late.detail = self._said.status, self._said.detail
        return late
