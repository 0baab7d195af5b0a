"""The log of the cells above: what is kept of a cell, what is sent, and what is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.notebook.cell_outputs import KEPT_CHARACTERS, MOST_OUTPUTS, Outputs
from alcf_magics.notebook.cells_above import ALL_CHARACTERS, CellsAbove
from support.shell import Shell


def printed(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def display(text: str, display_id: str = "", **data: str) -> tuple[str, dict[str, Any]]:
    content = {"data": {"text/plain": text, **data}, "transient": {"display_id": display_id}}
    return "display_data", content


def outputs(*messages: tuple[str, dict[str, Any]]) -> Outputs:
    shown = Outputs()
    for kind, content in messages:
        shown.take(kind, content)
    return shown


# One cell's outputs


def test_outputs_are_read_as_somebody_sees_them() -> None:
    """Streams in one piece, without colours and without what was printed over."""
    shown = outputs(
        printed("a\x1b[31m red"),
        printed(" b\n10%\r"),
        printed("20%\r\n"),
        printed("e\n", "stderr"),
        display("<Figure>", **{"image/png": "…"}),
        ("error", {"traceback": ["\x1b[0;31mValueError\x1b[0m", "no luck"]}),
    )
    assert shown.text() == "a red b\n20%\ne\n<Figure> (a figure)\nValueError\nno luck"


def test_a_display_is_shown_as_it_stands_now() -> None:
    """An update takes the place of what was there; another id's changes nothing."""
    shown = outputs(display("old", "1"), display("other", "2"))
    shown.take("update_display_data", display("new", "1")[1])
    shown.take("update_display_data", display("no one's", "3")[1])
    assert shown.text() == "new\nother"


def test_what_was_cleared_is_gone() -> None:
    """At once, or when the next output comes."""
    shown = outputs(printed("a"), ("clear_output", {"wait": True}))
    assert shown.text() == "a"
    shown.take(*printed("b"))
    assert shown.text() == "b"
    shown.take("clear_output", {"wait": False})
    assert shown.text() == ""


@given(st.lists(st.text(alphabet="ab \n", max_size=40), max_size=30), st.integers(1, 5))
def test_a_long_output_keeps_its_beginning_and_its_end(pieces: list[str], times: int) -> None:
    """However it comes in pieces, what is kept is bounded, and what is left out is counted."""
    shown = outputs(*(printed(piece * 200) for piece in pieces * times))
    whole = "".join(piece * 200 for piece in pieces * times)
    for output in shown.items:
        assert len(output.head) + len(output.tail) <= 2 * KEPT_CHARACTERS
        assert len(output.head) + len(output.tail) + output.left_out == len(whole)
        assert whole.startswith(output.head)
        assert whole.endswith(output.tail)


@pytest.mark.parametrize("offset", range(0, 120, 7))
def test_no_part_of_a_token_is_left_where_a_text_was_cut(offset: int) -> None:
    """Wherever the cut falls in it, at either side of the gap."""
    token = "T" * 100
    before, after = KEPT_CHARACTERS - offset, KEPT_CHARACTERS - 100 + offset
    text = f"{'a ' * (before // 2)}{token}{' b' * 30_000} {token}{' c' * (after // 2)}"
    shown = outputs(printed(text)).text(lambda part: part.replace(token, "(token)"))
    assert "left out" in shown
    assert "TT" not in shown


def test_of_many_outputs_those_in_the_middle_are_left_out() -> None:
    """How many is said."""
    shown = outputs(*(display(f"output {n}") for n in range(300)))
    text = shown.text()
    assert len(shown.items) == MOST_OUTPUTS
    assert text.startswith("output 0\n")
    assert text.endswith("\noutput 299")
    assert "200 outputs left out" in text


# The log


@pytest.fixture
def above(shell: Shell) -> CellsAbove:
    """The log of the shell's cells."""
    log: CellsAbove = shell.ip.magics_manager.registry["AlcfMagics"].cells_above
    return log


def test_a_cell_is_there_when_it_has_ended(shell: Shell, above: CellsAbove) -> None:
    """The cell that runs is not above itself, and cells that it runs are no cells of their own."""
    shell.run("a = 1")
    shell.ip.user_ns["above"] = above
    shell.run("get_ipython().run_cell('nested = 2')\nseen = above.last(100).text")
    assert "a = 1" in shell.names["seen"]
    assert "nested" not in shell.names["seen"]
    assert "nested" in above.last(1).text


