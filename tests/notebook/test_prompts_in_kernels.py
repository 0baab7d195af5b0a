"""Prompts and the table of models, as a person types them in a real kernel."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.people import log_in, tokens
from support.sandboxes import as_it_was

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Sandbox]]:
    """A kernel that is logged in, and its sandbox, for all tests that leave them as they were."""
    home = tmp_path_factory.mktemp("home")
    with Sandbox(pace=0.005) as sandbox, Kernel(env=sandbox.environment, home=home) as kernel:
        # One login has to do for more prompts than a person types in a second.
        sandbox.requests_per_second = 1000
        log_in(kernel, sandbox)
        yield kernel, sandbox


@pytest.fixture
def sandbox(shared: tuple[Kernel, Sandbox]) -> Iterator[Sandbox]:
    with as_it_was(shared[1]) as sandbox:
        yield sandbox


@pytest.fixture
def ready(shared: tuple[Kernel, Sandbox], sandbox: Sandbox) -> Iterator[Kernel]:
    """A kernel that is logged in, with no variable, setting or history of an earlier test."""
    kernel, _ = shared
    kernel.run("%reset -f")
    kernel.run("%reload_ext alcf_magics")
    yield kernel
    if log := kernel.log.strip():
        print(f"The kernel wrote:\n{log[-3000:]}")


@pytest.fixture
def own(kernel: Kernel, sandbox: Sandbox) -> Kernel:
    """A kernel that is logged in, for a test that changes it for good."""
    log_in(kernel, sandbox)
    return kernel


def chats(sandbox: Sandbox) -> list[dict[str, object]]:
    """The bodies of the chat requests that arrived."""
    return [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]


def more_chats_than(sandbox: Sandbox, count: int, messages: object) -> bool:
    return len(chats(sandbox)) > count


def test_an_answer_streams_and_becomes_the_one_output(ready: Kernel, sandbox: Sandbox) -> None:
    """The answer is drawn while it comes; in the end the cell holds exactly its result."""
    sandbox.pace, sandbox.burst = 0.05, 4
    cell = ready.run("%%alcf -m gpt-oss-120b --out answer\nExplain MPI.")
    (output,) = cell.outputs
    assert output["output_type"] == "execute_result"
    assert set(output["data"]) == {"text/plain", "text/html"}
    assert "No model was asked" in output["data"]["text/plain"]
    assert "<h2>" in output["data"]["text/html"]
    drawn = [m for m in cell.messages if m.type in ("display_data", "update_display_data")]
    assert len(drawn) >= 3
    assert ready.value("answer.text == repr(answer) == str(answer)") == "True"
    assert ready.value("type(answer).__name__, answer.model, answer.cluster") == (
        "('Completion', 'gpt-oss-120b', 'metis')"
    )
    assert ready.value("answer.finish_reason, answer.usage.completion_tokens > 20") == (
        "('stop', True)"
    )
    assert ready.value("0 < answer.first_token_seconds < answer.seconds < 10") == "True"


def test_the_cell_is_sent_as_it_was_typed(ready: Kernel, sandbox: Sandbox) -> None:
    """Braces, dollars, backslashes, quotes and magic characters arrive unchanged."""
    prompt = "{'a': 1} {x} $x$ \\frac{a}{b}\n%time\n!ls\n  indented \"quotes\" it's"
    ready.run("x = 5\nnames = 1")
    assert ready.run(f"%%alcf\n{prompt}").status == "ok"
    assert chats(sandbox)[-1]["messages"] == [{"role": "user", "content": prompt}]
    ready.run("%alcf what is {x} in $x^2$")
    assert chats(sandbox)[-1]["messages"] == [{"role": "user", "content": "what is {x} in $x^2$"}]


def test_a_prompt_may_end_in_a_question_mark(ready: Kernel, sandbox: Sandbox) -> None:
    """A question is a prompt, not IPython's request for help; `%alcf?` still is one."""
    for line in (
        "%alcf what is MPI?",
        "%alcf -m gpt-oss-120b -t 0 what is MPI?",
        "x = %alcf what is MPI?",
        "if True:\n    %alcf what is MPI?",
        "%%alcf\nwhat is MPI?",
    ):
        before = len(chats(sandbox))
        assert ready.run(line).status == "ok"
        (sent,) = chats(sandbox)[before:]
        assert sent["messages"] == [{"role": "user", "content": "what is MPI?"}], line
    ready.run("%alcf what's a node?")
    assert chats(sandbox)[-1]["messages"] == [{"role": "user", "content": "what's a node?"}]
    before = len(chats(sandbox))
    quoted = 's = """\n%alcf what?\n"""\nassert "run" not in s'
    for line in ("%alcf?", "%alcf??", "len?", quoted):
        assert ready.run(line).status == "ok"
    assert len(chats(sandbox)) == before


