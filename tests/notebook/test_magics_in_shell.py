"""The magics, typed into a shell in this process: what each takes, shows, binds and sends."""

from __future__ import annotations

from typing import Any

import pytest

from alcf_magics.sandbox import Sandbox
from alcf_magics.told import Told
from support.shell import Shell

MODEL = "-m gpt-oss-120b"
OTHER = "Llama-4-Maverick-17B-128E-Instruct"


def chats(sandbox: Sandbox) -> list[Any]:
    """The bodies of the chat requests that arrived."""
    return [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]


def asked(sandbox: Sandbox) -> str:
    """The last prompt that arrived."""
    return str(chats(sandbox)[-1]["messages"][-1]["content"])


# A prompt


def test_a_cell_has_its_answer_as_its_one_output(shell: Shell) -> None:
    """The value is the completion; the output is its page, and its record stands in metadata."""
    cell = shell.run(f"%%alcf {MODEL}\nExplain MPI.")
    (output,) = cell.outputs
    assert output["output_type"] == "execute_result"
    assert "<h2>A sandbox answered</h2>" in output["data"]["text/html"]
    assert output["data"]["text/plain"] == cell.value.text
    assert output["metadata"]["alcf_magics"]["model"] == "gpt-oss-120b"
    assert (cell.value.model, cell.value.cluster) == ("gpt-oss-120b", "metis")


def test_a_line_and_a_cell_ask_the_same(shell: Shell, in_sandbox: Sandbox) -> None:
    """The rest of a `%alcf` line is the prompt; what stands behind `%%alcf` is its first line."""
    shell.run(f"%alcf {MODEL} what is MPI")
    assert asked(in_sandbox) == "what is MPI"
    shell.run(f"%%alcf {MODEL} First\nsecond\n")
    assert asked(in_sandbox) == "First\nsecond"


@pytest.mark.parametrize(
    "prompt",
    ["{'a': 1} {x} $x$", "\\frac{a}{b}", "%time\n!ls", '  indented "quotes"', "it's -t 1 --help"],
)
def test_what_is_typed_is_sent(shell: Shell, in_sandbox: Sandbox, prompt: str) -> None:
    """Nothing in a prompt is expanded, unquoted or taken for an option, even where x is bound."""
    shell.run("x = 5")
    assert shell.run(f"%%alcf {MODEL}\n{prompt}").status == "ok"
    assert asked(in_sandbox) == prompt


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ("-t 0.5", {"temperature": 0.5}),
        ("--temperature=2", {"temperature": 2.0}),
        ("--max-tokens 9", {"max_tokens": 9}),
        ("--effort low", {"reasoning_effort": "low"}),
        ("", {}),
    ],
)
def test_an_option_stands_under_its_own_name_on_the_wire(
    shell: Shell, in_sandbox: Sandbox, option: str, sent: dict[str, object]
) -> None:
    """What is set is sent, and nothing else is."""
    assert shell.run(f"%%alcf {MODEL} {option}\nhi").status == "ok"
    body = chats(in_sandbox)[-1]
    assert set(body) == {"model", "messages", "stream", "stream_options", *sent}
    assert body.items() >= sent.items()


def test_a_system_prompt_stands_first(shell: Shell, in_sandbox: Sandbox) -> None:
    """-s is a message of its own, before the prompt, with the variables that it names."""
    shell.run("role = 'poet'")
    shell.run(f"%%alcf {MODEL} -s 'You are a {{role}} for $5.'\nhi")
    assert chats(in_sandbox)[-1]["messages"] == [
        {"role": "system", "content": "You are a poet for $5."},
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ("-m $wanted", "metis/api"),
        ("-m {wanted}", "metis/api"),
        ("-m {wanted.upper()}", "metis/api"),
        ("-m sophia:gpt-oss-120b", "sophia/vllm"),
        ("-m gpt-oss-120b --cluster sophia", "sophia/vllm"),
    ],
)
def test_a_model_is_found_by_any_of_its_names(
    shell: Shell, in_sandbox: Sandbox, options: str, path: str
) -> None:
    """A variable, another case, a cluster in front or beside lead to the place that is meant."""
    shell.run("wanted = 'gpt-oss-120b'")
    assert shell.run(f"%%alcf {options}\nhi").status == "ok"
    assert f"/{path}/" in in_sandbox.requests[-1].path


