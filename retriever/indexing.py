"""Keeping the search index in step with the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from retriever.analysis import Analyzer
from retriever.errors import SearchIndexError
from retriever.index import (
    IndexedPassage,
    PassageIndex,
    build_arrays,
    current_generation,
    open_index,
    write_index,
)
from retriever.okapi import OkapiScorer
from retriever.ranking import Encoder
from retriever.store import documents
from retriever.store.database import Database

_log = logging.getLogger(__name__)

Backend = Literal["bm25", "rank_bm25"]
Progress = Callable[[int, int], None]


class IndexKeeper:
    """Opens the current index, notices newer ones, and builds it from the database.

    Several processes may share the folder: one builds at a time, the others go on with the
    generation they have.

    Args:
        encoder: makes the encoder for the passages' vectors when it is first needed; None for
            BM25 alone.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        analyzer: Analyzer,
        *,
        encoder: Callable[[], Encoder] | None = None,
        backend: Backend = "bm25",
    ) -> None:
        self._database = database
        self._folder = folder
        self._encoder = encoder
        self._backend = backend
        self._lock = threading.Lock()
        self._open: PassageIndex | None = None
        self._generation: str | None = None
        self.analyzer = analyzer

    def current(self) -> PassageIndex:
        """The index of the database as it is now.

        When another process is building that one, the index before it, if there is any.
        """
        with self._database.read() as session:
            wanted = documents.content_version(session)
        with self._lock:
            self._refresh()
            if self._open is not None and self._is_fresh(wanted):
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

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Texts as the index's encoder sees them, a row each; None for BM25 alone."""
        return None if self._encoder is None else self._encoder().encode(texts)

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
        _log.warning(
            "the search index in %s is damaged or of another version; building it again",
            self._folder,
        )
        self._generation = None

    def _build(self, *, wait: float, progress: Progress | None = None, force: bool = False) -> None:
        if self._backend == "rank_bm25":
            with self._database.read() as session:
                version = documents.content_version(session)
                passages = self._passages(session, progress)
            ids, collections, vectors = build_arrays(passages)
            self._open = PassageIndex(
                OkapiScorer([passage.terms for passage in passages]),
                ids,
                collections,
                vectors,
                encoder=self._encoder_name(),
                content_version=version,
            )
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "write.lock")
            lock.acquire(timeout=wait)
        except OSError as error:
            if isinstance(error, Timeout):
                raise
            raise SearchIndexError(
                f"the search index in {self._folder} cannot be written: "
                f"{error.strerror or error}; check the folder's permissions"
            ) from error
        try:
            self._refresh()
            with self._database.read() as session:
                version = documents.content_version(session)
                if self._generation is not None and not force and self._is_fresh(version):
                    return
                passages = self._passages(session, progress)
            write_index(
                self._folder, passages, content_version=version, encoder=self._encoder_name()
            )
            self._refresh()
        finally:
            lock.release()
        if self._open is None:
            raise SearchIndexError(
                f"the search index in {self._folder} cannot be read back; check the disk"
            )

    def _is_fresh(self, version: int) -> bool:
        """The open index is that of the database, with this encoder's vectors."""
        return (
            self._open is not None
            and self._open.content_version == version
            and self._open.encoder == self._encoder_name()
        )

    def _encoder_name(self) -> str | None:
        return None if self._encoder is None else self._encoder().name

    def _passages(self, session: Session, progress: Progress | None) -> list[IndexedPassage]:
        texts = list(documents.search_texts(session))
        found = [
            IndexedPassage(p.passage_id, p.collection_id, self.analyzer.terms(index_text(p)))
            for p in texts
        ]
        if self._encoder is None:
            if progress is not None:
                progress(len(texts), len(texts))
            return found
        # A passage never changes under its id: only new ones need a vector.
        encoder = self._encoder()
        vectors = self._open.known_vectors(encoder.name) if self._open is not None else {}
        new = [p for p in texts if p.passage_id not in vectors]
        done = len(texts) - len(new)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, len(texts))

        advance(0)
        made = encoder.encode([index_text(p) for p in new], progress=advance)
        vectors.update(zip([p.passage_id for p in new], made, strict=True))
        return [replace(passage, vector=vectors[passage.passage_id]) for passage in found]


def index_text(passage: documents.SearchText) -> str:
    """What is searched of a passage: file name, title and headings in front of its text."""
    stem = PurePosixPath(passage.uri.replace("\\", "/")).stem
    above = dict.fromkeys([stem, passage.title, *passage.heading])
    return "\n".join([*above, passage.text])