def test_options_reach_the_wire_and_nothing_else_does(ready: Kernel, sandbox: Sandbox) -> None:
    """Each option stands under its own name; what was not set is not sent."""
    ready.run("m = 'gpt-oss-120b'")
    ready.run(
        "%%alcf -m $m --cluster sophia -s 'Be brief.' -t 0.5 --max-tokens 9 --effort high\nhi"
    )
    assert chats(sandbox)[-1] == {
        "model": "openai/gpt-oss-120b",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "max_tokens": 9,
        "reasoning_effort": "high",
    }
    ready.run("%%alcf\nhi")
    assert set(chats(sandbox)[-1]) == {"model", "messages", "stream", "stream_options"}


def test_a_strict_gateway_takes_every_option(ready: Kernel, sandbox: Sandbox) -> None:
    """What we send passes the validator that refuses every unknown field."""
    sandbox.validation = "strict"
    cell = ready.run("%%alcf -s x -t 1 --max-tokens 99 --effort low\nhi")
    assert cell.status == "ok"


def test_the_configured_model_is_the_default(own: Kernel, sandbox: Sandbox) -> None:
    """%config sets the model of prompts without -m, at once."""
    own.run("%config AlcfMagics.model = 'minerva:gemma-4-31b-it'")
    own.run("%alcf hello")
    assert chats(sandbox)[-1]["model"] == "google/gemma-4-31B-it"
    own.run("%config AlcfMagics.model = 'gpt-oss-120b'")
    own.run("%alcf hello")
    assert chats(sandbox)[-1]["model"] == "gpt-oss-120b"


@pytest.mark.parametrize(
    ("cell", "ename", "said"),
    [
        ("%%alcf\n", "UsageError", "empty"),
        ("%%alcf -m gpt-oss-120b\n \n ", "UsageError", "empty"),
        ("%%alcf --temperatur 1\nhi", "UsageError", "--temperatur"),
        ("%%alcf -t 7\nhi", "UsageError", "--temperature"),
        ("%%alcf --out 1x\nhi", "UsageError", "--out"),
        ("%%alcf --out class\nhi", "UsageError", "--out"),
        ("%%alcf -m lama-3\nhi", "ModelNotFound", "Llama"),
        ("%%alcf --cluster mars\nhi", "ModelNotFound", "mars"),
        ("%alcf_models --cluster mars", "ModelNotFound", "mars"),
        ("%alcf_models --liv", "UsageError", "--liv"),
        ("%%alcf -m DeepSeek-R1\nhi", "ModelNotReady", "offline; nothing was sent"),
    ],
)
def test_bad_input_is_one_line(
    ready: Kernel, sandbox: Sandbox, cell: str, ename: str, said: str
) -> None:
    """What cannot work fails the cell with one line that says what to type."""
    done = ready.run(cell)
    assert (done.status, done.ename) == ("error", ename)
    line = (done.error_text or done.text).strip()
    assert said in line
    assert len(line.splitlines()) == 1


def test_an_interrupt_keeps_the_text_and_closes_the_request(
    ready: Kernel, sandbox: Sandbox
) -> None:
    """Interrupted in the middle: the server sees the close, the text so far stays, --out has it."""
    sandbox.pace, sandbox.burst = 0.1, 2
    run = ready.start_cell("%%alcf --out part\nhello")
    run.wait_for(lambda messages: "sandbox" in run.text, 10)
    asked_at = time.monotonic()
    ready.interrupt()
    cell = run.wait(10)
    assert cell.ename == "KeyboardInterrupt"
    assert "interrupted" in cell.outputs[0]["data"]["text/html"]
    deadline = time.monotonic() + 5
    while not sandbox.disconnects and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sandbox.disconnects[0] - asked_at < 2
    assert "sandbox" in ready.value("part.text")
    assert ready.value("part.finish_reason") == "None"
    assert cell.outputs[0]["data"]["text/plain"].startswith(eval(ready.value("part.text")))
    assert ready.value("__import__('sys').last_value.completion is part") == "True"
    sandbox.pace, sandbox.burst = 0.005, 20
    assert ready.run("%alcf hello").status == "ok"


