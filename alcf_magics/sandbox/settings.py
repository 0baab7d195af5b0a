"""Settings of a sandbox that may change while it runs."""

from __future__ import annotations

from collections.abc import Sequence

from .scenarios import TABLE, Scenario
from .tokens import Identity

Script = str | Sequence[str]
VALIDATIONS = ("current", "strict")
#: Seconds of silence before a cold model's error at the real gateway.
COLD_SECONDS = 30.0


class Settings:
    """What the two servers look up at every request, so that a change counts at once."""

    def __init__(
        self,
        scenario: str,
        *,
        validation: str,
        pace: float,
        token_seconds: int,
        answer: Script | None,
    ) -> None:
        if validation not in VALIDATIONS:
            raise ValueError(
                f"There is no validation {validation!r}; known: {', '.join(VALIDATIONS)}."
            )
        #: Endpoints of the first cluster which a prompt has woken, and when, in seconds of the
        #: epoch: they answer 503 until they run.
        self.loading: dict[str, float] = {}
        #: Seconds that loading takes, and for which jobs are used again; None: the scenario's.
        self.load_seconds: float | None = None
        self.cache_seconds: float | None = None
        self.scenario = scenario
        #: Which validator refuses request fields: "current" or "strict".
        self.validation = validation
        #: None (the built-in answer), a text, or exactly these content deltas.
        self.answer = answer
        #: None, a text or exactly these reasoning deltas, sent before the content.
        self.reasoning: Script | None = None
        #: The model that a real server answers for; empty if there is none.
        self.real_model = ""
        #: Whether models that reason do so unasked, as at ALCF.
        self.reasons_unasked = False
        #: Seconds of silence before an answer streams.
        self.first_token_seconds = 0.0
        #: Fields of a request that the model servers refuse, naming them.
        self.refuses: frozenset[str] = frozenset()
        #: Seconds between two bursts of events, and events in one burst.
        self.pace = pace
        self.burst = 20
        #: Seconds of silence before a cold model's error; see COLD_SECONDS.
        self.cold_seconds = 0.3
        #: Seconds that a batch waits before it runs, and that each of its lines takes at least.
        self.batch_seconds = 0.2
        self.batch_pace = 0.0
        #: Lines of a batch that are written at once; 20,000 at the real gateway.
        self.batch_chunk = 20
        #: Requests in one second that one user may send.
        self.requests_per_second = 10
        #: Lifetime of access tokens in seconds.
        self.token_seconds = token_seconds
        #: Who logs in.
        self.identity = Identity()
        #: Whether answers to a refresh leave the refresh token out, as OAuth allows.
        self.omit_refresh_token = False

    def be_lifelike(self) -> None:
        """Answer as one sees it at ALCF: a short wait, some reasoning, then token by token."""
        self.first_token_seconds, self.reasons_unasked, self.burst = 0.4, True, 1
        self.cold_seconds = COLD_SECONDS

    @property
    def scenario(self) -> str:
        """The name of the scenario being played. ValueError for a name that is not known."""
        return self._scenario

    @scenario.setter
    def scenario(self, name: str) -> None:
        if name not in TABLE:
            raise ValueError(f"There is no scenario {name!r}; known: {', '.join(TABLE)}.")
        self._scenario = name
        self.loading.clear()
        #: How many prompts are still to fail, where the scenario lets them; None: all of them.
        self.failures = TABLE[name].failures

    def fails(self) -> bool:
        """Whether one more prompt is to fail."""
        if not self.behaviour.fault or self.failures == 0:
            return False
        if self.failures is not None:
            self.failures -= 1
        return True

    @property
    def behaviour(self) -> Scenario:
        """What the scenario of the moment does."""
        return TABLE[self._scenario]

    @property
    def validator(self) -> str:
        """The validator in force: the scenario's, else the one set."""
        return self.behaviour.validation or self.validation
