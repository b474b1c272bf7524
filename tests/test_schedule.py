"""The schedule by a hand clock: which slots are run, by whom, and what was missed."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from bot.errors import ConfigurationError, StoppedError
from bot.knowledge import KnowledgeBase
from bot.schedule import Scheduler, SystemTimezone
from retriever.analysis import Analyzer
from retriever.errors import StoreError
from retriever.indexing import IndexKeeper
from retriever.ingest import Ingestor
from retriever.records import Failure
from retriever.reports import IngestReport
from retriever.store.database import Database
from retriever.store.models import IndexRun
from retriever.store.runs import KEPT_FAILURES, ClaimedRun, finish_run

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NIGHTLY = "0 3 * * *"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'spanbot.db'}")
    opened.upgrade()
    yield opened
    opened.close()


class Work:
    """Does a run, by default well, and notes its end."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.slots: list[datetime] = []
        self.during: Callable[[], None] = lambda: None

    def __call__(self, claimed: ClaimedRun) -> IngestReport:
        self.slots.append(claimed.slot)
        self.during()
        with self.database.write() as session:
            finish_run(session, claimed.run_id, now=claimed.slot, fence=claimed.fence)
        return IngestReport()


def scheduler(
    database: Database,
    work: Callable[[ClaimedRun], IngestReport],
    owner: str = "one",
    cron: str = NIGHTLY,
) -> Scheduler:
    return Scheduler(cron, database, work, owner=owner, timezone=UTC)


def runs(database: Database) -> list[IndexRun]:
    with database.read() as session:
        return list(session.scalars(select(IndexRun).order_by(IndexRun.id)))


def test_a_slot_is_run_once(database: Database) -> None:
    work = Work(database)
    nightly = scheduler(database, work)
    assert nightly.run_due(at("2026-03-05T03:00:00"))
    assert not nightly.run_due(at("2026-03-05T03:00:01"))
    assert not nightly.run_due(at("2026-03-06T02:59:59"))
    assert nightly.run_due(at("2026-03-06T03:00:00.500"))
    assert work.slots == [at("2026-03-05T03:00:00"), at("2026-03-06T03:00:00")]


def test_of_two_processes_one_runs_a_slot(database: Database) -> None:
    first, second = Work(database), Work(database)
    one, two = scheduler(database, first, "one"), scheduler(database, second, "two")
    for day in range(5, 9):
        now = at(f"2026-03-0{day}T03:00:00")
        order = (one, two) if day % 2 else (two, one)
        assert [process.run_due(now) for process in order] == [True, False]
    assert len(first.slots) == len(second.slots) == 2
    assert len(runs(database)) == 4


def test_only_the_latest_missed_slot_is_caught_up(database: Database) -> None:
    work = Work(database)
    scheduler(database, work).run_due(at("2026-03-05T03:00:00"))
    restarted = scheduler(database, work, "one, started again")
    assert restarted.run_due(at("2026-03-09T14:30:00"))
    assert work.slots[1:] == [at("2026-03-09T03:00:00")]
    assert not restarted.run_due(at("2026-03-09T14:31:00"))


def test_a_restart_does_not_run_a_slot_again(database: Database) -> None:
    work = Work(database)
    scheduler(database, work).run_due(at("2026-03-05T03:00:00"))
    assert not scheduler(database, work, "again").run_due(at("2026-03-05T09:00:00"))
    assert len(work.slots) == 1


def test_the_run_of_a_dead_process_is_taken_over(database: Database) -> None:
    def die(claimed: ClaimedRun) -> IngestReport:
        """Comes back without having noted an end, as a killed process does."""
        return IngestReport()

    scheduler(database, die, "dead").run_due(at("2026-03-05T03:00:00"))
    work = Work(database)
    heir = scheduler(database, work, "heir")
    assert not heir.run_due(at("2026-03-05T03:04:59"))
    assert heir.run_due(at("2026-03-05T03:05:00"))
    [run] = runs(database)
    assert (run.owner, run.fence, run.state) == ("heir", 2, "done")


