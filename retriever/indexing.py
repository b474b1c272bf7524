"""Keeping the search index in step with the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from retriever.analysis import Analyzer
from retriever.errors import SearchIndexError
from retriever.index.build import NumberedPassages, SegmentBuilder
from retriever.index.files import DamagedError
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex
from retriever.index.segment import Segment
from retriever.okapi import OkapiIndex
from retriever.passage_terms import TermsOfPassages, index_text
from retriever.ranking import Encoder
from retriever.store import documents
from retriever.store.database import Database

_log = logging.getLogger(__name__)

Backend = Literal["bm25", "rank_bm25"]
Progress = Callable[[int, int], None]

#: So many passages are analysed and encoded at a time.
_BATCH = 4096


class IndexKeeper:
    """Opens the current index, notices newer ones, and brings it up to date with the database.

    Several processes may share the folder: one writes at a time, the others go on with the
    generation they have. Only passages that are new are analysed and encoded. Segments are merged
    in a thread, which :meth:`close` waits for; :meth:`rebuild` has the index's loops compiled in it
    too, where they are not, for those who search later.

    Args:
        analyzer: makes the terms; or what gives the one to be used now, when that can change: the
            index is then made anew, its vectors kept.
        encoder: makes the encoder for the passages' vectors when it is first needed; None for
            BM25 alone.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        analyzer: Analyzer | Callable[[], Analyzer],
        *,
        encoder: Callable[[], Encoder] | None = None,
        backend: Backend = "bm25",
    ) -> None:
        self._database = database
        self._folder = IndexFolder(folder)
        self._encoder = encoder
        self._backend = backend
        self._lock = threading.Lock()
        self._open: PassageIndex | OkapiIndex | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._damage: str | None = None
        self._tidying: threading.Thread | None = None
        self._analyzer_now: Callable[[], Analyzer] = (
            repeat(analyzer).__next__ if isinstance(analyzer, Analyzer) else analyzer
        )
        #: What made the terms of the index that :meth:`current` gave last.
        self.analyzer = self._wanted = self._analyzer_now()

    def current(self) -> PassageIndex | OkapiIndex:
        """The index of the database as it is now.

        When another process is writing that one, the index before it, if there is any.
        """
        with self._database.read() as session:
            wanted = documents.content_version(session)
        with self._lock:
            self._wanted = self._analyzer_now()
            self._refresh()
            if self._open is not None and self._is_fresh(wanted):
                self.analyzer = self._wanted
                return self._open
            try:
                opened = self._build(wait=-1 if self._open is None else 0)
            except Timeout:
                _log.info("another process is building the search index")
                assert self._open is not None
                return self._open
            self.analyzer = self._wanted
            self._tidy_behind(opened, compiling=False)
            return opened

    def rebuild(self, progress: Progress | None = None, *, force: bool = False) -> int:
        """Bring the index up to date, waiting for another writer; how many passages it holds.

        ``progress`` gets passages done and their total. ``force`` builds all of it, even of an
        index that is up to date.
        """
        with self._lock:
            self._wanted = self._analyzer_now()
            opened = self._build(wait=-1, progress=progress, force=force)
            self.analyzer = self._wanted
            self._tidy_behind(opened, compiling=True)
            return len(opened)

    def prepare(self) -> None:
        """Open the index and have its loops compiled, before the first question.

        Compiling is not waited for. After an upgrade of the program there may be nothing new to
        index, and nobody else would do it.
        """
        opened = self.current()
        with self._lock:
            self._tidy_behind(opened, compiling=True)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Texts as the index's encoder sees them, a row each; None for BM25 alone."""
        return None if self._encoder is None else self._encoder().encode(texts)

    def close(self) -> None:
        """Wait until what is being compiled or merged is."""
        tidying = self._tidying
        if tidying is not None:
            tidying.join()

    def _refresh(self) -> None:
        """Open the current generation if it is another one."""
        if self._backend == "rank_bm25":
            return
        stamp = self._folder.stamp()
        if stamp is None or stamp == self._stamp:
            return
        known = self._open if isinstance(self._open, PassageIndex) else None
        try:
            self._open, self._stamp = self._folder.open(known), stamp
            self._damage = None
        except DamagedError as error:
            # What is open stays so until there is something better.
            if str(error) != self._damage:
                _log.warning(
                    "the search index cannot be used and is built again from the database: %s",
                    error,
                )
            self._damage, self._stamp = str(error), None

    def _build(
        self, *, wait: float, progress: Progress | None = None, force: bool = False
    ) -> PassageIndex | OkapiIndex:
        if self._backend == "rank_bm25":
            return self._build_okapi(progress)
        with self._folder.writer(wait=wait):
            self._refresh()
            with self._database.read() as session:
                version = documents.content_version(session)
                usable = self._open if self._stamp is not None else None
                if usable is not None and not force and self._is_fresh(version):
                    return usable
                if (
                    not isinstance(usable, PassageIndex)
                    or force
                    or not self._continues(usable, version)
                ):
                    usable = None
                vectors = self._kept_vectors() if usable is None else {}
                changes = _compare(documents.passage_ranges(session), usable)
                new = self._segment(session, changes, vectors, progress)
            opened = self._folder.update(
                usable,
                new=new,
                gone=changes.gone,
                content_version=version,
                analyzer=self._wanted.name,
                encoder=self._encoder_name(),
            )
            self._open, self._stamp = opened, self._folder.stamp()
        return opened

    def _build_okapi(self, progress: Progress | None) -> OkapiIndex:
        with self._database.read() as session:
            version = documents.content_version(session)
            changes = _compare(documents.passage_ranges(session), None)
            terms_of = TermsOfPassages(self._wanted)
            passages = [
                passage
                for batch in self._batches(session, changes, {}, terms_of, progress)
                for passage in batch.each(terms_of.vocabulary)
            ]
        opened = OkapiIndex(
            passages,
            encoder=self._encoder_name(),
            content_version=version,
            analyzer=self._wanted.name,
        )
        self._open = opened
        return opened

    def _is_fresh(self, version: int) -> bool:
        """The open index is that of the database, with these terms and this encoder's vectors."""
        return (
            self._open is not None
            and self._open.content_version == version
            and self._open.analyzer == self._wanted.name
            and self._open.encoder == self._encoder_name()
        )

    def _continues(self, index: PassageIndex, version: int) -> bool:
        """The index can be brought up to date: a database that went back is another one."""
        return (
            index.content_version <= version
            and index.analyzer == self._wanted.name
            and index.encoder == self._encoder_name()
        )

    def _encoder_name(self) -> str | None:
        return None if self._encoder is None else self._encoder().name

    def _kept_vectors(self) -> dict[tuple[int, int], NDArray[np.float32]]:
        """The vectors of an index that is built anew, by passage id and signature."""
        name = self._encoder_name()
        if name is None:
            return {}
        return {
            (int(number), int(signature)): vector
            for segment in self._folder.usable_segments(name)
            for number, signature, vector in zip(
                segment.passages, segment.signatures, segment.directions, strict=True
            )
        }

    def _segment(
        self,
        session: Session,
        changes: _Changes,
        vectors: dict[tuple[int, int], NDArray[np.float32]],
        progress: Progress | None,
    ) -> Segment | None:
        """The new passages as one segment; None when there are none."""
        terms_of = TermsOfPassages(self._wanted)
        builder = SegmentBuilder(terms_of.vocabulary)
        for batch in self._batches(session, changes, vectors, terms_of, progress):
            builder.extend(batch)
        return builder.segment() if len(builder) else None

    def _batches(
        self,
        session: Session,
        changes: _Changes,
        vectors: dict[tuple[int, int], NDArray[np.float32]],
        terms_of: TermsOfPassages,
        progress: Progress | None,
    ) -> Iterator[NumberedPassages]:
        """What is new of the database, analysed and encoded."""
        signatures = dict(zip(changes.new.tolist(), changes.signatures.tolist(), strict=True))
        done = changes.total - len(signatures)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, changes.total)

        advance(0)
        texts = (
            text
            for text in documents.search_texts(session, changes.documents)
            if text.passage_id in signatures
        )
        encoder = None if self._encoder is None else self._encoder()
        while batch := list(islice(texts, _BATCH)):
            rows = None
            if encoder is not None:
                given = [vectors.get((p.passage_id, signatures[p.passage_id])) for p in batch]
                missing = [at for at, vector in enumerate(given) if vector is None]
                advance(len(batch) - len(missing))
                if missing:
                    made = encoder.encode(
                        [index_text(batch[at]) for at in missing], progress=advance
                    )
                    for at, vector in zip(missing, made, strict=True):
                        given[at] = vector
                rows = np.array(given, dtype=np.float32)
            ids = [passage.passage_id for passage in batch]
            yield NumberedPassages(
                np.array(ids, dtype=np.int64),
                np.array([passage.collection_id for passage in batch], dtype=np.int64),
                np.array([signatures[number] for number in ids], dtype=np.uint32),
                terms_of.of(batch),
                rows,
            )
            if encoder is None:
                advance(len(batch))

    def _tidy_behind(self, opened: PassageIndex | OkapiIndex, *, compiling: bool) -> None:
        """What makes searching faster and need not be waited for, in a thread."""
        if not isinstance(opened, PassageIndex):
            return
        if self._tidying is not None and self._tidying.is_alive():
            return
        if compiling or self._folder.due(opened):
            self._tidying = threading.Thread(
                target=self._tidy, args=[compiling], name="merge segments"
            )
            self._tidying.start()

    def _tidy(self, compiling: bool) -> None:
        if compiling:
            self._folder.compile()
        try:
            while self._folder.merge():
                pass
        except SearchIndexError as error:
            # What is there goes on being used; the next change tries again.
            _log.warning("segments of the search index were not merged: %s", error)


