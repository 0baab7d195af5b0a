"""A model at one place: its state there, and what it can do. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ..showing.times import clock


class Status(IntEnum):
    """The state of a model on a cluster, best first."""

    LIVE = 0
    STARTING = 1
    QUEUED = 2
    UNKNOWN = 3
    OFFLINE = 4
    DISCONNECTED = 5
    MAINTENANCE = 6

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def said(self) -> str:
        """The state as what a model is: `it is …`."""
        return "under maintenance" if self is Status.MAINTENANCE else str(self)


#: States in which a prompt would not be answered, and loading may help.
COLD = frozenset({Status.STARTING, Status.QUEUED, Status.OFFLINE, Status.DISCONNECTED})


@dataclass(frozen=True)
class Job:
    """What a cluster says of the job that serves a model; empty where it says nothing.

    `walltime` is the time that it has used (H:MM:SS). `started`, and `starts` of one that waits,
    are seconds since 1970, None where that is not known.
    """

    id: str = ""
    host: str = ""
    walltime: str = ""
    started: float | None = None
    starts: float | None = None


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
    `job` is None where the cluster lists none. `loads` says that the cluster loads a model when
    it is asked for, `free_nodes` how many nodes it has for that (None: not known). `notice` is
    the facility's, under maintenance.
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
    job: Job | None = None
    loads: bool = False
    free_nodes: int | None = None
    notice: str = ""

    @property
    def state(self) -> str:
        """The state in words: since when it starts, and when it may, in the reader's time zone."""
        job = self.job or Job()
        if self.status is Status.STARTING and job.started is not None:
            return f"{self.status} since {clock(job.started)}"
        if self.status is Status.QUEUED and self.estimated_start:
            start = self.estimated_start if job.starts is None else clock(job.starts)
            return f"{self.status}, estimated start {start}"
        return str(self.status)

    @property
    def cold(self) -> bool:
        """Whether it is known that no prompt is answered yet, though the cluster works."""
        return self.status in COLD

    @property
    def on_its_way(self) -> bool:
        """Whether the model is being loaded, or stands in line for it."""
        return self.status in (Status.STARTING, Status.QUEUED)

    @property
    def live(self) -> bool:
        return self.status is Status.LIVE

    @property
    def place(self) -> str:
        """How to name exactly this one: `cluster:model`."""
        return f"{self.cluster}:{self.name}"
