"""A segment: an immutable inverted index of some passages; and marks of those deleted since.

A passage's number in a segment is its place in the order of passage ids. Numbers fall into blocks
of 65,536, so that a posting is a 16-bit offset into its block and 8 bits more: its term frequency
and the class of its passage's length, 4 bits each. The postings of a term in one block are a run; a
term has as many runs as there are blocks that hold it.

Nothing that changes with other passages decides a score: not document frequencies, not the average
length. The bound of a run, the highest saturation ``tf * (k1 + 1) / (tf + norm)`` in it, only says
whether its postings must be looked at. It is an upper bound for the average length of this segment;
with another it is off by at most the ratio of both, by which it is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retriever.index.files import DamagedError, FileEntry, read_arrays, write_arrays
from retriever.index.terms import Terms

#: Passages a block: as many as 16 bits can number.
BLOCK = 1 << 16
#: A term frequency of this or more stands in a list of its own.
LARGE = 15
#: How many classes of lengths there are.
CLASSES = 16
#: Bounds are kept as multiples of 1 / BOUND_STEPS, rounded up; 2.5 (k1 + 1) is the highest.
BOUND_STEPS = 100


class Postings(NamedTuple):
    """The arrays of a segment that the kernel works on.

    Attributes:
        term_runs: uint32, shape (terms + 1,); the runs of term t are ``term_runs[t:t + 2]``.
        run_blocks: uint16, shape (runs,); ascending within a term.
        run_starts: uint32, shape (runs + 1,); the postings of a run.
        run_bounds: uint8, shape (runs,); see the module.
        offsets: uint16, shape (postings,); ascending within a run.
        codes: uint8, shape (postings,); the class of the passage's length, times 16, and the term
            frequency, 15 where it is 15 or more.
        class_lengths: uint32, shape (16,), ascending; no passage of a class is shorter.
        large_places: uint32, shape (large,); the postings whose frequency is 15 or more.
        large_values: uint32, shape (large,); their frequencies.
        lengths: uint16, shape (passages,); each passage's length as a place in ``length_values``.
        length_values: uint32, shape (different lengths,); ascending.
    """

    term_runs: NDArray[np.uint32]
    run_blocks: NDArray[np.uint16]
    run_starts: NDArray[np.uint32]
    run_bounds: NDArray[np.uint8]
    offsets: NDArray[np.uint16]
    codes: NDArray[np.uint8]
    class_lengths: NDArray[np.uint32]
    large_places: NDArray[np.uint32]
    large_values: NDArray[np.uint32]
    lengths: NDArray[np.uint16]
    length_values: NDArray[np.uint32]


def frequencies_between(postings: Postings, start: int, stop: int) -> NDArray[np.uint32]:
    """The term frequencies of the postings from ``start`` to ``stop``, however large."""
    frequencies = (postings.codes[start:stop] & LARGE).astype(np.uint32)
    # Of the same type, or all of the list would be copied.
    first, last = np.searchsorted(postings.large_places, np.array([start, stop], dtype=np.uint32))
    frequencies[postings.large_places[first:last] - start] = postings.large_values[first:last]
    return frequencies


@dataclass(frozen=True)
class Segment:
    """The content of a segment.

    Attributes:
        passages: ids, int64 of shape (passages,), ascending.
        signatures: uint32, of the same shape; what a passage's id stands for, see
            :class:`retriever.store.passages.PassageRanges`.
        collections: uint16, of the same shape; places in ``collection_values``.
        collection_values: int64, shape (collections,); their ids.
        vectors: float16, shape (passages, dimensions); no dimensions without an encoder.
    """

    terms: Terms
    postings: Postings
    passages: NDArray[np.int64]
    signatures: NDArray[np.uint32]
    collections: NDArray[np.uint16]
    collection_values: NDArray[np.int64]
    vectors: NDArray[np.float16]

    def __post_init__(self) -> None:
        # As they are when they are mapped: compiled code is made for arrays that nobody writes.
        for array in (*self.terms, *self.postings, self.collections):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.passages)

    @cached_property
    def document_frequencies(self) -> NDArray[np.int64]:
        """Of every term, those deleted since included; int64 of shape (terms,)."""
        starts = self.postings.run_starts[self.postings.term_runs].astype(np.int64)
        return np.diff(starts)

    def frequencies_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The document frequencies of these terms; int64, of the shape of ``numbers``."""
        runs, starts = self.postings.term_runs, self.postings.run_starts
        ends = starts[runs[numbers + 1]].astype(np.int64)
        return ends - starts[runs[numbers]].astype(np.int64)

    def document_frequency(self, number: int) -> int:
        """As :meth:`frequencies_of`, of a single term."""
        runs, starts = self.postings.term_runs, self.postings.run_starts
        return int(starts[runs[number + 1]]) - int(starts[runs[number]])

    @cached_property
    def average_length(self) -> float:
        """Terms a passage, those deleted since included."""
        return int(self.passage_lengths.sum()) / len(self) if len(self) else 0.0

    @property
    def passage_lengths(self) -> NDArray[np.int64]:
        """Terms in each passage, int64 of shape (passages,)."""
        return self.postings.length_values[self.postings.lengths].astype(np.int64)

    @property
    def collection_ids(self) -> NDArray[np.int64]:
        """The collection of each passage, int64 of shape (passages,)."""
        return self.collection_values[self.collections]

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """The vectors in single precision, because half precision has no fast product."""
        return self.vectors.astype(np.float32)


