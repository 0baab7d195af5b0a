"""What a session does with many texts at once. A part of Session, with a file of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from ..errors import in_one_line
from ..settings import PRODUCTION_GATEWAY
from ..told import SILENT, Told
from .rows import IN_FLIGHT

if TYPE_CHECKING:
    from .._session import Session
    from ..connection import Connection
    from ..gateway.batches import Listed
    from ..gateway.catalog import Catalog
    from ..gateway.schemas import Schema
    from ..settings import Settings
    from .arrays import Embeddings
    from .batches import Batch, Batches
    from .maps import Map
    from .plan import Estimate
    from .questions import Asked
    from .results import Results


class ManyTexts:
    """Many prompts at once, vectors of texts, and batches at the facility."""

    #: The answers of the last `map`, complete or not; None before there was one.
    last_map: Results | None

    if TYPE_CHECKING:
        # What Session is beside this.
        _connection: Connection

        @property
        def settings(self) -> Settings: ...
        def catalog(self, *, told: Told = SILENT) -> Catalog: ...

    def map(
        self,
        data: Any,
        prompt: str | None = None,
        *,
        model: str = "",
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        fallback: str | Sequence[str] = (),
        wait: float | None = None,
        save: str | Path | None = None,
        cassette: str | Path | None = None,
        fresh: bool = False,
        in_flight: int = IN_FLIGHT,
        progress: bool = True,
        **parameters: Any,
    ) -> Results:
        """Ask many prompts, `in_flight` at a time; their answers in order, see Results.

        `data` is a list or Series of prompts (texts, or lists of messages), or a DataFrame or a
        list of dicts with a template in `prompt`: "Classify: {{abstract}}", columns by name. The
        rest is as in `ask`. One that fails is an error in its place. `save` is a file that each
        answer is added to as it comes; what it holds already is not asked again, unless `fresh`.
        It goes before a `cassette`, and `wait` is for how long they wait together.
        An interrupt carries what came as `.results`, which is also `last_map`. Nothing of it is in
        the history. Raises UsageError for data and a template that do not go together.
        """
        __tracebackhide__ = True
        return self._map(
            data,
            prompt,
            asked=(model, cluster, system, format, schema, fallback, parameters),
            manner=(in_flight, save, fresh, progress, wait, cassette),
        ).run()

    async def amap(
        self,
        data: Any,
        prompt: str | None = None,
        *,
        model: str = "",
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        fallback: str | Sequence[str] = (),
        wait: float | None = None,
        save: str | Path | None = None,
        cassette: str | Path | None = None,
        fresh: bool = False,
        in_flight: int = IN_FLIGHT,
        progress: bool = True,
        **parameters: Any,
    ) -> Results:
        """The same as `map`, awaited."""
        return await self._map(
            data,
            prompt,
            asked=(model, cluster, system, format, schema, fallback, parameters),
            manner=(in_flight, save, fresh, progress, wait, cassette),
        ).arun()

    def _map(self, data: Any, prompt: str | None, *, asked: Asked, manner: tuple[Any, ...]) -> Map:
        from .maps import Manner, map_of

        found = map_of(
            cast("Session", self),
            self._connection,
            data,
            prompt,
            asked=asked,
            manner=Manner(*manner),
        )
        self.last_map = found.results
        return found

    # Vectors

    def embed(
        self,
        texts: str | Iterable[str],
        model: str = "",
        *,
        cluster: str = "",
        dimensions: int | None = None,
        told: Told = SILENT,
    ) -> Embeddings:
        """The vectors of texts (a list or Series): float32 of shape (texts, numbers), in order.

        Without `model`, a live one that makes embeddings. `dimensions` asks for vectors of so many
        numbers, of models that can. `.usage` counts tokens. Without numpy the value is a list of
        lists. Raises RequestRefused for a model without embeddings, and names those with them.
        """
        __tracebackhide__ = True
        call = self._embedding(texts, model, cluster, dimensions, told)
        try:
            return self._connection.ask(call, told)
        except KeyboardInterrupt as interrupt:
            in_one_line(interrupt, "The texts were not embedded: nothing is kept of them.")
            raise

    async def aembed(
        self,
        texts: str | Iterable[str],
        model: str = "",
        *,
        cluster: str = "",
        dimensions: int | None = None,
    ) -> Embeddings:
        """The same as `embed`, awaited."""
        from anyio import to_thread

        # Finding the model may ask the gateway: not on the caller's event loop.
        call = await to_thread.run_sync(
            lambda: self._embedding(texts, model, cluster, dimensions, SILENT),
            abandon_on_cancel=True,
        )
        return await self._connection.aask(call)

    # Batches at the facility

    @overload
    def batch(
        self,
        data: Any,
        prompt: str | None = None,
        *,
        dry_run: Literal[False] = False,
        **asked: Any,
    ) -> Batch: ...
    @overload
    def batch(
        self, data: Any, prompt: str | None = None, *, dry_run: Literal[True], **asked: Any
    ) -> Estimate: ...
    def batch(
        self,
        data: Any,
        prompt: str | None = None,
        *,
        model: str = "",
        folder: str | Path | None = None,
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        dry_run: bool = False,
        told: Told = SILENT,
        **parameters: Any,
    ) -> Batch | Estimate:
        """Submit many prompts as one job at the facility; the Batch, which goes on by itself.

        `data`, `prompt` and the rest are as in `map`. `folder` is on a file system that this
        kernel and the cluster share (at ALCF: /eagle/…); input, answers, and what a later kernel
        needs to read them go there. `dry_run` writes and submits nothing, and says how large it
        would be. Raises RequestRefused for what has no place, is too large, or while another batch
        is under way; UsageError for data and a template that do not go together.
        """
        from .batches import check_quota
        from .files import check_room, checked_folder
        from .plan import plans_of, submit_one

        asked = model, cluster, system, format, schema, parameters
        plans = plans_of(cast("Session", self), data, prompt, asked=asked, told=told)
        first = next(plans)
        if dry_run:
            return first.estimate()
        checked = checked_folder(folder, facility=self.settings.gateway_url == PRODUCTION_GATEWAY)
        check_room(checked, first.estimate().size)
        check_quota(self._connection)
        try:
            begun = submit_one(self._connection, chain([first], plans), checked, told)
        except KeyboardInterrupt as interrupt:
            in_one_line(
                interrupt, "The batch was not submitted, or just so: session().batches() says which"
            )
            raise
        return self._batch(begun, first.request.schema)

    def batches(self, status: str = "") -> Batches:
        """This person's batches, those of one status (pending, running, failed, completed) or all.

        Each is a Batch, as `batch_of` gives it.
        """
        from .batches import Batches, checked_status, listing

        return Batches(map(self._batch, listing(self._connection, checked_status(status))))

    def batch_of(self, batch_id: str) -> Batch:
        """A batch that was submitted before, by its id: its answers, and the data's index.

        Raises RequestRefused for an id that the gateway does not know, AccessDenied for another
        person's.
        """
        from .batches import known_batch

        return self._batch(known_batch(self._connection, batch_id))

    def _batch(self, known: Listed, schema: Schema | None = None) -> Batch:
        from .batches import Batch
        from .retrying import again_by

        again = again_by(cast("Session", self), self._connection)
        return Batch(self._connection, known, schema, again)

    def _embedding(
        self, texts: object, model: str, cluster: str, dimensions: int | None, told: Told
    ) -> Callable[[], Awaitable[Embeddings]]:
        """What asks for the vectors, on the event loop; everything is checked before."""
        from .embedding import embed
        from .vectors import checked_dimensions, embedder, texts_of

        checked, size = texts_of(texts), checked_dimensions(dimensions)
        settings = self.settings
        place = embedder(
            self.catalog(told=told), settings.meant(model), cluster, settings.meant(settings.model)
        )
        gateway = self._connection.gateway
        return lambda: embed(gateway, place, checked, size, told)