def test_an_interrupt_while_drawing_loses_nothing(own: Kernel, sandbox: Sandbox) -> None:
    """An interrupt that arrives in the middle of a draw keeps the answer all the same."""
    own.run(
        "import alcf_magics.notebook.live as r\n"
        "def draw(self, answer):\n"
        "    if answer.content.length > 20: raise KeyboardInterrupt\n"
        "r.Live.draw = draw"
    )
    cell = own.run("%%alcf --out part\nhello")
    assert cell.ename == "KeyboardInterrupt"
    assert "sandbox" in own.value("part.text")
    assert "interrupted" in cell.html


def test_a_cell_magic_called_in_code_wipes_nothing(ready: Kernel, sandbox: Sandbox) -> None:
    """Called as a function among other code, it leaves what was printed before."""
    cell = ready.run("print('before')\nx = get_ipython().run_cell_magic('alcf', '', 'hello')")
    assert cell.text.startswith("before")
    assert "No model was asked" in cell.html


def test_an_interrupt_while_waiting_for_the_first_token(ready: Kernel, sandbox: Sandbox) -> None:
    """A silent request is closed as well, and the waiting line goes away."""
    ready.run("%alcf hello")
    sandbox.scenario = "slow"
    run = ready.start_cell("%%alcf\nhello")
    run.wait_for(lambda messages: "waiting for the first token" in run.text, 10)
    ready.interrupt()
    cell = run.wait(10)
    assert cell.ename == "KeyboardInterrupt"
    deadline = time.monotonic() + 5
    while not sandbox.disconnects and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sandbox.disconnects


def test_run_all_goes_in_order(kernel: Kernel, sandbox: Sandbox) -> None:
    """All cells sent at once: a login with a prompt holds the rest, answers stay in their cells."""
    log_in(kernel, sandbox)
    cells = kernel.run_all(
        ["%alcf_models", "%%alcf --out a\none", "%%alcf --out b\ntwo", "print(len(a.text) > 0)"]
    )
    assert [cell.status for cell in cells] == ["ok"] * 4
    assert "`one`" in cells[1].text
    assert "`two`" in cells[2].text
    assert "True" in cells[3].text
    assert [len(cell.outputs) for cell in cells] == [1, 1, 1, 1]


def test_run_all_without_a_login_stops_at_the_first_prompt(kernel: Kernel) -> None:
    """Cells run before the login is done fail at once."""
    cells = kernel.run_all(["%load_ext alcf_magics", "%alcf_login", "%alcf hello", "print('on')"])
    assert [cell.status for cell in cells] == ["ok", "ok", "error", "aborted"]
    assert cells[2].ename == "NotLoggedIn"


def test_a_line_among_other_code_shows_its_answer_once(ready: Kernel, sandbox: Sandbox) -> None:
    """In a cell with other output nothing is wiped, and the answer is not shown twice."""
    cell = ready.run("print('before')\n%alcf hello")
    assert cell.text.startswith("before")
    assert cell.html.count("No model was asked") == 1
    assert cell.result is None
    assigned = ready.run("x = %alcf hello")
    assert assigned.html.count("No model was asked") == 1
    assert ready.run("x").html.count("No model was asked") == 1


def test_the_table_of_models(ready: Kernel) -> None:
    """A table in HTML and text, live first, iterable, with pandas where it is."""
    cell = ready.run("%alcf_models")
    assert "<table" in cell.html
    lines = cell.text.splitlines()
    # A line that begins with spaces is the rest of a row.
    states = [line.split()[2].rstrip(",") for line in lines[1:] if not line.startswith(" ")]
    assert states == sorted(states, key=["live", "starting", "queued", "offline"].index)
    assert "queued, estimated" in cell.text
    assert ready.run("t = %alcf_models gpt --live").status == "ok"
    assert ready.value("{m.name for m in t}") in (
        "{'gpt-oss-120b', 'openai/gpt-oss-120b'}",
        "{'openai/gpt-oss-120b', 'gpt-oss-120b'}",
    )
    assert ready.value("list(t.to_pandas()['status'])") == "['live', 'live']"
    assert "no model matches" in ready.run("%alcf_models zzz").html


