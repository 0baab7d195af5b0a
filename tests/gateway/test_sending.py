"""Where a prompt goes, and how often it is tried, until its first token."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from alcf_magics._session import Session
from alcf_magics.errors import (
    AlcfError,
    GatewayUnreachable,
    Maintenance,
    ModelNotFound,
    ModelNotReady,
    RateLimited,
    RequestRefused,
    StreamBroken,
)
from alcf_magics.exchanges import Exchange
from alcf_magics.gateway.models import Model
from alcf_magics.gateway.places import Places
from alcf_magics.sandbox import Sandbox
from alcf_magics.told import Told
from support.logins import logged_in

HERE, THERE = "sophia:gpt-oss-120b", "metis:gpt-oss-120b"
#: The one name is the first place's, the other the second's; both mean the same model.
BOTH, SOPHIA_FIRST = "gpt-oss-120b", "openai/gpt-oss-120b"


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    """Somebody who has looked at the models just now, and who waits for little."""
    session = logged_in(sandbox)
    session.choose(fault_seconds=3, tokens_seconds=1, requests_per_second=0)
    sandbox.requests_per_second = 1000
    session.catalog()
    yield session
    session.close()


def statuses(sandbox: Sandbox) -> list[int]:
    """How each prompt was answered."""
    return [r.status for r in sandbox.requests if r.path.endswith("/completions")]


def clusters(sandbox: Sandbox) -> list[str]:
    """Where each prompt went."""
    return [r.path.split("/")[2] for r in sandbox.requests if r.path.endswith("/completions")]


# Retries


@pytest.mark.parametrize(
    ("scenario", "tries"),
    [
        ("bad_gateway", [502, 502, 200]),
        ("proxy_restarting", [503, 200]),
        ("not_ready", [503, 503, 200]),
        ("gateway_timeout", [504, 504, 200]),
        ("dead_connection", [0, 0, 200]),
    ],
)
def test_what_clears_is_tried_again_unseen(
    session: Session, sandbox: Sandbox, scenario: str, tries: list[int]
) -> None:
    """The prompt is answered, and each try is one request."""
    sandbox.scenario = scenario
    assert session.ask("hi", THERE).text
    assert statuses(sandbox) == tries
    assert len(session.history) == 1


def test_a_proxy_says_when_to_come_again(session: Session, sandbox: Sandbox) -> None:
    """Its `retry_after` of one second is waited, and no less."""
    sandbox.scenario = "proxy_restarting"
    session.ask("hi", THERE)
    first, second = [r.at for r in sandbox.requests if r.path.endswith("/completions")]
    assert second - first >= 1.0


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("rate_limited", RateLimited),
        ("tokens_per_minute", RateLimited),
        ("not_ready", ModelNotReady),
        ("gateway_timeout", GatewayUnreachable),
    ],
)
def test_what_does_not_clear_ends_with_its_own_error(
    session: Session, sandbox: Sandbox, scenario: str, error: type[AlcfError]
) -> None:
    """After the budget in time, the error is the one that a single request would have had."""
    sandbox.scenario, sandbox.failures = scenario, None
    session.choose(fault_seconds=0.6, tokens_seconds=0.3)
    with pytest.raises(error):
        session.ask("hi", THERE)
    assert len(statuses(sandbox)) >= 2


@pytest.mark.parametrize("model", [THERE, BOTH])
def test_a_408_is_never_sent_again(session: Session, sandbox: Sandbox, model: str) -> None:
    """After so long the model may still be at it, here and elsewhere."""
    sandbox.scenario = "no_result"
    with pytest.raises(GatewayUnreachable, match="did not answer in time"):
        session.ask("hi", model)
    assert statuses(sandbox) == [408]


@pytest.mark.parametrize("scenario", ["cut_mid_stream", "error_in_stream", "silent_truncation"])
def test_nothing_is_sent_again_after_the_first_token(
    session: Session, sandbox: Sandbox, scenario: str
) -> None:
    """What came is kept, and nobody pays twice; also where another place is live."""
    sandbox.scenario = scenario
    with pytest.raises(StreamBroken) as caught:
        session.ask("hi", BOTH, fallback="Llama-4-Maverick-17B-128E-Instruct")
    assert caught.value.completion is not None
    assert caught.value.completion.text
    assert statuses(sandbox) == [200]


def test_reasoning_and_tool_calls_are_tokens_too(session: Session, sandbox: Sandbox) -> None:
    """An answer that broke off while it reasoned is not asked for again."""
    sandbox.reasoning, sandbox.answer = ["think", " and", " think"] * 9, [""]
    sandbox.scenario = "cut_mid_stream"
    with pytest.raises(StreamBroken):
        session.ask("hi", BOTH)
    assert statuses(sandbox) == [200]


def test_a_refused_address_is_one_line_within_its_budget(sandbox: Sandbox) -> None:
    """The gateway is not there: tried for its seconds, and then said with the setting."""
    session = logged_in(sandbox)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        session.choose(
            gateway_url=f"http://127.0.0.1:{taken.getsockname()[1]}/resource_server",
            address_seconds=0.5,
        )
        with pytest.raises(GatewayUnreachable, match=r"cannot be reached.*gateway_url"):
            session.ask("hi", THERE)
    session.close()


def test_an_address_that_comes_back_answers(sandbox: Sandbox) -> None:
    """A gateway that was just being restarted loses nobody a prompt."""
    session = logged_in(sandbox)
    session.ask("hi", THERE)
    url = sandbox.gateway_url
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    relay = Relay(port)
    session.choose(gateway_url=f"http://127.0.0.1:{relay.port}/resource_server")
    later = threading.Timer(0.6, relay.start)
    later.start()
    assert session.ask("hi", THERE).text
    later.join()
    relay.stop()
    session.close()


class Relay:
    """A port that nobody listens at until it is started."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._stopped = False

    def start(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._stopped:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(a, b), daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        self._socket.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with source, target:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass


# Another place


class Notes(Told):
    """Notes what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def notice(self, line: str) -> None:
        self.noted.append(line)


@pytest.mark.parametrize(
    "scenario", ["maintenance", "dead_upstream", "offline_upstream", "cold_model"]
)
def test_another_place_of_the_model_answers(
    session: Session, sandbox: Sandbox, scenario: str
) -> None:
    """The catalog said live, the place says no: the next one is asked, and that is told."""
    sandbox.scenario = scenario
    told, bound = Notes(), list[Any]()
    completion = session.exchange("hi", SOPHIA_FIRST, told=told, bind=bound.append).run()
    assert clusters(sandbox) == ["sophia", "metis"]
    assert completion.cluster == "metis"
    assert completion.request.model == completion.place.name == "gpt-oss-120b"
    assert completion is session.history[-1] is bound[0]
    assert len(told.noted) == 1
    assert told.noted[0].endswith("Asked gpt-oss-120b on metis instead.")


def test_what_the_catalog_says_is_enough(session: Session, sandbox: Sandbox) -> None:
    """A cluster that is known to be down is not asked at all."""
    sandbox.scenario = "maintenance"
    session.catalog(max_age=0, described=False)
    assert session.ask("hi", SOPHIA_FIRST).cluster == "metis"
    assert clusters(sandbox) == ["metis"]


@pytest.mark.parametrize("scenario", ["maintenance", "offline_upstream", "cold_model"])
def test_a_named_cluster_is_never_left(session: Session, sandbox: Sandbox, scenario: str) -> None:
    """The error says where the model is live, with what to type."""
    sandbox.scenario = scenario
    expected = Maintenance if scenario == "maintenance" else ModelNotReady
    for model, cluster in ((HERE, ""), (SOPHIA_FIRST, "sophia")):
        with pytest.raises(expected, match="-m metis:gpt-oss-120b"):
            session.ask("hi", model, cluster=cluster, wait=0)
    assert set(clusters(sandbox)) <= {"sophia"}


def test_an_alias_or_a_setting_may_name_the_cluster(session: Session, sandbox: Sandbox) -> None:
    """Whoever says where it goes says so once."""
    sandbox.scenario = "offline_upstream"
    session.choose(aliases={"mine": HERE}, model=HERE)
    for model in ("mine", ""):
        with pytest.raises(ModelNotReady):
            session.ask("hi", model)
    assert set(clusters(sandbox)) == {"sophia"}


def test_never_another_model_unless_it_is_named(session: Session, sandbox: Sandbox) -> None:
    """With `fallback`, and only then; in its order, and live ones alone."""
    sandbox.scenario = "maintenance"
    llama = "Meta-Llama-3.1-8B-Instruct"
    with pytest.raises(Maintenance):
        session.ask("hi", llama)
    assert clusters(sandbox) == ["sophia"]
    fallback = "DeepSeek-R1,Llama-4-Maverick-17B-128E-Instruct,gemma-4-31B-it"
    told = Notes()
    completion = session.exchange("hi", llama, fallback=fallback, told=told).run()
    assert completion.model == "Llama-4-Maverick-17B-128E-Instruct"
    assert completion.record.asked == llama
    assert "Asked Llama-4-Maverick" in told.noted[-1]
    assert session.ask("hi", llama, fallback=["gpt-oss-120b"]).model == "gpt-oss-120b"


def test_a_fallback_is_asked_where_nothing_is_live(session: Session, sandbox: Sandbox) -> None:
    """Before anything is waited for, and without asking what is known not to run."""
    told = Notes()
    completion = session.exchange("hi", "DeepSeek-R1", fallback=BOTH, told=told).run()
    assert completion.cluster == "metis"
    assert clusters(sandbox) == ["metis"]
    assert told.noted == ["DeepSeek-R1 is offline on metis. Asked gpt-oss-120b on metis instead."]


def test_a_named_cluster_may_have_a_fallback(session: Session, sandbox: Sandbox) -> None:
    """It was named as well."""
    sandbox.scenario = "offline_upstream"
    assert session.ask("hi", HERE, fallback=THERE).cluster == "metis"


def test_a_fallback_that_is_none_is_said_at_once(session: Session, sandbox: Sandbox) -> None:
    """Nothing is sent, and nothing is lost."""
    with pytest.raises(ModelNotFound, match="nosuch"):
        session.ask("hi", BOTH, fallback="nosuch")
    with pytest.raises(RequestRefused, match="fallback"):
        session.ask("hi", BOTH, fallback=7)  # type: ignore[arg-type]
    assert statuses(sandbox) == []


def test_a_place_that_does_not_take_the_prompt_is_left_out(
    session: Session, sandbox: Sandbox
) -> None:
    """What was asked for is sent or refused, never dropped on the way."""
    sandbox.scenario = "offline_upstream"
    with pytest.raises(ModelNotReady):
        session.ask("hi", HERE, effort="high", fallback="Llama-4-Maverick-17B-128E-Instruct")
    assert set(clusters(sandbox)) == {"sophia"}


@pytest.mark.parametrize("scenario", ["jobs_empty", "jobs_unreadable"])
def test_states_that_cannot_be_read_are_no_reason_to_wait(
    session: Session, sandbox: Sandbox, scenario: str
) -> None:
    """The prompt is sent at once, to the one place that has the model."""
    sandbox.scenario = scenario
    session.catalog(max_age=0, described=False)
    model = "Meta-Llama-3.1-8B-Instruct" if scenario == "jobs_empty" else HERE

    async def no_wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        raise AssertionError("nothing is to be waited for")

    exchange = session.exchange("hi", model)
    exchange._sending._wait = no_wait
    assert exchange.run().text


def test_chats_and_twins_move_on_alike(session: Session, sandbox: Sandbox) -> None:
    """A chat goes on elsewhere with its turns; so do `aask`, `stream` and `astream`."""
    chat = session.chats.named("physics")
    chat.ask("one", SOPHIA_FIRST)
    assert session.history[-1].cluster == "sophia"
    sandbox.scenario = "offline_upstream"
    assert chat.ask("two").cluster == "metis"
    sent = [r.body["messages"] for r in sandbox.requests if r.path.endswith("/completions")]
    assert [m["content"] for m in sent[-1]][::2] == ["one", "two"]
    assert chat.model == THERE

    async def twins() -> list[str]:
        session.catalog(max_age=0, described=False)
        asked = await session.aask("hi", SOPHIA_FIRST)
        pieces = [piece async for piece in session.astream("hi", SOPHIA_FIRST)]
        assert "".join(pieces) == asked.text
        return [asked.cluster, session.history[-1].cluster]

    assert asyncio.run(twins()) == ["metis", "metis"]
    assert "".join(session.stream("hi", SOPHIA_FIRST, fallback=THERE))


# Waiting, the last of the steps


def waiting_with(session: Session, model: str, wait: Any, **options: Any) -> Exchange:
    exchange = session.exchange("hi", model, **options)
    exchange._sending._wait = wait
    return exchange


def test_waiting_comes_when_nothing_runs(session: Session, sandbox: Sandbox) -> None:
    """Before anything is sent; and then it goes where the wait says."""
    calls: list[tuple[str, object]] = []

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        calls.append((place.place, error))
        return next(model for model in session.known_catalog() or () if model.place == THERE)

    completion = waiting_with(session, "DeepSeek-R1", wait).run()
    assert calls == [("metis:DeepSeek-R1", None)]
    assert completion.place.place == THERE


def test_waiting_comes_after_every_place_that_runs(session: Session, sandbox: Sandbox) -> None:
    """It gets the place that was not ready, and its error; and comes once."""
    sandbox.scenario = "offline_upstream"
    calls: list[tuple[str, str]] = []

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        calls.append((place.place, type(error).__name__))
        return place

    with pytest.raises(ModelNotReady):
        waiting_with(session, HERE, wait).run()
    assert calls == [("sophia:openai/gpt-oss-120b", "ModelNotReady")]
    assert clusters(sandbox) == ["sophia", "sophia"]


def test_what_the_wait_raises_is_the_end(session: Session, sandbox: Sandbox) -> None:
    """Nobody is to wait: nothing was sent."""

    async def wait(place: Model, error: ModelNotReady | None, told: Told) -> Model:
        raise ModelNotReady("It is cold.", "Start it.")

    with pytest.raises(ModelNotReady, match="cold"):
        waiting_with(session, "DeepSeek-R1", wait).run()
    assert statuses(sandbox) == []


# Time-outs


@pytest.mark.parametrize(
    ("scenario", "setting", "error"),
    [
        ("hanging", "first_token_seconds", GatewayUnreachable),
        ("stalled", "silence_seconds", StreamBroken),
    ],
)
def test_a_time_out_says_which_one_it_was(
    session: Session, sandbox: Sandbox, scenario: str, setting: str, error: type[AlcfError]
) -> None:
    """With its seconds, and what to set; what came is kept."""
    session.choose(first_token_seconds=0.4, silence_seconds=0.4)
    sandbox.scenario = scenario
    with pytest.raises(error, match=rf"0\.4 s \({setting}\)") as caught:
        session.ask("hi", THERE)
    assert (caught.value.completion is not None) == (scenario == "stalled")
    assert statuses(sandbox) == [200]
    if scenario == "stalled":
        assert setting in caught.value.next_step


def test_a_first_token_that_does_not_come_is_asked_for_elsewhere(
    session: Session, sandbox: Sandbox
) -> None:
    """The place hangs; the next one gets the same time."""
    session.choose(first_token_seconds=0.4)
    sandbox.scenario = "hanging"
    told = Notes()
    with pytest.raises(GatewayUnreachable, match="on metis sent no first token"):
        session.exchange("hi", SOPHIA_FIRST, told=told).run()
    assert clusters(sandbox) == ["sophia", "metis"]
    assert "on sophia sent no first token within 0.4 s" in told.noted[0]


def test_a_slow_answer_is_no_silence(session: Session, sandbox: Sandbox) -> None:
    """Both limits begin anew: the first token ends the one, each read the other."""
    sandbox.scenario = "slow"
    session.choose(first_token_seconds=5, silence_seconds=2)
    assert session.ask("hi", THERE).finish_reason == "stop"


def test_waiting_for_a_turn_is_no_time_of_the_models(session: Session, sandbox: Sandbox) -> None:
    """A prompt that stood in our own line for longer than the first token may take is answered."""
    session.choose(requests_per_second=1, first_token_seconds=0.9)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(session.ask("hi", THERE).text))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3


def test_an_interrupt_ends_every_wait_at_once(session: Session, sandbox: Sandbox) -> None:
    """Between two tries, in the line, for the first token: the request ends with the prompt."""
    session.choose(fault_seconds=60, tokens_seconds=60, requests_per_second=0.1)
    for scenario in ("tokens_per_minute", "hanging", "default"):
        sandbox.scenario = scenario
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt) as caught:
            _interrupted(session)
        assert time.monotonic() - begun < 3
        [line] = caught.value._render_traceback_()  # type: ignore[attr-defined]
        assert "interrupted" in line


def test_an_async_prompt_that_is_given_up_sends_nothing_more(
    session: Session, sandbox: Sandbox
) -> None:
    """Between two tries as well: nothing runs on behind a time-out of the caller's."""
    session.choose(fault_seconds=60)
    sandbox.scenario, sandbox.failures = "bad_gateway", None

    async def impatient() -> None:
        await asyncio.wait_for(session.aask("hi", THERE), 0.8)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(impatient())
    time.sleep(0.2)
    sent = len(statuses(sandbox))
    assert sent >= 1
    time.sleep(2)
    assert len(statuses(sandbox)) == sent


def _interrupted(session: Session) -> None:
    end = time.monotonic() + 0.7
    exchange = session.exchange("hi", THERE)
    with exchange:
        for _ in exchange:
            if time.monotonic() > end:
                raise KeyboardInterrupt


# The limit that the others share


def _lost(call: Callable[[], object], times: int) -> list[BaseException]:
    """What so many calls at once, a thread each, raise."""
    lost: list[BaseException] = []

    def one() -> None:
        try:
            call()
        except BaseException as error:
            lost.append(error)

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return lost


@pytest.mark.clock
def test_sixty_threads_lose_nothing_and_use_the_limit(sandbox: Sandbox) -> None:
    """Of ten requests a second nine are used, and none is refused twice over."""
    session = logged_in(sandbox)
    session.ask("hi", THERE)

    def used() -> float:
        """Requests a second."""
        time.sleep(1.1)
        before = len(sandbox.requests)
        assert _lost(lambda: session.ask("hi", THERE), 60) == []
        taken = [r.at for r in sandbox.requests[before:] if r.status == 200]
        assert len(taken) == 60
        # The first ten leave at once, and so are no part of the rate.
        return (len(taken) - 10) / (max(taken) - min(taken))

    # A machine that is busy with something else sends later than it might.
    assert any(used() >= 9.0 for _ in range(2))
    session.close()


def test_what_one_kernel_cannot_see_costs_it_no_prompt(sandbox: Sandbox) -> None:
    """Others take six of the ten: all prompts are answered, only later."""
    session = logged_in(sandbox)
    session.catalog()
    sandbox.scenario = "busy"
    assert _lost(lambda: session.ask("hi", THERE), 12) == []
    assert 429 in statuses(sandbox)
    session.close()


def test_the_rate_is_a_setting_of_all_requests_together(sandbox: Sandbox) -> None:
    """One limit a session, for whatever it sends; it counts at once."""
    session = logged_in(sandbox)
    session.catalog()
    session.choose(requests_per_second=4)
    before = len(sandbox.requests)
    assert _lost(lambda: session.ask("hi", THERE), 6) == []
    times = sorted(r.at for r in sandbox.requests[before:])
    assert min(late - early for early, late in zip(times, times[4:], strict=False)) >= 0.9
    session.close()


def test_what_is_sent_again_goes_where_it_went(session: Session, sandbox: Sandbox) -> None:
    """`history.replay` asks the same place, and no other."""
    session.ask("hi", SOPHIA_FIRST)
    place = session.history[-1].place
    assert session.history.replay(0).place == place
    assert Places.only(place).ready == (place,)


@pytest.mark.parametrize(("repeatable", "again"), [(True, True), (False, False)])
def test_what_may_have_been_carried_out_is_not_sent_again(
    session: Session, sandbox: Sandbox, repeatable: bool, again: bool
) -> None:
    """A batch that is submitted under a proxy's 502 may have begun; an embedding harms nobody."""
    sandbox.scenario = "html_error"
    session.choose(fault_seconds=1)
    sandbox.requests.clear()
    with pytest.raises(AlcfError, match="502"):
        session._connection.post("sophia/vllm/v1/batches", {}, repeatable=repeatable)
    posts = [r for r in sandbox.requests if r.path.endswith("/batches")]
    assert (len(posts) > 1) is again
    assert posts
