"""Passages as they are indexed, and as they are shown and read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from retriever.store.models import Document, PassageRow
from retriever.store.rows import ID_CHUNK


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


def passages_by_id(session: Session, ids: Sequence[int]) -> dict[int, StoredPassage]:
    """Passages with their texts; ids that are gone are left out."""
    found: dict[int, StoredPassage] = {}
    for begin in range(0, len(ids), ID_CHUNK):
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
            .where(PassageRow.id.in_(ids[begin : begin + ID_CHUNK]))
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
    for begin in range(0, len(document_ids), ID_CHUNK):
        yield from _search_texts(session, document_ids[begin : begin + ID_CHUNK])


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
