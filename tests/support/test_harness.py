"""The harness tells the truth: what a notebook would show is what a test sees."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support import downloads, wire
from support.kernels import Kernel
from support.model_server import MODEL
from support.outputs import overwrite

PATIENT = "import time; print('started', flush=True); time.sleep(30)"
BUTTON = """
import ipywidgets
from IPython.display import clear_output, display
button, shown = ipywidgets.Button(description='Go'), ipywidgets.Output()
word = ipywidgets.Text(value='a')
def pressed(_):
    with shown:
        clear_output()
        print('pressed with', word.value)
    print('nobody sees this')
button.on_click(pressed)
display(button, word, shown)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One plain kernel for all tests that leave it as it was."""
    with Kernel(home=tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


def test_every_recording_loads_and_has_the_status_of_the_table() -> None:
    """Each recording has one row in the table, with the same status."""
    assert set(wire.names()) == set(wire._table())
    for name in wire.names():
        recording = wire.load(name)
        assert (recording.body is None) != (recording.chunks is None)
        assert recording.status == wire._table()[name]["status"]
        assert wire.expected(name)


def test_a_carriage_return_overwrites_the_line() -> None:
    """Progress text ends as a terminal shows it, however it is cut into messages."""
    assert overwrite("10 %\r20 %\nab\rc\n") == "20 %\ncb\n"
    assert overwrite(overwrite("10 %\r") + "20 %") == "20 %"


def test_a_download_is_made_once_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    """A folder gets its name only when it is complete."""
    target, made = tmp_path / "cache" / "thing", []

    def make(folder: Path) -> None:
        made.append(folder)
        if len(made) == 1:
            raise downloads.DownloadError("no network")
        (folder / "file").write_text("whole")

    with pytest.raises(downloads.DownloadError):
        downloads.fetch_once(target, make)
    assert not target.exists()
    assert not made[0].exists()
    for _ in range(2):
        assert (downloads.fetch_once(target, make) / "file").read_text() == "whole"
    assert len(made) == 2


def test_tests_do_not_see_the_home_of_the_person_who_runs_them(tmp_path: Path) -> None:
    """HOME is the test's own folder, and no proxy stands between it and loopback."""
    assert Path.home() == tmp_path
    assert not [name for name in os.environ if re.match(r"(?i)alcf_|.*_proxy$", name)]


@pytest.mark.kernel
def test_a_kernel_lives_in_the_home_it_is_given(shared: Kernel) -> None:
    """HOME and the working directory are the given folder, and pytest is not visible."""
    shared.run("import os, pathlib")
    assert shared.value("pathlib.Path.home() == pathlib.Path.cwd()") == "True"
    assert shared.value("[n for n in os.environ if n.startswith(('PYTEST_', 'XDG_'))]") == "[]"


@pytest.mark.kernel
def test_outputs_are_those_of_the_saved_notebook(shared: Kernel) -> None:
    """Streams are joined, the value is a result, and what the text shows is in order."""
    cell = shared.run("print('a'); print('b'); display('c'); 6 * 7")
    assert [o["output_type"] for o in cell.outputs] == ["stream", "display_data", "execute_result"]
    assert (cell.status, cell.text) == ("ok", "a\nb\n'c'\n42")
    assert cell.result == {"text/plain": "42"}
    assert shared.run("from IPython.display import HTML; HTML('<b>x</b>')").html == "<b>x</b>"


@pytest.mark.kernel
def test_an_error_has_a_readable_traceback(shared: Kernel) -> None:
    """Name, text and traceback are there, without colours."""
    cell = shared.run("1 / 0")
    assert (cell.status, cell.ename, cell.evalue) == (
        "error",
        "ZeroDivisionError",
        "division by zero",
    )
    assert "1 / 0" in cell.error_text
    assert "\x1b" not in cell.error_text