def test_help_is_there_in_both_ways(ready: Kernel) -> None:
    """--help prints the options and sends nothing; `?` shows the docstring."""
    assert "--effort" in ready.run("%%alcf --help\nx").text
    assert "--cluster" in ready.run("%alcf_models --help").text
    assert "--sandbox" in ready.run("%alcf_login -h").text
    assert ready.run("%alcf_logout --help").status == "ok"


def test_unload_leaves_nothing_and_reload_works(own: Kernel, sandbox: Sandbox) -> None:
    """No magic, no setting, no thread and no formatter of ours stays; loading again works."""
    before = "[t.name for t in __import__('threading').enumerate()]"
    own.run("%alcf hello")
    own.run("%unload_ext alcf_magics")
    assert "anyio" not in own.value(before)
    assert "Portal" not in own.value(before)
    left = own.value(
        "[n for k in get_ipython().magics_manager.magics.values() for n in k if 'alcf' in n]"
    )
    assert left == "[]"
    assert (
        own.value(
            "[type(c).__name__ for c in get_ipython().configurables if 'Alcf' in type(c).__name__]"
        )
        == "[]"
    )
    assert "Alcf" not in own.value("str(get_ipython().magics_manager.registry)")
    shell = "get_ipython()"
    for held in (
        "input_transformer_manager.token_transformers",
        "display_formatter.formatters['text/html'].type_printers",
        "display_formatter.ipython_display_formatter.type_printers",
        "configurables",
    ):
        assert "alcf" not in own.value(f"str({shell}.{held})").lower()

    for _ in range(2):
        own.run("%reload_ext alcf_magics")
        assert own.run("%alcf hello").status == "ok"
    threads = int(own.value("__import__('threading').active_count()"))
    own.run("%reload_ext alcf_magics\n%alcf hello")
    assert int(own.value("__import__('threading').active_count()")) == threads


@pytest.mark.parametrize(
    ("scenario", "ename", "said"),
    [
        ("cold_model", "ModelNotReady", "live elsewhere: -m metis:gpt-oss-120b"),
        ("maintenance", "Maintenance", "maintenance"),
        ("rate_limited", "RateLimited", "again in"),
        ("cut_mid_stream", "StreamBroken", "broke"),
        ("silent_truncation", "StreamBroken", "cut off"),
        ("error_in_stream", "StreamBroken", "broke off"),
        ("html_error", "GatewayError", "502"),
        ("tokens_per_minute", "RateLimited", "minute"),
    ],
)
def test_each_scenario_has_its_error(
    ready: Kernel, sandbox: Sandbox, scenario: str, ename: str, said: str
) -> None:
    """Every named failure reaches the cell as its own error, in one line with a next step."""
    ready.run("%alcf_models\n%config AlcfMagics.fault_seconds = 1")
    ready.run("%config AlcfMagics.tokens_seconds = 1")
    sandbox.scenario = scenario
    cell = ready.run("%%alcf -m sophia:gpt-oss-120b --no-wait --out part\nhello")
    assert cell.ename == ename
    assert said in cell.error_text
    assert len(cell.error_text.strip().splitlines()) == 1
    if scenario in ("cut_mid_stream", "silent_truncation", "error_in_stream"):
        assert len(ready.value("part.text")) > 10
        assert "sandbox" in cell.html
    else:
        assert [o["output_type"] for o in cell.outputs] == ["error"]


def test_a_cold_model_loads_while_the_cell_waits(ready: Kernel, sandbox: Sandbox) -> None:
    """cold_start: one token that can wait, then the prompt; the line about it says how long."""
    sandbox.scenario, sandbox.load_seconds = "cold_start", 2
    ready.run("%reload_ext alcf_magics")
    cell = ready.run("%%alcf -m sophia:openai/gpt-oss-120b\nhello")
    assert cell.status == "ok"
    assert "was loaded in" in cell.html
    sent = [r for r in sandbox.requests if r.path.endswith("/chat/completions")]
    assert [bool(r.body.get("stream")) for r in sent[-2:]] == [False, True]


