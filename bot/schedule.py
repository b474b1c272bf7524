"""Reindexing by a cron expression, once for each slot however many processes run.

A *slot* is a time that the expression names. It is claimed as a row in the database and held on a
lease (:mod:`retriever.store.runs`), so that of several processes one does the work, and another
takes over when that one dies.

What was missed: only the latest slot counts. A process that starts, or wakes up, after slots that
nobody ran does the latest of them at once and leaves the others; looking at the sources twice would
find nothing new.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim

from bot.cron import check_cron
from bot.errors import StoppedError
from bot.lease import LEASE, held
from retriever.errors import RetrieverError
from retriever.reports import IngestReport
from retriever.store.database import Database
from retriever.store.runs import KEPT_FAILURES, ClaimedRun, claim_slot

logger = logging.getLogger(__name__)

#: How often a process looks whether a run was left by another one.
_POLL = timedelta(seconds=60)


class SystemTimezone(tzinfo):
    """The machine's own time zone, with its clock changes; what cron goes by."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        if moment is None:
            return None
        return moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        local = moment.replace(tzinfo=UTC).astimezone()
        wall = local.replace(tzinfo=None)
        # An hour that the clock goes through twice: fold tells the second time.
        second = wall.replace(fold=0).astimezone().utcoffset() != local.utcoffset()
        return wall.replace(tzinfo=self, fold=int(second))

    def __repr__(self) -> str:
        return "SystemTimezone()"


def utc_now() -> datetime:
    return datetime.now(UTC)


class Scheduler:
    """Calls ``run`` at the times of ``cron``.

    Args:
        cron: five fields as in cron(5), e.g. ``0 3 * * *`` for three in the morning.
        database: holds the claims; all processes that share it share the schedule.
        run: does the work and notes its end in the claimed row, as
            :meth:`bot.knowledge.KnowledgeBase.reindex` does; nobody watches, so what it reports
            is logged. A run without a noted end is taken over when its lease is out.
        owner: names this process among those that share the database; a new one each start.
        clock: the present time, aware of its time zone.
        timezone: that ``cron`` is read in; by default the machine's.
        lease: how long a run outlives its process before another takes it over.

    Raises:
        ConfigurationError: ``cron`` is no cron expression.
    """

    def __init__(
        self,
        cron: str,
        database: Database,
        run: Callable[[ClaimedRun], IngestReport],
        *,
        owner: str,
        clock: Callable[[], datetime] = utc_now,
        timezone: tzinfo | None = None,
        lease: timedelta = LEASE,
        name: str = "reindex",
    ) -> None:
        self.cron = cron
        self._database = database
        self._run = run
        self._owner = owner
        self._clock = clock
        self._timezone = timezone or SystemTimezone()
        self._lease = lease
        self._name = name
        self._done: datetime | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        check_cron(cron)

    def next_slot(self, now: datetime) -> datetime:
        """The first slot after ``now``, in UTC."""
        return next(CronSim(self.cron, now.astimezone(self._timezone))).astimezone(UTC)

    def latest_slot(self, now: datetime) -> datetime:
        """The last slot up to and including ``now``, in UTC."""
        after = now.replace(microsecond=0) + timedelta(seconds=1)
        local = after.astimezone(self._timezone)
        return next(CronSim(self.cron, local, reverse=True)).astimezone(UTC)

    def run_due(self, now: datetime) -> bool:
        """Do the latest slot's run, unless it was done or is being done; whether this call did.

        Raises:
            StoreError: the database cannot be read or written.
        """
        slot = self.latest_slot(now)
        if slot == self._done:
            return False
        with self._database.write() as session:
            claimed = claim_slot(
                session,
                schedule=self._name,
                slot=slot,
                owner=self._owner,
                now=now,
                lease=self._lease,
            )
        if claimed is None:
            return False
        self._do(claimed)
        self._done = slot
        return True

    def start(self) -> None:
        """Run in a thread of its own until :meth:`stop`."""
        if self._thread is not None:
            raise RuntimeError("the scheduler has been started before")
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Start no more runs; whether the one under way ended within ``timeout`` seconds."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.run_due(self._clock())
            except Exception:  # the next slot may go better
                logger.exception("a scheduled run could not be begun or noted")
            now = self._clock()
            until = min(self.next_slot(now) - now, _POLL)
            self._stop.wait(max(until.total_seconds(), 0.0))

    def _do(self, claimed: ClaimedRun) -> None:
        logger.info("reindexing on schedule, for %s", claimed.slot.isoformat())
        try:
            with held(
                self._database,
                claimed.run_id,
                claimed.fence,
                lease=self._lease,
                clock=self._clock,
            ):
                report = self._run(claimed)
        except StoppedError:
            logger.info("the scheduled reindexing was stopped; the next start goes on with it")
        except RetrieverError as error:
            logger.warning("the scheduled reindexing failed: %s", error)
        except Exception:  # the schedule outlives any run
            logger.exception("the scheduled reindexing failed")
        else:
            _log_report(report)


def _log_report(report: IngestReport) -> None:
    """The counts, and a warning for each document or source that could not be read."""
    logger.info(
        "reindexed on schedule: %d added, %d changed, %d unchanged, %d removed, %d failed",
        report.added,
        report.changed,
        report.unchanged,
        report.removed,
        len(report.failed),
    )
    for failure in report.failed[:KEPT_FAILURES]:
        logger.warning("not taken in: %s: %s", failure.uri, failure.message)
    more = len(report.failed) - KEPT_FAILURES
    if more > 0:
        logger.warning("not taken in: %d more", more)