@pytest.mark.kernel
def test_clear_output_clears_at_once_or_before_the_next_output(shared: Kernel) -> None:
    """With wait=True the old output stays until there is a new one."""
    shared.run("from IPython.display import clear_output")
    assert shared.run("print('old'); clear_output()").text == ""
    assert shared.run("print('old'); clear_output(wait=True)").text == "old"
    assert shared.run("print('old'); clear_output(wait=True); print('new')").text == "new"


@pytest.mark.kernel
def test_a_later_cell_updates_the_display_of_an_earlier_one(shared: Kernel) -> None:
    """An updated display changes where it stands, and adds nothing."""
    first = shared.run("handle = display('one', display_id=True)")
    second = shared.run("handle.update('two')")
    assert (first.text, second.outputs) == ("'two'", [])
    assert shared.cells[-2].outputs == first.outputs


@pytest.mark.kernel
def test_output_that_comes_after_the_reply_belongs_to_its_cell(shared: Kernel) -> None:
    """Text of a thread that outlives the cell arrives there, with its time."""
    late = (
        "import sys, threading, time\ndef speak():\n  time.sleep(0.2); print('late', flush=True)\n"
    )
    cell = shared.run(late + "thread = threading.Thread(target=speak); thread.start(); print(1)")
    assert cell.text == "1"
    cell.wait_for(lambda messages: any("late" in str(m.content) for m in messages[2:]), timeout=5)
    said = [m for m in cell.messages if m.type == "stream"]
    assert 0.1 < said[-1].at - said[0].at < 2


@pytest.mark.kernel
def test_interrupt_ends_a_sleeping_cell(shared: Kernel) -> None:
    """The cell ends with KeyboardInterrupt long before its sleep does."""
    cell = shared.start_cell(PATIENT)
    cell.wait_for(lambda messages: any(m.type == "stream" for m in messages))
    asked = time.monotonic()
    shared.interrupt()
    assert cell.wait(5).ename == "KeyboardInterrupt"
    assert time.monotonic() - asked < 2
    assert shared.run("1 + 1").text == "2"


@pytest.mark.kernel
def test_prompts_are_answered(shared: Kernel) -> None:
    """`input` and `getpass` get the answer, and the prompts are on record."""
    cell = shared.run("input('Name? ')", answer="Ada")
    assert cell.result == {"text/plain": "'Ada'"}
    cell = shared.run("import getpass; len(getpass.getpass('Code? '))", answer=lambda p: p * 2)
    assert cell.result == {"text/plain": "12"}
    assert [(p.text, p.password) for p in cell.prompts] == [("Code? ", True)]


@pytest.mark.kernel
def test_without_an_answer_the_front_end_allows_no_prompt(shared: Kernel) -> None:
    """The kernel refuses `input`, as it does when nobody is there to answer."""
    assert shared.run("input()").ename == "StdinNotImplementedError"


@pytest.mark.kernel
def test_an_error_aborts_the_cells_queued_behind_it(shared: Kernel) -> None:
    """Run All ends at the first error, and the next run starts anew."""
    cells = shared.run_all(["print(1)", "import time; time.sleep(0.1); 1 / 0", "print(3)"])
    assert [cell.status for cell in cells] == ["ok", "error", "aborted"]
    assert [cell.text for cell in cells] == ["1", "", ""]
    assert shared.run("print(4)").text == "4"


@pytest.mark.kernel
def test_a_press_runs_the_callback_and_its_output_goes_to_the_widget(shared: Kernel) -> None:
    """An Output widget catches what is printed in it; the rest is shown nowhere."""
    cell = shared.run(BUTTON)
    button, word, shown = map(shared.find_widget, ("ButtonModel", "TextModel", "OutputModel"))
    assert shared.widgets[button]["description"] == "Go"
    before = cell.outputs
    for text in ("b", "c"):
        shared.set_widget(word, value=text)
        pressed = shared.press(button)
        shared.settle()
        [output] = shared.widgets[shown]["outputs"]
        assert output["text"] == f"pressed with {text}\n"
        assert pressed.text == "nobody sees this"
        assert f"pressed with {text}" in shared.value("shown.outputs")
    assert cell.outputs == before
    assert shared.widgets[word]["value"] == "c"


