"""Doing as an ordinary user does: permissions mean nothing to root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[tuple[int, int]]:
    """Run as an ordinary user, whose ids these are."""
    if os.geteuid() != 0:
        yield os.geteuid(), os.getegid()
        return
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield _NOBODY, _NOBODY
    finally:
        os.seteuid(0)
        os.setegid(0)
