"""The question log, feedback and the claims of events."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from retriever.errors import StoreError
from retriever.store.database import Database
from retriever.store.log import (
    AnswerRecord,
    claim_event,
    forget_events,
    give_feedback,
    log_question,
)
from retriever.store.models import Answer, Feedback, Question, SlackEvent
from tests.store_rows import NOW, fill, question

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spanbot.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{path}")) as database:
        database.upgrade()
        yield database


def answer(document_id: int | None, *, confidence: float = 0.5) -> AnswerRecord:
    return AnswerRecord(
        document_id=document_id,
        document_uri="handbook/leave.md",
        document_version=3,
        text="thirty days",
        sentence="Everyone has thirty days of leave.",
        start=19,
        end=30,
        confidence=confidence,
    )


def feedback(database: Database) -> list[tuple[int, str, int, datetime]]:
    with database.read() as session:
        found = session.scalars(select(Feedback).order_by(Feedback.id))
        return [(row.question_id, row.user, row.value, row.given_at) for row in found]


# -- questions --------------------------------------------------------------------------------


def test_a_question_is_kept_with_its_answers_in_order(database: Database) -> None:
    with database.write() as session:
        document_id = fill(session)
    record = question(
        "How much leave?",
        answer(document_id, confidence=0.9),
        answer(None, confidence=0.4),
        answer(document_id, confidence=0.1),
    )
    with database.write() as session:
        question_id = log_question(session, record)
    with database.read() as session:
        row = session.get_one(Question, question_id)
        for name in ("asked_at", "text", "via", "user", "channel", "thread_ts", "reader"):
            assert getattr(row, name) == getattr(record, name), name
        assert (row.answered, row.retrieve_ms, row.read_ms) == (True, 2.5, 120.0)
        kept = [
            AnswerRecord(**{name: getattr(each, name) for name in AnswerRecord.__slots__})
            for each in row.answers
        ]
        assert tuple(kept) == record.answers
        assert [each.rank for each in row.answers] == [1, 2, 3]


def test_a_question_without_an_answer_or_an_asker_is_kept(database: Database) -> None:
    record = replace(question("Who?"), user=None, channel=None, thread_ts=None)
    with database.write() as session:
        question_id = log_question(session, record)
    with database.read() as session:
        row = session.get_one(Question, question_id)
        assert (row.answered, row.user, row.answers) == (False, None, [])


def test_an_answer_outlives_its_document(database: Database) -> None:
    with database.write() as session:
        document_id = fill(session)
    with database.write() as session:
        first = log_question(session, question("Before", answer(document_id)))
        session.execute(text("DELETE FROM documents"))
        second = log_question(session, question("After", answer(document_id)))
    with database.read() as session:
        for question_id in (first, second):
            (row,) = session.scalars(select(Answer).where(Answer.question_id == question_id))
            assert row.document_id is None
            assert row.document_uri == "handbook/leave.md"


# -- feedback ---------------------------------------------------------------------------------


def test_the_last_word_of_each_user_counts(database: Database) -> None:
    with database.write() as session:
        one = log_question(session, question("One"))
        two = log_question(session, question("Two"))
        give_feedback(session, question_id=one, user="U1", value=1, now=NOW)
    later = NOW + timedelta(minutes=1)
    with database.write() as session:
        give_feedback(session, question_id=one, user="U2", value=1, now=NOW)
        give_feedback(session, question_id=two, user="U1", value=1, now=NOW)
        give_feedback(session, question_id=one, user="U1", value=-1, now=later)
    assert feedback(database) == [
        (one, "U1", -1, later),
        (one, "U2", 1, NOW),
        (two, "U1", 1, NOW),
    ]


def test_feedback_on_a_question_that_is_gone_says_so(database: Database) -> None:
    with (
        pytest.raises(StoreError, match="no question 41 in the log"),
        database.write() as session,
    ):
        give_feedback(session, question_id=41, user="U1", value=1, now=NOW)
    assert feedback(database) == []


def test_feedback_is_up_or_down(database: Database) -> None:
    with database.write() as session:
        question_id = log_question(session, question("One"))
    for wrong in (0, 2):
        value: Any = wrong
        with (
            pytest.raises(ValueError, match=f"-1 or 1, not {wrong}"),
            database.write() as session,
        ):
            give_feedback(session, question_id=question_id, user="U1", value=value, now=NOW)


# -- events -----------------------------------------------------------------------------------


def test_an_event_is_claimed_once_by_any_of_its_keys(database: Database) -> None:
    def claim(*keys: str) -> bool:
        with database.write() as session:
            return claim_event(session, keys, NOW)

    assert claim("event:Ev1", "message:C1:1.0")
    assert not claim("event:Ev1", "message:C1:1.0")  # delivered again
    assert not claim("event:Ev2", "message:C1:1.0")  # its twin, of another type
    assert not claim("message:C1:1.0", "event:Ev2")
    assert claim("event:Ev3", "message:C1:2.0")
    assert claim("event:Ev4", "event:Ev4")  # one key named twice is one key

    # A claim that failed took none of its keys.
    assert claim("event:Ev2", "message:C1:3.0")


def test_a_refused_claim_leaves_the_rest_of_the_session(database: Database) -> None:
    with database.write() as session:
        assert claim_event(session, ["event:Ev1"], NOW)
    with database.write() as session:
        question_id = log_question(session, question("Before"))
        assert not claim_event(session, ["event:Ev1"], NOW)
        assert claim_event(session, ["event:Ev2"], NOW)
    with database.read() as session:
        assert session.get_one(Question, question_id).text == "Before"
        assert session.scalars(select(SlackEvent.key).order_by(SlackEvent.key)).all() == [
            "event:Ev1",
            "event:Ev2",
        ]


def test_a_claim_counts_only_when_it_is_committed(database: Database) -> None:
    def claim_and_fail() -> None:
        with database.write() as session:
            assert claim_event(session, ["event:Ev1"], NOW)
            raise LookupError

    with pytest.raises(LookupError):
        claim_and_fail()
    with database.write() as session:
        assert claim_event(session, ["event:Ev1"], NOW)


@pytest.mark.parametrize(
    ("keys", "message"), [([], "needs a key"), (["event:" + "x" * 200], "longer than 200")]
)
def test_an_impossible_claim_is_named(database: Database, keys: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message), database.write() as session:
        claim_event(session, keys, NOW)


def test_of_many_threads_one_claims(database: Database, path: Path) -> None:
    threads, events = 8, 20
    together = threading.Barrier(threads)

    def claim(thread: int) -> list[int]:
        with closing(Database(f"sqlite:///{path}")) as own:
            together.wait()
            won = []
            for number in range(events):
                with own.write() as session:
                    # A key of this delivery alone, and one that all of them share.
                    keys = [f"event:{thread}:{number}", f"message:C1:{number}"]
                    if claim_event(session, keys, NOW):
                        won.append(number)
        return won

    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(claim, thread) for thread in range(threads)]
        won = [number for each in done for number in each.result()]
    assert sorted(won) == list(range(events))


def test_of_many_processes_one_claims(database: Database, path: Path) -> None:
    script = f"""
from datetime import UTC, datetime
from retriever.store.database import Database
from retriever.store.log import claim_event
database = Database("sqlite:///{path}")
for number in range(40):
    with database.write() as session:
        won = claim_event(session, ["event:%d" % number], datetime.now(UTC))
    if won:
        print(number)
database.close()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    printed = [process.communicate()[0].decode().split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(int(number) for each in printed for number in each) == list(range(40))


def test_old_events_are_forgotten(database: Database) -> None:
    with database.write() as session:
        for hours in range(5):
            claim_event(
                session, [f"event:{hours}", f"message:{hours}"], NOW + timedelta(hours=hours)
            )
    with database.write() as session:
        assert forget_events(session, NOW + timedelta(hours=3)) == 6
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(SlackEvent)) == 4
    with database.write() as session:
        assert claim_event(session, ["event:0"], NOW)
        assert not claim_event(session, ["event:3"], NOW)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with (
        pytest.raises(Exception, match="has no time zone"),
        database.write() as session,
    ):
        claim_event(session, ["event:1"], datetime(2026, 1, 1))  # noqa: DTZ001
