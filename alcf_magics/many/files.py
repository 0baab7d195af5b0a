"""The files of a batch on the facility's file system: the input, what is kept beside it, answers.

Beside `NAME.jsonl` stands `NAME.about.json`: the index of the data and what else is needed to read
the answers in a later kernel. Files are written under another name and put in their place whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AlcfError, RequestRefused
from ..gateway.batches import MOST_LINES
from ..gateway.models import Model
from ..showing.formats import FORMATS
from .misuse import UsageError

#: Where the production gateway's batches can read and write.
FILE_SYSTEMS = ("/eagle", "/lus/eagle", "/flare", "/lus/flare", "/grand", "/lus/grand")
#: Of a file system, this is left free.
_SPARE = 2**20


@dataclass(frozen=True)
class About:
    """What is kept beside the input. `refused` says why rows of the data have no line in it."""

    input_file: str
    output_folder: str
    lines: int
    asked: str = ""
    model: str = ""
    cluster: str = ""
    framework: str = ""
    format: str = "markdown"
    submitted: float = 0.0
    batch_id: str = ""
    index: Mapping[str, Any] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    version: str = ""

    @property
    def place(self) -> Model:
        """The model that is asked, where it is; its address is not to be had from a file."""
        return Model(self.model, self.cluster, self.framework, base_url="")

    @property
    def is_sound(self) -> bool:
        """Whether every value is of its kind; others may write where batches are."""
        return (
            all(isinstance(getattr(self, name), str) for name in _TEXTS)
            and type(self.lines) is int
            and 0 <= self.lines <= MOST_LINES
            and isinstance(self.submitted, int | float)
            and isinstance(self.index, Mapping | None)
            and isinstance(self.refused, Mapping)
            and isinstance(self.schema, Mapping | None)
            and self.format in FORMATS
        )

    def save(self) -> None:
        """Put it beside the input, in place of an older one."""
        written = json.dumps(asdict(self), ensure_ascii=False)
        _write(about_path(self.input_file), [written])


_FIELDS = tuple(field.name for field in fields(About))
_TEXTS = tuple(field.name for field in fields(About) if field.type == "str")


def about_path(input_file: str) -> Path:
    return Path(input_file).with_suffix(".about.json")


def read_about(input_file: str) -> About | None:
    """What stands beside an input; None where nothing does, or nothing that we wrote."""
    try:
        value = json.loads(about_path(input_file).read_text("utf-8"))
        about = About(**{**{name: value[name] for name in _FIELDS}, "input_file": input_file})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return about if about.is_sound else None


def checked_folder(folder: str | Path | None, *, facility: bool) -> Path:
    """The folder, whole and made if it is not there. Raises UsageError, RequestRefused.

    `facility` says that the real service must find it, under the same path.
    """
    if not isinstance(folder, str | os.PathLike) or not str(folder).strip():
        raise UsageError(
            f"folder is a path, not {folder!r:.60}.", "Say where: folder='/eagle/PROJECT/NAME'"
        )
    # Links stay: the facility knows its file systems by them.
    path = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100
    if facility:
        path = _at_facility(path)
    trouble = ""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            trouble = "it cannot be written to"
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    if trouble:
        raise RequestRefused(
            f"The folder {path} cannot be used: {trouble}.",
            "A batch's folder is on a file system that this kernel and the cluster share.",
        )
    return path


def _at_facility(path: Path) -> Path:
    """The path under a name that the facility knows. Raises RequestRefused where it has none."""
    for known in (path, path.resolve()):
        if any(PurePosixPath(known).is_relative_to(root) for root in FILE_SYSTEMS):
            return known
    roots = ", ".join(root for root in FILE_SYSTEMS if root.count("/") == 1)
    raise RequestRefused(
        f"{path} is not on a file system that ALCF's batches can read: these are {roots}.",
        "Give a folder there, in a kernel at ALCF: folder='/eagle/PROJECT/NAME'",
    )


def new_input(folder: Path) -> Path:
    """A path that no other batch has."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    return folder / f"batch-{moment}-{secrets.token_hex(3)}.jsonl"


def check_room(folder: Path, size: int) -> None:
    """Raises RequestRefused where a file of so many bytes has no room."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if size + _SPARE > free:
            raise RequestRefused(
                f"The input of the batch has {size:,} bytes, and {folder} has room for {free:,}.",
                "Make room, or give another folder.",
            )


def write_input(path: Path, lines: Iterable[str]) -> None:
    """Write the input whole, readable for the service, which is another user."""
    _write(path, lines)
    with contextlib.suppress(OSError):
        path.chmod(path.stat().st_mode | 0o444)


def forget(input_file: Path) -> None:
    """Take away the files of a batch that never began."""
    for path in (input_file, about_path(str(input_file))):
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path, pieces: Iterable[str]) -> None:
    other = path.with_name(f".{path.name}.{secrets.token_hex(3)}")
    trouble = ""
    try:
        with other.open("x", encoding="utf-8") as out:
            out.writelines(pieces)
            out.flush()
            os.fsync(out.fileno())
        other.replace(path)
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    finally:
        other.unlink(missing_ok=True)
    if trouble:
        raise AlcfError(f"{path} cannot be written: {trouble}.", "Give another folder.")


# Progress


def progress_value(folder: str, batch_id: str, path: str = "") -> Any:
    """The JSON of a batch's progress file, found by its id in the output folder; None for none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        paths = [Path(path)] if path else _progress_files(folder, batch_id)
        for found in paths:
            return json.loads(found.read_text("utf-8"))
    return None


def _progress_files(folder: str, batch_id: str) -> Iterator[Path]:
    for own in Path(folder).iterdir() if folder else ():
        if batch_id in own.name and own.is_dir():
            yield from own.glob("*.progress.json")


# The index of the data


def written_index(index: Any) -> Mapping[str, Any] | None:
    """An index of pandas' as JSON carries it: labels, their types and names. None for none."""
    if index is None:
        return None
    levels = [index.get_level_values(n) for n in range(index.nlevels)]
    return {
        "names": [None if name is None else str(name) for name in index.names],
        "types": [str(level.dtype) for level in levels],
        "labels": [[_label(value) for value in level] for level in levels],
    }


def read_index(value: Mapping[str, Any] | None, count: int) -> Any:
    """The index again, its labels as texts where their type is not known here.

    None for none, for one that cannot be read, or that has not `count` labels.
    """
    if value is None:
        return None
    with contextlib.suppress(ImportError, KeyError, TypeError, ValueError, AttributeError):
        index = _index(value)
        return index if len(index) == count else None
    return None


def _index(value: Mapping[str, Any]) -> Any:
    import pandas

    levels = [
        _level(pandas, labels, type_)
        for labels, type_ in zip(value["labels"], value["types"], strict=True)
    ]
    if len(levels) == 1:
        return levels[0].rename(value["names"][0])
    return pandas.MultiIndex.from_arrays(levels, names=value["names"])


def _level(pandas: Any, labels: list[Any], type_: str) -> Any:
    try:
        if type_.startswith("period["):
            return pandas.PeriodIndex(labels, freq=type_[7:-1])
        return pandas.Index(labels, dtype=type_)
    except (TypeError, ValueError, OverflowError):
        return pandas.Index(labels)


def _label(value: Any) -> Any:
    """A label as JSON has it: numbers and texts as they are, all else as its text."""
    value = value.item() if type(value).__module__ == "numpy" else value
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
