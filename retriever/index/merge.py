"""Which segments to merge, and how.

Size-tiered: segments of about the same size are merged when there are ``FAN_IN`` of them, so that a
passage is written again only once for every ``FAN_IN``-fold growth, and a segment of which a
quarter is deleted is written again by itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from retriever.index.build import assemble
from retriever.index.segment import BLOCK, Marks, Segment, frequencies_between
from retriever.index.terms import pack, unpack

#: So many segments of about one size become one.
FAN_IN = 5
#: Segments below this many passages all count as of one size.
SMALLEST = 1000
#: A segment with a larger share of deleted passages is written again.
DELETED_SHARE = 0.25
#: So many postings are sorted at a time.
_CHUNK = 1 << 22
#: The new number of a passage that is deleted.
_GONE = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Size:
    """How large a segment is, for the choice of what to merge."""

    name: str
    passages: int
    live: int


def choose(sizes: Sequence[Size]) -> list[str]:
    """The names of the segments to merge next; none when all is well."""
    tiers: defaultdict[int, list[Size]] = defaultdict(list)
    for size in sizes:
        tiers[int(math.log(max(size.live / SMALLEST, 1.0), FAN_IN))].append(size)
    for _, members in sorted(tiers.items()):
        if len(members) >= FAN_IN:
            return [member.name for member in members]
    worst = max(sizes, key=lambda s: (s.passages - s.live) / max(s.passages, 1), default=None)
    if worst is not None and worst.passages - worst.live > DELETED_SHARE * worst.passages:
        return [worst.name]
    return []


def merge(parts: Sequence[tuple[Segment, Marks]]) -> Segment:
    """One segment of the live passages of several; it takes some 30 bytes of memory a posting."""
    kept = [np.flatnonzero(marks.live_of(segment)) for segment, marks in parts]
    passages = _joined([s.passages[keep] for (s, _), keep in zip(parts, kept, strict=True)])
    order = np.argsort(passages, kind="stable")
    number_of = np.empty(len(passages), dtype=np.uint32)
    number_of[order] = np.arange(len(passages), dtype=np.uint32)
    sources: list[_Source] = []
    begin = 0
    for (segment, _), keep in zip(parts, kept, strict=True):
        new = np.full(len(segment), _GONE, dtype=np.uint32)
        new[keep] = number_of[begin : begin + len(keep)]
        begin += len(keep)
        sources.append(_Source(segment, new))
    ordered = sorted(set().union(*(source.names for source in sources)))
    places = {name: place for place, name in enumerate(ordered)}
    for source in sources:
        source.places = np.asarray([places[name] for name in source.names], dtype=np.uint32)
        source.names = []
    numbers, documents, frequencies = _postings(sources, len(ordered))
    held = np.zeros(len(ordered), dtype=np.bool_)
    held[numbers] = True
    if not held.all():  # a term whose passages are all deleted goes
        ordered = list(compress(ordered, held.tolist()))
        numbers = (np.cumsum(held, dtype=np.uint32) - np.uint32(1))[numbers]
    dimensions = min(source.segment.vectors.shape[1] for source in sources)
    return assemble(
        pack(ordered),
        numbers,
        documents,
        frequencies,
        passages=passages[order],
        lengths=_column([s.passage_lengths for s, _ in parts], kept, order),
        collections=_column([s.collection_ids for s, _ in parts], kept, order),
        signatures=_column([s.signatures for s, _ in parts], kept, order).astype(np.uint32),
        vectors=np.concatenate(
            [s.vectors[keep, :dimensions] for (s, _), keep in zip(parts, kept, strict=True)]
        )[order],
    )


class _Source:
    """A segment on its way into another: its terms' and its passages' new numbers."""

    def __init__(self, segment: Segment, documents: NDArray[np.uint32]) -> None:
        self.segment = segment
        self.documents = documents
        self.names = unpack(segment.terms)
        self.places = np.zeros(0, dtype=np.uint32)

    def postings(self, begin: int, end: int) -> tuple[NDArray[np.uint32], ...]:
        """New term numbers, passage numbers and frequencies of the terms ``begin`` to ``end``."""
        arrays = self.segment.postings
        runs = slice(int(arrays.term_runs[begin]), int(arrays.term_runs[end]))
        starts = arrays.run_starts[runs.start : runs.stop + 1].astype(np.int64)
        sizes = starts[1:] - starts[:-1]
        part = slice(int(arrays.run_starts[runs.start]), int(arrays.run_starts[runs.stop]))
        counts = arrays.term_runs[begin : end + 1].astype(np.int64)
        owners = np.repeat(self.places[begin:end], counts[1:] - counts[:-1])
        old = arrays.offsets[part] + np.repeat(arrays.run_blocks[runs].astype(np.int64), sizes) * (
            BLOCK
        )
        frequencies = frequencies_between(arrays, part.start, part.stop)
        documents = self.documents[old]
        keep = documents != _GONE
        return np.repeat(owners, sizes)[keep], documents[keep], frequencies[keep]


def _postings(sources: Sequence[_Source], terms: int) -> tuple[NDArray[np.uint32], ...]:
    """The postings of all sources by term and passage, sorted a few million at a time."""
    per_term = np.zeros(terms, dtype=np.int64)
    for source in sources:
        per_term[source.places] += source.segment.document_frequencies
    ends = np.cumsum(per_term)
    columns: list[list[NDArray[np.uint32]]] = [[np.zeros(0, dtype=np.uint32)] for _ in range(3)]
    begin = 0
    while begin < terms:
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        found = []
        for source in sources:
            first, last = np.searchsorted(source.places, [begin, end]).tolist()
            found.append(source.postings(first, last))
        numbers, documents, frequencies = (
            np.concatenate([part[column] for part in found]) for column in range(3)
        )
        # Each source is sorted already, which this sort makes use of.
        order = np.argsort(numbers.astype(np.uint64) << np.uint64(32) | documents, kind="stable")
        for column, values in zip(columns, (numbers, documents, frequencies), strict=True):
            column.append(values[order])
        begin = end
    numbers, documents, frequencies = map(np.concatenate, columns)
    return numbers, documents, frequencies


def _column(
    columns: Sequence[NDArray[np.int64] | NDArray[np.uint32]],
    kept: Sequence[NDArray[np.int64]],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    parts = [column[keep].astype(np.int64) for column, keep in zip(columns, kept, strict=True)]
    return _joined(parts)[order]


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
