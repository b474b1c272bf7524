"""What is kept of documents, and what is asked of them.

Every function takes a session of :class:`retriever.store.database.Database`; those that change
passages also raise the content version, in the same transaction.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from retriever.errors import IngestError, StoreError
from retriever.records import Anchor, ParsedDocument, PassageSpan
from retriever.store.models import AnchorRow, Collection, Document, PassageRow, StoreState
from retriever.store.rows import ID_CHUNK, found_or_added
from retriever.store.sources import collection_ids


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a source says of a file, apart from its text."""

    uri: str
    location: str
    link: str | None
    content_sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the store knows of a location."""

    document_id: int
    uri: str
    state: str
    error: str | None
    content_sha256: str
    text_version: int
    source_id: int | None
    link: str | None

    def is_as(self, source_id: int, link: str | None) -> bool:
        """It is of that source, under that link, and without an error."""
        return (self.source_id, self.link, self.error) == (source_id, link, None)


@dataclass(frozen=True, slots=True)
class Saved:
    """A document that was stored; ``changed``: as another version than before."""

    document_id: int
    changed: bool


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """A document as lists show it."""

    id: int
    uri: str
    title: str
    collection: str
    media_type: str
    state: str
    error: str | None
    passages: int
    size: int
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document is published, and which version of its text is stored."""

    link: str | None
    version: int


def content_version(session: Session) -> int:
    """How often the passages have changed."""
    version: int | None = session.scalar(select(StoreState.content_version))
    if version is None:
        raise StoreError("the database lacks its state row; run: spanbot db upgrade")
    return version


def _touch(session: Session) -> None:
    session.execute(update(StoreState).values(content_version=StoreState.content_version + 1))


def known_files(session: Session, source_id: int) -> dict[str, KnownFile]:
    """The documents of a source by location."""
    return _known(session, source_id=source_id)


def known_file(session: Session, collection_id: int, location: str) -> KnownFile | None:
    """The document of a location, whatever source it came from."""
    return _known(session, collection_id=collection_id, location=location).get(location)


def known_file_in(session: Session, collection: str, location: str) -> KnownFile | None:
    """The document of a location in the collection of that name, if there is such a collection."""
    number = session.scalar(select(Collection.id).where(Collection.name == collection))
    return None if number is None else known_file(session, number, location)


def _known(session: Session, **equals: object) -> dict[str, KnownFile]:
    rows = session.execute(
        select(
            Document.location,
            Document.id,
            Document.uri,
            Document.state,
            Document.error,
            Document.content_sha256,
            Document.text_version,
            Document.source_id,
            Document.link,
        ).filter_by(**equals)
    )
    return {row[0]: KnownFile(*row[1:]) for row in rows}


def save_document(
    session: Session,
    *,
    collection_id: int,
    source_id: int,
    facts: FileFacts,
    parsed: ParsedDocument,
    passages: Sequence[PassageSpan],
    text_version: int,
) -> Saved:
    """Store a document or its new version, with its anchors and passages.

    Where all of these are as they were, whatever changed in the file, it stays the same version,
    and nothing that was made of it need be made anew. ``text_version`` says which reading of the
    file they are: that of ``retriever.parsing``.
    """
    now = datetime.now(UTC)
    row = _row(session, collection_id, facts, parsed.title, parsed.media_type, now)
    # The index and its signatures are of the URI as well.
    same = row.state == "ready" and row.uri == facts.uri and _is_as(session, row, parsed, passages)
    row.source_id = source_id
    row.uri = facts.uri
    row.link = facts.link
    row.error = None
    row.content_sha256 = facts.content_sha256
    row.size = facts.size
    row.text_version = text_version
    if same:
        session.flush()
        return Saved(row.id, changed=False)
    row.title = parsed.title
    row.media_type = parsed.media_type
    row.state = "ready"
    row.version += 1
    row.text = parsed.text
    row.text_sha256 = hashlib.sha256(parsed.text.encode()).hexdigest()
    row.updated_at = now
    session.flush()
    session.execute(delete(AnchorRow).where(AnchorRow.document_id == row.id))
    session.execute(delete(PassageRow).where(PassageRow.document_id == row.id))
    session.add_all(
        AnchorRow(
            document_id=row.id,
            kind=anchor.kind,
            start=anchor.start,
            end=anchor.end,
            path=list(anchor.path),
            slug=anchor.slug,
            level=anchor.level,
            page=anchor.page,
        )
        for anchor in parsed.anchors
    )
    session.add_all(
        PassageRow(
            document_id=row.id,
            ordinal=passage.ordinal,
            start=passage.start,
            end=passage.end,
            heading=list(passage.heading),
        )
        for passage in passages
    )
    _touch(session)
    session.flush()
    return Saved(row.id, changed=True)


