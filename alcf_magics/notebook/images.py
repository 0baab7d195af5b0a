"""What `--image` names: a variable of the notebook, a file, or an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from ..images.loading import KINDS, Fetch, is_address, loaded, several
from ..images.picture import Picture
from .arguments import expanded
from .expansion import Unresolved, resolve

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
    found, value = _variable(name, variables)
    if not found:
        value = _file_or_address(word, variables)
    values = several(value)
    if not values:
        raise UsageError(f"--image {name}: an empty {type(value).__name__}. {KINDS}")
    names = [name] if len(values) == 1 else [f"{name}[{n}]" for n in range(len(values))]
    return [loaded(one, called, fetch) for one, called in zip(values, names, strict=True)]


def _variable(name: str, variables: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether a name leads to a value, and the value. A variable goes before a file."""
    start = _VARIABLE.match(name)
    if start is None or start.group() not in variables:
        return False, None
    try:
        return True, resolve(name, variables)
    except Unresolved as error:
        why = str(error)
    except Exception as error:  # whatever an attribute or a key raises
        why = f"{type(error).__name__}: {error}"
    if Path(name).is_file():
        return False, None
    raise UsageError(f"--image {name}: {why}")


def _file_or_address(word: str, variables: Mapping[str, Any]) -> str:
    """A path or an address, with the variables that it names."""
    text = expanded(word, variables)
    if is_address(text):
        return text
    try:
        there = Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        there = False
    if not there:
        raise UsageError(
            f"--image {word}: there is no such variable and no such file (here is {Path.cwd()})"
        )
    return text