@dataclass(frozen=True)
class Marks:
    """Which passages of a segment are deleted, and what that takes from document frequencies.

    Attributes:
        live: bool of shape (passages,); no length where nothing is deleted.
        terms: uint32, shape (terms concerned,), ascending; numbers of terms.
        counts: uint32, of the same shape; how many deleted passages hold the term.
    """

    live: NDArray[np.bool_]
    terms: NDArray[np.uint32]
    counts: NDArray[np.uint32]

    def __post_init__(self) -> None:
        self.live.flags.writeable = False

    def live_of(self, segment: Segment) -> NDArray[np.bool_]:
        """Which passages of the segment are not deleted, bool of shape (passages,)."""
        return self.live if len(self.live) else np.ones(len(segment), dtype=np.bool_)

    def deleted(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many deleted passages hold each of these terms."""
        if not len(self.terms):
            return np.zeros(len(numbers), dtype=np.int64)
        places = np.minimum(np.searchsorted(self.terms, numbers), len(self.terms) - 1)
        return np.where(self.terms[places] == numbers, self.counts[places], 0).astype(np.int64)


NO_MARKS = Marks(
    np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint32)
)


def write_segment(path: Path, segment: Segment) -> FileEntry:
    """Write a segment's file.

    Raises:
        OSError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {**segment.terms._asdict(), **segment.postings._asdict()}
    for name in ("passages", "signatures", "collections", "collection_values", "vectors"):
        arrays[name] = getattr(segment, name)
    return write_arrays(path, arrays, {"kind": "segment"})


def read_segment(folder: Path, entry: FileEntry) -> Segment:
    """Map a segment's file.

    Raises:
        DamagedError, OSError: as :func:`retriever.index.files.read_arrays`.
    """
    _, arrays = read_arrays(folder, entry)
    with _named(folder / entry.name):
        return Segment(
            terms=Terms(*_take(arrays, Terms._fields)),
            postings=Postings(*_take(arrays, Postings._fields)),
            passages=arrays["passages"],
            signatures=arrays["signatures"],
            collections=arrays["collections"],
            collection_values=arrays["collection_values"],
            vectors=arrays["vectors"],
        )


def write_marks(path: Path, marks: Marks) -> FileEntry:
    """Write the marks of a segment.

    Raises:
        OSError: they cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "live": np.packbits(marks.live, bitorder="little"),
        "terms": marks.terms,
        "counts": marks.counts,
    }
    return write_arrays(path, arrays, {"kind": "marks", "passages": len(marks.live)})


def read_marks(folder: Path, entry: FileEntry) -> Marks:
    """Read the marks of a segment.

    Raises:
        DamagedError, OSError: as :func:`retriever.index.files.read_arrays`.
    """
    facts, arrays = read_arrays(folder, entry)
    with _named(folder / entry.name):
        bits = np.unpackbits(arrays["live"], count=facts["passages"], bitorder="little")
        return Marks(bits.view(np.bool_), arrays["terms"], arrays["counts"])


def _take(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> list[Any]:
    return [arrays[name] for name in names]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A file that is whole but holds something else is as useless as a damaged one."""
    try:
        yield
    except KeyError as error:
        raise DamagedError(f"{path} is of another version") from error
