"""Keeping the search index in step with the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock, Timeout
from sqlalchemy.orm import Session

from retriever.analysis import Analyzer
from retriever.errors import SearchIndexError
from retriever.index import (
    Bm25Index,
    IndexedPassage,
    current_generation,
    open_index,
    write_index,
)
from retriever.okapi import OkapiIndex
from retriever.store import documents
from retriever.store.database import Database

_log = logging.getLogger(__name__)

Backend = Literal["bm25", "rank_bm25"]
Progress = Callable[[int, int], None]
RankingIndex = Bm25Index | OkapiIndex


class IndexKeeper:
    """Opens the current index, notices newer ones, and builds it from the database.

    Several processes may share the folder: one builds at a time, the others go on with the
    generation they have.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        analyzer: Analyzer,
        *,
        backend: Backend = "bm25",
    ) -> None:
        self._database = database
        self._folder = folder
        self._backend = backend
        self._lock = threading.Lock()
        self._open: RankingIndex | None = None
        self._generation: str | None = None
        self.analyzer = analyzer

    def current(self) -> RankingIndex:
        """The index of the database as it is now.

        When another process is building that one, the index before it, if there is any.
        """
        with self._database.read() as session:
            wanted = documents.content_version(session)
        with self._lock:
            self._refresh()
            if self._open is not None and self._open.content_version >= wanted:
                return self._open
            try:
                self._build(wait=-1 if self._open is None else 0)
            except Timeout:
                _log.info("another process is building the search index")
            assert self._open is not None
            return self._open

    def rebuild(self, progress: Progress | None = None, *, force: bool = False) -> int:
        """Bring the index up to date, waiting for another builder; how many passages it holds.

        ``progress`` gets passages done and their total. ``force`` builds even an index that is
        up to date.
        """
        with self._lock:
            self._build(wait=-1, progress=progress, force=force)
            assert self._open is not None
            return len(self._open)

    def _refresh(self) -> None:
        if self._backend == "rank_bm25":
            return
        for _ in range(3):  # a generation can go between reading its name and opening it
            generation = current_generation(self._folder)
            if generation is None or generation == self._generation:
                return
            opened = open_index(self._folder, generation)
            if opened is not None:
                self._open, self._generation = opened, generation
                return
        _log.warning("the search index in %s is damaged; building it again", self._folder)
        self._generation = None

    def _build(self, *, wait: float, progress: Progress | None = None, force: bool = False) -> None:
        if self._backend == "rank_bm25":
            with self._database.read() as session:
                version = documents.content_version(session)
                self._open = OkapiIndex(self._passages(session, progress), content_version=version)
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "write.lock")
            lock.acquire(timeout=wait)
        except OSError as error:
            raise SearchIndexError(
                f"the search index in {self._folder} cannot be written: "
                f"{error.strerror or error}; check the folder's permissions"
            ) from error
        try:
            self._refresh()
            with self._database.read() as session:
                version = documents.content_version(session)
                fresh = self._open is not None and self._open.content_version == version
                if fresh and self._generation is not None and not force:
                    return
                write_index(
                    self._folder, self._passages(session, progress), content_version=version
                )
            self._refresh()
        finally:
            lock.release()
        if self._open is None:
            raise SearchIndexError(
                f"the search index in {self._folder} cannot be read back; check the disk"
            )

    def _passages(self, session: Session, progress: Progress | None) -> Iterator[IndexedPassage]:
        total = documents.count_passages(session) if progress is not None else 0
        for done, passage in enumerate(documents.search_texts(session), start=1):
            yield IndexedPassage(
                passage.passage_id,
                passage.collection_id,
                self.analyzer.terms(index_text(passage)),
            )
            if progress is not None and (done % 200 == 0 or done == total):
                progress(done, total)


def index_text(passage: documents.SearchText) -> str:
    """What is searched of a passage: file name, title and headings in front of its text."""
    stem = PurePosixPath(passage.uri.replace("\\", "/")).stem
    above = dict.fromkeys([stem, passage.title, *passage.heading])
    return "\n".join([*above, passage.text])
