"""What the app remembers from one delivery to the next, across processes and restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from retriever.store.database import Database
from retriever.store.log import claim_event, forget_events, give_feedback

#: How long it is known that a delivery was taken on: Slack delivers an event again for hours at
#: most, and a message again whenever it is edited.
KEEP = timedelta(days=7)
_TIDY_EVERY = timedelta(hours=6)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Records:
    """Which deliveries were taken on, and what users thought of answers."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._tidied: datetime | None = None
        self._lock = threading.Lock()

    def claim(self, keys: Sequence[str]) -> bool:
        """Take on what is known by ``keys``; False if any process did before.

        Raises:
            StoreError: the database cannot be written.
        """
        now = self._clock()
        tidy = self._is_time_to_tidy(now)
        with self._database.write() as session:
            if tidy:
                forget_events(session, now - KEEP)
            return claim_event(session, keys, now)

    def give_feedback(self, question_id: int, *, user: str, value: int) -> None:
        """Keep a user's opinion of an answer: positive for one that helped, else negative.

        Raises:
            StoreError: the question is gone, or the database cannot be written.
        """
        with self._database.write() as session:
            give_feedback(
                session,
                question_id=question_id,
                user=user,
                value=1 if value > 0 else -1,
                now=self._clock(),
            )

    def _is_time_to_tidy(self, now: datetime) -> bool:
        with self._lock:
            if self._tidied is not None and now - self._tidied < _TIDY_EVERY:
                return False
            self._tidied = now
            return True
