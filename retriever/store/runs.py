"""Index runs: what each did, and which process does a scheduled one.

A run is leased: whoever does it holds it until ``lease_until`` and renews the lease while working.
When that process dies, the lease runs out, and the run counts as cut off. One that is scheduled,
claimed by whoever came first to its slot, may then be taken over by another; the *fence* grows by
one, so that the first, should it only have slept, is told apart and can no longer finish the run.

Every function but :func:`last_look` takes a session of
:meth:`retriever.store.database.Database.write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from retriever.errors import StoreError
from retriever.records import Failure
from retriever.store.models import IndexRun, RunError

#: The ``state`` of a run whose process died: as runs are told, not as they are stored.
CUT_OFF = "cut off"
#: The ``trigger`` of a run that a schedule started.
SCHEDULED = "schedule"
#: The triggers of runs that look at every source; what else is noted are single documents.
_LOOKS = ("cli", "slack", SCHEDULED)
#: Of a run's failures so many are kept, the first ones; all are counted.
KEPT_FAILURES = 100
#: Of so many looks, the latest, and of so many other runs failures are kept: a missing folder fails
#: in every look for years. Other runs are counted apart, for a day may bring hundreds of them.
_KEPT_RUNS = 100
#: A run that was taken over began when its present owner did, whatever its id.
_LATEST_FIRST = (IndexRun.started_at.desc(), IndexRun.id.desc())


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

    ``state`` is ``running``, ``done``, ``failed`` or :data:`CUT_OFF`; ``error`` says why one failed
    as a whole or was cut off. ``failed`` counts the documents and sources that could not be read,
    of which ``failures`` are the first :data:`KEPT_FAILURES`. ``started_at`` is when its present
    owner began. A run is cut off that has no end and whose lease is out; when its process died is
    not known.
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
    failures: tuple[Failure, ...]
    error: str | None


def start_run(session: Session, *, trigger: str, now: datetime, lease: timedelta) -> int:
    """Note that a run begins that nobody else may want to do, and hold it; its id."""
    run = IndexRun(trigger=trigger, state="running", started_at=now, lease_until=now + lease)
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
        failures: what could not be read, and why; the run is still done.
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
        RunError(run_id=run_id, document=failure.uri, message=failure.message)
        for failure in failures[:KEPT_FAILURES]
    )
    session.flush()
    _forget_failures(session, looks=row.trigger in _LOOKS)


def _forget_failures(session: Session, *, looks: bool) -> None:
    """Keep those of the latest looks, or of the latest other runs, and of no earlier ones."""
    kind = IndexRun.trigger.in_(_LOOKS) if looks else IndexRun.trigger.not_in(_LOOKS)
    runs = select(IndexRun.id).where(kind)
    latest = runs.order_by(*_LATEST_FIRST).limit(_KEPT_RUNS)
    session.execute(
        delete(RunError)
        .where(RunError.run_id.in_(runs), RunError.run_id.not_in(latest))
        .execution_options(synchronize_session=False)
    )


def last_look(session: Session, *, now: datetime) -> Run | None:
    """The run over all sources that began last, finished or not."""
    row = session.scalar(
        select(IndexRun).where(IndexRun.trigger.in_(_LOOKS)).order_by(*_LATEST_FIRST).limit(1)
    )
    if row is None:
        return None
    # What is running without a lease began before runs were leased: nobody holds it.
    held = row.lease_until is not None and row.lease_until > now
    cut_off = row.state == "running" and not held
    failures = session.execute(
        select(RunError.document, RunError.message)
        .where(RunError.run_id == row.id)
        .order_by(RunError.id)
    )
    return Run(
        run_id=row.id,
        trigger=row.trigger,
        schedule=row.schedule,
        slot=row.slot,
        state=CUT_OFF if cut_off else row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=RunCounts(row.added, row.changed, row.unchanged, row.removed),
        failed=row.failed,
        failures=tuple(Failure(document, message) for document, message in failures),
        error="its process ended before it was done" if cut_off else row.error,
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


def hand_back(session: Session, run_id: int, fence: int, *, now: datetime) -> None:
    """Let another process take a claimed run over at once, if it is still this one's.

    Until then it counts as cut off.
    """
    renew(session, run_id, fence, now=now, lease=timedelta())


def renew(session: Session, run_id: int, fence: int, *, now: datetime, lease: timedelta) -> bool:
    """Hold a run for longer; false when it was taken over or finished, and is to be left.

    A lease that has run out can be renewed as long as nobody took the run over. Changes made in
    the same session are kept from a process that lost its run: raise when this is false.

    Args:
        fence: for a claimed run, :attr:`ClaimedRun.fence`; 0 for one of :func:`start_run`.
    """
    held = session.scalars(
        update(IndexRun)
        .where(IndexRun.id == run_id, IndexRun.fence == fence, IndexRun.state == "running")
        .values(lease_until=now + lease)
        .returning(IndexRun.id)
    ).one_or_none()
    return held is not None
