"""Index runs: what each did, and which process does a scheduled one.

A scheduled run is leased. Whoever claims a slot first holds it until ``lease_until`` and renews
the lease while working. When that process dies, another may take the run over after the lease
has run out; the *fence* then grows by one, so that the first, should it only have slept, is told
apart and can no longer finish the run.

Every function but :func:`last_run` takes a session of
:meth:`retriever.store.database.Database.write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from retriever.errors import StoreError
from retriever.records import Failure
from retriever.store.models import IndexRun, IndexRunError

#: The ``trigger`` of a run that a schedule started.
SCHEDULED = "schedule"


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many documents a run found new, changed, as they were, and gone."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A scheduled run that its owner may do until ``lease_until``."""

    run_id: int
    schedule: str
    slot: datetime
    owner: str
    fence: int
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """A run as lists show it.

    ``state`` is ``running``, ``done`` or ``failed``; ``error`` says why one failed as a whole.
    ``failed`` counts the documents that could not be taken in. ``started_at`` is when its present
    owner began.
    """

    run_id: int
    trigger: str
    schedule: str | None
    slot: datetime | None
    state: str
    started_at: datetime
    finished_at: datetime | None
    counts: RunCounts
    failed: int
    error: str | None


def start_run(session: Session, *, trigger: str, now: datetime) -> int:
    """Note that a run begins that nobody else may want to do; its id."""
    run = IndexRun(trigger=trigger, state="running", started_at=now)
    session.add(run)
    session.flush()
    return run.id


def finish_run(
    session: Session,
    run_id: int,
    *,
    now: datetime,
    counts: RunCounts = RunCounts(),
    failures: Sequence[Failure] = (),
    error: str | None = None,
    fence: int = 0,
) -> None:
    """Note what a run did.

    Args:
        session: of ``Database.write()``.
        run_id: from :func:`start_run` or :attr:`ClaimedRun.run_id`.
        now: the end of the run.
        counts: what became of the documents.
        failures: documents that could not be taken in; the run is still done.
        error: why the run failed as a whole, if it did.
        fence: for a claimed run, :attr:`ClaimedRun.fence`.

    Raises:
        StoreError: the run is not there, is finished, or was taken over. Nothing is noted.
    """
    row = session.scalar(select(IndexRun).where(IndexRun.id == run_id).with_for_update())
    if row is None:
        raise StoreError(f"there is no index run {run_id}")
    if row.fence != fence:
        raise StoreError(
            f"index run {run_id} is held by {row.owner or 'nobody'} with fence {row.fence}, not "
            f"{fence}: it was taken over, and this result is not noted"
        )
    if row.state != "running":
        raise StoreError(f"index run {run_id} is finished already: {row.state}")
    row.state = "done" if error is None else "failed"
    row.finished_at = now
    row.lease_until = None
    row.added = counts.added
    row.changed = counts.changed
    row.unchanged = counts.unchanged
    row.removed = counts.removed
    row.failed = len(failures)
    row.error = error
    session.add_all(
        IndexRunError(run_id=run_id, uri=failure.uri, message=failure.message)
        for failure in failures
    )
    session.flush()


def last_run(session: Session) -> Run | None:
    """The run that began last, finished or not."""
    row = session.scalar(
        select(IndexRun).order_by(IndexRun.started_at.desc(), IndexRun.id.desc()).limit(1)
    )
    if row is None:
        return None
    return Run(
        run_id=row.id,
        trigger=row.trigger,
        schedule=row.schedule,
        slot=row.slot,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=RunCounts(row.added, row.changed, row.unchanged, row.removed),
        failed=row.failed,
        error=row.error,
    )


def claim_slot(
    session: Session,
    *,
    schedule: str,
    slot: datetime,
    owner: str,
    now: datetime,
    lease: timedelta,
) -> ClaimedRun | None:
    """Get a scheduled run to do, if nobody has done it or is doing it.

    Args:
        session: of ``Database.write()``; the claim counts when it commits.
        schedule: what is scheduled, at most 100 characters.
        slot: the time that the schedule names, not the time of the call.
        owner: this process. A process that was restarted counts as another one.
        now: the time of the call.
        lease: how long the run is held without being renewed.

    Returns:
        The run, to be done and finished with its fence, or ``None``.
    """
    until = now + lease
    try:
        with session.begin_nested():
            run_id = session.scalars(
                insert(IndexRun).returning(IndexRun.id),
                {
                    "trigger": SCHEDULED,
                    "schedule": schedule,
                    "slot": slot,
                    "owner": owner,
                    "lease_until": until,
                    "fence": 1,
                    "state": "running",
                    "started_at": now,
                },
            ).one()
    except IntegrityError:
        return _take_over(session, schedule, slot, owner, now, until)
    return ClaimedRun(run_id, schedule, slot, owner, 1, until)


def _take_over(
    session: Session, schedule: str, slot: datetime, owner: str, now: datetime, until: datetime
) -> ClaimedRun | None:
    row = session.scalar(
        select(IndexRun)
        .where(
            IndexRun.schedule == schedule,
            IndexRun.slot == slot,
            IndexRun.state == "running",
            IndexRun.lease_until <= now,
        )
        .with_for_update()
    )
    if row is None:
        return None
    row.fence += 1
    row.owner = owner
    row.lease_until = until
    row.started_at = now
    session.flush()
    return ClaimedRun(row.id, schedule, slot, owner, row.fence, until)


def renew(
    session: Session, run: ClaimedRun, *, now: datetime, lease: timedelta
) -> ClaimedRun | None:
    """Hold a run for longer; ``None`` when it was taken over or finished, and is to be left.

    A lease that has run out can be renewed as long as nobody took the run over. Changes made in
    the same session are kept from a process that lost its run: raise when this gives ``None``.
    """
    until = now + lease
    held = session.scalars(
        update(IndexRun)
        .where(IndexRun.id == run.run_id, IndexRun.fence == run.fence, IndexRun.state == "running")
        .values(lease_until=until)
        .returning(IndexRun.id)
    ).one_or_none()
    if held is None:
        return None
    return ClaimedRun(run.run_id, run.schedule, run.slot, run.owner, run.fence, until)
