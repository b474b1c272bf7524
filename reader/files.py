"""Reading data files with errors that name what is wrong, and writing files whole."""

from __future__ import annotations

import json
import lzma
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from reader.errors import DatasetError, OutputError

_BLANK = re.compile(r"[ \t\n\r]*")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; ``.xz`` is decompressed.

    Raises:
        DatasetError: it is missing, cut off or not UTF-8.
    """
    try:
        raw = path.read_bytes()
        return (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
    except (lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"{path} is not a whole xz file ({error}); copy it again") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text at byte {error.start}") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds; ``.xz`` is decompressed.

    Raises:
        DatasetError: as for :func:`read_text`, or it is not JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> Any:
    """What the text of a JSON file holds.

    Raises:
        DatasetError: it is not JSON; the message names the file and the line.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error


def place_of(text: str, keys: Sequence[str | int]) -> tuple[int, int]:
    """Line and column, both from 1, of a value in a text that is JSON.

    Args:
        keys: the way to it from the outermost value: names in objects, numbers in lists.
    """
    decoder = json.JSONDecoder()

    def solid(at: int) -> int:
        """The first character from ``at`` on that is no white space."""
        found = _BLANK.match(text, at)
        return found.end() if found else at

    at = solid(0)
    for key in keys:
        at = solid(at + 1)  # behind the bracket
        number = 0
        while True:
            name: str | int = number
            if isinstance(key, str):
                name, at = decoder.raw_decode(text, at)
                at = solid(solid(at) + 1)  # behind the colon
            if name == key:
                break
            _, at = decoder.raw_decode(text, at)
            at = solid(solid(at) + 1)  # behind the comma
            number += 1
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


@contextmanager
def writing(path: Path, kept: str = "") -> Iterator[None]:
    """Around what writes a file or a folder's files, and does nothing else.

    Args:
        kept: what the message says at its end of what was there before.

    Raises:
        OutputError: it cannot be written, as Python, torch or safetensors say.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or str(error)
        reason = said.splitlines()[0] if said else type(error).__name__
        raise OutputError(f"cannot write {path}: {reason}{kept}") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with writing(path):
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def check_target(path: Path) -> None:
    """See that a file can be written before the work whose result it shall hold.

    Raises:
        OutputError: its folder is not there or may not be written to, or it is a folder itself.
    """
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; give a file")
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: you may not write in {folder}")


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
