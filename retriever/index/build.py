"""From passages to a segment: number the terms, sort, and count what is equal."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1, norms
from retriever.index.segment import BLOCK, BOUND_STEPS, CLASSES, LARGE, Postings, Segment
from retriever.index.terms import Terms, encode, pack

#: So many occurrences are sorted at a time.
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """What the index is built from.

    Attributes:
        signature: changes when the id comes to stand for something else; any number of 32 bits.
        vector: by the index's encoder, float32 of shape (dimensions,); None without one.
    """

    passage_id: int
    collection_id: int
    terms: Sequence[str]
    vector: NDArray[np.float32] | None = None
    signature: int = 0


class SegmentBuilder:
    """Takes passages one by one, in any order, and makes a segment of them."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._occurrences = array("I")
        self._lengths: list[int] = []
        self._passages: list[int] = []
        self._collections: list[int] = []
        self._signatures: list[int] = []
        self._vectors: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return len(self._passages)

    def add(self, passage: IndexedPassage) -> None:
        """Take a passage; its terms are not kept as strings."""
        self._occurrences.extend(map(self._numbers.__getitem__, passage.terms))
        self._lengths.append(len(passage.terms))
        self._passages.append(passage.passage_id)
        self._collections.append(passage.collection_id)
        self._signatures.append(passage.signature)
        if passage.vector is not None:
            self._vectors.append(passage.vector)

    def segment(self) -> Segment:
        """The segment of what was taken."""
        count = len(self)
        passages = np.asarray(self._passages, dtype=np.int64)
        order = np.argsort(passages, kind="stable")
        number_of = np.empty(count, dtype=np.int64)
        number_of[order] = np.arange(count)
        lengths = np.asarray(self._lengths, dtype=np.int64)
        # Terms that are the same to the dictionary (those with a lone surrogate) become one.
        names = [encode(term) for term in self._numbers]
        ordered = sorted(set(names))
        places = {name: place for place, name in enumerate(ordered)}
        place_of = np.asarray([places[name] for name in names], dtype=np.int64)
        occurrences = np.frombuffer(self._occurrences, dtype=np.uint32)
        keys = place_of[occurrences] * max(count, 1) + np.repeat(number_of, lengths)
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        frequencies = np.diff(first, append=len(keys))
        holders = keys[first]
        vectors = (
            np.asarray(self._vectors, dtype=np.float16)[order]
            if self._vectors and len(self._vectors) == count
            else np.zeros((count, 0), dtype=np.float16)
        )
        return assemble(
            pack(ordered),
            holders // max(count, 1),
            holders % max(count, 1),
            frequencies,
            passages=passages[order],
            lengths=lengths[order],
            collections=np.asarray(self._collections, dtype=np.int64)[order],
            signatures=np.asarray(self._signatures, dtype=np.uint32)[order],
            vectors=vectors,
        )


def assemble(
    terms: Terms,
    numbers: NDArray[np.int64],
    documents: NDArray[np.int64],
    frequencies: NDArray[np.int64],
    *,
    passages: NDArray[np.int64],
    lengths: NDArray[np.int64],
    collections: NDArray[np.int64],
    signatures: NDArray[np.uint32],
    vectors: NDArray[np.float16],
) -> Segment:
    """A segment from its postings, sorted by term and then by passage.

    Args:
        numbers, documents, frequencies: int64 of shape (postings,); the term, the number of the
            passage and how often it holds the term.
        passages, lengths, collections, signatures, vectors: of shape (passages, ...), in the
            order of the passages' ids.
    """
    if len(numbers) >= 2**32:
        raise ValueError("one segment holds at most 4,294,967,295 postings")
    length_values, length_codes = np.unique(lengths, return_inverse=True)
    collection_values, collection_codes = np.unique(collections, return_inverse=True)
    if len(length_values) > BLOCK or len(collection_values) > BLOCK:
        raise ValueError("one segment holds at most 65,536 different lengths and collections")
    blocks = documents // BLOCK
    run_keys = numbers * (len(passages) // BLOCK + 1) + blocks
    run_first = np.flatnonzero(np.diff(run_keys, prepend=-1))
    run_starts = np.append(run_first, len(numbers)).astype(np.uint32)
    counts = np.bincount(numbers[run_first], minlength=len(terms.ends) - 1)
    term_runs = np.zeros(len(terms.ends), dtype=np.uint32)
    np.cumsum(counts, out=term_runs[1:])
    large = np.flatnonzero(frequencies >= LARGE)
    average = int(lengths.sum()) / len(lengths) if len(lengths) else 0.0
    class_lengths, classes = _classes(lengths)
    codes, bounds = _codes(documents, frequencies, lengths, average, classes, run_first)
    postings = Postings(
        term_runs=term_runs,
        run_blocks=blocks[run_first].astype(np.uint16),
        run_starts=run_starts,
        run_bounds=bounds,
        offsets=(documents % BLOCK).astype(np.uint16),
        codes=codes,
        class_lengths=class_lengths,
        large_places=large.astype(np.uint32),
        large_values=frequencies[large].astype(np.uint32),
        lengths=length_codes.reshape(-1).astype(np.uint16),
        length_values=length_values.astype(np.uint32),
    )
    return Segment(
        terms=terms,
        postings=postings,
        passages=passages,
        signatures=signatures,
        collections=collection_codes.reshape(-1).astype(np.uint16),
        collection_values=collection_values.astype(np.int64),
        vectors=vectors,
    )


def _classes(lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The shortest length of each class and the class of each passage, about as many in each."""
    if not len(lengths):
        return np.zeros(CLASSES, dtype=np.uint32), np.zeros(0, dtype=np.uint8)
    places = np.arange(CLASSES) * len(lengths) // CLASSES
    shortest = np.partition(lengths, places)[places].astype(np.uint32)
    return shortest, (np.searchsorted(shortest, lengths, side="right") - 1).astype(np.uint8)


def _codes(
    documents: NDArray[np.int64],
    frequencies: NDArray[np.int64],
    lengths: NDArray[np.int64],
    average: float,
    classes: NDArray[np.uint8],
    run_first: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Class and frequency of each posting; the highest saturation of each run, rounded up."""
    codes = np.empty(len(documents), dtype=np.uint8)
    steps = np.empty(len(documents), dtype=np.uint8)
    for part in _slices(len(documents)):
        saturations = _saturations(documents[part], frequencies[part], lengths, average)
        codes[part] = classes[documents[part]] << 4
        codes[part] |= np.minimum(frequencies[part], LARGE).astype(np.uint8)
        steps[part] = np.minimum(np.floor(saturations * BOUND_STEPS) + 1, 255)
    return codes, np.maximum.reduceat(steps, run_first) if len(run_first) else steps


def _saturations(
    documents: NDArray[np.int64],
    frequencies: NDArray[np.int64],
    lengths: NDArray[np.int64],
    average: float,
) -> NDArray[np.float64]:
    by_passage = norms(lengths[documents].astype(np.uint32), average)
    result: NDArray[np.float64] = frequencies * (K1 + 1) / (frequencies + by_passage)
    return result


def _slices(count: int) -> Iterator[slice]:
    for begin in range(0, count, _CHUNK):
        yield slice(begin, begin + _CHUNK)
