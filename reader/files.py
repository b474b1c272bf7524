"""Reading data files with errors that name what is wrong, and writing files whole."""

from __future__ import annotations

import json
import lzma
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
        DatasetError: it is not JSON, which the message says with the line, or more than is read:
            brackets within thousands of brackets, or a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {too_much(error)}") from error


def too_much(error: RecursionError | ValueError) -> str:
    """What of a text that is JSON goes beyond what ``json.loads`` reads."""
    if isinstance(error, RecursionError):
        return "its brackets are nested too deeply"
    return f"a number in it is too long ({error})"


def place_of(text: str, keys: Sequence[str | int]) -> tuple[int, int]:
    """Line and column, both from 1, of a value in a text that is JSON.

    Args:
        keys: the way to it from the outermost value: names in objects, numbers in lists. Of equal
            names in an object it is the last, whose value ``json.loads`` takes.
    """
    decoder = json.JSONDecoder()

    def solid(at: int) -> int:
        """The first character from ``at`` on that is no white space."""
        found = _BLANK.match(text, at)
        return found.end() if found else at

    def value(at: int, key: str | int) -> int:
        """Where in the object or list that begins at ``at`` the value of a key begins."""
        found, number = at, 0
        at = solid(at + 1)  # behind the bracket
        while text[at] not in "]}":
            name: str | int = number
            if isinstance(key, str):
                name, at = decoder.raw_decode(text, at)
                at = solid(solid(at) + 1)  # behind the colon
            if name == key:
                found = at
                if isinstance(key, int):
                    break
            _, at = decoder.raw_decode(text, at)
            at = solid(at)
            at = solid(at + 1) if text[at] == "," else at
            number += 1
        return found

    at = solid(0)
    for key in keys:
        at = value(at, key)
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

    A symbolic link stays, and the file that it leads to is written. A pipe or a device is written
    into, as is the file that the command's own output goes to.

    Raises:
        OutputError: it cannot be written.
    """
    raw = text.encode("utf-8")
    with writing(path):
        if (stream := _own_output(path)) is not None:
            (sys.stdout if stream == 1 else sys.stderr).flush()
            with open(stream, "wb", closefd=False) as file:
                file.write(raw)
        elif _is_special(path):
            path.write_bytes(raw)
        else:
            target = _resolved(path)
            part = target.with_name(target.name + ".part")
            part.write_bytes(raw)
            part.replace(target)


def check_targets(targets: Mapping[str, Path | None]) -> None:
    """See that files can be written before the work whose results they shall hold.

    Args:
        targets: by the options that name them; None where an option is not given.

    Raises:
        OutputError: one cannot be written: its folder is not there or may not be written to, or it
            is a folder itself; or two options name one file.
    """
    options: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None:
            continue
        with writing(path):
            _check_target(path)
            place = _resolved(path)
        if place in options:
            raise OutputError(
                f"{options[place]} and {option} both name {path}; give each a file of its own"
            )
        options[place] = option


def _check_target(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; give a file")
    if _is_special(path) or _own_output(path) is not None:
        if not os.access(path, os.W_OK):
            raise OutputError(f"cannot write {path}: you may not write to it")
        return
    folder = _resolved(path).parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: you may not write in {folder}")


def _resolved(path: Path) -> Path:
    """Where its links lead to, there or not; raises OSError for links that lead in a circle."""
    with suppress(FileNotFoundError):
        path.stat()
    return path.resolve()


def _is_special(path: Path) -> bool:
    """Whether it is there and is no regular file: a pipe, a device."""
    return path.exists() and not path.is_file()


def _own_output(path: Path) -> int | None:
    """Which of this process's outputs, 1 or 2, is the file; None where it is neither.

    To replace such a file would lose what is printed, and to open it anew would write over that.
    """
    for stream in (1, 2):
        try:
            if os.path.samestat(path.stat(), os.fstat(stream)):
                return stream
        except OSError:  # it is not there, or the output is closed
            continue
    return None


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
