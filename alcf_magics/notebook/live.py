"""An answer while it comes, in the cell that asked for it.

In a notebook the answer grows as a row of outputs: finished parts are committed and never sent
again, only the last output is redrawn. How often depends on what a draw costs: kernel time is kept
below that of reading the stream, and all that is sent to a multiple of the text, however long a
part without a safe cut becomes. When the answer is complete, one output holds it.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..gateway.accumulator import Follower
from ..showing.display import answer_html, boxed, call_html, line_html
from ..showing.formats import RENDERED
from ..told import SILENT, Told
from .outputs import PLAIN_CHARACTERS, after_cell, clear, is_captured, publish, settle
from .pacing import MESSAGE_BYTES
from .reasoning_view import ReasoningOutput, ReasoningWidgets, fold_html
from .view import END_CHARACTERS, Live

if TYPE_CHECKING:
    from ..gateway.accumulator import Accumulator
    from ..gateway.calls import Call
    from ..gateway.completions import Completion
    from ..gateway.models import Model

#: Characters that are committed at once, at least; and how many outputs they may become at most,
#: because JupyterLab folds a cell's outputs away beyond 50.
COMMIT_CHARACTERS = 600
MOST_OUTPUTS = 50
#: A part without a safe cut of so many times that size is drawn when it has grown by this factor,
#: whatever was sent before.
LONG_TAIL = 2
GROWTH = 1.25
#: Seconds between two changes of the line that says how long a model reasons.
LINE_SECONDS = 1.0
#: Characters that may be left to render at the end: of more, nothing is saved.
MOST_LEFT = 100_000


class NotebookLive(Live):
    """Draws HTML into the running cell.

    `alone` says that the cell holds nothing but this prompt: then its outputs make room for the
    cell's result. Otherwise there is one output, which stays. `format` other than markdown is
    shown as plain text while it comes. `widgets` says that a front end with widgets is there.
    `made` gets the page of a complete answer, where drawing it has made that already.
    """

    def __init__(
        self,
        model: Model,
        *,
        alone: bool,
        format: str = "markdown",
        widgets: bool = False,
        made: Callable[[Completion, str], None] = lambda completion, page: None,
        told: Told = SILENT,
    ) -> None:
        super().__init__(model, told)
        self._made = made
        self._alone = alone
        self._format = format
        self._in_pieces = alone and format == "markdown"
        self._folded = False  # whether reasoning has a block of its own
        self._made_reasoning = ReasoningWidgets if widgets else ReasoningOutput
        self._reasoning = self._made_reasoning(self._pace)
        self._growing: Any = None
        self._text = Follower()
        self._committed = 0
        self._pieces = 0
        self._tail = 0  # characters of the tail, as drawn last
        self._inflation = 1.0  # bytes sent for each of them
        self._handle: Any = None
        self._drawn = ""
        self._stall: Any = None
        self._said_at = 0.0  # when the waiting line was said last
        self._stall_said = ""
        self._calls: dict[int, Any] = {}  # the handle of each call's block
        self._captured = is_captured()

    def draw(self, answer: Accumulator) -> None:
        if not self._captured:
            super().draw(answer)

    def _prepare(self, answer: Accumulator) -> None:
        if self._growing is None:
            from ..markdown.growing import Growing
            from ..markdown.parsing import to_html

            self._growing = Growing()
            to_html("```python\n0\n```\n")  # builds the renderer, and loads the highlighter
        if answer.reasoning.length and self._alone and not self._folded:
            self._folded = True
            if not self._text.seen:
                # The waiting line makes room, so that reasoning stands above the answer.
                self._clear()
            self._reasoning.prepare()

    def _size(self, answer: Accumulator) -> int:
        if self._in_pieces:
            return int(self._growing.unfinished) + answer.content.length - self._text.seen
        return super()._size(answer)

    def _show(self, answer: Accumulator) -> None:
        if not answer.began:
            self._say_waiting(answer)
            return
        if self._folded:
            self._reasoning.show(answer.reasoning, self._left(answer))
        if not answer.content.length and self._alone:
            if time.monotonic() - self._said_at >= LINE_SECONDS:  # the rest is for the reasoning
                self._say_waiting(answer)
            return
        self._say_stalled(self._stalled(answer))
        before, piece = self._text.seen, self._text.new(answer)
        if self._text.seen < before:
            self._start_again()
        self._growing.add(piece)
        try:
            self._draw(answer)
        except Exception:  # whatever a model wrote: it is shown as it is until it is complete
            self._in_pieces, self._format = False, "text"

    def _say_waiting(self, answer: Accumulator) -> None:
        self._said_at = time.monotonic()
        waiting = self._waiting(answer)
        self._publish(waiting, line_html(waiting))

    def _say_stalled(self, said: str) -> None:
        """A line of its own below the text, which is not sent again for it."""
        if said == self._stall_said:
            return
        self._stall_said = said
        bundle = {"text/plain": said, "text/html": line_html(said)} if said else {}
        self._stall = publish(self._stall, bundle)
        self._pace.sent(len(said))
        if not said:
            self._stall = None

    def _start_again(self) -> None:
        """What was drawn turned out to be reasoning: a lone closing tag came behind it."""
        from ..markdown.growing import Growing

        self._growing = Growing()
        self._committed = self._pieces = self._tail = 0
        if self._alone:
            self._clear()

    def call(self, call: Call) -> None:
        """A folded block of its own, in place of the waiting line where that stands last."""
        page, text = call_html(call), str(call)
        if call.number in self._calls:
            publish(self._calls[call.number], {"text/plain": text, "text/html": page})
            return
        handle = None
        if self._answer is not None and self._answer.began:
            self._publish_said(self._answer)
        else:
            handle = self._handle
        self._calls[call.number] = publish(handle, {"text/plain": text, "text/html": page})
        self._handle, self._drawn, self._answer = None, "", None

    def _publish_said(self, answer: Accumulator) -> None:
        """What was said before a call, whole."""
        said, thought = str(answer.content), str(answer.reasoning)
        self._publish(said[-PLAIN_CHARACTERS:], answer_html(said, thought, "markdown"))

    def begin_again(self, why: str) -> None:
        super().begin_again(why)
        after_cell(self._reasoning.close)
        self._reasoning = self._made_reasoning(self._pace, self._reasoning.opened)
        self._folded = False
        self._text = Follower()
        self._start_again()
        self._publish(why, line_html(why))

    def _draw(self, answer: Accumulator) -> None:
        if not self._in_pieces:
            self._draw_whole(answer, self._left(answer))
            return
        self._commit()
        size = self._growing.untaken
        # A long part without a safe cut grows by a share between two draws: that is linear, too.
        grown = size > LONG_TAIL * COMMIT_CHARACTERS and size > GROWTH * self._tail
        if not grown and size * self._inflation + MESSAGE_BYTES > self._left(answer):
            return
        tail = self._growing.tail()
        if tail.html:
            self._tail, page = size, boxed(tail.html, live=True)
            self._inflation = len(page) / size
            self._publish(tail.markdown[-PLAIN_CHARACTERS:], page)

    def _show_end(self, answer: Accumulator) -> None:
        count = answer.content.length
        if not count:
            self._say_waiting(answer)
            return
        end = answer.content.since(max(count - END_CHARACTERS, 0))
        # Its place is that of the tail, which is drawn again when that can be afforded.
        page = line_html(f"{count:,} characters so far; too much to draw it all while it comes: …")
        page += f'<pre style="white-space:pre-wrap">{html.escape(end)}</pre>'
        self._publish(end[-PLAIN_CHARACTERS:], boxed(page, live=True))

    def _commit(self) -> None:
        """Leave finished parts in the output that is there, and go on in a new one."""
        # Small parts make cheap draws; the more there are, the larger the next one must be.
        share = (self._pieces / MOST_OUTPUTS) ** 3
        piece = self._growing.take(max(COMMIT_CHARACTERS, int(self._committed * share)))
        if piece is not None:
            self._publish(piece.markdown, boxed(piece.html))
            self._committed += len(piece.markdown)
            self._pieces += 1
            self._tail = 0
            self._handle, self._drawn = None, ""

    def _draw_whole(self, answer: Accumulator, left: int) -> None:
        """One output with everything: as text while it comes, for formats that read it later."""
        text, reasoning = str(answer.content), str(answer.reasoning)
        folded = "" if self._folded or not reasoning else fold_html(reasoning)
        if not text:
            folded += line_html(self._waiting(answer))
        if len(text) + len(folded) + MESSAGE_BYTES > left:
            return
        if self._format == "markdown":
            page = self._growing.tail().html
        else:
            page = f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'
        self._publish(text[-PLAIN_CHARACTERS:], boxed(folded + page, live=True))

    def _left(self, answer: Accumulator) -> int:
        """Bytes that may be sent now."""
        return self._pace.left(answer.content.length + answer.reasoning.length)

    def _publish(self, text: str, page: str, metadata: dict[str, Any] | None = None) -> None:
        if page == self._drawn:
            return
        self._drawn = page
        self._pace.sent(len(text) + len(page))
        bundle = {"text/plain": text, "text/html": page}
        self._handle = publish(self._handle, bundle, metadata)

    def _settle(self, text: str, page: str, metadata: dict[str, Any] | None = None) -> None:
        settle(self._handle, {"text/plain": text, "text/html": page}, metadata)

    def _clear(self) -> None:
        """Let what is shown next take the place of all outputs."""
        clear()
        self._handle, self._drawn = None, ""
        self._stall, self._stall_said = None, ""

    def finish(self, completion: Completion) -> None:
        # Later: until the result takes the place of all outputs, nothing is to move.
        after_cell(self._reasoning.close)
        if self._alone:
            opened = self._reasoning.opened
            page = self._finished_page(completion, opened)
            self._made(completion, completion.page(opened=True) if opened and not page else page)
            self._clear()
        else:
            self._say_stalled("")
            text = repr(completion) if completion.others else completion.text
            self._settle(text, completion.page(calls=False), completion.metadata)

    def _finished_page(self, completion: Completion, opened: bool) -> str:
        """The completion's page without rendering again what was rendered; empty if there is none.

        It is the same to the letter as the one that the completion makes of itself, but for its
        reasoning, where the reader has `opened` that.
        """
        rest = self._text.rest(completion.text)
        if not self._in_pieces or not completion.text or len(rest) > MOST_LEFT:
            return ""
        if len(completion.text) > RENDERED or not completion.text.endswith(rest):
            return ""
        self._growing.add(rest)
        body = self._growing.whole()
        return "" if body is None else completion.page(body, opened=opened)

    def fail(self, completion: Completion | None, why: str) -> None:
        after_cell(self._reasoning.close)
        self._say_stalled("")
        if self._alone:
            self._clear()
        if completion is not None and (completion.text or completion.reasoning):
            opened = self._reasoning.opened
            page = answer_html(completion.text, completion.reasoning, opened=opened)
            page += completion.others_html
            page += line_html(why) + line_html(completion.about)
            text = f"{completion.text}\n[{why}]"
            self._settle(text, page, completion.metadata)
        elif self._handle is not None:
            self._settle(why, line_html(why))
