"""How much is stored."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from retriever.store.models import Base, Collection, Document, PassageRow, Question


@dataclass(frozen=True, slots=True)
class Figures:
    """How many there are of each. ``failed`` documents are those with an error, served or not."""

    documents: int
    failed: int
    passages: int
    collections: int
    questions: int


def figures(session: Session) -> Figures:
    """What a database holds now."""
    with_error = select(func.count(Document.error))  # NULL is not counted
    return Figures(
        documents=_count(session, Document),
        failed=session.scalar(with_error) or 0,
        passages=_count(session, PassageRow),
        collections=_count(session, Collection),
        questions=_count(session, Question),
    )


def _count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0
