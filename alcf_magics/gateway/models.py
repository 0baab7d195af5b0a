"""A model at one place: its state there, and what it can do. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Status(IntEnum):
    """The state of a model on a cluster, best first."""

    LIVE = 0
    STARTING = 1
    QUEUED = 2
    UNKNOWN = 3
    OFFLINE = 4
    MAINTENANCE = 5

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Capabilities:
    """What a model can do. `reasoning_levels` are what `--effort` may ask for.

    `levels_known` says that there are no others; of a family that nobody knows it does not.
    `vision_known` says likewise that a model without `vision` takes no images.
    `context_window` and `max_output` are in tokens, None where not known.
    """

    chat: bool = True
    tools: bool = False
    vision: bool = False
    vision_known: bool = False
    embeddings: bool = False
    reasoning: bool = False
    reasoning_levels: tuple[str, ...] = ()
    levels_known: bool = False
    context_window: int | None = None
    max_output: int | None = None

    @property
    def is_blind(self) -> bool:
        """Whether it is known to take no images."""
        return self.vision_known and not self.vision

    @property
    def words(self) -> tuple[str, ...]:
        """The capabilities as a reader sees them."""
        return tuple(
            name
            for name in ("chat", "tools", "vision", "reasoning", "embeddings")
            if getattr(self, name)
        )


@dataclass(frozen=True)
class Model:
    """One model at one place. `name` is the wire name, as the catalog spells it.

    `base_url` is the OpenAI-compatible base on the gateway's host. `estimated_start` is the
    scheduler's own text. `refuses` names request fields that the server there does not take.
    """

    name: str
    cluster: str
    framework: str
    base_url: str
    status: Status = Status.UNKNOWN
    estimated_start: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    description: str = ""
    refuses: frozenset[str] = frozenset()

    @property
    def live(self) -> bool:
        return self.status is Status.LIVE

    @property
    def place(self) -> str:
        """How to name exactly this one: `cluster:model`."""
        return f"{self.cluster}:{self.name}"
