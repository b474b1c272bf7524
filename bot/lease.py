"""Holding a run's lease while its work goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from retriever.errors import StoreError
from retriever.store.database import Database
from retriever.store.runs import renew

logger = logging.getLogger(__name__)

#: How long a run counts as running when nothing more is heard of its process.
LEASE = timedelta(minutes=5)


@contextmanager
def held(
    database: Database,
    run_id: int,
    fence: int,
    *,
    lease: timedelta,
    clock: Callable[[], datetime],
) -> Iterator[None]:
    """Renew the lease in a thread, three times in its length, until the block ends."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(lease.total_seconds() / 3):
            try:
                with database.write() as session:
                    ours = renew(session, run_id, fence, now=clock(), lease=lease)
            except StoreError as error:
                logger.warning("the lease of a run was not renewed: %s", error)
                continue
            if not ours:
                logger.warning("another process has taken the run over")
                return

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