@dataclass(frozen=True, slots=True)
class _Changes:
    """What the database has and an index lacks, and the other way round.

    Attributes:
        new: ids of passages, int64 of shape (new,); ``signatures`` is of the same shape.
        documents: the ids of the documents that these are of; None for all.
        gone: ids of passages, int64.
        total: how many passages the database has.
    """

    new: NDArray[np.int64]
    signatures: NDArray[np.int64]
    documents: list[int] | None
    gone: NDArray[np.int64]
    total: int


def _compare(ranges: documents.PassageRanges, index: PassageIndex | None) -> _Changes:
    """A passage is known if its id, its signature and its collection are."""
    order = np.argsort(ranges.passages, kind="stable")
    passages = ranges.passages[order]
    signatures = ranges.signatures[order]
    collections = ranges.collections[order]
    owners = ranges.documents[order]
    if index is None:
        nobody = np.zeros(0, dtype=np.int64)
        return _Changes(passages, signatures, None, nobody, len(passages))
    known = np.zeros(len(passages), dtype=np.bool_)
    gone: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for segment, marks in index.segments:
        live = marks.live if len(marks.live) else np.ones(len(segment), dtype=np.bool_)
        places = np.searchsorted(passages, segment.passages)
        inside = np.minimum(places, max(len(passages) - 1, 0))
        same = live & (places < len(passages))
        if len(passages):
            same &= passages[inside] == segment.passages
            same &= signatures[inside] == segment.signatures
            same &= collections[inside] == segment.collection_ids
            known[inside[same]] = True
        gone.append(segment.passages[live & ~same])
    return _Changes(
        passages[~known],
        signatures[~known],
        np.unique(owners[~known]).tolist(),
        np.concatenate(gone),
        len(passages),
    )