def test_an_expired_token_is_not_seen(home: Path) -> None:
    """A token refused at once is refreshed behind the scenes."""
    with Sandbox("expired_token") as sandbox, Kernel(env=sandbox.environment, home=home) as kernel:
        log_in(kernel, sandbox)
        assert kernel.run("%alcf hello").status == "ok"
        assert sandbox.token_requests("refresh_token") == 1


def test_nothing_depends_on_the_names_of_clusters(home: Path) -> None:
    """Other clusters with other frameworks: table, routing and prompts work the same."""
    clusters = {"alpha": "one", "beta": "two", "gamma": "three"}
    with (
        Sandbox(clusters=clusters, validation="strict", pace=0.005) as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(kernel, sandbox)
        assert "alpha" in kernel.run("%alcf_models --live").text
        assert kernel.run("%%alcf -m beta:gpt-oss-120b --effort low\nhi").status == "ok"
        paths = [r.path for r in sandbox.requests if r.path.endswith("/chat/completions")]
        assert paths == ["/resource_server/beta/two/v1/chat/completions"]


@pytest.fixture(params=["nest_asyncio", "ipykernel 6", "ipykernel 6 and nest_asyncio"])
def other_kernel(request: pytest.FixtureRequest, sandbox: Sandbox, home: Path) -> Iterator[Kernel]:
    """A kernel as people have them: nest_asyncio applied by hand, an older ipykernel."""
    path = []
    if "ipykernel 6" in request.param:
        path = [request.getfixturevalue("older_kernel_path")]
    with Kernel(
        env=sandbox.environment, home=home, python=sys.executable, pythonpath=path
    ) as kernel:
        if "nest_asyncio" in request.param:
            assert kernel.run("import nest_asyncio; nest_asyncio.apply()").status == "ok"
        version = kernel.value("__import__('ipykernel').version_info[0]")
        assert version == ("6" if path else "7")
        yield kernel


def test_the_main_job_in_other_kernels(other_kernel: Kernel, sandbox: Sandbox) -> None:
    """Login, prompt, interrupt and the cell after it work the same in all of them."""
    log_in(other_kernel, sandbox)
    cell = other_kernel.run("%%alcf\nhello")
    assert [o["output_type"] for o in cell.outputs] == ["execute_result"]
    sandbox.pace, sandbox.burst = 0.1, 2
    run = other_kernel.start_cell("%%alcf --out part\nhello")
    run.wait_for(lambda messages: "sandbox" in run.text, 10)
    other_kernel.interrupt()
    assert run.wait(10).ename == "KeyboardInterrupt"
    deadline = time.monotonic() + 5
    while not sandbox.disconnects and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sandbox.disconnects
    sandbox.pace, sandbox.burst = 0.005, 20
    after = other_kernel.run_all(["print('next')", "%%alcf\nhello"])
    assert after[0].text.strip() == "next"
    assert after[1].status == "ok"


@pytest.mark.real_model
def test_a_real_model_answers(home: Path, model_url: str) -> None:
    """A real small language model behind the sandbox: tokens stream, are counted, and stop."""
    with (
        Sandbox(upstream=model_url) as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(kernel, sandbox)
        cell = kernel.run(
            "%%alcf -m smollm2-135m-instruct -t 0 --max-tokens 60 --out a\n"
            "What is the capital of France?",
            timeout=60,
        )
        assert cell.status == "ok"
        # What the model's own server says to the same request, asked without any of our code.
        asked = {
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "temperature": 0,
            "max_tokens": 60,
        }
        alone = httpx.post(f"{model_url}/chat/completions", json=asked, timeout=60).json()
        assert eval(kernel.value("a.text")) == alone["choices"][0]["message"]["content"]
        drawn = [m for m in cell.messages if m.type == "update_display_data"]
        assert len(drawn) >= 2
        assert kernel.value("a.finish_reason in ('stop', 'length')") == "True"
        assert kernel.value("0 < a.usage.completion_tokens <= 60") == "True"
        too_long = kernel.run("%%alcf -m gpt-oss-120b\n" + "word " * 4000, timeout=60)
        assert too_long.ename == "RequestRefused"
        assert "too long" in too_long.error_text


LONG = [
    piece
    for number in range(60)
    for piece in (
        f"## Part {number}\n\n",
        *(f"Sentence {n} of part {number}, with *emphasis* and $x_{n}$. " for n in range(6)),
        "\n\n- one\n- two\n\n```python\nprint(1)\n```\n\n",
    )
]


@pytest.mark.clock
def test_a_long_answer_grows_in_pieces_and_ends_as_one(ready: Kernel, sandbox: Sandbox) -> None:
    """Finished parts are sent once; only the last output is redrawn; in the end there is one."""
    sandbox.answer, sandbox.pace, sandbox.burst = LONG, 0.03, 10
    run = ready.start_cell("%%alcf --out long\nhello")
    most: list[int] = [0]

    def watch(messages: object) -> bool:
        most[0] = max(most[0], len(run.outputs))
        return run.done

    run.wait_for(watch, 60)
    cell = run.wait(60)
    assert 4 < most[0] < 50
    (output,) = cell.outputs
    assert eval(ready.value("long.text")) == "".join(LONG)
    # Each committed output was sent once more after it stopped being the last one, at most.
    drawn = [m for m in cell.messages if m.type in ("display_data", "update_display_data")]
    sent = sum(len(m.content["data"].get("text/html", "")) for m in drawn)
    assert sent < 12 * len("".join(LONG))
    from alcf_magics.markdown.parsing import to_html

    assert to_html("".join(LONG)) in output["data"]["text/html"]
    assert output["metadata"]["alcf_magics"]["finish_reason"] == "stop"


def test_reasoning_that_is_opened_while_it_comes_stays_open(
    ready: Kernel, sandbox: Sandbox
) -> None:
    """The page's word for it arrives while the kernel is busy with the cell, and counts."""
    sandbox.reasoning, sandbox.answer = ["First ", "think. "] * 10, ["The ", "answer. "] * 10
    sandbox.pace, sandbox.burst = 0.05, 2
    run = ready.start_cell("%%alcf\nhello", answer="")
    run.wait_for(lambda messages: "think" in str(ready.widgets), 10)
    ready.set_widget(ready.find_widget("AccordionModel"), selected_index=0)
    cell = run.wait(20)
    (output,) = cell.outputs
    assert "<details open><summary>Reasoning</summary>" in output["data"]["text/html"]
    ready.settle()
    assert ready.run("1 + 1").text == "2"


def test_reasoning_is_folded_and_apart(ready: Kernel, sandbox: Sandbox) -> None:
    """Live in a block of its own, then folded in front of the answer, and never in its text."""
    sandbox.reasoning, sandbox.answer = ["First ", "think. "] * 20, ["The ", "answer. "] * 30
    sandbox.pace, sandbox.burst = 0.05, 4
    run = ready.start_cell("%%alcf --out a\nhello", answer="")
    run.wait_for(lambda messages: "think" in str(ready.widgets), 10)
    assert "Accordion" in str(ready.widgets)
    # It stands above the answer, where it will stand in the end, and nothing else is there.
    run.wait_for(lambda messages: "The answer." in run.text, 10)
    fold, answer = run.outputs
    assert "application/vnd.jupyter.widget-view+json" in fold["data"]
    assert "Accordion" not in fold["data"]["text/plain"]
    assert "The answer." in answer["data"]["text/html"]
    cell = run.wait(20)
    (output,) = cell.outputs
    assert "<details><summary>Reasoning</summary>" in output["data"]["text/html"]
    assert output["data"]["text/plain"] == "The answer. " * 30
    assert "think" in ready.value("a.reasoning")
    ready.settle()
    assert not any("Accordion" in str(s.get("_model_name")) for s in ready.widgets.values())
    headless = ready.run("%%alcf\nhello")
    assert "<details>" in headless.html
    # In a cell with other code nothing makes room, and a closed widget would stay behind.
    for typed in ("", None):
        (beside,) = ready.start_cell("b = %alcf hello", answer=typed).wait(20).outputs
        assert beside["data"]["text/html"].count("<details>") == 1


def test_each_format_has_its_value(ready: Kernel, sandbox: Sandbox) -> None:
    """--format decides what is shown and what `.parsed` is; code goes into the next cell."""
    sandbox.answer = 'See:\n\n```json\n{"a": 1}\n```\n'
    shown = ready.run("%%alcf --format json --out a\nx")
    assert "alcf-code" in shown.html
    assert ready.value("a.parsed") == "{'a': 1}"
    assert "<pre" in ready.run("%%alcf --format text\nx").html
    sandbox.answer = "Do:\n\n```python\nprint(1)\n```\n\nthen\n\n```python\nprint(2)\n```\n"
    code = ready.run("%%alcf --format code --next-cell --out a\nx")
    (payload,) = code.payload
    assert payload["source"] == "set_next_input"
    assert payload["text"] == "print(1)\n\nprint(2)"
    assert ready.run("%%alcf --next-cell\nx").ename == "UsageError"
    sandbox.answer = "words"
    wrong = ready.run("%%alcf --format json --out kept\nx")
    assert wrong.ename == "AnswerInvalid"
    assert "words" in wrong.html
    assert ready.value("kept.text") == "'words'"


def test_the_history_shows_as_a_table(ready: Kernel, sandbox: Sandbox) -> None:
    """session().history lists each prompt, and the tokens by model."""
    ready.run("%alcf hello")
    ready.run("%%alcf -m gpt-oss-120b\nhello")
    cell = ready.run("import alcf_magics; alcf_magics.session().history")
    assert cell.html.count("<tr>") == 3
    assert "tokens in" in cell.text


def test_a_comment_above_changes_nothing(ready: Kernel) -> None:
    """A cell of one prompt and comments holds exactly its result."""
    cell = ready.run("# what I want to know\n\n%alcf hello")
    assert [o["output_type"] for o in cell.outputs] == ["execute_result"]


def test_what_there_is_to_tell_stands_in_the_one_output(own: Kernel, home: Path) -> None:
    """A token file that was open to others is told below the answer, not in a second output."""
    tokens(home).chmod(0o644)
    own.run("%reload_ext alcf_magics")
    cell = own.run("%alcf hello")
    (output,) = cell.outputs
    assert "was open to others" in output["data"]["text/html"]
    assert "was open" not in output["data"]["text/plain"]
    assert "was open" not in own.run("%alcf hello").html


def test_a_setting_of_the_wrong_kind_keeps_nothing_away(own: Kernel) -> None:
    """A list where a text belongs is told, and the magics are there after a reload."""
    own.run("%config AlcfMagics.session_domains = ['anl.gov']")
    told = own.run("%reload_ext alcf_magics")
    assert told.status == "ok"
    assert "session_domains" in told.text
    assert own.run("%alcf_login").status == "ok"


def test_an_interrupt_is_one_line(ready: Kernel, sandbox: Sandbox) -> None:
    """No traceback of our insides; it says what became of the answer."""
    sandbox.pace, sandbox.burst = 0.1, 2
    for code in ("%%alcf\nhello", "import alcf_magics; alcf_magics.session().ask('hello')"):
        asked = len(chats(sandbox))
        run = ready.start_cell(code)
        run.wait_for(partial(more_chats_than, sandbox, asked), 10)
        time.sleep(0.5)
        ready.interrupt()
        cell = run.wait(10)
        assert (cell.status, cell.ename) == ("error", "KeyboardInterrupt")
        assert (
            cell.error_text == "KeyboardInterrupt: The prompt was interrupted; what came is kept."
        )
    # Where it came from stands below what came.
    assert "· sophia ·" in ready.cells[-2].html


def test_no_code_puts_nothing_into_the_next_cell(ready: Kernel, sandbox: Sandbox) -> None:
    """An answer without code stays readable, and no empty cell is made."""
    sandbox.answer = "I cannot write that, sorry."
    cell = ready.run("%%alcf --format code --next-cell\nx")
    assert cell.payload == []
    assert "sorry" in cell.html


def test_help_is_what_the_question_mark_shows(ready: Kernel) -> None:
    """`%alcf?` explains the options, as `%alcf --help` does."""
    shown = ready.run("%alcf?")
    assert "--max-tokens" in str(shown.payload)
