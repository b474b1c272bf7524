"""The folder of an index: opening, adding, deleting, merging and tidying up.

    MANIFEST        the generation that counts
    segment-*       segments; marks-* what is deleted of one
    merging-*       a segment that is being merged and does not count yet
    write.lock      held while a generation is put in the place of another
    merge.lock      held while segments are merged, which keeps nobody from adding and deleting
    compiled-*      machine code of the kernel; compile.lock is held while it is made

Everything is written and synced before the manifest names it, so a process may die at any moment:
what it had not finished is not named, and the next writer removes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from retriever.errors import SearchIndexError
from retriever.index import compiled
from retriever.index.deletion import frequencies_around, marks_after
from retriever.index.files import DamagedError, FileEntry, sync_folder, writing
from retriever.index.generation import PassageIndex, find_in_all
from retriever.index.kernel import Kernel, default
from retriever.index.manifest import NAME, Manifest, SegmentEntry, read_manifest, write_manifest
from retriever.index.merge import Size, choose, merge
from retriever.index.segment import (
    NO_MARKS,
    Marks,
    Segment,
    read_marks,
    read_segment,
    write_marks,
    write_segment,
)
from retriever.index.statistics import EMPTY, Statistics


@dataclass(frozen=True, slots=True)
class _State:
    """A generation on its way to becoming the current one."""

    entries: tuple[SegmentEntry, ...]
    parts: tuple[tuple[Segment, Marks], ...]
    statistics: Statistics


class IndexFolder:
    """An index on disk. Any number of processes may read it; they take turns in writing it."""

    def __init__(self, path: Path, *, kernel: Kernel | None = None) -> None:
        self.path = path
        self._given = kernel

    @property
    def _kernel(self) -> Kernel:
        return self._given or default()

    def stamp(self) -> tuple[int, int, int] | None:
        """Changes with every generation; None when there is no index. It costs next to nothing."""
        try:
            status = (self.path / NAME).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def open(self, known: PassageIndex | None = None) -> PassageIndex | None:
        """The current generation; None when there is no index.

        Args:
            known: a generation whose segments need not be opened again.

        Raises:
            DamagedError: it cannot be used.
            SearchIndexError: it cannot be read.
        """
        if self._given is None:
            compiled.use(self.path)
        try:
            manifest = read_manifest(self.path)
            while manifest is not None:
                try:
                    return self._opened(manifest, known)
                except FileNotFoundError as error:
                    before, manifest = manifest, read_manifest(self.path)
                    if manifest == before:  # else a newer generation took its place meanwhile
                        raise DamagedError(f"{error.filename} is missing") from error
        except OSError as error:
            raise SearchIndexError(
                f"the search index in {self.path} cannot be read: {error.strerror or error}; "
                "check the folder's permissions"
            ) from error
        return None

    def usable_segments(self, encoder: str) -> list[Segment]:
        """The segments of the current generation that are whole, if this encoder's vectors are in
        them: of an index that must be built again, the part that costs most.
        """
        found: list[Segment] = []
        try:
            manifest = read_manifest(self.path)
        except (DamagedError, OSError):
            return found
        if manifest is None or manifest.encoder != encoder:
            return found
        for entry in manifest.segments:
            try:
                found.append(read_segment(self.path, entry.file))
            except (DamagedError, OSError):
                continue
        return found

    @contextmanager
    def writer(self, *, wait: float = -1) -> Iterator[None]:
        """Hold the lock that :meth:`update` needs.

        Args:
            wait: seconds to wait for another writer; without end by default.

        Raises:
            Timeout: another writer has it.
            SearchIndexError: the folder cannot be written.
        """
        lock = FileLock(self.path / "write.lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait)
        except OSError as error:
            if isinstance(error, Timeout):
                raise
            raise SearchIndexError(
                f"the search index in {self.path} cannot be written: "
                f"{error.strerror or error}; check the folder's permissions"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def update(
        self,
        index: PassageIndex | None,
        *,
        new: Segment | None = None,
        gone: NDArray[np.int64] | None = None,
        content_version: int,
        analyzer: str = "",
        encoder: str | None = None,
    ) -> PassageIndex:
        """Delete passages, add a segment, and make that the current generation.

        The writer's lock must be held. Ids in ``gone`` that are not in the index are no error.

        Args:
            index: the current generation; None to begin anew, whatever there is.
            analyzer, encoder: the names of what made the terms and the vectors.

        Raises:
            SearchIndexError: the folder cannot be written or the disk is full; the generation that
                was current stays so.
        """
        before = _State((), (), EMPTY) if index is None else _state_of(index)
        written: list[FileEntry] = []
        with writing(self.path):
            try:
                state = before
                if gone is not None and len(gone):
                    state = self._without(state, np.unique(gone), written)
                if new is not None and len(new):
                    state = self._with(state, new, written)
                return self._commit(index, state, content_version, analyzer, encoder)
            except OSError:
                self._discard(written)
                raise

    def _discard(self, written: Sequence[FileEntry]) -> None:
        """Remove what was written in vain: not what a manifest names that is in its place."""
        try:
            manifest = read_manifest(self.path)
        except (OSError, DamagedError):
            return  # the next writer tidies up
        kept = set() if manifest is None else manifest.files
        for entry in written:
            if entry.name not in kept:
                (self.path / entry.name).unlink(missing_ok=True)

    def merge(self) -> bool:
        """Merge segments if that is due; whether any were. Adding and deleting can go on meanwhile.

        Raises:
            DamagedError: the index cannot be used.
            SearchIndexError: the folder cannot be written or the disk is full; the generation that
                was current stays so.
        """
        lock = FileLock(self.path / "merge.lock")
        with writing(self.path):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return False
            try:
                for left in self.path.glob("merging-*"):
                    left.unlink(missing_ok=True)
                return self._merge()
            finally:
                lock.release()

    def compile(self) -> None:
        """Make the compiled code that searching goes faster with, where that is possible."""
        if self._given is None:
            compiled.make(self.path)

    def due(self, index: PassageIndex) -> bool:
        """Whether segments of this generation should be merged."""
        return bool(_choose(index))

    def _merge(self) -> bool:
        index = self.open()
        chosen = _choose(index) if index is not None else set()
        if index is None or not chosen:
            return False
        then = {
            entry.file: part
            for entry, part in zip(index.manifest.segments, index.segments, strict=True)
            if entry.file in chosen
        }
        merged = merge(list(then.values()))
        part = f"merging-{uuid.uuid4().hex[:16]}"
        try:
            file = write_segment(self.path / part, merged)
            with self.writer():
                return self._put_merged(self.open(index), then, merged, file)
        finally:
            (self.path / part).unlink(missing_ok=True)

    def _put_merged(
        self,
        index: PassageIndex | None,
        then: dict[FileEntry, tuple[Segment, Marks]],
        merged: Segment,
        file: FileEntry,
    ) -> bool:
        """Put a merged segment in the place of those it was made of, less what is deleted since."""
        if index is None:
            return False
        now = dict(zip(index.manifest.segments, index.segments, strict=True))
        current = {entry.file: marks for entry, (_, marks) in now.items()}
        if not then.keys() <= current.keys():
            return False  # the index was built anew
        gone = [
            segment.passages[marks.live_of(segment) & ~current[entry].live_of(segment)]
            for entry, (segment, marks) in then.items()
        ]
        named = replace(file, name=file.name.replace("merging", "segment"))
        (self.path / file.name).rename(self.path / named.name)
        written = [named]
        try:
            marks = marks_after(self._kernel, merged, NO_MARKS, np.unique(np.concatenate(gone)))
            live = int(marks.live.sum()) if len(marks.live) else len(merged)
            marks_file = self._write_marks(marks, written)
            kept = [(entry, part) for entry, part in now.items() if entry.file not in then]
            if live:
                kept.append((SegmentEntry(named, marks_file, len(merged), live), (merged, marks)))
            state = _State(
                tuple(entry for entry, _ in kept),
                tuple(part for _, part in kept),
                index.manifest.statistics,
            )
            self._commit(index, state, index.content_version, index.analyzer, index.encoder)
        except OSError:
            self._discard(written)
            raise
        return True

    def _opened(self, manifest: Manifest, known: PassageIndex | None) -> PassageIndex:
        if known is not None and known.manifest == manifest:
            return known
        have = (
            {}
            if known is None
            else {
                entry.file: (segment, entry.marks, marks)
                for entry, (segment, marks) in zip(
                    known.manifest.segments, known.segments, strict=True
                )
            }
        )
        parts: list[tuple[Segment, Marks]] = []
        for entry in manifest.segments:
            if entry.file in have:
                segment, file, marks = have[entry.file]
            else:
                segment, file, marks = read_segment(self.path, entry.file), None, NO_MARKS
            if file != entry.marks:
                marks = NO_MARKS if entry.marks is None else read_marks(self.path, entry.marks)
            if len(segment) != entry.passages or len(marks.live) not in (0, entry.passages):
                raise DamagedError(f"{self.path / entry.file.name} is of another size than noted")
            parts.append((segment, marks))
        return PassageIndex(manifest, parts, kernel=self._given)

    def _without(self, state: _State, gone: NDArray[np.int64], written: list[FileEntry]) -> _State:
        entries = list(state.entries)
        parts = list(state.parts)
        statistics = state.statistics
        for at, (segment, marks) in enumerate(state.parts):
            after = marks_after(self._kernel, segment, marks, gone)
            if after is marks:
                continue
            left = marks.live_of(segment) & ~after.live
            before, now = frequencies_around(self._kernel, parts, at, after)
            parts[at] = (segment, after)
            lengths = segment.postings.length_values[segment.postings.lengths[left]]
            statistics = statistics.changed(
                -int(left.sum()), -int(lengths.sum(dtype=np.int64)), before, now
            )
            live = int(after.live.sum())
            file = self._write_marks(after, written) if live else None
            entries[at] = replace(entries[at], marks=file, live=live)
        kept = [at for at, entry in enumerate(entries) if entry.live]
        return _State(
            tuple(entries[at] for at in kept), tuple(parts[at] for at in kept), statistics
        )

    def _with(self, state: _State, new: Segment, written: list[FileEntry]) -> _State:
        file = write_segment(self.path / f"segment-{uuid.uuid4().hex[:16]}", new)
        written.append(file)
        # From here on it is read as others read it.
        segment = read_segment(self.path, file)
        _, before = find_in_all(self._kernel, state.parts, segment.terms)
        statistics = state.statistics.changed(
            len(segment),
            int(segment.passage_lengths.sum()),
            before,
            before + segment.document_frequencies,
        )
        entry = SegmentEntry(file, None, len(segment), len(segment))
        return _State((*state.entries, entry), (*state.parts, (segment, NO_MARKS)), statistics)

    def _write_marks(self, marks: Marks, written: list[FileEntry]) -> FileEntry | None:
        if not len(marks.live):
            return None
        file = write_marks(self.path / f"marks-{uuid.uuid4().hex[:16]}", marks)
        written.append(file)
        return file

    def _commit(
        self,
        index: PassageIndex | None,
        state: _State,
        content_version: int,
        analyzer: str,
        encoder: str | None,
    ) -> PassageIndex:
        manifest = Manifest(
            number=1 if index is None else index.manifest.number + 1,
            content_version=content_version,
            analyzer=analyzer,
            encoder=encoder,
            segments=state.entries,
            statistics=state.statistics,
        )
        sync_folder(self.path)
        write_manifest(self.path, manifest)
        self._tidy(manifest)
        return PassageIndex(manifest, state.parts, kernel=self._given)

    def _tidy(self, manifest: Manifest) -> None:
        """Remove what does not count any more; who has it mapped keeps it."""
        keep = manifest.files
        for pattern in ("segment-*", "marks-*"):
            for file in self.path.glob(pattern):
                if file.name not in keep:
                    with suppress(OSError):  # the generation counts all the same
                        file.unlink(missing_ok=True)


def _state_of(index: PassageIndex) -> _State:
    return _State(index.manifest.segments, index.segments, index.manifest.statistics)


def _choose(index: PassageIndex) -> set[FileEntry]:
    sizes = [Size(e.file.name, e.passages, e.live) for e in index.manifest.segments]
    names = set(choose(sizes))
    return {entry.file for entry in index.manifest.segments if entry.file.name in names}
