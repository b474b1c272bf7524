"""The kernel's machine code on disk: made when an index is built, loaded by whoever searches.

Compiling takes a quarter of a minute, so a search never waits for it: it loads what is there, and
goes on with numpy where nothing is. The code is kept beside the index, in a folder whose name
changes with the kernel's sources and with what compiled them; numba itself looks after the rest,
such as another processor. Installations that share an index have a folder each: numba's files are
of use only where they were made. Who compiles removes the folders that nobody uses any more.

    compiled-WHERE-KEY/         numba's files
    compiled-WHERE-KEY/MADE-BY  the machine's name, the folders of the environment and the sources
    compiled-WHERE-KEY/READY    written last: a checksum of numba's files; its date is that of the
                                last use, give or take a day
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import sys
import threading
import time
import zlib
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from retriever import bm25
from retriever.index import kernel

_log = logging.getLogger(__name__)
_READY = "READY"
_MADE_BY = "MADE-BY"
_DAY = 24 * 60 * 60.0
#: Code that was not used for so many seconds is nobody's, wherever it was made.
_LONG = 180 * _DAY
#: Code of an installation that cannot be seen any more is nobody's after so many. A container may
#: have this machine's name, and its folders are not to be seen from here either.
_A_WHILE = 30 * _DAY
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
        _note_use(ready)
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
        for old in folder.glob("compiled-*"):
            if old.name.startswith(f"compiled-{_where()}-") or _is_abandoned(old):
                shutil.rmtree(old, ignore_errors=True)
        place.mkdir(parents=True)
        made_by = json.dumps([platform.node(), *_installation()])
        (place / _MADE_BY).write_text(made_by, encoding="ascii")
        made = kernel.load(compiled=True, folder=place)
        (place / _READY).write_text(_checksum(place), encoding="ascii")
        kernel.set_default(made)


def _place(folder: Path) -> Path:
    return folder / f"compiled-{_where()}-{_key()}"


def _note_use(ready: Path) -> None:
    with suppress(OSError):  # who may only read the index searches as well
        if time.time() - ready.stat().st_mtime > _DAY:
            os.utime(ready)


def _is_abandoned(place: Path) -> bool:
    """Whether no installation will load this code again, as far as can be told from here."""
    try:
        used = (place / _READY).stat().st_mtime
    except FileNotFoundError:
        return True  # it was never finished: nobody but this process is compiling now
    except OSError:
        return False
    unused = time.time() - used
    return unused > _LONG or (unused > _A_WHILE and _is_of_vanished(place))


def _is_of_vanished(place: Path) -> bool:
    """Whether the installation that made this code seems to be gone from this machine."""
    try:
        machine, *folders = json.loads((place / _MADE_BY).read_text(encoding="ascii"))
    except (OSError, ValueError, TypeError):  # of an earlier version, or damaged
        return False
    # What another machine has cannot be seen from here.
    return bool(machine == platform.node()) and any(map(_is_gone, folders))


def _is_gone(folder: str) -> bool:
    try:
        Path(folder).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # in a folder that this user may not enter
        return False
    return False


def _checksum(place: Path) -> str:
    """Of numba's files: machine code that was damaged must not be run."""
    checksum = 0
    for file in sorted(place.rglob("*.nb?")):
        checksum = zlib.crc32(file.name.encode() + file.read_bytes(), checksum)
    return f"{checksum:08x}"


@cache
def _where() -> str:
    place = "\n".join(_installation())
    return f"{zlib.crc32(os.fsencode(place)):08x}"


def _installation() -> tuple[str, str]:
    """Which installation this is: its environment, and the sources, which two may share."""
    return sys.prefix, str(Path(__file__).parent)


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
