"""Keeping the search index in step with the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retriever.analysis import Analyzer
from retriever.changes import compare
from retriever.errors import SearchIndexError
from retriever.index.files import DamagedError
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex
from retriever.new_passages import KeptVectors, Progress, new_passages, new_segment
from retriever.okapi import OkapiIndex
from retriever.passage_terms import TermsOfPassages
from retriever.ranking import Encoder
from retriever.standing import Standing, standing_of
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.passages import passage_ranges

_log = logging.getLogger(__name__)

Backend = Literal["bm25", "rank_bm25"]


class IndexKeeper:
    """Opens the current index, notices newer ones, and brings it up to date with the database.

    Several processes may share the folder, and the threads of one share the object: one writes at a
    time, the others go on with the generation they have. Only passages that are new are analysed
    and encoded. Segments are merged in a thread, which :meth:`close` waits for; :meth:`rebuild` has
    the index's loops compiled in it too, where they are not, for those who search later.

    Args:
        analyzer: makes the terms; or what gives the one to be used now, when that can change: the
            index is then made anew, its vectors kept.
        encoder: makes the encoder for the passages' vectors when it is first needed; None for
            BM25 alone.
        patience: so many seconds :meth:`current` waits for what is new in the database.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        analyzer: Analyzer | Callable[[], Analyzer],
        *,
        encoder: Callable[[], Encoder] | None = None,
        backend: Backend = "bm25",
        patience: float = 5.0,
    ) -> None:
        self._database = database
        self._folder = IndexFolder(folder)
        self._encoder = encoder
        self._backend = backend
        self._patience = patience
        self._building = threading.Lock()  # held while an index is made, which takes long
        self._opening = threading.Lock()  # held while one is opened, all of which is read then
        self._lock = threading.Lock()  # held only to look at what is below, or to change it
        self._open: PassageIndex | OkapiIndex | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._damage: str | None = None
        self._tidying: threading.Thread | None = None
        self._updating: threading.Thread | None = None
        self._analyzer_now: Callable[[], Analyzer] = (
            repeat(analyzer).__next__ if isinstance(analyzer, Analyzer) else analyzer
        )
        #: What made the terms of the index that :meth:`current` gave last.
        self.analyzer = self._analyzer_now()

    def current(self) -> PassageIndex | OkapiIndex:
        """The index of the database as it is now.

        When another process or thread is writing or opening that one, or it takes longer than one
        may wait, the index before it, if there is any.
        """
        with self._database.read() as session:
            version = documents.content_version(session)
        with self._lock:
            analyzer = self._analyzer_now()
            known = self._is_known(self._open)
        newest = self._refresh(wait=not known)
        with self._lock:
            opened = self._open
            if opened is not None and self._is_fresh(opened, version, analyzer):
                self.analyzer = analyzer
                return opened
            known = self._is_known(opened)
        if opened is not None and known:
            return self._updated(opened, analyzer) if newest else opened
        with self._building:
            built = self._build(analyzer, wait=-1)
        self._tidy_behind(built, compiling=False)
        return built

    def _updated(
        self, opened: PassageIndex | OkapiIndex, analyzer: Analyzer
    ) -> PassageIndex | OkapiIndex:
        """The index built in a thread, or ``opened`` where that is not to be waited for."""
        if not self._building.acquire(blocking=False):
            return opened
        result: Future[PassageIndex | OkapiIndex] = Future()
        given_up = threading.Event()

        def build() -> None:
            try:
                try:
                    built = self._build(analyzer, wait=0)
                finally:
                    self._building.release()
                self._tidy_behind(built, compiling=False)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                if given_up.is_set():
                    _log.warning("the search index was not brought up to date: %s", error)
                result.set_exception(error)
            else:
                result.set_result(built)

        updating = threading.Thread(target=build, name="update index")
        try:
            updating.start()
        except RuntimeError:  # no more threads: the next question tries again
            self._building.release()
            return opened
        self._updating = updating
        try:
            return result.result(timeout=self._patience)
        except TimeoutError:  # of waiting for it, or of its waiting for another writer
            given_up.set()
            _log.info("the search index is being built; the one before it is searched")
            return opened

    def rebuild(self, progress: Progress | None = None, *, force: bool = False) -> int:
        """Bring the index up to date, waiting for another writer; how many passages it holds.

        ``progress`` gets passages done and their total. ``force`` builds all of it, even of an
        index that is up to date.
        """
        with self._building:
            with self._lock:
                analyzer = self._analyzer_now()
            opened = self._build(analyzer, wait=-1, progress=progress, force=force)
        self._tidy_behind(opened, compiling=True)
        return len(opened)

    def catch_up(self, progress: Progress | None = None) -> None:
        """As :meth:`rebuild`, in the middle of a run: what is new so far can be found from now on.

        Nothing for rank_bm25, which would make all of its index anew.
        """
        if self._backend != "rank_bm25":
            self.rebuild(progress)

    def prepare(self) -> None:
        """Open the index and have its loops compiled, before the first question.

        Compiling is not waited for. After an upgrade of the program there may be nothing new to
        index, and nobody else would do it.
        """
        self._tidy_behind(self.current(), compiling=True)

    def standing(self) -> Standing:
        """What :meth:`current` would find before it makes anything.

        An index of ``rank_bm25``, which is nowhere but in memory, is made all the same.
        """
        if self._backend == "rank_bm25":
            return Standing(len(self.current()), None)
        with self._lock:
            analyzer = self._analyzer_now()
        encoder = self.encoder_name()
        return standing_of(self._folder, self._database, analyzer=analyzer.name, encoder=encoder)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Texts as the index's encoder sees them, a row each; None for BM25 alone."""
        return None if self._encoder is None else self._encoder().encode(texts)

    def close(self) -> None:
        """Wait until what is being built, compiled or merged is."""
        if self._updating is not None:
            self._updating.join()
        if self._tidying is not None:  # the other may have started it
            self._tidying.join()

    def _is_known(self, opened: PassageIndex | OkapiIndex | None) -> bool:
        """An index of terms that nobody here can make anew is of no use."""
        return opened is not None and opened.analyzer == self.analyzer.name

    def _refresh(self, *, wait: bool) -> bool:
        """Open the current generation if it is another one.

        Whether that is done: without ``wait``, not where another thread is at it.
        """
        if self._backend == "rank_bm25":
            return True
        with self._lock:
            stamp = self._folder.stamp()
            if stamp is None:  # lost: what is open can be searched, and not be added to
                self._stamp = None
            if stamp == self._stamp:
                return True
        if not self._opening.acquire(blocking=wait):
            return False
        try:
            self._open_newest()
        finally:
            self._opening.release()
        return True

    def _open_newest(self) -> None:
        with self._lock:
            stamp, before, known = self._folder.stamp(), self._stamp, self._open
        if stamp is None or stamp == before:
            return
        opened, damage = known, None
        try:
            opened = self._folder.open(known if isinstance(known, PassageIndex) else None)
        except DamagedError as error:
            # What is open stays so until there is something better.
            stamp, damage = None, str(error)
        with self._lock:
            if self._stamp != before:
                return  # a newer one was made here meanwhile
            if damage is not None and damage != self._damage:
                _log.warning(
                    "the search index cannot be used and is built again from the database: %s",
                    damage,
                )
            self._open, self._stamp, self._damage = opened, stamp, damage

    def _build(
        self,
        analyzer: Analyzer,
        *,
        wait: float,
        progress: Progress | None = None,
        force: bool = False,
    ) -> PassageIndex | OkapiIndex:
        """Make the index of the database, unless it is there by now; :attr:`_building` is held."""
        if self._backend == "rank_bm25":
            return self._build_okapi(analyzer, progress, force=force)
        with self._folder.writer(wait=wait):
            self._refresh(wait=True)
            with self._lock:
                usable = self._open if self._stamp is not None else None
            with self._database.read() as session:
                version = documents.content_version(session)
                if usable is not None and not force and self._is_fresh(usable, version, analyzer):
                    with self._lock:
                        self.analyzer = analyzer
                    return usable
                if (
                    not isinstance(usable, PassageIndex)
                    or force
                    or not self._continues(usable, version, analyzer)
                ):
                    usable = None
                vectors = self._kept_vectors() if usable is None else {}
                changes = compare(passage_ranges(session), usable)
                new = new_segment(session, changes, analyzer, self._encoder, vectors, progress)
            opened = self._folder.update(
                usable,
                new=new,
                gone=changes.gone,
                content_version=version,
                analyzer=analyzer.name,
                encoder=self.encoder_name(),
            )
            with self._lock:
                self._open, self._stamp = opened, self._folder.stamp()
                self.analyzer = analyzer
        return opened

    def _build_okapi(
        self, analyzer: Analyzer, progress: Progress | None, *, force: bool
    ) -> OkapiIndex:
        with self._lock:
            known = self._open
        with self._database.read() as session:
            version = documents.content_version(session)
            if (
                isinstance(known, OkapiIndex)
                and not force
                and self._is_fresh(known, version, analyzer)
            ):
                return known
            changes = compare(passage_ranges(session), None)
            terms_of = TermsOfPassages(analyzer)
            passages = [
                passage
                for batch in new_passages(session, changes, terms_of, self._encoder, {}, progress)
                for passage in batch.each(terms_of.vocabulary)
            ]
        opened = OkapiIndex(
            passages,
            encoder=self.encoder_name(),
            content_version=version,
            analyzer=analyzer.name,
        )
        with self._lock:
            self._open = opened
            self.analyzer = analyzer
        return opened

    def _is_fresh(self, index: PassageIndex | OkapiIndex, version: int, analyzer: Analyzer) -> bool:
        """The index is that of the database, with these terms and this encoder's vectors."""
        return (
            index.content_version == version
            and index.analyzer == analyzer.name
            and index.encoder == self.encoder_name()
        )

    def _continues(self, index: PassageIndex, version: int, analyzer: Analyzer) -> bool:
        """The index can be brought up to date: a database that went back is another one."""
        return (
            index.content_version <= version
            and index.analyzer == analyzer.name
            and index.encoder == self.encoder_name()
        )

    def encoder_name(self) -> str | None:
        """Whose vectors :meth:`vectors` are; an index may still hold another's."""
        return None if self._encoder is None else self._encoder().name

    def _kept_vectors(self) -> KeptVectors:
        """The vectors of an index that is built anew, as they are mapped, by passage id and
        signature.
        """
        name = self.encoder_name()
        if name is None:
            return {}
        return {
            (int(number), int(signature)): vector
            for segment in self._folder.usable_segments(name)
            for number, signature, vector in zip(
                segment.passages, segment.signatures, segment.vectors, strict=True
            )
        }

    def _tidy_behind(self, opened: PassageIndex | OkapiIndex, *, compiling: bool) -> None:
        """What makes searching faster and need not be waited for, in a thread."""
        if not isinstance(opened, PassageIndex):
            return
        with self._lock:
            if self._tidying is not None and self._tidying.is_alive():
                return
            if compiling or self._folder.due(opened):
                tidying = threading.Thread(
                    target=self._tidy, args=[compiling], name="merge segments"
                )
                try:
                    tidying.start()
                except RuntimeError as error:  # no more threads: the next change tries again
                    _log.warning("segments of the search index were not merged: %s", error)
                else:
                    self._tidying = tidying

    def _tidy(self, compiling: bool) -> None:
        # Whatever goes wrong, what is there goes on being used; the next change tries again.
        if compiling:
            try:
                self._folder.compile()
            except Exception as error:  # noqa: BLE001 - nobody above would tell
                _log.exception("the search index's loops were not compiled: %s", error)
        try:
            while self._folder.merge():
                pass
        except SearchIndexError as error:
            _log.warning("segments of the search index were not merged: %s", error)
        except Exception as error:  # noqa: BLE001 - nobody above would tell
            _log.exception("segments of the search index were not merged: %s", error)