def _is_as(
    session: Session, row: Document, parsed: ParsedDocument, passages: Sequence[PassageSpan]
) -> bool:
    """Whether a document already holds what was read of its file."""
    if (row.text, row.title, row.media_type) != (parsed.text, parsed.title, parsed.media_type):
        return False
    in_order = sorted(parsed.anchors, key=lambda anchor: anchor.start)
    if anchors_of(session, [row.id])[row.id] != in_order:
        return False
    query = select(PassageRow).where(PassageRow.document_id == row.id).order_by(PassageRow.ordinal)
    return list(passages) == [
        PassageSpan(stored.ordinal, stored.start, stored.end, tuple(stored.heading))
        for stored in session.scalars(query)
    ]


def save_failure(
    session: Session,
    *,
    collection_id: int,
    source_id: int,
    facts: FileFacts,
    title: str,
    media_type: str,
    message: str,
) -> None:
    """Note that a file could not be read. An earlier version of it goes on being served."""
    now = datetime.now(UTC)
    row = _row(session, collection_id, facts, title, media_type, now)
    row.source_id = source_id
    row.link = facts.link  # of the earlier version as well
    row.error = message
    row.updated_at = now
    session.flush()


def save_error(session: Session, document_id: int, message: str) -> None:
    """Note that a document's file can no longer be read. Its text goes on being served."""
    session.execute(update(Document).where(Document.id == document_id).values(error=message))


def adopt(session: Session, document_id: int, *, source_id: int, link: str | None) -> None:
    """An unchanged document was found again: by another source, or under another link."""
    session.execute(
        update(Document)
        .where(Document.id == document_id)
        .values(source_id=source_id, link=link, error=None)
    )


def _row(
    session: Session,
    collection_id: int,
    facts: FileFacts,
    title: str,
    media_type: str,
    now: datetime,
) -> Document:
    """The row of a file's document, as it is, or a new one that has no text yet.

    Where there are row locks it is held: of two that store a file one comes after the other.
    """
    return found_or_added(
        session,
        select(Document)
        .where(Document.collection_id == collection_id, Document.location == facts.location)
        .with_for_update(),
        Document(
            collection_id=collection_id,
            location=facts.location,
            uri=facts.uri,
            link=facts.link,
            title=title,
            media_type=media_type,
            state="failed",
            version=0,
            text="",
            text_sha256=hashlib.sha256(b"").hexdigest(),
            content_sha256=facts.content_sha256,
            size=facts.size,
            created_at=now,
            updated_at=now,
        ),
    )


def remove_documents(session: Session, ids: Sequence[int]) -> int:
    """Forget documents with their anchors and passages; how many there were."""
    removed = 0
    for begin in range(0, len(ids), ID_CHUNK):
        chunk = ids[begin : begin + ID_CHUNK]
        for table in (AnchorRow, PassageRow):
            session.execute(delete(table).where(table.document_id.in_(chunk)))
        removed += len(
            session.scalars(
                delete(Document).where(Document.id.in_(chunk)).returning(Document.id)
            ).all()
        )
    if removed:
        _touch(session)
    return removed