@pytest.mark.kernel
def test_what_the_kernel_sets_is_seen_in_the_widget(shared: Kernel) -> None:
    """The state of a widget follows the kernel, and a closed widget is gone."""
    shared.run("import ipywidgets; box = ipywidgets.Password(); box.value = 'x'")
    box = shared.find_widget("PasswordModel")
    assert shared.widgets[box]["value"] == "x"
    shared.run("box.close()")
    assert box not in shared.widgets


@pytest.mark.kernel
def test_a_timeout_says_what_was_seen(shared: Kernel) -> None:
    """The message of a failed wait holds the cell and its output so far."""
    cell = shared.start_cell(PATIENT)
    with pytest.raises(AssertionError, match=r"waited 0\.5 s") as caught:
        cell.wait(0.5)
    assert "started" in str(caught.value)
    shared.interrupt()
    cell.wait(5)


@pytest.mark.kernel
def test_a_dead_kernel_is_reported_at_once(tmp_path: Path) -> None:
    """A wait ends when the process does."""
    with Kernel(home=tmp_path) as kernel, pytest.raises(AssertionError, match="kernel died"):
        kernel.run("import os; os._exit(3)")


@pytest.mark.kernel
def test_a_kernel_that_cannot_start_is_reported_with_what_it_wrote(tmp_path: Path) -> None:
    """The error carries the text the process left on stderr."""
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit('last words')")
    with (
        pytest.raises(AssertionError, match="kernel died") as caught,
        Kernel(home=tmp_path, pythonpath=[tmp_path]),
    ):
        pass
    assert "last words" in "".join(caught.value.__notes__)


@pytest.mark.kernel
def test_an_older_ipykernel_runs_when_its_folder_comes_first(
    tmp_path: Path, older_kernel_path: Path
) -> None:
    """The kernel is an ipykernel 6, and all the driver needs works there."""
    with Kernel(home=tmp_path, pythonpath=[older_kernel_path]) as kernel:
        assert kernel.run("import ipykernel; print(ipykernel.__version__)").text.startswith("6.")
        cells = kernel.run_all(["import time; time.sleep(0.1); 1 / 0", "2"])
        assert [cell.status for cell in cells] == ["error", "aborted"]
        assert kernel.run("input()", answer="Ada").result == {"text/plain": "'Ada'"}
        cell = kernel.start_cell(PATIENT)
        cell.wait_for(lambda messages: any(m.type == "stream" for m in messages))
        kernel.interrupt()
        assert cell.wait(5).ename == "KeyboardInterrupt"
        kernel.run(BUTTON)
        kernel.press(kernel.find_widget("ButtonModel"))
        kernel.settle()
        shown = kernel.widgets[kernel.find_widget("OutputModel")]
        assert shown["outputs"][0]["text"] == "pressed with a\n"


@pytest.mark.kernel
def test_the_kernel_ends_with_its_driver(tmp_path: Path) -> None:
    """No process stays, even if a cell is still running."""
    with Kernel(home=tmp_path, python=sys.executable) as kernel:
        pid = int(kernel.run("import os; print(os.getpid())").text)
        kernel.start_cell(PATIENT).wait_for(lambda messages: len(messages) > 2)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.real_model
def test_the_real_model_streams_and_counts_its_tokens(model_url: str) -> None:
    """Tokens arrive one by one while the model works, and the usage comes last."""
    request = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Count to ten."}],
        "max_tokens": 24,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    events: list[tuple[float, str]] = []
    with httpx.stream("POST", f"{model_url}/chat/completions", json=request, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append((time.monotonic(), line.removeprefix("data: ")))
    chunks = [json.loads(data) for _, data in events[:-1]]
    assert events[-1][1] == "[DONE]"
    assert chunks[-1]["choices"] == []
    assert 0 < chunks[-1]["usage"]["completion_tokens"] <= 24
    assert len({round(at, 3) for at, _ in events}) > 5
