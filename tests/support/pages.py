"""HTML of answers, held against a list of what may occur at all, and as a typesetter sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from alcf_magics.markdown.highlighting import style_sheet
from alcf_magics.markdown.parsing import to_html

# What may occur at all: tags, and their attributes with the form of the values.
CODE_STYLE = r"(?:[a-z-]+:(?:[#\w .,()%-]|rgba?\([\d., ]+\))+;?)+"
FOOTNOTE = r"(?:fn|fnref)-[0-9a-f]{10}-\d+(?::\d+)?"
ATTRIBUTES = {
    "a": {
        "href": rf"(?:https?://|mailto:).*|#{FOOTNOTE}",
        "target": "_blank",
        "rel": "noopener noreferrer",
        "title": ".*",
        "id": FOOTNOTE,
        "class": "footnote-backref",
    },
    "code": {"style": "background:none"},
    "div": {"class": "alcf-code", "style": CODE_STYLE},
    "input": {"type": "checkbox", "disabled": "", "checked": ""},
    "li": {
        "class": "task-list-item|footnote-item",
        "id": FOOTNOTE,
        "style": "list-style-type:none",
    },
    "blockquote": {"style": r"border-left:4px solid var\(--jp-[\w-]+,#\w{6}\);padding-left:1em"},
    "sub": {},
    "kbd": {},
    "ol": {"class": "footnotes-list|contains-task-list", "start": r"\d+"},
    "pre": {"style": CODE_STYLE},
    "section": {"class": "footnotes"},
    "span": {"class": r"alcf-\w"},
    "style": {},
    "sup": {"class": "footnote-ref"},
    "hr": {"class": "footnotes-sep"},
    "ul": {"class": "contains-task-list"},
    "td": {"style": "text-align:(?:left|right|center|start)", "colspan": r"\d+"},
    "th": {"style": "text-align:(?:left|right|center|start)"},
    **{
        tag: {}
        for tag in (
            "p",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "em",
            "strong",
            "s",
            "br",
        )
    },
    **{tag: {} for tag in ("table", "thead", "tbody", "tr")},
}


class Reader(HTMLParser):
    """Holds HTML against the list, and what the typesetter would see in each text node."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.nodes: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ATTRIBUTES, tag
        allowed = {**ATTRIBUTES[tag], "dir": "auto|ltr"}
        for name, value in attrs:
            assert name in allowed, (tag, name, value)
            assert re.fullmatch(allowed[name], value or "", re.S | re.I), (tag, name, value)
            if name == "style":
                assert not re.search(r"url|expression|import|@|\\", value or "", re.I)
        named = dict(attrs)
        if str(named.get("href", "#"))[0] != "#":
            assert named["rel"] == "noopener noreferrer"
        self.tags.append(tag)
        if tag not in ("br", "hr", "input"):
            self.open.append(tag)
        self.nodes.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("br", "hr"):
            assert self.open.pop() == tag
        self.nodes.append("")

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            assert f"<style>{data}</style>\n" == style_sheet()
        elif not {"pre", "code"} & set(self.open):
            self.nodes[-1:] = [self.nodes[-1] + data if self.nodes else data]

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def safe(text: str) -> str:
    """The HTML, after it was held against the list."""
    rendered = to_html(text)
    reader = Reader(rendered)
    assert not reader.open
    for node in reader.nodes:
        if node not in ("$", "\\"):
            formula = re.fullmatch(r"\$.*\$|\\\(.*\\\)|\\\[.*\\\]|\\begin.*\}", node, re.S)
            assert formula or not re.search(r"[$\\]", node), node
    return rendered


def mathematics(text: str) -> list[str]:
    """What Jupyter's typesetter takes for mathematics, as it would see it."""
    reader = Reader(to_html(text))
    return [node for node in reader.nodes if node[:1] in ("$", "\\") and len(node) > 1]
