"""Rows for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from retriever.store.log import AnswerRecord, QuestionRecord
from retriever.store.models import (
    AnchorRow,
    Answer,
    Collection,
    Document,
    Feedback,
    IndexRun,
    PassageRow,
    Question,
    RunError,
    SlackEvent,
    Source,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def question(text: str, *answers: AnswerRecord) -> QuestionRecord:
    """A question that was answered with these answers."""
    return QuestionRecord(
        asked_at=NOW,
        text=text,
        via="slack",
        reader="embedded",
        answered=bool(answers),
        retrieve_ms=2.5,
        read_ms=120.0,
        answers=answers,
        user="U1",
        channel="C1",
        thread_ts="1.0",
    )


def fill(session: Session) -> int:
    """One row or more in every table, referring to each other; the document's id."""
    collection = Collection(name="filled", created_at=NOW)
    session.add(collection)
    session.flush()
    source = Source(
        collection_id=collection.id,
        kind="path",
        location="/srv/handbook",
        label="handbook",
        added_at=NOW,
    )
    session.add(source)
    session.flush()
    text = "Leave\nEveryone has thirty days of leave."
    document = Document(
        collection_id=collection.id,
        source_id=source.id,
        uri="handbook/leave.md",
        location="/srv/handbook/leave.md",
        title="Leave",
        media_type="text/markdown",
        state="ready",
        version=1,
        text=text,
        text_sha256="0" * 64,
        content_sha256="1" * 64,
        size=len(text),
        created_at=NOW,
        updated_at=NOW,
    )
    session.add(document)
    session.flush()
    session.add_all(
        [
            AnchorRow(
                document_id=document.id,
                kind="heading",
                start=0,
                end=len(text),
                path=["Leave"],
                slug="leave",
                level=1,
            ),
            PassageRow(
                document_id=document.id, ordinal=0, start=6, end=len(text), heading=["Leave"]
            ),
        ]
    )
    asked = Question(
        asked_at=NOW,
        text="How much leave is there?",
        via="slack",
        reader="embedded",
        answered=True,
        retrieve_ms=1.0,
        read_ms=2.0,
        answers=[
            Answer(
                rank=1,
                document_id=document.id,
                document_uri=document.uri,
                document_version=1,
                text="thirty days",
                sentence="Everyone has thirty days of leave.",
                start=19,
                end=30,
                confidence=0.9,
            )
        ],
    )
    session.add(asked)
    session.flush()
    session.add(Feedback(question_id=asked.id, user="U1", value=1, given_at=NOW))
    run = IndexRun(trigger="cli", state="done", started_at=NOW, finished_at=NOW, failed=1)
    session.add(run)
    session.flush()
    session.add(RunError(run_id=run.id, document="handbook/scan.pdf", message="scan.pdf is empty"))
    session.add(SlackEvent(key=f"event:{collection.id}", seen_at=NOW))
    session.flush()
    return document.id
