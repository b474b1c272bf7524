"""The kernel's machine code on disk: made when an index is built, loaded by whoever searches.

Compiling takes a quarter of a minute, so a search never waits for it: it loads what is there, and
goes on with numpy where nothing is. The code is kept beside the index, in a folder whose name
changes with the kernel's sources and with what compiled them; numba itself looks after the rest,
such as another processor. Installations that share an index have a folder each: numba's files are
of use only where they were made.

    compiled-WHERE-KEY/        numba's files
    compiled-WHERE-KEY/READY   written last: a checksum of all of them
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
import threading
import zlib
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from retriever import bm25
from retriever.index import kernel

_log = logging.getLogger(__name__)
_READY = "READY"
_COMPILED = ("kernel_numba.py", "loops.py", "maxscore.py")
_lock = threading.Lock()
_useless: set[tuple[str, int]] = set()


def use(folder: Path) -> bool:
    """Have this process search with the compiled code of an index; whether it does.

    Nothing is compiled for that. Without code that fits, numpy goes on.
    """
    if kernel.default().name == "numba":
        return True
    ready = _place(folder) / _READY
    try:
        stamp = (str(ready), ready.stat().st_mtime_ns)
    except OSError:
        return False
    if stamp in _useless or not _lock.acquire(blocking=False):
        return False
    try:
        whole = ready.read_text(encoding="ascii") == _checksum(ready.parent)
        loaded = kernel.load_compiled(ready.parent) if whole else None
        if loaded is None:
            _useless.add(stamp)
            _log.info("the compiled code in %s does not fit; numpy searches instead", ready.parent)
            return False
        kernel.set_default(loaded)
    finally:
        _lock.release()
    return True


def make(folder: Path) -> None:
    """Compile the kernel for an index and have this process search with it, unless it does.

    Where the code cannot be kept, or numba is not installed, numpy goes on, and the log says so.
    """
    if not kernel.is_compiled() or use(folder):
        return
    try:
        with FileLock(folder / "compile.lock"):
            if not use(folder):  # unless another process has made it meanwhile
                _make(folder)
    except Exception as error:  # noqa: BLE001  # a compiler may fail in any way; numpy does not
        _log.warning("the search index's loops were not compiled, numpy does them: %s", error)


def _make(folder: Path) -> None:
    place = _place(folder)
    with _lock:
        _log.info("compiling the inner loops of the search index, once")
        for old in folder.glob(f"compiled-{_where()}-*"):
            shutil.rmtree(old, ignore_errors=True)
        place.mkdir(parents=True)
        made = kernel.load(compiled=True, folder=place)
        (place / _READY).write_text(_checksum(place), encoding="ascii")
        kernel.set_default(made)


def _place(folder: Path) -> Path:
    return folder / f"compiled-{_where()}-{_key()}"


def _checksum(place: Path) -> str:
    """Of numba's files: machine code that was damaged must not be run."""
    checksum = 0
    for file in sorted(place.rglob("*.nb?")):
        checksum = zlib.crc32(file.name.encode() + file.read_bytes(), checksum)
    return f"{checksum:08x}"


@cache
def _where() -> str:
    """Which installation this is: its environment, and the sources, which two may share."""
    place = f"{sys.prefix}\n{Path(__file__).parent}"
    return f"{zlib.crc32(os.fsencode(place)):08x}"


@cache
def _key() -> str:
    """Changes with the kernel and the constants in it, which numba does not look at."""
    names = ("numba", "llvmlite", "numpy")
    parts = [platform.python_version(), platform.machine()]
    parts += [f"{name} {_version(name)}" for name in names]
    here = Path(__file__).parent
    sources = [here / name for name in ("segment.py", "kernel.py", *_COMPILED)]
    key = zlib.crc32("\n".join(parts).encode())
    for source in (Path(bm25.__file__), *sources):
        key = zlib.crc32(source.read_bytes(), key)
    return f"{key:08x}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
