"""What is meant by a name that is to be forgotten, and forgetting it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from retriever.errors import IngestError
from retriever.store import documents
from retriever.store.sources import SourceRecord, list_sources, remove_source


@dataclass(frozen=True, slots=True)
class Removed:
    """A document, or what was added by its path: its name, and how many documents it had."""

    name: str
    documents: int


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    sources: tuple[SourceRecord, ...]
    documents: tuple[int, ...]


def forget(session: Session, names: Sequence[str]) -> tuple[list[Removed], list[Path]]:
    """Forget documents by :func:`~retriever.store.documents.find_document`'s names, and added
    paths with all their documents.

    Returns:
        What was forgotten, and the kept files that are to be deleted with it.

    Raises:
        IngestError: a name fits nothing, or several things; nothing was forgotten.
    """
    every = list_sources(session)
    found = [_find(session, name, every) for name in dict.fromkeys(names)]
    sources = {source.id: source for one in found for source in one.sources}
    ids = sorted({number for one in found for number in one.documents})
    documents.remove_documents(session, ids)
    for number in sources:
        remove_source(session, number)
    removed = [Removed(one.name, len(one.documents)) for one in found]
    return removed, kept_files(list(sources.values()))


def kept_files(sources: Sequence[SourceRecord]) -> list[Path]:
    """The files of sources that were handed over."""
    return [Path(source.location) for source in sources if source.kind == "upload"]


def _find(session: Session, name: str, every: Sequence[SourceRecord]) -> _Found:
    added = _added(name, every)
    # A file may have been added by itself whose document another source has.
    alone = [documents.known_file(session, s.collection_id, s.location) for s in added]
    if added and not any(alone):
        files = [documents.known_files(session, source.id) for source in added]
        ids = [known.document_id for own in files for known in own.values()]
        return _Found(name, tuple(added), tuple(ids))
    # A document, or a file that was added by itself: that one is forgotten with its document.
    summary = documents.find_document(session, name)
    collection_id, location = documents.place_of(session, summary.id)
    own = tuple(s for s in every if (s.collection_id, s.location) == (collection_id, location))
    return _Found(summary.uri, own, (summary.id,))


def _added(name: str, every: Sequence[SourceRecord]) -> list[SourceRecord]:
    """The sources of that path; there is one for each collection that it was added to."""
    place = os.path.realpath(name)
    located = [source for source in every if source.kind == "path" and source.location == place]
    if located:
        return located
    labelled = [source for source in every if name in (source.label, source.location)]
    places = sorted({source.location for source in labelled})
    if len(places) > 1:
        raise IngestError(f'"{name}" fits {", ".join(places[:5])}; give the whole path')
    return labelled
