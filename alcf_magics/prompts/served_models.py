"""Which models run, and where a prompt goes. A part of Session, with a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..connection import CATALOG_SECONDS
from ..told import SILENT, Told

if TYPE_CHECKING:
    from ..connection import Connection
    from ..gateway.catalog import Catalog
    from ..gateway.models import Model
    from ..settings import Settings


class ServedModels:
    """What runs where, which model a name means, and starting one."""

    if TYPE_CHECKING:
        # What Session is beside this.
        _connection: Connection

        @property
        def settings(self) -> Settings: ...

    def catalog(
        self, *, max_age: float = CATALOG_SECONDS, described: bool = True, told: Told = SILENT
    ) -> Catalog:
        """What runs where, at most `max_age` seconds old; what could not be read is read again.

        `described` asks the clusters, too, what they say of their models' capabilities, and for
        the facility's notice where one is under maintenance.
        """
        return self._connection.catalog(
            max_age=max_age, described=described, noticed=described, told=told
        )

    def known_catalog(self) -> Catalog | None:
        """The catalog that was read last, at once; None before. It may be read behind your back."""
        return self._connection.known_catalog()

    def resolve(
        self, name: str = "", cluster: str = "", *, vision: bool = False, told: Told = SILENT
    ) -> Model:
        """The model that a name means now; without one the configured one, or the default.

        With `vision` the default is one that takes images.
        """
        return self._resolved(name, cluster, vision=vision, told=told)[1]

    def _resolved(
        self, name: str, cluster: str, *, vision: bool, told: Told
    ) -> tuple[Catalog, Model]:
        settings = self.settings
        name, wanted = settings.meant(name), settings.meant(name or settings.model)
        # A name says enough: fewer requests, and a first prompt that waits for no turn.
        catalog = self._connection.catalog(described=not wanted, told=told)
        if not name:
            name = wanted
            if cluster:  # asked for now, and so before what was configured
                name = catalog.without_cluster(name)
        return catalog, catalog.resolve(name, cluster, vision=vision)

    def start(self, name: str = "", cluster: str = "", *, told: Told = SILENT) -> Model:
        """Have a model loaded, and return at once; the model as it is now, live or on its way.

        Nothing is sent where it is on its way already. Raises ModelNotReady where nothing is
        loaded on demand, and whatever the gateway refuses at once.
        """
        place = self.resolve(name, cluster, told=told)
        self._connection.start(place)
        return place
