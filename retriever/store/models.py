"""The tables.

Everything is portable between SQLite and PostgreSQL: no dialect's own types, times in UTC, states
as short strings under a check constraint. Ids of documents and passages are never used twice
(``AUTOINCREMENT``), because a search index that is a moment older than the database must find
nothing rather than somebody else's passage.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time zone aware time; SQLite stores none, so it is UTC by definition there."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert isinstance(value, datetime)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, str: Text()}  # noqa: RUF012


class Collection(Base):
    """A named set of documents; who may search what is decided by collection."""

    __tablename__ = "collections"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime]


class Source(Base):
    """Where documents come from, and where a reindex looks again.

    ``kind`` is ``path`` (a file or folder, ``location`` absolute, ``label`` as it was typed) or
    ``upload`` (a file that arrived through Slack and is kept in the home folder).
    """

    __tablename__ = "sources"
    __table_args__ = (
        UniqueConstraint("collection_id", "location"),
        CheckConstraint("kind IN ('path', 'upload')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    location: Mapped[str]
    label: Mapped[str]
    base_url: Mapped[str | None]
    added_at: Mapped[datetime]


class Document(Base):
    """One document: its canonical text as of ``version``, or why it could not be read.

    ``uri`` is the path or URI as it was added and shown; ``location`` (absolute) identifies it.
    ``content_sha256`` is of the file's bytes, ``text_sha256`` of the canonical text.
    ``text_version`` is :data:`retriever.parsing.TEXT_VERSION` when that text was made; 0 where it
    was made before texts had versions, or there is none.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("collection_id", "location"),
        CheckConstraint("state IN ('ready', 'failed')", name="state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), index=True
    )
    source_id: Mapped[int | None] = mapped_column(
        ForeignKey("sources.id", ondelete="SET NULL"), index=True
    )
    uri: Mapped[str]
    location: Mapped[str]
    link: Mapped[str | None]
    title: Mapped[str]
    media_type: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(20))
    error: Mapped[str | None]
    version: Mapped[int]
    text: Mapped[str]
    text_sha256: Mapped[str] = mapped_column(String(64))
    content_sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    text_version: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AnchorRow(Base):
    """A heading or a page of a document; see :class:`retriever.records.Anchor`."""

    __tablename__ = "anchors"
    __table_args__ = (
        Index("ix_anchors_document_id_start", "document_id", "start"),
        CheckConstraint("kind IN ('heading', 'page')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    start: Mapped[int]
    end: Mapped[int]
    path: Mapped[list[str]] = mapped_column(JSON)
    slug: Mapped[str | None]
    level: Mapped[int]
    page: Mapped[int | None]


class PassageRow(Base):
    """A passage: ``document.text[start:end]``, searched together with its heading path."""

    __tablename__ = "passages"
    __table_args__ = (
        UniqueConstraint("document_id", "ordinal"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    ordinal: Mapped[int]
    start: Mapped[int]
    end: Mapped[int]
    heading: Mapped[list[str]] = mapped_column(JSON)


class StoreState(Base):
    """One row. ``content_version`` grows with every change of the passages.

    The search index notes the version it was built from, so that a stale one is noticed.
    """

    __tablename__ = "store_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    content_version: Mapped[int]


class IndexRun(Base):
    """One pass over files or sources, held by its process until ``lease_until``.

    A scheduled run is one row for its ``(schedule, slot)``, whoever gets to insert it: ``owner``;
    ``fence`` grows when another process takes it over. ``failed`` counts the documents and sources
    that could not be read, and ``error`` says why the run failed as a whole.
    """

    __tablename__ = "index_runs"
    __table_args__ = (
        UniqueConstraint("schedule", "slot"),
        CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trigger: Mapped[str] = mapped_column(String(20))
    schedule: Mapped[str | None] = mapped_column(String(100))
    slot: Mapped[datetime | None]
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    added: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    removed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]


class RunError(Base):
    """A document or source that a run could not read.

    Only the latest looks at the sources and the latest other runs have them, and so many each.
    """

    __tablename__ = "run_errors"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("index_runs.id", ondelete="CASCADE"), index=True)
    document: Mapped[str]
    message: Mapped[str]


class Question(Base):
    """A question as it was asked, and how it went."""

    __tablename__ = "questions"

    id: Mapped[int] = mapped_column(primary_key=True)
    asked_at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[str]
    via: Mapped[str] = mapped_column(String(20))
    user: Mapped[str | None] = mapped_column(String(100))
    channel: Mapped[str | None] = mapped_column(String(100))
    thread_ts: Mapped[str | None] = mapped_column(String(50))
    reader: Mapped[str]
    answered: Mapped[bool]
    retrieve_ms: Mapped[float]
    read_ms: Mapped[float]

    answers: Mapped[list[Answer]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="Answer.rank"
    )


class Answer(Base):
    """An answer that was shown; ``document.text[start:end] == text`` at ``version``."""

    __tablename__ = "answers"
    __table_args__ = (UniqueConstraint("question_id", "rank"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    rank: Mapped[int]
    document_id: Mapped[int | None] = mapped_column(
        ForeignKey("documents.id", ondelete="SET NULL"), index=True
    )
    document_uri: Mapped[str]
    document_version: Mapped[int]
    text: Mapped[str]
    sentence: Mapped[str]
    start: Mapped[int]
    end: Mapped[int]
    confidence: Mapped[float]


class Feedback(Base):
    """What an asker thought of an answer; the last word of a user counts."""

    __tablename__ = "feedback"
    __table_args__ = (
        UniqueConstraint("question_id", "user"),
        CheckConstraint("value IN (-1, 1)", name="value"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    user: Mapped[str] = mapped_column(String(100))
    value: Mapped[int]
    given_at: Mapped[datetime]


class SlackEvent(Base):
    """An event that was taken on, so that a redelivery or its twin is not.

    ``key`` is ``event:<event_id>`` or ``message:<channel>:<ts>``; one delivery claims both.
    """

    __tablename__ = "slack_events"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)
