"""The files that were handed over, and are kept in a folder of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from retriever.errors import IngestError


@contextmanager
def replacing(content: Path, target: Path) -> Iterator[Callable[[], None]]:
    """A copy of ``content``, to be put where ``target`` is by calling what this gives.

    When the block ends by an error, the file that was there before is there again, or none.

    Raises:
        IngestError: the file cannot be kept; ``target`` is as it was.
    """
    parts: list[Path] = []

    def copied(file: Path) -> Path:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        os.close(handle)
        parts.append(Path(name))
        shutil.copyfile(file, name)
        return Path(name)

    earlier: Path | None = None
    placed = False

    def put() -> None:
        nonlocal placed
        with _explained(target):
            incoming.replace(target)
        placed = True

    try:
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming = copied(content)
            earlier = copied(target) if target.exists() else None
        yield put
    except BaseException:
        if placed and earlier is not None:
            earlier.replace(target)
        elif placed:
            target.unlink(missing_ok=True)
        raise
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def delete(files: list[Path]) -> None:
    """Delete files; those that are gone already do not matter.

    Raises:
        IngestError: one cannot be deleted.
    """
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise IngestError(
                f"{file} cannot be deleted: {error.strerror or error}; nothing was removed, "
                "check the permissions of its folder"
            ) from error


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IngestError(
            f"{target.name} cannot be kept in {target.parent}: {error.strerror or error}"
        ) from error