def test_the_configured_model_is_asked_without_a_name(shell: Shell, in_sandbox: Sandbox) -> None:
    """%config counts at once, and shows what is in force."""
    shell.run("%config AlcfMagics.model = 'minerva:gemma-4-31b-it'")
    shell.run("%alcf hello")
    assert chats(in_sandbox)[-1]["model"] == "google/gemma-4-31B-it"
    assert in_sandbox.gateway_url in shell.run("%config AlcfMagics.gateway_url").said


def test_settings_come_from_the_environment(
    shell: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALCF_MODEL is the model of a prompt without -m, and what %config shows."""
    monkeypatch.setenv("ALCF_MODEL", "gpt-oss-120b")
    shown = shell.run("%config AlcfMagics").said
    assert "AlcfMagics(Magics) options" in shown
    shell.run("%alcf hello")
    assert chats(in_sandbox)[-1]["model"] == "gpt-oss-120b"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%alcf\n", "the cell body is empty"),
        ("%%alcf -m gpt-oss-120b\n \n ", "The prompt is empty"),
        ("%alcf", "The prompt is empty"),
        ("%alcf -m gpt-oss-120b", "The prompt is empty"),
        ("%%alcf --temperatur 1\nhi", "unknown option --temperatur"),
        ("%%alcf -t 7\nhi", "a number from 0 to 2"),
        ("%%alcf -t warm\nhi", "a number from 0 to 2"),
        ("%%alcf --max-tokens 0\nhi", "a whole number, 1 or more"),
        ("%%alcf --max-tokens many\nhi", "a whole number, 1 or more"),
        ("%%alcf --effort huge\nhi", "one of low, medium, high"),
        ("%%alcf --format yaml\nhi", "'markdown', 'text', 'json', 'code'"),
        ("%%alcf --out 1x\nhi", "not a name for a variable"),
        ("%%alcf --out class\nhi", "not a name for a variable"),
        ("%%alcf --out print\nhi", "that is Python's own print"),
        ("%%alcf --next-cell\nhi", "--next-cell goes with --format code"),
        ("%%alcf -m\nhi", "expected one argument"),
        ("%%alcf -m -t 1\nhi", "expected one argument, not -t"),
        ("%%alcf -s 'open\nhi", "the quote is not closed"),
        ("%%alcf -m $nobody\nhi", "no variable 'nobody'"),
        ("%alcf_models --liv", "unknown option --liv"),
        ("%alcf_models one two", "unexpected second 'two'"),
        ("%alcf_login --fast", "unknown option --fast"),
        ("%alcf_login ONE TWO", "unexpected second word"),
        ("%alcf_login --status --prompt", "--status and --prompt do not go together"),
        ("%alcf_login --sandbox CODE", "--sandbox and CODE do not go together"),
        ("%alcf_login --sandbox --replace", "--sandbox and --replace do not go together"),
        ("%alcf_logout now", "%alcf_logout takes no argument"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    shell: Shell, in_sandbox: Sandbox, cell: str, said: str
) -> None:
    """A wrong line fails its cell with one sentence, and nothing is asked for."""
    before = len(in_sandbox.requests)
    done = shell.run(cell)
    assert done.ename == "UsageError"
    assert said in done.said
    assert len(done.said.strip().splitlines()) == 1
    assert len(in_sandbox.requests) == before


@pytest.mark.parametrize(
    ("cell", "error", "said"),
    [
        ("%%alcf -m lama-3\nhi", "ModelNotFound", "Llama"),
        ("%%alcf --cluster mars\nhi", "ModelNotFound", "mars"),
        ("%alcf_models --cluster mars", "ModelNotFound", "mars"),
        ("%%alcf -m DeepSeek-R1\nhi", "ModelNotReady", "offline; nothing was sent"),
    ],
)
def test_what_is_not_there_is_one_line_with_a_next_step(
    shell: Shell, cell: str, error: str, said: str
) -> None:
    """Names are looked up before anything is sent to a model."""
    done = shell.run(cell)
    assert done.ename == error
    assert said in done.error_text
    assert len(done.error_text.splitlines()) == 1


@pytest.mark.parametrize(
    ("magic", "option"),
    [
        ("alcf", "--effort"),
        ("alcf_models", "--cluster"),
        ("alcf_login", "--sandbox"),
        ("alcf_logout", "--all"),
    ],
)
def test_help_is_printed_and_nothing_is_done(
    shell: Shell, in_sandbox: Sandbox, magic: str, option: str
) -> None:
    """--help, -h and `?` show the same options."""
    before = len(in_sandbox.requests)
    for line in (f"%{magic} --help", f"%{magic} -h"):
        shown = shell.run(line)
        assert shown.value is None
        assert option in shown.text
    asked_for = shell.run(f"%{magic}?")
    assert option in asked_for.said + str(asked_for.payload)
    assert shell.run("%%alcf --help\nx").text.startswith("%alcf [options]")
    assert len(in_sandbox.requests) == before


# Where the answer goes


def test_out_binds_the_completion(shell: Shell) -> None:
    """--out names a variable for what the cell's value is, too."""
    cell = shell.run(f"%%alcf {MODEL} --out answer\nhi")
    assert shell.names["answer"] is cell.value


def test_a_line_among_other_code_shows_its_answer_once(shell: Shell) -> None:
    """Nothing is wiped, the answer is a display, and the value is not shown again."""
    cell = shell.run(f"print('before')\n%alcf {MODEL} hello")
    assert cell.text.startswith("before")
    assert cell.html.count("No model was asked") == 1
    assert cell.result is None


def test_an_assigned_answer_is_a_value_like_any_other(shell: Shell) -> None:
    """`x = %alcf …` shows the answer once; x on its own line shows it as often as it is asked."""
    assigned = shell.run(f"x = %alcf {MODEL} hello")
    assert assigned.html.count("No model was asked") == 1
    for _ in range(2):
        assert shell.run("x").html.count("No model was asked") == 1


def test_a_call_in_code_wipes_nothing(shell: Shell) -> None:
    """run_cell_magic among other code leaves what was printed."""
    cell = shell.run(
        f"print('before')\nx = get_ipython().run_cell_magic('alcf', '{MODEL}', 'hello')"
    )
    assert cell.text.startswith("before")
    assert "No model was asked" in cell.html


def test_a_comment_above_changes_nothing(shell: Shell) -> None:
    """A cell of one prompt and comments holds exactly its result."""
    cell = shell.run(f"# what I want to know\n\n%alcf {MODEL} hello")
    assert [output["output_type"] for output in cell.outputs] == ["execute_result"]


CODE = "Do:\n\n```python\nprint(1)\n```\n\nthen\n\n```python\nprint(2)\n```\n"


@pytest.mark.parametrize(
    ("format", "text", "parsed", "page"),
    [
        ("markdown", "some *words*", None, "<em>words</em>"),
        ("text", "some *words*", "some *words*", "some *words*</pre>"),
        ("json", 'See:\n\n```json\n{"a": 1}\n```\n', {"a": 1}, "alcf-code"),
    ],
)
def test_a_format_has_its_value_and_its_page(
    shell: Shell, in_sandbox: Sandbox, format: str, text: str, parsed: object, page: str
) -> None:
    """--format decides what is shown and what `.parsed` is."""
    in_sandbox.answer = text
    cell = shell.run(f"%%alcf {MODEL} --format {format}\nx")
    assert cell.value.parsed == parsed
    assert page in cell.html


def test_code_goes_into_the_next_cell(shell: Shell, in_sandbox: Sandbox) -> None:
    """All blocks together, and only when it is asked for; nothing runs."""
    in_sandbox.answer = CODE
    cell = shell.run(f"%%alcf {MODEL} --format code --next-cell\nx")
    (payload,) = cell.payload
    assert payload["source"] == "set_next_input"
    assert payload["text"] == "print(1)\n\nprint(2)"
    assert [block.code for block in cell.value.parsed] == ["print(1)\n", "print(2)\n"]
    assert shell.run(f"%%alcf {MODEL} --format code\nx").payload == []
    in_sandbox.answer = "I cannot write that, sorry."
    without = shell.run(f"%%alcf {MODEL} --format code --next-cell\nx")
    assert without.payload == []
    assert "sorry" in without.html


def test_an_answer_in_the_wrong_format_stays_to_be_read(shell: Shell, in_sandbox: Sandbox) -> None:
    """The cell fails, the text is on the screen, in --out and on the exception."""
    in_sandbox.answer = "words"
    cell = shell.run(f"%%alcf {MODEL} --format json --out kept\nx")
    assert cell.ename == "AnswerInvalid"
    assert "words" in cell.html
    assert shell.names["kept"].text == "words"
    assert cell.error.completion.text == "words"  # type: ignore[union-attr]


# Question marks


@pytest.mark.parametrize(
    "code",
    [
        "%alcf -m gpt-oss-120b what is MPI?",
        "x = %alcf -m gpt-oss-120b -t 0 what is MPI?",
        "if True:\n    %alcf -m gpt-oss-120b what is MPI?",
        "%%alcf -m gpt-oss-120b\nwhat is MPI?",
    ],
)
def test_a_prompt_may_end_in_a_question_mark(shell: Shell, in_sandbox: Sandbox, code: str) -> None:
    """A question is a prompt, not IPython's request for help."""
    assert shell.run(code).status == "ok"
    assert asked(in_sandbox) == "what is MPI?"


@pytest.mark.parametrize(
    "code", ["%alcf?", "%alcf??", "len?", 's = """\n%alcf what?\n"""\nassert "run" not in s']
)
def test_other_question_marks_stay_ipythons(shell: Shell, in_sandbox: Sandbox, code: str) -> None:
    """Help is help, and text is text."""
    assert shell.run(code).status == "ok"
    assert chats(in_sandbox) == []


# The table of models


def test_the_table_shows_live_models_first(shell: Shell) -> None:
    """A table in HTML and in text; the value is a catalog that can be walked through."""
    cell = shell.run("%alcf_models")
    assert "<table" in cell.html
    live = [model.live for model in cell.value]
    assert live == sorted(live, reverse=True)
    assert True in live
    assert False in live


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ("gpt", lambda m: "gpt" in m.name.lower()),
        ("GPT*", lambda m: m.name.lower().rpartition("/")[2].startswith("gpt")),
        ("--live", lambda m: m.live),
        ("--cluster minerva", lambda m: m.cluster == "minerva"),
        ("--live gpt --cluster metis", lambda m: m.live and m.cluster == "metis"),
    ],
)
def test_the_table_can_be_narrowed(shell: Shell, options: str, holds: Any) -> None:
    """A pattern, a cluster and --live each leave what they say, and something."""
    found = list(shell.run(f"%alcf_models {options}").value)
    assert found
    assert all(map(holds, found))


