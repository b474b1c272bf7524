"""Index runs, and which process does a scheduled one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select

from retriever.errors import StoreError
from retriever.records import Failure
from retriever.store.database import Database
from retriever.store.models import IndexRun, RunError
from retriever.store.runs import (
    CUT_OFF,
    KEPT_FAILURES,
    ClaimedRun,
    Run,
    RunCounts,
    claim_slot,
    finish_run,
    hand_back,
    last_look,
    renew,
    start_run,
)
from tests.store_rows import NOW

ROOT = Path(__file__).parent.parent
LEASE = timedelta(minutes=5)
SLOT = datetime(2026, 3, 2, 3, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spanbot.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{path}")) as database:
        database.upgrade()
        yield database


def claim(
    database: Database, owner: str, *, now: datetime = NOW, slot: datetime = SLOT
) -> ClaimedRun | None:
    with database.write() as session:
        return claim_slot(session, schedule="reindex", slot=slot, owner=owner, now=now, lease=LEASE)


def claimed(
    database: Database, owner: str, *, now: datetime = NOW, slot: datetime = SLOT
) -> ClaimedRun:
    run = claim(database, owner, now=now, slot=slot)
    assert run is not None
    return run


def finish(database: Database, run: ClaimedRun, *, now: datetime = NOW, added: int = 0) -> None:
    with database.write() as session:
        finish_run(session, run.run_id, now=now, counts=RunCounts(added=added), fence=run.fence)


def last(database: Database, *, now: datetime = NOW) -> Run:
    with database.read() as session:
        run = last_look(session, now=now)
    assert run is not None
    return run


# -- what a run did ---------------------------------------------------------------------------


def test_there_is_no_last_run_at_first(database: Database) -> None:
    with database.read() as session:
        assert last_look(session, now=NOW) is None


def test_a_run_from_start_to_end(database: Database) -> None:
    with database.write() as session:
        run_id = start_run(session, trigger="cli", now=NOW, lease=LEASE)
    begun = last(database)
    assert begun == Run(
        run_id=run_id,
        trigger="cli",
        schedule=None,
        slot=None,
        state="running",
        started_at=NOW,
        finished_at=None,
        counts=RunCounts(),
        failed=0,
        failures=(),
        error=None,
    )

    end = NOW + timedelta(seconds=90)
    counts = RunCounts(added=4, changed=3, unchanged=20, removed=1)
    failures = (Failure("b.pdf", "b.pdf is empty"), Failure("a.pdf", "a.pdf is damaged"))
    with database.write() as session:
        finish_run(session, run_id, now=end, counts=counts, failures=failures)
    done = last(database)
    assert (done.state, done.finished_at, done.counts) == ("done", end, counts)
    assert (done.failed, done.failures) == (2, failures)


def test_of_many_failures_the_first_are_kept_and_all_counted(database: Database) -> None:
    failures = [Failure(f"{n}.pdf", f"{n}.pdf is empty") for n in range(KEPT_FAILURES + 3)]
    with database.write() as session:
        run_id = start_run(session, trigger="cli", now=NOW, lease=LEASE)
        finish_run(session, run_id, now=NOW, failures=failures)
    run = last(database)
    assert run.failed == KEPT_FAILURES + 3
    assert run.failures == tuple(failures[:KEPT_FAILURES])


def note(database: Database, trigger: str, *, now: datetime = NOW, failed: bool = True) -> int:
    """A run that is over, with one failure of its own or none; its id."""
    with database.write() as session:
        run_id = start_run(session, trigger=trigger, now=now, lease=LEASE)
        failures = [Failure(f"{trigger} {run_id}", "does not exist")] if failed else []
        finish_run(session, run_id, now=now, failures=failures)
    return run_id


def with_failures(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(select(RunError.run_id).order_by(RunError.run_id)))


def test_failures_of_a_look_stay_however_many_documents_are_added_after_it(
    database: Database,
) -> None:
    look = note(database, "cli")
    for number in range(101):
        note(database, ("add", "upload")[number % 2], failed=False)
    assert (last(database).run_id, last(database).failed) == (look, 1)
    assert last(database).failures == (Failure(f"cli {look}", "does not exist"),)


def test_failures_are_kept_of_the_latest_looks_and_of_the_latest_other_runs(
    database: Database,
) -> None:
    upload = note(database, "upload")
    looks = [note(database, ("cli", "slack")[number % 2]) for number in range(100)]
    assert with_failures(database) == [upload, *looks]
    looks.append(note(database, "cli", failed=False))
    assert with_failures(database) == [upload, *looks[1:-1]]
    uploads = [note(database, "upload") for _ in range(99)]
    assert with_failures(database) == [upload, *looks[1:-1], *uploads]
    uploads.append(note(database, "add"))
    assert with_failures(database) == [*looks[1:-1], *uploads]


def test_failures_of_the_last_look_stay_whatever_its_id_is(database: Database) -> None:
    """One that was taken over has the id of its slot, and began after those with higher ids."""
    run = claimed(database, "a")
    later = [note(database, "cli", now=NOW + timedelta(minutes=1)) for _ in range(100)]
    taken = claimed(database, "b", now=NOW + LEASE)
    assert taken.run_id == run.run_id
    with database.write() as session:
        failures = [Failure("handbook", "does not exist")]
        finish_run(session, taken.run_id, now=NOW + LEASE, failures=failures, fence=taken.fence)
    assert last(database).run_id == taken.run_id
    assert last(database).failures == (Failure("handbook", "does not exist"),)
    assert with_failures(database) == [taken.run_id, *later[1:]]


def test_a_run_that_failed_as_a_whole(database: Database) -> None:
    with database.write() as session:
        run_id = start_run(session, trigger="slack", now=NOW, lease=LEASE)
        finish_run(session, run_id, now=NOW, error="the disk is full")
    failed = last(database)
    assert (failed.state, failed.error, failed.failed) == ("failed", "the disk is full", 0)


def test_the_last_run_is_the_one_that_began_last(database: Database) -> None:
    with database.write() as session:
        start_run(session, trigger="cli", now=NOW, lease=LEASE)
        newest = start_run(session, trigger="slack", now=NOW + timedelta(hours=1), lease=LEASE)
        start_run(session, trigger="cli", now=NOW - timedelta(hours=1), lease=LEASE)
    assert last(database).run_id == newest


def test_a_single_document_is_no_look_at_the_sources(database: Database) -> None:
    with database.write() as session:
        look = start_run(session, trigger="cli", now=NOW, lease=LEASE)
        for trigger in ("add", "upload"):
            start_run(session, trigger=trigger, now=NOW + timedelta(hours=1), lease=LEASE)
    assert last(database).run_id == look


def test_a_run_whose_process_died_is_cut_off(database: Database) -> None:
    with database.write() as session:
        run_id = start_run(session, trigger="slack", now=NOW, lease=LEASE)
    assert last(database, now=NOW + LEASE - timedelta(seconds=1)).state == "running"
    cut_off = last(database, now=NOW + LEASE)
    assert (cut_off.state, cut_off.started_at, cut_off.finished_at) == (CUT_OFF, NOW, None)
    assert cut_off.error == "its process ended before it was done"
    with database.write() as session:
        assert renew(session, run_id, 0, now=NOW + LEASE, lease=LEASE)
    assert last(database, now=NOW + LEASE).state == "running"


def test_a_run_that_nobody_holds_is_cut_off(database: Database) -> None:
    """As of a version that did not lease what nobody else may want to do."""
    with database.write() as session:
        session.add(IndexRun(trigger="cli", state="running", started_at=NOW))
    assert (last(database).state, last(database).finished_at) == (CUT_OFF, None)


def test_a_run_is_finished_once(database: Database) -> None:
    with database.write() as session:
        run_id = start_run(session, trigger="cli", now=NOW, lease=LEASE)
        finish_run(session, run_id, now=NOW, counts=RunCounts(added=1))
    with (
        pytest.raises(StoreError, match=f"run {run_id} is finished already: done"),
        database.write() as session,
    ):
        finish_run(session, run_id, now=NOW, counts=RunCounts(added=2))
    with (
        pytest.raises(StoreError, match="there is no index run 77"),
        database.write() as session,
    ):
        finish_run(session, 77, now=NOW)
    assert last(database).counts.added == 1


# -- who does a scheduled one -----------------------------------------------------------------


def test_a_slot_is_claimed_once(database: Database) -> None:
    run = claimed(database, "a")
    assert run == ClaimedRun(run.run_id, "reindex", SLOT, "a", 1, NOW + LEASE)
    assert claim(database, "b") is None
    assert claim(database, "a") is None  # started again, it may not know what it did before
    following = claimed(database, "b", slot=SLOT + timedelta(days=1))
    assert following.run_id != run.run_id
    with database.write() as session:
        other = claim_slot(session, schedule="prune", slot=SLOT, owner="b", now=NOW, lease=LEASE)
    assert other is not None
    assert (last(database).trigger, last(database).schedule) == ("schedule", "prune")
    assert last(database).slot == SLOT


def test_a_slot_is_the_same_time_in_any_zone(database: Database) -> None:
    claimed(database, "a")
    assert claim(database, "b", slot=SLOT.astimezone(timezone(timedelta(hours=-8)))) is None


def test_a_finished_slot_is_never_done_again(database: Database) -> None:
    for minutes, error in enumerate((None, "the disk is full")):
        slot = SLOT + timedelta(minutes=minutes)
        run = claimed(database, "a", slot=slot)
        with database.write() as session:
            finish_run(session, run.run_id, now=NOW, error=error, fence=run.fence)
        assert claim(database, "b", slot=slot, now=NOW + 9 * LEASE) is None


def test_a_run_is_taken_over_when_its_lease_has_run_out(database: Database) -> None:
    first = claimed(database, "a")
    assert claim(database, "b", now=NOW + LEASE - timedelta(microseconds=1)) is None
    second = claimed(database, "b", now=NOW + LEASE)
    assert second == ClaimedRun(first.run_id, "reindex", SLOT, "b", 2, NOW + 2 * LEASE)
    third = claimed(database, "c", now=NOW + 2 * LEASE)
    assert (third.run_id, third.fence) == (first.run_id, 3)

    # The first two were only asleep.
    for stale in (first, second):
        with (
            pytest.raises(StoreError, match=f"held by c with fence 3, not {stale.fence}: it was"),
            database.write() as session,
        ):
            finish_run(session, stale.run_id, now=NOW, fence=stale.fence)
        with database.write() as session:
            assert not renew(session, stale.run_id, stale.fence, now=NOW, lease=LEASE)
    with (
        pytest.raises(StoreError, match="held by c with fence 3, not 0"),
        database.write() as session,
    ):
        finish_run(session, first.run_id, now=NOW)  # without a fence
    assert last(database).state == "running"

    finish(database, third, added=5)
    assert (last(database).state, last(database).counts.added) == ("done", 5)


def test_a_run_that_is_handed_back_is_taken_over_at_once(database: Database) -> None:
    first = claimed(database, "a")
    with database.write() as session:
        hand_back(session, first.run_id, first.fence, now=NOW)
    assert last(database).state == "cut off"
    second = claimed(database, "b", now=NOW)
    assert (second.run_id, second.fence) == (first.run_id, 2)
    with database.write() as session:
        hand_back(session, first.run_id, first.fence, now=NOW)  # no longer the first one's
    assert claim(database, "c", now=NOW) is None
    finish(database, second)
    with database.write() as session:
        hand_back(session, second.run_id, second.fence, now=NOW)
    assert claim(database, "c", now=NOW) is None


def test_a_renewed_run_is_not_taken_over(database: Database) -> None:
    run = claimed(database, "a")
    now = NOW + timedelta(minutes=4)
    with database.write() as session:
        assert renew(session, run.run_id, run.fence, now=now, lease=LEASE)
    assert claim(database, "b", now=NOW + LEASE) is None

    # After its end too, as long as nobody came.
    late = now + 3 * LEASE
    with database.write() as session:
        assert renew(session, run.run_id, run.fence, now=late, lease=LEASE)
    assert claim(database, "b", now=late) is None
    finish(database, run, now=late)
    with database.write() as session:
        assert not renew(session, run.run_id, run.fence, now=late, lease=LEASE)


def test_changes_of_a_process_that_lost_its_run_can_be_kept_out(database: Database) -> None:
    stale = claimed(database, "a")
    claimed(database, "b", now=NOW + LEASE)

    def change() -> None:
        with database.write() as session:
            session.add(IndexRun(trigger="change", state="done", started_at=NOW))
            if not renew(session, stale.run_id, stale.fence, now=NOW, lease=LEASE):
                raise LookupError("lost")

    with pytest.raises(LookupError):
        change()
    with database.read() as session:
        assert session.scalars(select(IndexRun.trigger)).all() == ["schedule"]


def test_of_many_threads_one_gets_each_slot(database: Database, path: Path) -> None:
    threads, slots = 8, 10
    together = threading.Barrier(threads)

    def work(owner: str) -> list[tuple[int, int]]:
        with closing(Database(f"sqlite:///{path}")) as own:
            together.wait()
            return [
                (number, run.fence)
                for now in (NOW, NOW + LEASE)  # nobody finishes: each is taken over, once
                for number in range(slots)
                if (run := claim(own, owner, now=now, slot=SLOT + timedelta(hours=number)))
            ]

    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(work, f"owner-{number}") for number in range(threads)]
        got = [each for result in done for each in result.result()]
    # Who is first to ask at the later time takes over, or comes first where nobody was yet.
    assert len(got) == len(set(got))
    assert {number for number, fence in got if fence == 1} == set(range(slots))
    assert {fence for _, fence in got} <= {1, 2}


def test_of_many_processes_one_gets_each_slot(database: Database, path: Path) -> None:
    script = f"""
import sys
from datetime import UTC, datetime, timedelta
from retriever.store.database import Database
from retriever.store.runs import claim_slot, finish_run
database = Database("sqlite:///{path}")
first = datetime(2026, 1, 1, tzinfo=UTC)
for number in range(30):
    with database.write() as session:
        run = claim_slot(session, schedule="reindex", slot=first + timedelta(hours=number),
                         owner=sys.argv[1], now=datetime.now(UTC), lease=timedelta(hours=1))
    if run is not None:
        with database.write() as session:
            finish_run(session, run.run_id, now=datetime.now(UTC), fence=run.fence)
        print(number)
database.close()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, owner], cwd=ROOT, stdout=subprocess.PIPE)
        for owner in "abc"
    ]
    printed = [process.communicate()[0].decode().split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(int(number) for each in printed for number in each) == list(range(30))
