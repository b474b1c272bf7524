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
class Problem:
    """What could not be looked into: where it is, how it is shown, what is wrong with it."""

    path: Path
    uri: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Published:
    """Where files are published: those below ``folder``, an absolute path, under ``base_url``."""

    folder: Path
    base_url: str

    def holds(self, path: Path) -> bool:
        """Whether it has a link for what stands at ``path``: below the folder, and not hidden."""
        if not path.is_relative_to(self.folder):
            return False
        return not any(part.startswith(".") for part in path.relative_to(self.folder).parts)

    def link(self, path: Path) -> str:
        """The link of a file below the folder."""
        return f"{self.base_url.rstrip('/')}/{quote(path.relative_to(self.folder).as_posix())}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The files found, what could not be looked into, and how much was left aside.

    ``complete`` says whether a file that is not listed is really gone: nothing may be forgotten
    after an incomplete listing.
    """

    files: tuple[SourceFile, ...]
    problems: tuple[Problem, ...]
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
    above: Published | None = None,
    known: Collection[str] = (),
) -> Listing:
    """List a file, or a folder with everything below it that is not hidden.

    Links to files are followed, links to folders are not and count as left aside. What held
    documents and is now an empty folder is a problem: a disk that is not mounted looks like that.

    Args:
        root: absolute path of the file or folder.
        label: the path as it was typed; files of a folder are shown below it.
        base_url: where the source is published.
        above: where it is published as a part of another source; used where it has no base URL
            itself. Without either there are ``file:`` links.
        suffixes: lower-case endings of the files to take from a folder. A file that is named
            itself is always listed.
        known: the locations of the documents that the source is known to have had.
    """
    try:
        if root.is_file():
            published = above if base_url is None else Published(root.parent, base_url)
            return Listing((SourceFile(root, label, _link(root, published)),), (), 0)
        if not root.exists():
            return _missing(root, label, was_file=str(root) in known)
    except OSError as error:
        return _problem(root, label, f"cannot be looked at: {error.strerror or error}")
    published = above if base_url is None else Published(root, base_url)
    problems: list[Problem] = []
    files: list[SourceFile] = []
    skipped = 0

    def shown(path: Path) -> str:
        return str(PurePosixPath(label) / path.relative_to(root).as_posix())

    def note(error: OSError) -> None:
        where = Path(error.filename or root)
        wrong = f"cannot be listed: {error.strerror or error}"
        problems.append(Problem(where, shown(where), wrong))

    for folder, names, members in os.walk(root, onerror=note):
        names[:] = sorted(name for name in names if not name.startswith("."))
        skipped += sum((Path(folder) / name).is_symlink() for name in names)
        for member in sorted(members):
            path = Path(folder) / member
            if member.startswith((".", "~$")):
                continue
            try:
                taken = path.suffix.lower() in suffixes and path.is_file()
            except OSError as error:
                wrong = f"cannot be read: {error.strerror or error}"
                problems.append(Problem(path, shown(path), wrong))
                continue
            if taken:
                files.append(SourceFile(path, shown(path), _link(path, published)))
            else:
                skipped += 1
    if known and not (files or problems or skipped):
        return _empty(root, label, "it")
    return Listing(tuple(files), tuple(problems), skipped)


def _missing(root: Path, label: str, *, was_file: bool) -> Listing:
    """A deleted file is gone; a missing folder may be a disk that is not there today."""
    if not (was_file and root.parent.is_dir()):
        return _problem(
            root,
            label,
            "does not exist; nothing of it was changed; to forget it: "
            f'spanbot docs remove "{label}"',
        )
    if not any(root.parent.iterdir()):
        return _empty(root, label, "its folder")
    return Listing((), (), 0)


def _empty(root: Path, label: str, what: str) -> Listing:
    return _problem(
        root,
        label,
        f"holds no document any more: {what} is empty, as when a disk is not mounted, and nothing "
        f'was forgotten; to forget it: spanbot docs remove "{label}"',
    )


def _problem(root: Path, label: str, wrong: str) -> Listing:
    return Listing((), (Problem(root, label, wrong),), 0)


def _link(path: Path, published: Published | None) -> str:
    return path.as_uri() if published is None else published.link(path)
