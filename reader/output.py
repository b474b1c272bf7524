"""Writing files whole, with errors that name what could not be written."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from reader.errors import OutputError, reason_of


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
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise OutputError(f"cannot write {path}: {reason}{kept}") from error


@contextmanager
def replacing(target: Path, kept: str = "") -> Iterator[Path]:
    """A file to write, that takes the place of another when the block ends.

    When it ends by an error, what was written is removed and ``target`` is as it was.

    Args:
        kept: as for :func:`writing`, in which the caller writes.

    Raises:
        OutputError: it cannot be put there.
    """
    part = target.with_name(target.name + ".part")
    try:
        yield part
        with writing(target, kept):
            part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """An empty folder to write files into, that takes the place of another when the block ends.

    A process that is killed never leaves half of it: ``target`` is what it was, or not there for
    the moment between two renames, which the next call mends, or what was written. Where the new
    files are the same it is not touched; else files that only it holds, a README say, are taken
    along. A symbolic link stays, and the folder that it leads to is replaced. When the block ends
    by an error, what was written is removed.

    Raises:
        OutputError: it cannot be made, or not be put there.
    """
    with writing(target):
        place = _resolved(target)
        before = place.with_name(f".{place.name}.before")
        if before.is_dir() and not place.exists():  # killed between the two renames below
            before.rename(place)
    part = place.with_name(place.name + ".part")
    for left in (part, before):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    if place.exists() and not place.is_dir():
        raise OutputError(f"cannot make the folder {target}: there is a file of this name")
    make_folder(part)
    try:
        yield part
        with writing(target):
            if not place.exists():
                part.rename(place)
            elif not _holds(place, part):
                names = {path.name for path in part.iterdir()}
                shutil.copytree(
                    place,
                    part,
                    symlinks=True,
                    dirs_exist_ok=True,
                    ignore=lambda folder, _: names if Path(folder) == place else (),
                )
                place.rename(before)
                part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if place.exists():
            shutil.rmtree(before, ignore_errors=True)
        elif before.is_dir():  # the second rename failed
            before.rename(place)


def _holds(folder: Path, other: Path) -> bool:
    """Whether a folder holds the files of another, byte for byte; there are no folders in it."""
    return all(
        (folder / path.name).is_file() and filecmp.cmp(folder / path.name, path, shallow=False)
        for path in other.iterdir()
    )


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file; see :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, raw: bytes) -> None:
    """Write a file, whole or not at all.

    A symbolic link stays, and the file that it leads to is written. A pipe or a device is written
    into, as is the file that the command's own output goes to.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(path):
        if (stream := _own_output(path)) is not None:
            (sys.stdout if stream == 1 else sys.stderr).flush()
            with open(stream, "wb", closefd=False) as file:
                file.write(raw)
        elif _is_special(path):
            path.write_bytes(raw)
        else:
            with replacing(_resolved(path)) as part:
                part.write_bytes(raw)


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