def test_a_table_without_rows_says_how_to_see_all(shell: Shell) -> None:
    """No match is no error."""
    assert "no model matches" in shell.run("%alcf_models zzz").html


# When something is wrong


def test_without_a_login_nothing_is_sent(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """A prompt and the table fail in one line that says what to type."""
    for cell in ("%alcf hello", "%alcf_models"):
        done = fresh_shell.run(cell)
        assert done.ename == "NotLoggedIn"
        assert done.error_text.endswith("Log in: %alcf_login")
    assert in_sandbox.requests == []


@pytest.mark.parametrize(
    ("scenario", "error", "said"),
    [
        ("cold_model", "ModelNotReady", "live elsewhere: -m metis:gpt-oss-120b"),
        ("maintenance", "Maintenance", "maintenance"),
        ("rate_limited", "RateLimited", "again in"),
        ("tokens_per_minute", "RateLimited", "minute"),
        ("html_error", "GatewayError", "502"),
    ],
)
def test_a_refusal_is_the_one_output(
    shell: Shell, in_sandbox: Sandbox, scenario: str, error: str, said: str
) -> None:
    """Nothing is left of what was shown while it was waited for."""
    shell.run("%config AlcfMagics.fault_seconds = 1\n%config AlcfMagics.tokens_seconds = 1")
    in_sandbox.scenario = scenario
    cell = shell.run("%%alcf -m sophia:gpt-oss-120b --no-wait --out kept\nhello")
    assert cell.ename == error
    assert said in cell.error_text
    assert [output["output_type"] for output in cell.outputs] == ["error"], cell.outputs
    assert "kept" not in shell.names


def test_another_model_answers_where_it_is_named(shell: Shell, in_sandbox: Sandbox) -> None:
    """`--fallback` takes over, and a line under the answer says why and who."""
    in_sandbox.scenario = "maintenance"
    cell = shell.run(f"%%alcf -m sophia:gpt-oss-120b --fallback {OTHER},metis:gpt-oss-120b\nhello")
    assert not cell.ename
    assert "A sandbox" in cell.html
    assert f"Asked {OTHER} on " in cell.html
    [prompt] = [r for r in in_sandbox.requests if r.path.endswith("/chat/completions")]
    assert prompt.body["model"] == OTHER


@pytest.mark.parametrize(
    ("fallback", "said"),
    [("nosuch", "There is no model 'nosuch'"), ("gpt-oss-120b,nosuch", "'nosuch'")],
)
def test_a_fallback_that_is_no_model_is_one_line(
    shell: Shell, in_sandbox: Sandbox, fallback: str, said: str
) -> None:
    """Before anything is sent, also where the model itself is live."""
    cell = shell.run(f"%%alcf {MODEL} --fallback {fallback}\nhello")
    assert cell.ename == "ModelNotFound"
    assert said in cell.error_text
    assert not [r for r in in_sandbox.requests if r.path.endswith("/chat/completions")]


@pytest.mark.parametrize("scenario", ["cut_mid_stream", "silent_truncation", "error_in_stream"])
def test_an_answer_that_breaks_off_stays_as_far_as_it_came(
    shell: Shell, in_sandbox: Sandbox, scenario: str
) -> None:
    """On the screen, in --out, on the exception, and in the history."""
    in_sandbox.scenario = scenario
    cell = shell.run(f"%%alcf {MODEL} --out part\nhello")
    assert cell.ename == "StreamBroken"
    assert "A sandbox" in cell.html
    part = shell.names["part"]
    assert part is cell.error.completion  # type: ignore[union-attr]
    assert part.finish_reason is None
    assert len(part.text) > 10
    shell.run("import alcf_magics; history = alcf_magics.session().history")
    assert len(shell.names["history"]) == 1


def test_the_history_shows_as_a_table(shell: Shell) -> None:
    """Each prompt is a row; below stand the tokens by model."""
    shell.run(f"%alcf {MODEL} hello")
    shell.run(f"%alcf {MODEL} again")
    cell = shell.run("import alcf_magics; alcf_magics.session().history")
    assert cell.html.count("<tr>") == 3
    assert "tokens in" in cell.html
    assert "gpt-oss-120b" in cell.text


# Loading and unloading


def test_unloading_leaves_nothing_behind(shell: Shell) -> None:
    """No magic, setting, transformer or formatter of ours stays; a second time does nothing."""
    shell.run(f"answer = %alcf {MODEL} hello")
    shell.run("%unload_ext alcf_magics")
    assert shell.run("%alcf hello").said.startswith("UsageError: Line magic function `%alcf`")
    ip = shell.ip
    held = [
        ip.magics_manager.magics,
        ip.magics_manager.registry,
        ip.configurables,
        ip.input_transformer_manager.token_transformers,
        ip.display_formatter.formatters["text/html"].type_printers,
        ip.display_formatter.mimebundle_formatter.type_printers,
        ip.display_formatter.ipython_display_formatter.type_printers,
    ]
    assert "alcf" not in str(held).lower()
    assert shell.run("%unload_ext alcf_magics").status == "ok"
    # The value itself goes on showing itself, as it does where nothing was ever loaded.
    assert "<h2>" in shell.run("answer").html


@pytest.mark.parametrize("step", ["formatters", "cells_above", "completions", "rewriting"])
def test_an_interrupt_of_reloading_leaves_nothing_half(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At whichever step it comes: no magic is there, and loading again works."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    where = {
        "formatters": "alcf_magics.notebook.formatters.Formatters.install",
        "cells_above": "alcf_magics.notebook.cells_above.CellsAbove.install",
        "completions": "alcf_magics.notebook.complete.Completions.install",
        "rewriting": "alcf_magics.notebook.rewriting.install",
    }
    with monkeypatch.context() as patched:
        patched.setattr(where[step], interrupted)
        shell.run("%reload_ext alcf_magics")
    assert "AlcfMagics" not in shell.ip.magics_manager.registry
    assert shell.ip.find_line_magic("alcf") is None
    assert shell.run("%reload_ext alcf_magics").status == "ok"
    assert shell.run("%alcf hello").status == "ok"


def test_loading_again_works(shell: Shell) -> None:
    """After %reload_ext a prompt is answered, and its question mark is still no help."""
    assert shell.run("%reload_ext alcf_magics").status == "ok"
    assert shell.run(f"%alcf {MODEL} why?").status == "ok"
    assert len([c for c in shell.ip.configurables if type(c).__name__ == "AlcfMagics"]) == 1


def test_a_setting_of_the_wrong_kind_keeps_nothing_away(shell: Shell) -> None:
    """A list where a text belongs is told, and the magics are there after a reload."""
    shell.run("%config AlcfMagics.session_domains = ['anl.gov']")
    told = shell.run("%reload_ext alcf_magics")
    assert told.status == "ok"
    assert "session_domains" in told.text
    assert shell.run("%alcf_login").status == "ok"


def test_settings_of_a_configuration_file_count(shell: Shell, in_sandbox: Sandbox) -> None:
    """What stood in c.AlcfMagics before the extension was loaded is in force."""
    shell.run("%unload_ext alcf_magics")
    shell.ip.config.AlcfMagics.model = "minerva:gemma-4-31b-it"
    shell.run("%load_ext alcf_magics")
    shell.run("%alcf hello")
    assert chats(in_sandbox)[-1]["model"] == "google/gemma-4-31B-it"


def test_what_was_told_beside_one_answer_stands_below_no_other(shell: Shell) -> None:
    """A notice waits for its own answer, and an older one that is shown again has none."""
    first = shell.run(f"%alcf {MODEL} hello").value
    second = shell.run(f"%alcf {MODEL} hello {{{{nothing}}}}")
    assert "nothing" in second.html.split("sent as typed")[0]
    formatters = shell.run("get_ipython().magics_manager.registry['AlcfMagics'].formatters").value
    told = Told()
    told.notice("a notice")
    formatters.tell_below(second.value, told)
    shell.run("import alcf_magics")
    assert "a notice" not in shell.run("alcf_magics.session().history[0]").html
    assert shell.run("alcf_magics.session().history[0]").value is first


def test_a_proxy_that_is_set_or_taken_back_counts_at_once(
    fresh_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the next cell, after one that failed; nothing of its password is shown."""
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALCF_GATEWAY_URL", "https://gateway.invalid")
    monkeypatch.setenv("ALCF_AI_TOKEN", "ey.token")
    fresh_shell.run("%load_ext alcf_magics\n%config AlcfMagics.address_seconds = 0")
    assert "its name is not known here" in fresh_shell.run("%alcf_models").said
    monkeypatch.setenv("HTTPS_PROXY", "http://jdoe:Tr0ub#dor@host:1")
    said = fresh_shell.run("%alcf_models").said
    assert "Percent-encode the password in HTTPS_PROXY" in said
    assert "Tr0ub" not in said
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert "through the proxy 127.0.0.1:9 of HTTPS_PROXY" in fresh_shell.run("%alcf_models").said
    monkeypatch.delenv("HTTPS_PROXY")
    assert "its name is not known here" in fresh_shell.run("%alcf_models").said
