"""The log of questions, what askers thought of the answers, and which events were taken on.

Every function takes a session of :meth:`retriever.store.database.Database.write`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from retriever.errors import StoreError
from retriever.store.models import Answer, Document, Feedback, Question, SlackEvent


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer that was shown.

    ``text`` is ``document.text[start:end]`` in version ``document_version`` of the document;
    ``sentence`` is the sentence around it. ``confidence`` is between 0 and 1.
    """

    document_id: int | None
    document_uri: str
    document_version: int
    text: str
    sentence: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """A question and how it went; ``answers`` best first.

    ``via`` is how it came in, ``reader`` names the checkpoint that read. ``answered`` tells
    whether the asker got an answer; ``answers`` are those that were shown, so none if not.
    """

    asked_at: datetime
    text: str
    via: str
    reader: str
    answered: bool
    retrieve_ms: float
    read_ms: float
    answers: tuple[AnswerRecord, ...] = ()
    user: str | None = None
    channel: str | None = None
    thread_ts: str | None = None


def log_question(session: Session, record: QuestionRecord) -> int:
    """Note a question with its answers; the question's id, for feedback.

    A document that was removed since it was searched is noted by its URI alone.
    """
    named = {answer.document_id for answer in record.answers} - {None}
    # The lock, where the database has row locks, keeps them there until this is committed.
    there = set(
        session.scalars(
            select(Document.id)
            .where(Document.id.in_(named))
            .with_for_update(read=True, key_share=True)
        )
    )
    question = Question(
        asked_at=record.asked_at,
        text=record.text,
        via=record.via,
        user=record.user,
        channel=record.channel,
        thread_ts=record.thread_ts,
        reader=record.reader,
        answered=record.answered,
        retrieve_ms=record.retrieve_ms,
        read_ms=record.read_ms,
        answers=[
            Answer(
                rank=rank,
                document_id=answer.document_id if answer.document_id in there else None,
                document_uri=answer.document_uri,
                document_version=answer.document_version,
                text=answer.text,
                sentence=answer.sentence,
                start=answer.start,
                end=answer.end,
                confidence=answer.confidence,
            )
            for rank, answer in enumerate(record.answers, start=1)
        ],
    )
    session.add(question)
    session.flush()
    return question.id


def give_feedback(
    session: Session, *, question_id: int, user: str, value: Literal[-1, 1], now: datetime
) -> None:
    """Note what a user thought of the answer to a question; their last word counts.

    Raises:
        StoreError: there is no such question.
        ValueError: ``value`` is neither -1 nor 1.
    """
    if value not in (-1, 1):
        raise ValueError(f"feedback is -1 or 1, not {value!r}")
    # The share lock keeps the question until this is committed, where there are row locks.
    question = (
        select(Question.id)
        .where(Question.id == question_id)
        .with_for_update(read=True, key_share=True)
    )
    if session.scalar(question) is None:
        raise StoreError(
            f"there is no question {question_id} in the log, it may have been deleted; ask again"
        )
    try:
        with session.begin_nested():
            session.execute(
                insert(Feedback).values(
                    question_id=question_id, user=user, value=value, given_at=now
                )
            )
    except IntegrityError:  # they have given their word before
        session.execute(
            update(Feedback)
            .where(Feedback.question_id == question_id, Feedback.user == user)
            .values(value=value, given_at=now)
        )


def claim_event(session: Session, keys: Collection[str], now: datetime) -> bool:
    """Take on an event that is known by several keys: ``True`` for the first who asks.

    All keys are claimed, or none where one of them was claimed before, by whatever process. A
    claim counts when the session commits. Keys are at most 200 characters long.

    Raises:
        ValueError: there is no key, or one is too long.
    """
    if not keys:
        raise ValueError("an event needs a key to be claimed by")
    too_long = [key for key in keys if len(key) > 200]
    if too_long:
        raise ValueError(f"the event key {too_long[0]!r} is longer than 200 characters")
    # In one order for everybody: two who wait for each other's keys would wait for ever.
    rows = [{"key": key, "seen_at": now} for key in sorted(set(keys))]
    try:
        with session.begin_nested():
            session.execute(insert(SlackEvent), rows)
    except IntegrityError:
        return False
    return True


def forget_events(session: Session, before: datetime) -> int:
    """Forget the events that were claimed before a time; how many keys those were."""
    gone = session.scalars(
        delete(SlackEvent).where(SlackEvent.seen_at < before).returning(SlackEvent.key)
    )
    return len(gone.all())