def test_what_does_not_fit_is_left_out_oldest_first(shell: Shell, above: CellsAbove) -> None:
    """The newest cells are sent, in their order, and both sides are told how many were not."""
    for n in range(10):
        shell.run(f"number = {n}\n'{'x' * 9_000}';")
    found = above.last(10)
    assert found.asked == 10
    assert 3 < found.count < 10
    assert len(found.text) <= ALL_CHARACTERS + 200
    assert f"{10 - found.count} cells before them left out" in found.text
    assert "number = 9" in found.text
    assert "number = 0" not in found.text


def test_a_long_source_is_cut_in_its_middle(shell: Shell, above: CellsAbove) -> None:
    """One cell that is larger than all room is still there, with what was left out."""
    shell.run(f"first = 1\n'{'x' * 100_000}'\nlast = 1")
    text = above.last(1).text
    assert "first = 1" in text
    assert "last = 1" in text
    assert "characters left out" in text
    assert len(text) < 11_000


def test_tokens_are_taken_out_of_sources_and_results(shell: Shell, above: CellsAbove) -> None:
    """Before anything is cut."""
    shell.run("key = 'secret-token'\nkey")
    text = above.last(1, lambda part: part.replace("secret-token", "(token)")).text
    assert text.count("(token)") == 2
    assert "secret" not in text


def test_a_cell_that_is_known_to_run_again_is_there_once(shell: Shell, above: CellsAbove) -> None:
    """A front end names its cells; the last run counts."""
    for code, cell_id in (("a = 1", "x"), ("b = 1", "y"), ("a = 2", "x")):
        shell.ip.run_cell(code, store_history=True, cell_id=cell_id)
    text = above.last(2).text
    assert "a = 1" not in text
    assert text.index("b = 1") < text.index("a = 2")


def test_what_ran_before_is_known_by_its_source(shell: Shell) -> None:
    """A log that begins late knows what was typed, but for logins."""
    shell.run("early = 1")
    shell.run("%alcf_login --status")
    late = CellsAbove(shell.ip)
    late.install()
    try:
        assert "early = 1" in late.last(100).text
        assert "alcf_login" not in late.last(100).text
    finally:
        late.remove()


def test_nothing_is_left_of_a_log_that_was_removed(shell: Shell, above: CellsAbove) -> None:
    """No cell, and no event of the shell's."""
    callbacks = shell.ip.events.callbacks
    shell.run("a = 1")
    shell.run("%unload_ext alcf_magics")
    assert above.last(100).asked == 0
    owners = [getattr(c, "__self__", None) for event in callbacks.values() for c in event]
    assert above not in owners


class Session:
    """A kernel's line to its front end, as far as the log goes."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, stream: Any, message: Any, *given: Any, **named: Any) -> str:
        self.sent.append(message)
        return "sent"


class Kernel:
    def __init__(self) -> None:
        self.session = Session()
        self.request = "1"

    def get_parent(self) -> dict[str, Any]:
        return {"header": {"msg_id": self.request}}


def test_messages_belong_to_their_request(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that prints when its cell has ended prints there; whatever is sent is sent."""
    kernel = Kernel()
    monkeypatch.setattr(shell.ip, "kernel", kernel)
    log = CellsAbove(shell.ip)
    log.install()
    try:
        shell.ip.run_cell("first = 1", store_history=True)
        kernel.request = "2"
        shell.ip.run_cell("second = 2", store_history=True)
        late = {"header": {"msg_id": "1"}}
        assert kernel.session.send(None, "stream", printed("late")[1], parent=late) == "sent"
        whole = {"header": {"msg_type": "stream"}, "content": printed("now")[1]}
        kernel.session.send(None, whole | {"parent_header": {"msg_id": "2"}})
        kernel.session.send(None, {"nonsense": 1})
        text = log.last(2).text
        assert (
            text.index("first = 1")
            < text.index("late")
            < text.index("second")
            < (text.index("now"))
        )
        assert len(kernel.session.sent) == 3
    finally:
        log.remove()
    assert "send" not in vars(kernel.session)
