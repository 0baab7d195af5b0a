"""What a session does with many texts at once. A part of Session, with a file of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from .told import SILENT, Told

if TYPE_CHECKING:
    from .connection import Connection
    from .gateway.arrays import Embeddings
    from .gateway.catalog import Catalog
    from .settings import Settings


class ManyTexts:
    """Vectors of texts, and batches at the facility."""

    if TYPE_CHECKING:
        # What Session is beside this.
        _connection: Connection

        @property
        def settings(self) -> Settings: ...
        def catalog(self, *, told: Told = SILENT) -> Catalog: ...

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
        call = self._embedding(texts, model, cluster, dimensions, told)
        return self._connection.ask(call, told)

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

    def _embedding(
        self, texts: object, model: str, cluster: str, dimensions: int | None, told: Told
    ) -> Callable[[], Awaitable[Embeddings]]:
        """What asks for the vectors, on the event loop; everything is checked before."""
        from .embedding import embed
        from .gateway.embeddings import checked_dimensions, embedder, texts_of

        checked, size = texts_of(texts), checked_dimensions(dimensions)
        settings = self.settings
        place = embedder(
            self.catalog(told=told), settings.meant(model), cluster, settings.meant(settings.model)
        )
        gateway = self._connection.gateway
        return lambda: embed(gateway, place, checked, size, told)
