"""What is kept of collections, and of the sources that documents come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from retriever.errors import IngestError
from retriever.store.models import Collection, Source
from retriever.store.rows import found_or_added


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A source, apart from its session."""

    id: int
    collection_id: int
    kind: str
    location: str
    label: str
    base_url: str | None


def ensure_collection(session: Session, name: str) -> int:
    """The id of the collection, made if there is none of that name."""
    return found_or_added(
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
    source = found_or_added(
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


def list_sources(session: Session) -> list[SourceRecord]:
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
