"""From passages to a segment: number the terms, sort, and count what is equal."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1, norms
from retriever.index.segment import BLOCK, BOUND_STEPS, CLASSES, LARGE, Postings, Segment
from retriever.index.terms import Terms, encode, pack
from retriever.index.vocabulary import NumberedTerms, Vocabulary

#: The bounds of so many postings are looked up at a time.
_CHUNK = 1 << 20


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


@dataclass(frozen=True, slots=True)
class NumberedPassages:
    """Passages, a row each, with their terms as numbers of a vocabulary.

    Attributes:
        passages, collections: ids, int64 of shape (passages,).
        signatures: uint32, of the same shape; see :class:`IndexedPassage`.
        vectors: float32 of shape (passages, dimensions); None without an encoder.
    """

    passages: NDArray[np.int64]
    collections: NDArray[np.int64]
    signatures: NDArray[np.uint32]
    terms: NumberedTerms
    vectors: NDArray[np.float32] | None = None

    def each(self, vocabulary: Vocabulary) -> Iterator[IndexedPassage]:
        """One by one, with their terms as strings."""
        for at, numbers in enumerate(self.terms.of_each()):
            yield IndexedPassage(
                int(self.passages[at]),
                int(self.collections[at]),
                vocabulary.terms_of(numbers.tolist()),
                None if self.vectors is None else self.vectors[at],
                int(self.signatures[at]),
            )


class SegmentBuilder:
    """Takes passages, in any order, and makes a segment of them.

    Args:
        vocabulary: what numbers the terms of :class:`NumberedPassages`; may be of other texts too.
    """

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self._vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self._occurrences = array("I")
        self._lengths = array("q")
        self._passages = array("q")
        self._collections = array("q")
        self._signatures = array("I")
        self._vectors: list[NDArray[np.float16]] = []

    def __len__(self) -> int:
        return len(self._passages)

    def add(self, passage: IndexedPassage) -> None:
        """Take a passage; its terms are not kept as strings."""
        self._occurrences.extend(self._vocabulary.numbers_of(passage.terms))
        self._lengths.append(len(passage.terms))
        self._passages.append(passage.passage_id)
        self._collections.append(passage.collection_id)
        self._signatures.append(passage.signature)
        if passage.vector is not None:
            self._vectors.append(passage.vector.astype(np.float16)[np.newaxis])

    def extend(self, passages: NumberedPassages) -> None:
        """Take many passages."""
        for own, more, kind in (
            (self._occurrences, passages.terms.numbers, np.uint32),
            (self._lengths, passages.terms.lengths, np.int64),
            (self._passages, passages.passages, np.int64),
            (self._collections, passages.collections, np.int64),
            (self._signatures, passages.signatures, np.uint32),
        ):
            own.frombytes(np.ascontiguousarray(more, dtype=kind).view(np.uint8).data)
        if passages.vectors is not None:
            self._vectors.append(passages.vectors.astype(np.float16))

    def segment(self) -> Segment:
        """The segment of what was taken."""
        count = len(self)
        passages = np.array(self._passages, dtype=np.int64)
        lengths = np.array(self._lengths, dtype=np.int64)
        order = np.argsort(passages, kind="stable")
        number_of = np.empty(count, dtype=np.uint32)
        number_of[order] = np.arange(count, dtype=np.uint32)
        ordered, keys, bits = self._sorted(number_of, lengths)
        first = np.flatnonzero(_changes(keys))
        frequencies = np.empty(len(first), dtype=np.uint32)
        np.subtract(first[1:], first[:-1], out=frequencies[:-1], casting="unsafe")
        frequencies[-1:] = len(keys) - first[-1:]
        keys = keys[first]
        vectors = (
            np.concatenate(self._vectors)[order]
            if self._vectors and sum(map(len, self._vectors)) == count
            else np.zeros((count, 0), dtype=np.float16)
        )
        return assemble(
            pack(ordered),
            (keys >> np.uint64(bits)).astype(np.uint32),
            (keys & np.uint64((1 << bits) - 1)).astype(np.uint32),
            frequencies,
            passages=passages[order],
            lengths=lengths[order],
            collections=np.array(self._collections, dtype=np.int64)[order],
            signatures=np.array(self._signatures, dtype=np.uint32)[order],
            vectors=vectors,
        )

    def _sorted(
        self, number_of: NDArray[np.uint32], lengths: NDArray[np.int64]
    ) -> tuple[list[bytes], NDArray[np.uint64], int]:
        """The terms that occur, and all occurrences: a term's place above the passage's number.

        Returns:
            The terms; uint64 of shape (occurrences,), sorted; in how many bits the number stands.
        """
        occurrences = np.asarray(self._occurrences, dtype=np.uint32)  # of the same memory
        held = np.zeros(len(self._vocabulary), dtype=np.bool_)
        held[occurrences] = True
        numbers = np.flatnonzero(held)
        names = [encode(term) for term in self._vocabulary.terms_of(numbers.tolist())]
        by_name = sorted(range(len(names)), key=names.__getitem__)
        ordered = [names[at] for at in by_name]
        # Terms that are the same to the dictionary (those with a lone surrogate) become one.
        begins = np.ones(len(ordered), dtype=np.bool_)
        begins[1:] = [one != other for one, other in pairwise(ordered)]
        place_of = np.zeros(len(self._vocabulary), dtype=np.uint64)
        place_of[numbers[by_name]] = np.cumsum(begins, dtype=np.uint64) - np.uint64(1)
        bits = max(len(number_of) - 1, 1).bit_length()
        place_of <<= np.uint64(bits)
        keys = place_of[occurrences]
        del occurrences
        keys |= np.repeat(number_of, lengths)
        keys.sort()
        return list(compress(ordered, begins.tolist())), keys, bits


def segment_of(passages: Iterable[IndexedPassage]) -> Segment:
    """One segment of passages in any order."""
    builder = SegmentBuilder()
    for passage in passages:
        builder.add(passage)
    return builder.segment()


def assemble(
    terms: Terms,
    numbers: NDArray[np.uint32],
    documents: NDArray[np.uint32],
    frequencies: NDArray[np.uint32],
    *,
    passages: NDArray[np.int64],
    lengths: NDArray[np.int64],
    collections: NDArray[np.int64],
    signatures: NDArray[np.uint32],
    vectors: NDArray[np.float16],
) -> Segment:
    """A segment from its postings, sorted by term and then by passage.

    Args:
        numbers, documents, frequencies: uint32 of shape (postings,); the term, the number of the
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
    blocks = (documents // BLOCK).astype(np.uint16)
    begins = _changes(numbers)
    if len(passages) > BLOCK:
        begins |= _changes(blocks)
    run_first = np.flatnonzero(begins)
    run_starts = np.append(run_first, len(numbers)).astype(np.uint32)
    counts = np.bincount(numbers[run_first], minlength=len(terms.ends) - 1)
    term_runs = np.zeros(len(terms.ends), dtype=np.uint32)
    np.cumsum(counts, out=term_runs[1:])
    large = np.flatnonzero(frequencies >= LARGE)
    average = int(lengths.sum()) / len(lengths) if len(lengths) else 0.0
    length_codes = length_codes.reshape(-1)
    class_lengths, classes = _classes(lengths)
    codes = (classes * np.uint8(16))[documents]
    codes |= np.minimum(frequencies, LARGE).astype(np.uint8)
    steps = _Steps(length_codes, length_values, average)
    postings = Postings(
        term_runs=term_runs,
        run_blocks=blocks[run_first],
        run_starts=run_starts,
        run_bounds=steps.highest(documents, frequencies, run_first),
        offsets=(documents % BLOCK).astype(np.uint16),
        codes=codes,
        class_lengths=class_lengths,
        large_places=large.astype(np.uint32),
        large_values=frequencies[large],
        lengths=length_codes.astype(np.uint16),
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


def _changes(values: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Where a value is another than the one before it; the first one is."""
    found = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def _classes(lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The shortest length of each class and the class of each passage, about as many in each."""
    if not len(lengths):
        return np.zeros(CLASSES, dtype=np.uint32), np.zeros(0, dtype=np.uint8)
    places = np.arange(CLASSES) * len(lengths) // CLASSES
    shortest = np.partition(lengths, places)[places].astype(np.uint32)
    return shortest, (np.searchsorted(shortest, lengths, side="right") - 1).astype(np.uint8)


class _Steps:
    """The saturations of postings in steps, rounded up.

    Few term frequencies and lengths are different, so they are looked up.

    Args:
        codes: each passage's length as a place in ``values``.
    """

    def __init__(self, codes: NDArray[np.int64], values: NDArray[np.int64], average: float) -> None:
        self._codes = codes.astype(np.uint32)
        self._values = values
        self._average = average
        frequencies = np.repeat(np.arange(1, LARGE, dtype=np.uint32), len(values))
        self._table = self._steps(frequencies, np.tile(values, LARGE - 1))

    def highest(
        self,
        documents: NDArray[np.uint32],
        frequencies: NDArray[np.uint32],
        run_first: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Of each run, which begin at ``run_first``; uint8 of shape (runs,)."""
        steps = np.empty(len(documents), dtype=np.uint8)
        for part in _slices(len(documents)):
            rows = np.minimum(frequencies[part], LARGE - 1) - np.uint32(1)
            steps[part] = self._table[
                rows * np.uint32(len(self._values)) + self._codes[documents[part]]
            ]
        large = np.flatnonzero(frequencies >= LARGE)
        lengths = self._values[self._codes[documents[large]]]
        steps[large] = self._steps(frequencies[large], lengths)
        return np.maximum.reduceat(steps, run_first) if len(run_first) else steps

    def _steps(
        self, frequencies: NDArray[np.uint32], lengths: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        by_passage = norms(lengths.astype(np.uint32), self._average)
        saturations: NDArray[np.float64] = frequencies * (K1 + 1) / (frequencies + by_passage)
        steps: NDArray[np.float64] = np.minimum(np.floor(saturations * BOUND_STEPS) + 1, 255)
        return steps.astype(np.uint8)


def _slices(count: int) -> Iterator[slice]:
    for begin in range(0, count, _CHUNK):
        yield slice(begin, begin + _CHUNK)
