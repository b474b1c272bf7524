"""Upgrades of a home folder's database, one at a time.

The database lets one process at a time through as well, but the others give up after the seconds
that any writer is waited for, and the copy before an upgrade may take longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def in_turn(home: Path, *, waiting: Callable[[], object]) -> Iterator[None]:
    """Upgrade in the block, after whoever is at it in another process.

    Where nothing can be written to the home folder there are no turns: what is done in the block
    says that itself.

    Args:
        waiting: called once, where another process is waited for.
    """
    lock = FileLock(home / "upgrade.lock")  # the system frees it when the process is killed
    if not _got(lock, wait=0):
        waiting()
        _got(lock, wait=-1)
    try:
        yield
    finally:
        lock.release()


def _got(lock: FileLock, *, wait: float) -> bool:
    """Whether it need not be waited for any more: it is held, or cannot be."""
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        return False
    except OSError:
        return True
    return True