def list_documents(session: Session, collection: str | None = None) -> list[DocumentSummary]:
    """Documents in order of their URI."""
    passages = (
        select(PassageRow.document_id, func.count().label("passages"))
        .group_by(PassageRow.document_id)
        .subquery()
    )
    query = (
        select(
            Document.id,
            Document.uri,
            Document.title,
            Collection.name,
            Document.media_type,
            Document.state,
            Document.error,
            func.coalesce(passages.c.passages, 0),
            Document.size,
            Document.version,
            Document.updated_at,
        )
        .join(Collection, Collection.id == Document.collection_id)
        .join(passages, passages.c.document_id == Document.id, isouter=True)
        .order_by(Document.uri, Document.id)
    )
    if collection is not None:
        query = query.where(Document.collection_id.in_(collection_ids(session, [collection])))
    return [DocumentSummary(*row) for row in session.execute(query)]


def find_document(session: Session, name: str) -> DocumentSummary:
    """The one document whose URI or id is ``name``, or whose file that path leads to, or whose URI
    ends in ``/name``.

    Raises:
        IngestError: there is none, or there are several; the message names them.
    """
    every = list_documents(session)
    exact = [d for d in every if d.uri == name or str(d.id) == name]
    location = os.path.realpath(name)
    there = set(session.scalars(select(Document.id).where(Document.location == location)))
    found = (
        exact
        or [d for d in every if d.id in there]
        or [d for d in every if d.uri.endswith("/" + name.lstrip("/"))]
    )
    if not found:
        if session.scalar(select(Collection.id).where(Collection.name == name)) is not None:
            option = f"--collection {shlex.quote(name)}"
            raise IngestError(
                f'"{name}" is no document but a collection; to see its documents: '
                f"spanbot docs list {option}; to forget it: spanbot docs remove {option}"
            )
        raise IngestError(f'there is no document "{name}"; spanbot docs list shows those there are')
    if len(found) > 1:
        names = ", ".join(f"{d.uri} (id {d.id}, collection {d.collection})" for d in found[:5])
        raise IngestError(f'"{name}" fits {len(found)} documents: {names}; give the id')
    return found[0]


def place_of(session: Session, document_id: int) -> tuple[int, str]:
    """The collection's id and the absolute path that identify a document."""
    query = select(Document.collection_id, Document.location).where(Document.id == document_id)
    collection_id, location = session.execute(query).one()
    return collection_id, location


def origins(session: Session, document_ids: Sequence[int]) -> dict[int, Origin]:
    """Link and version of documents; ids that are gone are left out."""
    rows = session.execute(
        select(Document.id, Document.link, Document.version).where(
            Document.id.in_(list(document_ids))
        )
    )
    return {number: Origin(link, version) for number, link, version in rows}


def anchors_of(session: Session, document_ids: Sequence[int]) -> dict[int, list[Anchor]]:
    """The anchors of documents, in order of their start."""
    found: dict[int, list[Anchor]] = {number: [] for number in document_ids}
    rows = session.scalars(
        select(AnchorRow)
        .where(AnchorRow.document_id.in_(list(found)))
        .order_by(AnchorRow.document_id, AnchorRow.start, AnchorRow.id)
    )
    for row in rows:
        found[row.document_id].append(
            Anchor(
                kind="page" if row.kind == "page" else "heading",
                start=row.start,
                end=row.end,
                path=tuple(row.path),
                slug=row.slug,
                level=row.level,
                page=row.page,
            )
        )
    return found


def document_text(
    session: Session, document_id: int, start: int = 0, end: int | None = None
) -> str:
    """``document.text[start:end]``, cut in the database."""
    length = 2**31 - 1 - start if end is None else end - start
    text = session.scalar(
        select(func.substr(Document.text, start + 1, length)).where(Document.id == document_id)
    )
    return text or ""


def texts(session: Session) -> Iterator[str]:
    """The text of every document that has one, in order of its id, a few at a time."""
    query = select(Document.text).where(Document.text != "").order_by(Document.id)
    yield from session.scalars(query).yield_per(50)
