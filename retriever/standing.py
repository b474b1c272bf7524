"""Whether an index is the one of the database, the analyzer and the encoder.

Searching brings the index up to date by itself and waits for it; here it is only looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from retriever.index.files import DamagedError
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex
from retriever.store import documents
from retriever.store.database import Database


@dataclass(frozen=True, slots=True)
class Standing:
    """How many passages an index holds, and why it is not the one that is to be searched.

    ``passages`` is None where there is no index, or none that can be used. ``behind`` is None where
    nothing has to be made; else it goes on after the number of passages.
    """

    passages: int | None
    behind: str | None


def standing_of(
    folder: IndexFolder, database: Database, *, analyzer: str, encoder: str | None
) -> Standing:
    """The standing of the index that lies in a folder; neither it nor the database is changed.

    Args:
        analyzer, encoder: the names of what would make the terms and the vectors now.

    Raises:
        SearchIndexError: the folder cannot be read.
        StoreError: the database cannot be read.
    """
    try:
        index = folder.open()
    except DamagedError as error:
        return Standing(None, str(error))
    # Looked up after the index was opened: one that is ahead of it is of another database.
    with database.read() as session:
        version = documents.content_version(session)
    if index is None:
        return Standing(None, "there is none yet") if version else Standing(0, None)
    return Standing(len(index), _behind(index, version, analyzer, encoder))


def _behind(index: PassageIndex, version: int, analyzer: str, encoder: str | None) -> str | None:
    if index.analyzer != analyzer:
        return "with the words of another language, other synonyms or another version of spanbot"
    if index.encoder != encoder:
        if index.encoder is None:
            return "without the vectors of the ranker"
        return "with the vectors of a ranker that is not used now"
    if index.content_version != version:
        return "of documents that have changed since"
    return None
