"""Reading data files with errors that name what is wrong, and writing files whole."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from reader.errors import DatasetError


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
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
