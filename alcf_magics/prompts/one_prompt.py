"""What a session does with one prompt. A part of Session, with a file of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..told import SILENT, Told

if TYPE_CHECKING:
    from .._session import Session
    from ..connection import Connection
    from ..exchanges import Exchange, View
    from ..gateway.cassettes import Cassette
    from ..gateway.catalog import Catalog
    from ..gateway.chat import ChatRequest, Message
    from ..gateway.chats import Chats
    from ..gateway.completions import Completion
    from ..gateway.conversations import Chat
    from ..gateway.models import Model
    from ..gateway.places import Places
    from ..settings import Settings

    Prompt = str | Sequence[Message | Mapping[str, Any]]


class OnePrompt:
    """One prompt: asked, awaited, streamed, or made ready for whoever shows its answer."""

    if TYPE_CHECKING:
        # What Session is beside this.
        _connection: Connection
        _chosen: dict[str, str]
        _defaults: dict[str, Any]
        _cassette_folder: str

        @property
        def settings(self) -> Settings: ...
        @property
        def unchecked_settings(self) -> Settings: ...
        @property
        def chats(self) -> Chats: ...
        def catalog(self, *, described: bool = True, told: Told = SILENT) -> Catalog: ...
        def _resolved(
            self, name: str, cluster: str, *, vision: bool, told: Told
        ) -> tuple[Catalog, Model]: ...

    def ask(
        self,
        prompt: Prompt,
        model: str = "",
        *,
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        fallback: str | Sequence[str] = (),
        wait: float | None = None,
        cassette: str | Path | None = None,
        fresh: bool = False,
        **parameters: Any,
    ) -> Completion:
        """Send a prompt, or a list of messages as OpenAI has them; the whole completion.

        `model` and `cluster` are names as in `-m` and `--cluster`, `format` is markdown (the
        default), text, json or code. `schema` is what the answer has to be, as `.parsed` then: a
        JSON schema, a pydantic model, a dataclass, a TypedDict, or a list of one of these. `tools`
        are functions that the model may call, on this thread, as `rounds` has it (8); with `ask`
        only after you have said yes to each call. `images` is an image or a list of them, which
        come last: figures, PIL images, arrays, paths and http(s) addresses.
        `parameters` are those of the magic under the names in gateway/parameters.py:
        temperature (0 to 2), max_tokens (1 or more), stop (a text or up to 4), n, extra, … What is
        not given is as `choose` has it. `fallback` names other models, as `"a,b"` or a list, that
        may answer where this one is live nowhere. `wait` is for how many minutes a model that is
        loaded on demand is waited for; with 0, what is not live is a ModelNotReady. `cassette` is a
        file of recorded answers, which answer this time and which others are added to (empty:
        none; not given: the setting's); `fresh` asks anew, and records that. A value that is wrong,
        or that the model does not take, is a RequestRefused, and nothing is sent. What ends an
        answer early carries what came as `.completion`.
        """
        return self.exchange(
            prompt,
            model,
            cluster=cluster,
            system=system,
            format=format,
            schema=schema,
            fallback=fallback,
            wait=wait,
            cassette=cassette,
            fresh=fresh,
            **parameters,
        ).run()

    async def aask(
        self,
        prompt: Prompt,
        model: str = "",
        *,
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        fallback: str | Sequence[str] = (),
        **parameters: Any,
    ) -> Completion:
        """The same as `ask`, awaited; several may run at once."""
        exchange = await self._aexchange(
            prompt,
            model,
            cluster=cluster,
            system=system,
            format=format,
            schema=schema,
            fallback=fallback,
            **parameters,
        )
        return await exchange.arun()

    def stream(
        self,
        prompt: Prompt,
        model: str = "",
        *,
        cluster: str = "",
        system: str | None = None,
        **parameters: Any,
    ) -> Iterator[str]:
        """Send a prompt; the pieces of the answer's text as they come.

        The completion is `history[-1]` afterwards. Leaving the loop closes the connection. With a
        schema there is one piece, at the end: a first answer may not fit. With tools, what a model
        says between their calls comes, too.
        """
        from ..exchanges import pieces

        return pieces(self.exchange(prompt, model, cluster=cluster, system=system, **parameters))

    async def astream(
        self,
        prompt: Prompt,
        model: str = "",
        *,
        cluster: str = "",
        system: str | None = None,
        **parameters: Any,
    ) -> AsyncIterator[str]:
        """The same as `stream`, for `async for`."""
        from ..gateway.accumulator import Pieces

        exchange = await self._aexchange(
            prompt, model, cluster=cluster, system=system, **parameters
        )
        text = Pieces(exchange.rounds.may_replace)
        async with exchange:
            async for answer in exchange:
                if piece := text.new(answer):
                    yield piece
        if exchange.completion is not None and (rest := text.rest(exchange.completion.text)):
            yield rest

    def exchange(
        self,
        prompt: Prompt,
        model: str = "",
        *,
        cluster: str = "",
        system: str | None = None,
        format: str | None = None,
        schema: Any = None,
        view: Callable[[Model], View] | None = None,
        bind: Callable[[Completion], None] = lambda completion: None,
        told: Told = SILENT,
        chat: Chat | None = None,
        trim: bool = False,
        fallback: str | Sequence[str] = (),
        wait: float | None = None,
        images: Any = (),
        tools: Any = None,
        ask: bool = False,
        rounds: int | None = None,
        as_text: Callable[[Any], str] | None = None,
        cassette: str | Path | None = None,
        fresh: bool = False,
        **parameters: Any,
    ) -> Exchange:
        """One prompt that is ready to be sent, for whoever shows it; see exchanges.py.

        `view` makes what shows the answer, `bind` gets the completion however the answer ends.
        `schema` is whatever a Schema can be made of; `tools` are functions, `as_text` makes what a
        model reads of their values; `images` come last, and the rest is as in `ask`. In a `chat`
        it goes on; `trim` leaves the oldest images and turns out where they do not fit.
        """
        from ..exchanges import Exchange
        from ..gateway.answer_file import form_of, key_of
        from ..gateway.cassettes import NOWHERE
        from ..gateway.chat import default_system
        from ..gateway.parameters import wanted
        from ..gateway.places import names_of
        from ..gateway.preparing import check_texts, fitted, prepared
        from ..gateway.vision import check_vision
        from ..images.prompts import with_images
        from ..tools.toolbox import equipped

        check_texts(model=model, cluster=cluster, system="" if system is None else system)
        named = self.named(model)
        asking = self.chats.asking(chat)
        keeps_system = system is None and asking.goes_on
        if system is None:
            default = "" if keeps_system else self.unchecked_settings.system
            system = default_system(prompt, default)
        prompt = with_images(prompt, images, lambda url: self.fetch_image(url, told), told)
        format = format or ("markdown" if schema is None else "json")
        request = prepared(prompt, system, format, parameters, schema)
        toolbox = equipped(request, tools, ask=ask, rounds=rounds, told=told, as_text=as_text)
        kept = "" if model else asking.model(cluster)

        def key_for(request: ChatRequest) -> str:
            return key_of(
                named,
                request.messages,
                wanted(parameters, self._defaults),
                schema=form_of(request),
                tools=toolbox.fields if toolbox is not None else None,
            )

        def exchange(place: Model, request: ChatRequest, **more: Any) -> Exchange:
            return Exchange(
                self._connection,
                place,
                request,
                asked=model or kept,
                format=format,
                view=view(place) if view is not None else None,
                bind=bind,
                told=told,
                asking=asking,
                **more,
            )

        box, key = self.cassette(cassette, fresh), ""
        if box is not None:
            whole = asking.along(request, NOWHERE, keeps_system=keeps_system, trim=trim)
            key = key_for(whole)
            if (recorded := box.answer(key, whole, format)) is not None:
                return exchange(recorded.place, whole, key=key, recorded=recorded)
        with box.refusing() if box is not None else contextlib.nullcontext():
            places = self.places(
                model, cluster, kept, names_of(fallback), vision=request.has_images, told=told
            )

        def request_for(place: Model) -> ChatRequest:
            to_place = fitted(request, parameters, self._defaults, place, told, toolbox)
            return asking.along(to_place, place, keeps_system=keeps_system, trim=trim)

        place = places.start
        first = request_for(place)
        if first.has_images:
            places = places.seeing()
            if not place.capabilities.vision:
                check_vision(place, self.catalog(told=told))
        return exchange(
            place,
            first,
            places=places,
            request_for=request_for,
            wait=self._connection.waiting(wait),
            key=key or key_for(first),
            toolbox=toolbox,
            cassette=box,
        )

    def cassette(self, given: object = None, fresh: bool = False) -> Cassette | None:
        """The recorded answers that count: those given, else the setting's; None for none.

        Raises RequestRefused for what is no path.
        """
        from ..gateway.cassettes import cassette_of
        from .redaction import Redaction

        set_here = given is None
        name = self.unchecked_settings.cassette if set_here else given
        folder = self._cassette_folder if set_here else ""
        return cassette_of(name, fresh, lambda: Redaction.of(cast("Session", self)), folder)

    def fetch_image(self, address: str, told: Told = SILENT) -> bytes:
        """What stands at an http(s) address, fetched without a login. Raises RequestRefused."""
        return self._connection.fetch(address, told)

    def named(self, model: str) -> str:
        """The model as it was typed or set in the notebook, its alias resolved; empty for none."""
        return self.unchecked_settings.meant(model or str(self._chosen.get("model", "")))

    async def _aexchange(self, prompt: Prompt, model: str, **options: Any) -> Exchange:
        from anyio import to_thread

        from ..images.loading import snapshots

        # Here, because a figure is drawn on the thread that made it.
        options["images"] = snapshots(options.get("images"))
        # Finding the model may ask the gateway: not on the caller's event loop.
        return await to_thread.run_sync(
            lambda: self.exchange(prompt, model, **options), abandon_on_cancel=True
        )

    def places(
        self,
        name: str,
        cluster: str,
        kept: str,
        fallback: Sequence[str],
        *,
        vision: bool = False,
        told: Told = SILENT,
    ) -> Places:
        """Where a prompt may go. `kept` is the place of a chat, which nobody named just now."""
        from ..gateway.places import places_of

        settings = self.settings
        catalog, first = self._resolved(name or kept, cluster, vision=vision, told=told)
        wanted = settings.meant(name or ("" if kept else settings.model))
        return places_of(
            catalog,
            first,
            named=bool(cluster) or catalog.without_cluster(wanted) != wanted,
            fallback=[settings.meant(other) for other in fallback],
        )
