"""What is not an answer is text to a browser: no HTML, and no mathematics."""

from __future__ import annotations

import html
import re

import pytest

from alcf_magics.auth.account import LoginStatus
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.models import Model, Status
from alcf_magics.history import History
from alcf_magics.showing.display import line_html
from alcf_magics.showing.escaping import escaped
from support.completions import completion

FORMULA = r"$x$ \(y\) <b>"


def _history() -> str:
    history = History(lambda old: old)
    history.add(completion(FORMULA, prompt=FORMULA, finish=FORMULA, model=FORMULA))
    return history._repr_html_()


@pytest.mark.parametrize(
    "page",
    [
        escaped(FORMULA),
        line_html(FORMULA),
        LoginStatus((("name", FORMULA),))._repr_html_(),
        Catalog((Model(FORMULA, "red", "fw", "", Status.LIVE),), notes=(FORMULA,))._repr_html_(),
        _history(),
    ],
    ids=["text", "line", "login", "catalog", "history"],
)
def test_what_is_no_answer_is_not_typeset(page: str) -> None:
    """Every dollar and backslash stands in an element of its own; the reader sees the same."""
    assert not re.search(r"[$\\](?!</span>)", page)
    assert "<b>" not in page
    assert FORMULA in html.unescape(re.sub("</?span>", "", page))
