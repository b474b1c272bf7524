"""Files of named arrays, written durably and checked when they are opened.

    8 bytes   magic
    8 bytes   length of the header, little endian
    header    JSON: facts, and for each array its type, shape and place
    arrays    each at a multiple of 64 bytes, so that it can be used where it is mapped

A file is complete and synced before anything names it, and never changed after. Whoever names it
notes its size and CRC-32, by which a file that was cut or changed is told from the one written.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import SearchIndexError

_MAGIC = b"spanbot\x02"
_ALIGNMENT = 64
_CHUNK = 1 << 24


class DamagedError(SearchIndexError):
    """A file of the index is missing, cut or changed."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file by its name, with what it must be: its size in bytes and its CRC-32."""

    name: str
    size: int
    checksum: int


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, object]
) -> FileEntry:
    """Write a file of arrays and sync it; a file of that name must not exist.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    layout: dict[str, object] = {}
    place = 0
    for name, array in arrays.items():
        layout[name] = [array.dtype.str, list(array.shape), place]
        place += _aligned(array.nbytes)
    header = json.dumps({"facts": facts, "arrays": layout}).encode()
    head = _MAGIC + len(header).to_bytes(8, "little") + header
    head += bytes(_aligned(len(head)) - len(head))
    checksum = size = 0
    try:
        with path.open("xb") as file:
            for part in _parts(head, arrays):
                file.write(part)
                checksum = zlib.crc32(part, checksum)
                size += len(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return FileEntry(path.name, size, checksum)


def _parts(head: bytes, arrays: Mapping[str, NDArray[Any]]) -> Iterator[bytes | memoryview]:
    yield head
    for array in arrays.values():
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for begin in range(0, len(content), _CHUNK):
            yield content[begin : begin + _CHUNK]
        yield bytes(_aligned(array.nbytes) - array.nbytes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def read_arrays(folder: Path, entry: FileEntry) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts and the arrays of a file, mapped and read-only, once its checksum is right.

    Raises:
        DamagedError: it is not the file that was written.
        FileNotFoundError: it is not there, as when a newer generation has taken its place.
        OSError: it cannot be read.
    """
    path = folder / entry.name
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != entry.size:
            raise DamagedError(f"{path} is not of the size that was written, {entry.size} bytes")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(content)
    checksum = 0
    for begin in range(0, len(view), _CHUNK):
        checksum = zlib.crc32(view[begin : begin + _CHUNK], checksum)
    if checksum != entry.checksum:
        raise DamagedError(f"{path} is damaged: its checksum is not the one that was written")
    if view[: len(_MAGIC)] != _MAGIC:
        raise DamagedError(f"{path} is of another version")
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(view[len(_MAGIC) : start], "little")
    header = json.loads(bytes(view[start:end]))
    base = _aligned(end)
    arrays = {
        name: _array(view, base + place, np.dtype(kind), tuple(shape))
        for name, (kind, shape, place) in header["arrays"].items()
    }
    return header["facts"], arrays


def _array(
    view: memoryview, place: int, kind: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        empty = np.empty(shape, dtype=kind)
        empty.flags.writeable = False
        return empty
    return np.frombuffer(view, dtype=kind, count=count, offset=place).reshape(shape)


def replace_durably(path: Path, content: bytes) -> None:
    """Put a small file in the place of another: afterwards there is the old one or the new one.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what an ``OSError`` means to someone who wants an index in ``folder``.

    Raises:
        SearchIndexError: the folder cannot be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise SearchIndexError(
            f"the search index in {folder} cannot be written: {reason}; free space or check the "
            "folder's permissions, then run: spanbot reindex"
        ) from error
