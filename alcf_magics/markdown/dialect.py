"""The Markdown that we read: CommonMark, tables, struck text, footnotes and task lists. No HTML."""

from __future__ import annotations

import functools

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from . import rules
from .safe_html import RULES


@functools.cache
def whole() -> MarkdownIt:
    """Parses a text, and renders its tokens."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": rules.MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.use(footnote_plugin)
    parser.use(tasklists_plugin)
    # Unsafe ones are taken for links first and shown as text later, see `rules.unlinked`.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    parser.core.ruler.after("block", "alcf_depth", rules.flatten_what_is_too_deep)
    parser.core.ruler.at("inline", rules.parse_inline)
    parser.core.ruler.after("inline", "alcf_footnotes", rules.footnotes)
    parser.core.ruler.push("alcf_links", rules.unlinked)
    parser.core.ruler.push("alcf_direction", rules.directions)
    parser.renderer.rules.update(RULES)  # type: ignore[attr-defined]
    return parser


@functools.cache
def blocks() -> MarkdownIt:
    """Finds blocks only."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": rules.MAX_NESTING})
    parser.enable(["table"])
    parser.use(footnote_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
