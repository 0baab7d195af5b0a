"""The Markdown that we read: CommonMark, tables, struck text, footnotes, task lists, notes, bare
addresses and four tags of HTML."""

from __future__ import annotations

import functools

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from . import inline, rules
from .safe_html import RULES
from .tables import table, table_lines


@functools.cache
def whole() -> MarkdownIt:
    """Parses a text, and renders its tokens."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": rules.MAX_NESTING})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.use(footnote_plugin)
    # Unsafe ones are taken for links first and shown as text later, see `rules.links`.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    parser.block.ruler.at("table", table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("linkify", inline.address)
    parser.inline.ruler.before("autolink", "alcf_tag", inline.tag)
    parser.inline.ruler2.push("alcf_tags", inline.pair_tags)
    parser.inline.parse = inline.parse  # type: ignore[method-assign, assignment]
    parser.core.ruler.after("block", "alcf_depth", rules.flatten_what_is_too_deep)
    parser.core.ruler.at("inline", inline.parse_all)
    parser.core.ruler.after("inline", "alcf_tasks", rules.tasks)
    parser.core.ruler.after("alcf_tasks", "alcf_notes", rules.notes)
    parser.core.ruler.after("inline", "alcf_footnotes", rules.footnotes)
    parser.core.ruler.push("alcf_links", rules.links)
    parser.core.ruler.push("alcf_direction", rules.directions)
    parser.renderer.rules.update(RULES)  # type: ignore[attr-defined]
    return parser


@functools.cache
def blocks() -> MarkdownIt:
    """Finds blocks only."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": rules.MAX_NESTING})
    parser.enable(["table"])
    parser.block.ruler.at("table", table_lines, {"alt": ["paragraph", "reference"]})
    parser.use(footnote_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
