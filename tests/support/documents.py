"""The pages that people read: their links, their headings, and what they have people type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = tuple(sorted((ROOT / "docs").glob("*.md")))
PAGES = (README, *DOCS, ROOT / ".github/CONTRIBUTING.md", *sorted(ROOT.glob("notebooks/*.md")))


@dataclass(frozen=True)
class Page:
    """A Markdown file as a reader meets it."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def _tokens(self) -> list[Token]:
        return MarkdownIt("gfm-like", {"linkify": False}).parse(self.text)

    def typed(self, language: str) -> list[str]:
        """The blocks of a language, in their order: "python" is a cell, "sh" a command."""
        return [t.content for t in self._tokens if t.type == "fence" and t.info == language]

    @property
    def languages(self) -> set[str]:
        """The languages of its blocks; empty for a block that names none, or an indented one."""
        blocks = [t for t in self._tokens if t.type in ("fence", "code_block")]
        return {token.info for token in blocks}

    @property
    def anchors(self) -> set[str]:
        """What a link can lead to on this page, as GitHub names headings."""
        inside = [
            after
            for before, after in zip(self._tokens, self._tokens[1:], strict=False)
            if before.type == "heading_open"
        ]
        return {_slug(token.content) for token in inside}

    @property
    def links(self) -> list[str]:
        """Every target of a link, and every source of a picture."""
        leaves = [leaf for token in self._tokens for leaf in token.children or ()]
        written = [leaf.attrGet("href") or leaf.attrGet("src") for leaf in leaves]
        html = re.findall(r'(?:src|srcset|href)="([^"]+)"', self.text)
        return [str(target) for target in (*written, *html) if target]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
