"""Tab on the line of a magic: option names and their values, and nothing else.

Never asks the gateway: names come from the catalog that was read last, and a first Tab lets it be
read in the background. IPython ignores a matcher with nothing to offer, and Python's names come
in: then what was typed is offered, which shows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from .._session import session
from ..errors import AlcfError
from ..gateway.kinds import Word
from ..gateway.parameters import PARAMETERS
from ..images.kinds import is_image
from ..showing.formats import FORMATS
from .local_sandbox import scenarios
from .options import login_parser, logout_parser, models_parser, prompt_parser

if TYPE_CHECKING:
    from ..gateway.catalog import Catalog
    from .arguments import Parser

#: How the names of folders and of images end.
_IMAGES = ("/", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp")
#: Before every matcher of IPython's own.
_PRIORITY = 1000.0
_PARSERS: dict[str, Callable[[], Parser]] = {
    "alcf": prompt_parser,
    "alcf_login": login_parser,
    "alcf_logout": logout_parser,
    "alcf_models": models_parser,
}
_MAGIC = re.compile(r"(?:\s*|[\w.,\s]+=\s*)(?P<mark>%%?)(?P<name>alcf\w*)\s+")
#: A word as the options have it; a quote that is still open takes the rest.
_WORD = re.compile(r"""(?:'[^']*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|\\.|[^\s'"\\]|\\$)+""", re.S)


def typed(code: str, row: int, column: int) -> tuple[Parser, str, str] | None:
    """What is typed at the cursor: the magic's parser, the option, and the word so far.

    The option is empty where an option's own name is typed. None where it is anything else.
    """
    lines = code.split("\n")
    match = _MAGIC.match(lines[row][:column])
    if match is None or match["name"] not in _PARSERS:
        return None
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if "%%" in (match["mark"], lines[first][:2]) and (row != first or match["mark"] != "%%"):
        return None  # the body of a cell is its prompt
    parser = _PARSERS[match["name"]]()
    found = _option_at(lines[row][match.end() : column], parser, match["name"] != "alcf")
    return None if found is None else (parser, *found)


def _option_at(text: str, parser: Parser, anywhere: bool) -> tuple[str, str] | None:
    """The option whose value ends a line (empty: an option's name), and the word so far.

    None in a prompt. `anywhere` says that options may stand behind other words, too.
    """
    pending = ""
    for match in _WORD.finditer(text):
        word, last = match[0], match.end() == len(text)
        name, equals, value = word.partition("=")
        if last and (pending or not word.startswith("-")):
            return (pending, word) if pending else None
        if last:
            return (
                (parser.takes_value[name], value)
                if equals and name in parser.takes_value
                else (
                    "",
                    word,
                )
            )
        if pending:
            pending = ""
        elif name in parser.names:
            pending = "" if equals else parser.takes_value.get(name, "")
        elif word == "--" or not anywhere:
            return None
    return pending, ""


class Completions:
    """The matcher of one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._values: dict[str, Callable[[str], Iterable[str]]] = {
            "--model": lambda word: model_names(
                _catalog(), session().unchecked_settings.aliases, word
            ),
            "--start": lambda word: model_names(
                _catalog(), session().unchecked_settings.aliases, word
            ),
            "--fallback": lambda word: listed_models(
                _catalog(), session().unchecked_settings.aliases, word
            ),
            "--cluster": lambda word: _catalog().clusters,
            "--chat": lambda word: map(_quoted, session().chats),
            "--file": paths,
            "--image": lambda word: [*self._images(), *image_paths(word)],
            "--out": lambda word: self._variables(),
            "--format": lambda word: FORMATS,
            "--scenario": lambda word: scenarios(),
            "--schema": lambda word: self._named("schema_names", word),
            "--tools": lambda word: self._named("tool_names", word),
            **{
                max(parameter.flags, key=len): _choices(parameter.kind)
                for parameter in PARAMETERS
                if isinstance(parameter.kind, Word)
            },
        }

        @context_matcher(priority=_PRIORITY, identifier="alcf_magics")  # type: ignore[untyped-decorator]
        def matcher(context: Any) -> Any:
            return self._matches(context)

        self._matcher = matcher

    def install(self) -> None:
        self._shell.Completer.custom_matchers.append(self._matcher)

    def remove(self) -> None:
        matchers = self._shell.Completer.custom_matchers
        if self._matcher in matchers:
            matchers.remove(self._matcher)

    def _matches(self, context: Any) -> dict[str, Any]:
        found = typed(context.full_text, context.cursor_line, context.cursor_position)
        if found is None:
            return {"completions": []}
        parser, option, word = found
        names = self.offered(parser, option, word) or [word]
        return {
            "completions": [_offer(name) for name in names],
            "matched_fragment": word,
            "suppress": True,
            "ordered": True,
        }

    def offered(self, parser: Parser, option: str, word: str) -> list[str]:
        """What fits the word, each once. Of many options nobody knows the values."""
        known: Iterable[str] = ()
        if option in self._values:
            known = self._values[option](word)
        elif not option:
            known = (name for name in sorted(parser.names) if word or name.startswith("--"))
        start = word.casefold()
        return list(dict.fromkeys(name for name in known if name.casefold().startswith(start)))

    def _variables(self) -> list[str]:
        """The person's own variables."""
        return sorted(self._own())

    def _own(self) -> dict[str, Any]:
        hidden = self._shell.user_ns_hidden
        return {
            name: value
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and hidden.get(name) is not value
        }

    def _images(self) -> list[str]:
        return sorted(name for name, value in self._own().items() if _fits(value, is_image))

    def _named(self, fitting: str, word: str) -> list[str]:
        """The person's own names that fit, behind what of a list was typed before."""
        from . import names  # at a Tab, and not with the extension

        before = word[: max(word.rfind("["), word.rfind(",")) + 1]
        return [f"{before}{name}" for name in sorted(getattr(names, fitting)(self._own()))]


def _fits(value: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether a value fits; one that cannot even be asked does not."""
    try:
        return fits(value)
    except Exception:
        return False


def _offer(name: str) -> Any:
    return SimpleCompletion(name, type="keyword")


def _quoted(name: str) -> str:
    """A name as the line of a magic takes it."""
    return f"'{name}'" if re.search(r"[\s\"\\]", name) else name


def _choices(kind: Word) -> Callable[[str], Iterable[str]]:
    return lambda word: kind.choices


def _catalog() -> Catalog:
    """What was read last; nothing before, and where there is no gateway to ask."""
    from ..gateway.catalog import Catalog

    try:
        return session().known_catalog() or Catalog(())
    except AlcfError:
        return Catalog(())


def model_names(catalog: Catalog, aliases: Iterable[str], word: str) -> list[str]:
    """Names of models to chat with, live ones first: aliases, bare and whole, with a cluster.

    A cluster's models are named with it once the word has the cluster in front.
    """
    chats = [model for model in catalog if model.capabilities.chat]
    named = [name for m in chats for name in (m.name.rpartition("/")[2], m.name)]
    before, colon, _ = word.casefold().partition(":")
    if not colon:
        return [*aliases, *named, *(f"{cluster}:" for cluster in catalog.clusters)]
    there = [m for m in chats if m.cluster.casefold() == before]
    placed = [f"{m.cluster}:{name}" for m in there for name in (m.name.rpartition("/")[2], m.name)]
    return [*aliases, *named, *placed]


def listed_models(catalog: Catalog, aliases: Iterable[str], word: str) -> list[str]:
    """The same for the last name of a list, behind those before it, without them."""
    before, comma, last = word.rpartition(",")
    listed = set(before.casefold().split(","))
    names = model_names(catalog, aliases, last)
    return [f"{before}{comma}{name}" for name in names if name.casefold() not in listed]


def image_paths(word: str) -> list[str]:
    """Folders, and files that are called as images are."""
    return [path for path in paths(word) if path.strip("'\"").casefold().endswith(_IMAGES)]


def paths(word: str) -> list[str]:
    """Files and folders that begin so, as they were begun; in quotes where they need them."""
    quote = word[:1] if word[:1] in ("'", '"') else ""
    folder, slash, start = word[len(quote) :].rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").expanduser().iterdir())
    except (OSError, RuntimeError, ValueError):
        return []
    found = []
    for entry in entries:
        if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
            path = f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
            needed = quote or ("'" if re.search(r"[\s\"\\]", path) else "")
            found.append(f"{needed}{path}{'' if entry.is_dir() else needed}")
    return found
