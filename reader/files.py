"""Reading data files with errors that name what is wrong."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from reader.errors import DatasetError

_BLANK = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


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


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends, which are ``\\n``, ``\\r\\n`` and ``\\r`` alone.

    ``str.splitlines`` also cuts at U+0085, U+2028 and U+2029, which stand as they are in the texts
    of JSON Lines and in the pieces of a vocabulary.
    """
    return [line.removesuffix("\n") for line in StringIO(text, newline=None)]


def half_character(text: str) -> str | None:
    """What is wrong with a text that holds a lone surrogate; None where it holds none.

    JSON can write one, ``\\ud800``, but it is half of a character: neither UTF-8 nor a piece holds
    it.
    """
    found = _SURROGATE.search(text)
    if found is None:
        return None
    return (
        f"holds \\u{ord(found.group()):04x} at character {found.start()}, which is half of a "
        "character (a lone surrogate); write the whole one, or leave it out"
    )


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
