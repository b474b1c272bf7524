"""What is kept of documents, and what is asked of them.

Every function takes a session of :class:`retriever.store.database.Database`; those that change
passages also raise the content version, in the same transaction.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from retriever.errors import IngestError, StoreError
from retriever.records import Anchor, ParsedDocument, PassageSpan
from retriever.store.models import (
    AnchorRow,
    Base,
    Collection,
    Document,
    PassageRow,
    Source,
    StoreState,
)

_Row = TypeVar("_Row", bound=Base)

_ID_CHUNK = 500  # below SQLite's smallest limit of bound values


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
class SourceRecord:
    """A source, apart from its session."""

    id: int
    collection_id: int
    kind: str
    location: str
    label: str
    base_url: str | None


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with what is needed to show and to read it."""

    id: int
    document_id: int
    version: int
    uri: str
    title: str
    link: str | None
    start: int
    end: int
    heading: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document is published, and which version of its text is stored."""

    link: str | None
    version: int


@dataclass(frozen=True, slots=True)
class SearchText:
    """What is indexed of a passage: its own text, and what stands above it.

    ``document_text`` is the text of the whole document, one object for all its passages.
    """

    passage_id: int
    collection_id: int
    uri: str
    title: str
    heading: tuple[str, ...]
    text: str
    document_text: str


def content_version(session: Session) -> int:
    """How often the passages have changed."""
    version: int | None = session.scalar(select(StoreState.content_version))
    if version is None:
        raise StoreError("the database lacks its state row; run: spanbot db upgrade")
    return version


def _touch(session: Session) -> None:
    session.execute(update(StoreState).values(content_version=StoreState.content_version + 1))


def _found_or_added(session: Session, query: Select[_Row], new: _Row) -> _Row:
    """The row that a query finds, or ``new``, added.

    Where writers do not come one at a time, another may add the same row after this one has
    looked: the unique constraint then says so, and that one's row is found.
    """
    found = session.scalar(query)
    if found is not None:
        return found
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        found = session.scalar(query)
        if found is None:  # it was no other writer
            raise
        return found
    return new


def ensure_collection(session: Session, name: str) -> int:
    """The id of the collection, made if there is none of that name."""
    return _found_or_added(
        session,
        select(Collection).where(Collection.name == name),
        Collection(name=name, created_at=datetime.now(UTC)),
    ).id


def collection_ids(session: Session, names: Sequence[str]) -> frozenset[int]:
    """The ids of collections by name.

    Raises:
        IngestError: one does not exist; the message lists those that do.
    """
    known = {
        name: number for number, name in session.execute(select(Collection.id, Collection.name))
    }
    missing = [name for name in names if name not in known]
    if missing:
        raise IngestError(
            f'there is no collection "{missing[0]}"; there are: {", ".join(sorted(known))}'
        )
    return frozenset(known[name] for name in names)


def ensure_source(
    session: Session,
    *,
    collection_id: int,
    kind: str,
    location: str,
    label: str,
    base_url: str | None,
) -> SourceRecord:
    """The source of that location, made or brought up to date."""
    source = _found_or_added(
        session,
        select(Source).where(Source.collection_id == collection_id, Source.location == location),
        Source(
            collection_id=collection_id,
            kind=kind,
            location=location,
            label=label,
            base_url=base_url,
            added_at=datetime.now(UTC),
        ),
    )
    if base_url is not None:
        source.base_url = base_url
    return _source_record(source)


def sources(session: Session) -> list[SourceRecord]:
    """Every source, oldest first."""
    return [_source_record(row) for row in session.scalars(select(Source).order_by(Source.id))]


def _source_record(source: Source) -> SourceRecord:
    return SourceRecord(
        id=source.id,
        collection_id=source.collection_id,
        kind=source.kind,
        location=source.location,
        label=source.label,
        base_url=source.base_url,
    )


def has_source(session: Session, source_id: int) -> bool:
    """Whether a source is there, and stays until the session ends."""
    query = select(Source.id).where(Source.id == source_id)
    return session.scalar(query.with_for_update(read=True, key_share=True)) is not None


def remove_source(session: Session, source_id: int) -> None:
    """Forget a source; its documents stay."""
    session.execute(delete(Source).where(Source.id == source_id))


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
    same = row.state == "ready" and _is_as(session, row, parsed, passages)
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
    return _found_or_added(
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
    for begin in range(0, len(ids), _ID_CHUNK):
        chunk = ids[begin : begin + _ID_CHUNK]
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


def passages_by_id(session: Session, ids: Sequence[int]) -> dict[int, StoredPassage]:
    """Passages with their texts; ids that are gone are left out."""
    found: dict[int, StoredPassage] = {}
    for begin in range(0, len(ids), _ID_CHUNK):
        rows = session.execute(
            select(
                PassageRow.id,
                Document.id,
                Document.version,
                Document.uri,
                Document.title,
                Document.link,
                PassageRow.start,
                PassageRow.end,
                PassageRow.heading,
                func.substr(Document.text, PassageRow.start + 1, PassageRow.end - PassageRow.start),
            )
            .join(Document, Document.id == PassageRow.document_id)
            .where(PassageRow.id.in_(ids[begin : begin + _ID_CHUNK]))
        )
        for row in rows:
            number, document_id, version, uri, title, link, start, end, heading, text = row
            found[number] = StoredPassage(
                id=number,
                document_id=document_id,
                version=version,
                uri=uri,
                title=title,
                link=link,
                start=start,
                end=end,
                heading=tuple(heading),
                text=text,
            )
    return found


@dataclass(frozen=True, slots=True)
class PassageRanges:
    """Every passage by its id, as arrays of shape (passages,).

    A passage's id is never given to another one, and its text, title and headings never change
    under it: a new version of a document has new passages. A database that was restored from a
    backup may give ids again, though; by their signatures these are told from the ones before.

    Attributes:
        passages, documents, collections: ids, int64.
        signatures: CRC-32 of the document's text, URI and title, int64.
    """

    passages: NDArray[np.int64]
    documents: NDArray[np.int64]
    collections: NDArray[np.int64]
    signatures: NDArray[np.int64]


def passage_ranges(session: Session) -> PassageRanges:
    """Which passages there are. Their texts are not read, and ids that follow each other are
    read as one range: a document's passages are stored together.
    """
    rows = session.execute(
        select(
            Document.id,
            Document.collection_id,
            Document.text_sha256,
            Document.uri,
            Document.title,
            func.min(PassageRow.id),
            func.max(PassageRow.id),
            func.count(),
        )
        .join(PassageRow, PassageRow.document_id == Document.id)
        .group_by(Document.id)
        .order_by(Document.id)
    ).all()
    ids: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for number, _, _, _, _, first, last, count in rows:
        if last - first + 1 == count:
            ids.append(np.arange(first, last + 1))
        else:
            own = select(PassageRow.id).where(PassageRow.document_id == number)
            ids.append(np.array(session.scalars(own.order_by(PassageRow.id)).all()))
    counts = [row[7] for row in rows]
    signatures = [zlib.crc32("\0".join(row[2:5]).encode(errors="surrogatepass")) for row in rows]
    return PassageRanges(
        passages=np.concatenate(ids),
        documents=np.repeat(np.array([row[0] for row in rows], dtype=np.int64), counts),
        collections=np.repeat(np.array([row[1] for row in rows], dtype=np.int64), counts),
        signatures=np.repeat(np.array(signatures, dtype=np.int64), counts),
    )


def search_texts(
    session: Session, document_ids: Sequence[int] | None = None
) -> Iterator[SearchText]:
    """Passages as they are indexed, a document's text fetched once.

    Args:
        document_ids: the documents whose passages are wanted; None for all.
    """
    if document_ids is None:
        yield from _search_texts(session, None)
        return
    for begin in range(0, len(document_ids), _ID_CHUNK):
        yield from _search_texts(session, document_ids[begin : begin + _ID_CHUNK])


def _search_texts(session: Session, document_ids: Sequence[int] | None) -> Iterator[SearchText]:
    query = select(
        Document.id, Document.collection_id, Document.uri, Document.title, Document.text
    ).order_by(Document.id)
    if document_ids is not None:
        query = query.where(Document.id.in_(document_ids))
    for number, collection_id, uri, title, text in session.execute(query).yield_per(50):
        rows = session.execute(
            select(PassageRow.id, PassageRow.start, PassageRow.end, PassageRow.heading)
            .where(PassageRow.document_id == number)
            .order_by(PassageRow.ordinal)
        )
        for passage_id, start, end, heading in rows:
            yield SearchText(
                passage_id, collection_id, uri, title, tuple(heading), text[start:end], text
            )
