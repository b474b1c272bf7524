"""What files a source holds."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source: where it is, how it is shown, what a link to it is."""

    path: Path
    uri: str
    link: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files found, what could not be looked into, and how many files were left aside.

    ``complete`` says whether a file that is not listed is really gone: nothing may be forgotten
    after an incomplete listing.
    """

    files: tuple[SourceFile, ...]
    problems: tuple[tuple[str, str], ...]
    skipped: int

    @property
    def complete(self) -> bool:
        return not self.problems


def list_files(
    root: Path,
    *,
    label: str,
    base_url: str | None,
    suffixes: Collection[str],
    was_file: bool = False,
) -> Listing:
    """List a file, or a folder with everything below it that is not hidden.

    Args:
        root: absolute path of the file or folder.
        label: the path as it was typed; files of a folder are shown below it.
        base_url: where the source is published; None makes ``file:`` links.
        suffixes: lower-case endings of the files to take from a folder. A file that is named
            itself is always listed.
        was_file: the source is known to have been a file.
    """
    if root.is_file():
        return Listing((_source_file(root, root.parent, label, True, base_url),), (), 0)
    if not root.exists():
        # A deleted file is gone; a missing folder may be a disk that is not there today.
        if was_file and root.parent.is_dir():
            return Listing((), (), 0)
        return Listing((), ((label, f"{label} does not exist; nothing of it was changed"),), 0)
    problems: list[tuple[str, str]] = []
    files: list[SourceFile] = []
    skipped = 0

    def note(error: OSError) -> None:
        where = str(error.filename or root)
        problems.append((where, f"{where} cannot be listed: {error.strerror or error}"))

    for folder, names, members in os.walk(root, onerror=note):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for member in sorted(members):
            path = Path(folder) / member
            if member.startswith((".", "~$")):
                continue
            if path.suffix.lower() not in suffixes or not path.is_file():
                skipped += 1
                continue
            files.append(_source_file(path, root, label, False, base_url))
    return Listing(tuple(files), tuple(problems), skipped)


def _source_file(
    path: Path, root: Path, label: str, single: bool, base_url: str | None
) -> SourceFile:
    relative = path.relative_to(root).as_posix()
    uri = label if single else str(PurePosixPath(label) / relative)
    link = path.as_uri() if base_url is None else f"{base_url.rstrip('/')}/{quote(relative)}"
    return SourceFile(path, uri, link)
