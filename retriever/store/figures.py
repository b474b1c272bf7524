"""How much is stored."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from retriever.store.models import Base, Collection, Document, PassageRow, Question


@dataclass(frozen=True, slots=True)
class Figures:
    """How many there are of each.

    ``failed`` documents are those with an error, served or not; ``outdated`` ones were read by an
    earlier version, otherwise than a reindex will read them. One that could not be read since has
    failed, and is not among them.
    """

    documents: int
    failed: int
    outdated: int
    passages: int
    collections: int
    questions: int


def figures(session: Session, *, text_version: int) -> Figures:
    """What a database holds now.

    Args:
        text_version: below which a document is outdated: that of ``retriever.parsing``.
    """
    with_error = select(func.count(Document.error))  # NULL is not counted
    read_before = (
        select(func.count())
        .select_from(Document)
        .where(
            Document.state == "ready",
            Document.error.is_(None),
            Document.text_version < text_version,
            Document.source_id.is_not(None),  # what no source lists is not looked at again
        )
    )
    return Figures(
        documents=_count(session, Document),
        failed=session.scalar(with_error) or 0,
        outdated=session.scalar(read_before) or 0,
        passages=_count(session, PassageRow),
        collections=_count(session, Collection),
        questions=_count(session, Question),
    )


def _count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0
