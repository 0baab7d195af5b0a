"""What `--image` names: a variable of the notebook, a file, or an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from ..images.addresses import is_address
from ..images.loading import KINDS, Fetch, loaded, several
from ..images.picture import Picture
from .arguments import expanded
from .names import named_value

#: A name in the braces of a prompt or of another option's value: they add nothing here.
_IN_BRACES = re.compile(r"\$(\w+)|\{\{?\s*([^{}]+?)\s*\}?\}")
#: What begins as a path through variables does.
_VARIABLE = re.compile(r"[^\W\d]\w*(?![^.\[])")


def images_of(word: str, variables: Mapping[str, Any], fetch: Fetch) -> list[Picture]:
    """The pictures that one `--image` names: a variable may hold several.

    Raises UsageError where there is nothing of that name, RequestRefused for what is no image.
    """
    braced = _IN_BRACES.fullmatch(word)
    name = next(filter(None, braced.groups())) if braced else word
    value = (
        named_value("--image", name, variables)
        if _is_variable(name, variables)
        else _file_or_address(word, variables)
    )
    values = several(value)
    if not values:
        raise UsageError(f"--image {name}: an empty {type(value).__name__}. {KINDS}")
    names = [name] if len(values) == 1 else [f"{name}[{n}]" for n in range(len(values))]
    return [loaded(one, called, fetch) for one, called in zip(values, names, strict=True)]


def _is_variable(name: str, variables: Mapping[str, Any]) -> bool:
    """Whether a word means a value: a variable goes before a file, a file before its attribute."""
    start = _VARIABLE.match(name)
    if start is None or start.group() not in variables:
        return False
    return name.isidentifier() or not _is_there(name)


def _file_or_address(word: str, variables: Mapping[str, Any]) -> str:
    """A path or an address, with the variables that it names."""
    text = expanded(word, variables)
    if not is_address(text) and not _is_there(text):
        raise UsageError(
            f"--image {word}: there is no such variable and no such file (here is {Path.cwd()})"
        )
    return text


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