def test_a_failing_run_is_not_repeated_and_the_next_slot_is_run(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(database)

    def fail() -> None:
        raise StoreError("the disk is on fire")

    work.during = fail
    nightly = scheduler(database, work)
    assert nightly.run_due(at("2026-03-05T03:00:00"))
    assert "the disk is on fire" in caplog.text
    work.during = lambda: None
    assert not nightly.run_due(at("2026-03-05T03:10:00"))
    assert nightly.run_due(at("2026-03-06T03:00:00"))


def test_the_lease_is_renewed_while_the_work_goes_on(database: Database) -> None:
    now = at("2026-03-05T03:00:00")
    lease = timedelta(milliseconds=60)
    work = Work(database)

    def outlive() -> None:
        deadline = time.monotonic() + 30
        while runs(database)[0].lease_until == now + lease:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    work.during = outlive
    slow = Scheduler(
        NIGHTLY,
        database,
        work,
        owner="slow",
        timezone=UTC,
        lease=lease,
        clock=lambda: now + timedelta(hours=1),
    )
    assert slow.run_due(now)
    assert runs(database)[0].state == "done"


def test_a_run_that_was_taken_over_is_told_so(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    now = at("2026-03-05T03:00:00")
    work, heir = Work(database), Work(database)

    def be_overtaken() -> None:
        assert scheduler(database, heir, "heir").run_due(now + timedelta(minutes=10))

    work.during = be_overtaken
    assert scheduler(database, work, "slow").run_due(now)
    assert "taken over" in caplog.text
    [run] = runs(database)
    assert (run.owner, run.state) == ("heir", "done")


def open_knowledge(database: Database, home: Path) -> KnowledgeBase:
    keeper = IndexKeeper(database, home / "index", Analyzer())
    return KnowledgeBase(database, Ingestor(database, keeper, home / "uploads"))


@pytest.fixture
def knowledge(database: Database, tmp_path: Path) -> KnowledgeBase:
    return open_knowledge(database, tmp_path)


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nEverybody gets 25 days.\n")
    return folder


def reindexing(
    database: Database, knowledge: KnowledgeBase, owner: str = "one", cron: str = NIGHTLY
) -> Scheduler:
    def work(claimed: ClaimedRun) -> IngestReport:
        return knowledge.reindex(trigger="schedule", claimed=claimed)

    return scheduler(database, work, owner, cron)


def test_the_knowledge_base_notes_the_scheduled_run(
    database: Database, knowledge: KnowledgeBase, handbook: Path
) -> None:
    knowledge.add([handbook])
    (handbook / "sick.md").write_text("# Sick leave\n\nCall before nine.\n")
    nightly = reindexing(database, knowledge)
    assert nightly.run_due(at("2026-03-05T03:00:00"))
    [_, run] = runs(database)
    assert (run.trigger, run.state, run.added, run.unchanged) == ("schedule", "done", 1, 1)


def test_a_run_that_is_stopped_is_gone_on_with_at_the_next_start(
    database: Database, knowledge: KnowledgeBase, handbook: Path, caplog: pytest.LogCaptureFixture
) -> None:
    yearly = "0 0 1 1 *"
    knowledge.add([handbook])
    (handbook / "sick.md").write_text("# Sick leave\n\nCall before nine.\n")
    knowledge.stop()
    with caplog.at_level(logging.INFO, "bot"):
        assert reindexing(database, knowledge, cron=yearly).run_due(datetime.now(UTC))
    assert "the scheduled reindexing was stopped" in caplog.text
    [_, run] = runs(database)
    assert (run.state, run.error, run.added) == ("running", None, 0)
    stopped = run.lease_until
    assert stopped is not None

    again = open_knowledge(database, handbook.parent)
    heir = reindexing(database, again, "the next process", yearly)
    assert not heir.run_due(stopped - timedelta(microseconds=1))
    assert heir.run_due(stopped)
    [_, run] = runs(database)
    assert (run.owner, run.state, run.added) == ("the next process", "done", 1)


def test_another_run_that_is_stopped_has_failed(
    database: Database, knowledge: KnowledgeBase, handbook: Path
) -> None:
    knowledge.stop()
    with pytest.raises(StoppedError):
        knowledge.add([handbook])
    [run] = runs(database)
    assert run.state == "failed"
    assert run.error == "it was stopped: the program ended; the next reindexing does the rest"


def test_what_a_night_could_not_read_is_kept_and_logged(
    database: Database,
    knowledge: KnowledgeBase,
    handbook: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    minutes = tmp_path / "minutes"
    minutes.mkdir()
    (minutes / "march.md").write_text("# March\n\nNothing was decided.\n")
    knowledge.add([handbook, minutes])
    minutes.rename(tmp_path / "elsewhere")
    (handbook / "scan.pdf").write_bytes(b"")
    caplog.set_level(logging.INFO, logger="bot.schedule")
    nightly = reindexing(database, knowledge)
    assert nightly.run_due(at("2026-03-05T03:00:00"))
    look = knowledge.status().last_run
    assert look is not None
    assert (look.state, look.failed, look.error) == ("done", 2, None)
    gone, empty = look.failures
    assert gone.uri == str(minutes)
    assert gone.message.startswith(f"{minutes} does not exist; nothing of it was changed")
    assert (empty.uri, "is empty" in empty.message) == (f"{handbook}/scan.pdf", True)
    assert warnings(caplog) == [
        f"not taken in: {failure.uri}: {failure.message}" for failure in look.failures
    ]
    assert "0 added, 0 changed, 1 unchanged, 0 removed, 2 failed" in caplog.text
    # The night after, all is well again.
    (tmp_path / "elsewhere").rename(minutes)
    (handbook / "scan.pdf").unlink()
    caplog.clear()
    assert nightly.run_due(at("2026-03-06T03:00:00"))
    look = knowledge.status().last_run
    assert look is not None
    assert (look.failed, look.failures, look.counts.unchanged) == (0, (), 2)
    assert warnings(caplog) == []


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_log_is_not_flooded_by_a_night(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(database)
    failures = tuple(Failure(f"{n}.pdf", "is empty") for n in range(KEPT_FAILURES + 7))

    def fail(claimed: ClaimedRun) -> IngestReport:
        work(claimed)
        return IngestReport(failed=failures)

    assert scheduler(database, fail).run_due(at("2026-03-05T03:00:00"))
    assert len(warnings(caplog)) == KEPT_FAILURES + 1
    assert warnings(caplog)[-1] == "not taken in: 7 more"


def test_a_night_that_fails_says_why(
    database: Database, knowledge: KnowledgeBase, handbook: Path, tmp_path: Path
) -> None:
    knowledge.add([handbook])
    (handbook / "leave.md").write_text("# Leave\n\nEverybody gets 30 days.\n")
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "index").write_text("in the way")
    assert reindexing(database, knowledge).run_due(at("2026-03-05T03:00:00"))
    look = knowledge.status().last_run
    assert look is not None
    assert look.state == "failed"
    assert str(tmp_path / "index") in str(look.error)


def test_the_thread_runs_what_is_due_and_stops(database: Database) -> None:
    work = Work(database)
    done = threading.Event()
    work.during = done.set
    now = at("2026-03-05T03:00:00")
    nightly = Scheduler(NIGHTLY, database, work, owner="one", timezone=UTC, clock=lambda: now)
    nightly.start()
    assert done.wait(30)
    assert nightly.stop(30)
    assert len(work.slots) == 1
    with pytest.raises(RuntimeError, match="before"):
        nightly.start()


def test_stopping_what_was_never_started(database: Database) -> None:
    assert scheduler(database, Work(database)).stop(0)


@pytest.mark.parametrize(
    ("cron", "now", "latest", "following"),
    [
        # Sunday is 0 and 7.
        ("0 9 * * 0", "2026-03-04", "2026-03-01T08:00", "2026-03-08T08:00"),
        ("0 9 * * 7", "2026-03-04", "2026-03-01T08:00", "2026-03-08T08:00"),
        # The clock goes from 3:00 back to 2:00: half past two is once, and the first one.
        ("30 2 * * *", "2026-10-25T12:00", "2026-10-25T00:30", "2026-10-26T01:30"),
        # The clock goes from 2:00 to 3:00: what was due in between is due then.
        ("30 2 * * *", "2026-03-29T12:00", "2026-03-29T01:00", "2026-03-30T00:30"),
        ("*/15 * * * *", "2026-03-29T00:59:59", "2026-03-29T00:45", "2026-03-29T01:00"),
    ],
)
def test_slots_follow_the_calendar_and_the_clock(
    database: Database, cron: str, now: str, latest: str, following: str
) -> None:
    local = Scheduler(cron, database, Work(database), owner="one", timezone=AMSTERDAM)
    assert local.latest_slot(at(now)) == at(latest)
    assert local.next_slot(at(now)) == at(following)


def test_the_systems_time_zone_is_the_default(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    try:
        system = SystemTimezone()
        hour = at("2026-10-24T22:00:00")
        while hour < at("2026-10-25T04:00:00"):
            ours, theirs = hour.astimezone(system), hour.astimezone(AMSTERDAM)
            assert ours.replace(tzinfo=None) == theirs.replace(tzinfo=None)
            assert ours.fold == theirs.fold
            assert ours.utcoffset() == theirs.utcoffset()
            assert ours.astimezone(UTC) == hour
            hour += timedelta(minutes=30)
        nightly = Scheduler(NIGHTLY, database, Work(database), owner="one")
        assert nightly.next_slot(at("2026-07-01T00:00:00")) == at("2026-07-01T01:00:00")
        assert nightly.next_slot(at("2026-12-01T00:00:00")) == at("2026-12-01T02:00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("cron", ["", "daily", "0 25 * * *", "* * * *", "0 0 31 2 *"])
def test_a_wrong_expression_is_named(database: Database, cron: str) -> None:
    with pytest.raises(ConfigurationError, match="SPANBOT_REINDEX_CRON") as info:
        scheduler(database, Work(database), cron=cron)
    assert f'"{cron}"' in str(info.value)
