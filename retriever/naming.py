"""What callers name: collections, files and web addresses, checked before anything is done."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from retriever.errors import IngestError


def as_utf8(name: str) -> str:
    """A name with the bytes that are not UTF-8 spelt out: the database could not hold them."""
    return name.encode(errors="backslashreplace").decode()


def check_base_url(base_url: str | None) -> None:
    """Make sure that it is a web address, or None. Raises: IngestError."""
    if base_url is None:
        return
    try:
        parts = urlsplit(base_url)
        right = parts.scheme in {"http", "https"} and bool(parts.netloc)
    except ValueError:  # "https://[x"
        right = False
    if not right or base_url != as_utf8(base_url):
        raise IngestError(
            f'"{as_utf8(base_url)}" is not a web address; give one like '
            "https://handbook.example.com/"
        )


def check_collection(name: str) -> None:
    """Make sure that a collection may have this name, which is a folder's too.

    Raises:
        IngestError: it may not.
    """
    if not name.strip() or len(name) > 100 or name != name.strip() or not _is_plain(name):
        raise IngestError(
            f'"{as_utf8(name)}" cannot name a collection; use 1 to 100 characters without a slash'
        )


def check_file_name(name: str) -> None:
    """Make sure that it names a file and no way to one. Raises: IngestError."""
    if not _is_plain(name):
        raise IngestError(f'"{as_utf8(name)}" is not a plain file name; rename the file')


def _is_plain(name: str) -> bool:
    if name in {"", ".", ".."} or "\x00" in name or name != as_utf8(name):
        return False
    return Path(name).name == name
