"""A generation that is open: it ranks passages for a question's terms and vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from sys import getsizeof
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import top
from retriever.index.kernel import (
    MOST_TERMS,
    Best,
    Filter,
    Kernel,
    Query,
    choice_of,
    default,
    scoring,
)
from retriever.index.manifest import Manifest
from retriever.index.segment import Marks, Segment
from retriever.index.terms import Terms, encode, pack
from retriever.ranking import CANDIDATES, EXHAUSTIVE, Ranked, combine, rarest_idf, upper_bound

#: So many bytes the terms that are remembered may take before all are forgotten.
_REMEMBERED = 16 << 20
#: What an entry takes besides its term, and each of its numbers.
_ENTRY, _NUMBER = 300, 40
#: So many vectors are brought to single precision at a time.
_ROWS = 1 << 13


class _Term(NamedTuple):
    """A term's places in the segments (-1 for none), its weight, and whether there is any."""

    numbers: tuple[int, ...]
    idf: float
    held: bool


class _Remembered:
    """Terms of queries, and about how many bytes they take."""

    def __init__(self) -> None:
        self.terms: dict[str, _Term] = {}
        self.size = 0

    def add(self, found: dict[str, _Term]) -> None:
        self.terms.update(found)
        self.size += sum(map(getsizeof, found)) + sum(
            _ENTRY + _NUMBER * len(term.numbers) for term in found.values()
        )


class _Part:
    """A segment as this generation sees it."""

    def __init__(self, segment: Segment, marks: Marks, average: float) -> None:
        self.segment = segment
        self.marks = marks
        self.scoring = scoring(segment, average)
        self.everything = choice_of(segment, marks)

    def choice(self, collections: frozenset[int] | None) -> Filter:
        """Which passages are live and in these collections."""
        if collections is None:
            return self.everything
        return choice_of(self.segment, self.marks, collections)

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every passage, float32 of shape (passages,)."""
        vectors = self.segment.vectors
        if len(vectors) <= EXHAUSTIVE:
            return self.segment.directions @ vector
        found = np.empty(len(vectors), dtype=np.float32)
        for begin in range(0, len(vectors), _ROWS):  # in single precision they would not fit
            rows = slice(begin, begin + _ROWS)
            found[rows] = vectors[rows].astype(np.float32) @ vector
        return found

    def scores(self, query: Query, kernel: Kernel) -> NDArray[np.float64]:
        """Of every passage by BM25, float64 of shape (passages,)."""
        found = np.zeros(len(self.segment), dtype=np.float64)
        kernel.add_scores(self.segment.postings, self.scoring, query, found)
        return found

    def allowed(self, collections: frozenset[int] | None) -> NDArray[np.bool_]:
        """Which passages are live and in these collections, bool of shape (passages,)."""
        choice = self.choice(collections)
        allowed = self.marks.live_of(self.segment)
        if len(choice.allowed):
            allowed = allowed & choice.allowed[choice.collections]
        return allowed


class PassageIndex:
    """One generation of the index. Several threads may search it at once.

    Args:
        parts: the segments of the manifest, in its order, with their marks.
    """

    def __init__(
        self,
        manifest: Manifest,
        parts: Sequence[tuple[Segment, Marks]],
        *,
        kernel: Kernel | None = None,
    ) -> None:
        self.manifest = manifest
        self.segments = tuple(parts)
        self._given = kernel
        average = manifest.statistics.average_length
        self._parts = [_Part(segment, marks, average) for segment, marks in parts]
        self._remembered = _Remembered()

    @property
    def _kernel(self) -> Kernel:
        return self._given or default()

    @property
    def analyzer(self) -> str:
        """The name of the analyzer that made the terms."""
        return self.manifest.analyzer

    @property
    def encoder(self) -> str | None:
        """The name of the encoder that made the vectors, or None."""
        return self.manifest.encoder

    @property
    def content_version(self) -> int:
        """The database's when the index was brought up to date."""
        return self.manifest.content_version

    def __len__(self) -> int:
        return self.manifest.statistics.passages

    @cached_property
    def passages(self) -> NDArray[np.int64]:
        """The ids of the passages, int64 of shape (passages,), in the order of :meth:`scores`."""
        live = [part.segment.passages[part.allowed(None)] for part in self._parts]
        return np.concatenate([np.zeros(0, dtype=np.int64), *live])

    def search(
        self,
        terms: Sequence[str],
        k: int,
        collections: frozenset[int] | None = None,
        vector: NDArray[np.float32] | None = None,
        *,
        exhaustive: int = EXHAUSTIVE,
    ) -> list[Ranked]:
        """The k best passages, best first; of equal ones that with the lower id.

        Args:
            collections: the only ones to search; None for all.
            vector: the question's, by the index's encoder; without it BM25 alone ranks, and only
                passages that hold a word of the question are found.
            exhaustive: in an index of more passages, the vector only ranks those that are first by
                BM25, unless these are fewer than k.
        """
        if k <= 0:
            return []
        bound = upper_bound(self.weights(terms))
        if vector is None or self.encoder is None:
            found = self.search_bm25(terms, k, collections)
            bm25 = np.array([place.bm25 for place in found], dtype=np.float64)
            scores = combine(bm25, np.zeros(len(found), dtype=np.float32), bound)
            return [
                Ranked(place.passage_id, float(score), place.bm25)
                for place, score in zip(found, scores, strict=True)
            ]
        if len(self) > exhaustive:
            found = self.search_bm25(terms, max(k, CANDIDATES), collections)
            if len(found) >= k:
                return self._reranked(found, vector, bound)[:k]
        ranked: list[Ranked] = []
        queries = self._queries(terms, self._look_up(terms))
        for part, query in zip(self._parts, queries, strict=True):
            bm25 = part.scores(query, self._kernel)
            scores = combine(bm25, part.cosines(vector), bound)
            ranked.extend(
                Ranked(int(part.segment.passages[n]), float(scores[n]), float(bm25[n]))
                for n in top(scores, k, part.allowed(collections))
            )
        ranked.sort(key=lambda place: (-place.score, place.passage_id))
        return ranked[: max(k, 0)]

    def search_bm25(
        self, terms: Sequence[str], k: int, collections: frozenset[int] | None = None
    ) -> list[Ranked]:
        """The k best passages by BM25 alone that hold one of the terms; ``score`` is BM25's."""
        known = {term: place for term, place in self._look_up(terms).items() if place.held}
        idf = [place.idf for place in known.values()]
        if k <= 0 or not known:
            return []
        if len(known) > MOST_TERMS or min(idf) < 0:
            return self._search_all(terms, k, collections)
        best = Best(np.zeros(k, dtype=np.float64), np.zeros(1, dtype=np.int64))
        found: list[tuple[float, int]] = []
        for part, query in zip(self._parts, self._queries(terms, known), strict=True):
            documents, scores = self._kernel.search(
                part.segment.postings,
                part.scoring,
                query,
                part.choice(collections),
                best,
            )
            ids = part.segment.passages[documents]
            found.extend(zip((-scores).tolist(), ids.tolist(), strict=True))
        found.sort()
        return [Ranked(number, -score, -score) for score, number in found[:k]]

    def scores(self, terms: Sequence[str]) -> NDArray[np.float64]:
        """The BM25 score of every passage, float64 of shape (passages,); see :attr:`passages`."""
        queries = self._queries(terms, self._look_up(terms))
        found = [np.zeros(0, dtype=np.float64)]
        for part, query in zip(self._parts, queries, strict=True):
            scores = part.scores(query, self._kernel)
            found.append(scores[part.allowed(None)])
        return np.concatenate(found)

    def idf(self, term: str) -> float:
        """The weight of a term, rank_bm25's floor included; 0 for one that is nowhere."""
        return self._look_up([term])[term].idf

    def weights(self, terms: Sequence[str]) -> list[float]:
        """The idf of each term; one that no passage holds weighs as one that a single one does."""
        rarest = rarest_idf(len(self))
        known = self._look_up(terms)
        return [known[term].idf or rarest for term in terms]

    def _search_all(
        self, terms: Sequence[str], k: int, collections: frozenset[int] | None
    ) -> list[Ranked]:
        """As :meth:`search_bm25`, also for terms of negative weight: few passages have some."""
        known = self._look_up(terms)
        found: list[tuple[float, int]] = []
        ones = np.ones(len(known), dtype=np.float64)
        for part, query, once in zip(
            self._parts, self._queries(terms, known), self._queries(list(known), known), strict=True
        ):
            scores = part.scores(query, self._kernel)
            holds = part.scores(once._replace(weights=ones), self._kernel)
            candidates = part.allowed(collections) & (holds > 0)
            found.extend(
                (-float(scores[n]), int(part.segment.passages[n]))
                for n in top(scores, k, candidates)
            )
        found.sort()
        return [Ranked(number, -score, -score) for score, number in found[:k]]

    def _reranked(
        self, found: Sequence[Ranked], vector: NDArray[np.float32], bound: float
    ) -> list[Ranked]:
        """What BM25 found, in the order of both."""
        ids = np.array([place.passage_id for place in found], dtype=np.int64)
        cosines = np.zeros(len(ids), dtype=np.float32)
        for part in self._parts:
            held = part.segment.passages
            places = np.minimum(np.searchsorted(held, ids), len(held) - 1)
            here = np.flatnonzero(held[places] == ids)
            if len(part.marks.live):
                here = here[part.marks.live[places[here]]]
            rows = part.segment.vectors[places[here]].astype(np.float32)
            cosines[here] = rows @ vector
        bm25 = np.array([place.bm25 for place in found], dtype=np.float64)
        scores = combine(bm25, cosines, bound)
        order = np.lexsort((ids, -scores))
        return [Ranked(int(ids[n]), float(scores[n]), float(bm25[n])) for n in order]

    def _queries(self, terms: Sequence[str], known: dict[str, _Term]) -> list[Query]:
        """A query of those of its terms that are known, as each segment sees it."""
        places = {term: place for place, term in enumerate(known)}
        sequence = [places[term] for term in terms if term in places]
        times = [1.0] * len(known)
        if len(sequence) > len(known):
            counts = Counter(sequence)
            times = [float(counts[place]) for place in range(len(known))]
        shared = (
            np.array([place.idf for place in known.values()], dtype=np.float64),
            np.array(times, dtype=np.float64),
            np.array(sequence, dtype=np.int64),
        )
        numbers = [place.numbers for place in known.values()]
        return [
            Query(np.array([of_term[at] for of_term in numbers], dtype=np.int64), *shared)
            for at in range(len(self._parts))
        ]

    def _look_up(self, terms: Sequence[str]) -> dict[str, _Term]:
        """The distinct terms of a query, in the order in which they first occur."""
        distinct = dict.fromkeys(terms)
        remembered = self._remembered.terms
        missing = [term for term in distinct if term not in remembered]
        found = self._find(missing) if missing else {}
        known = {term: found[term] if term in found else remembered[term] for term in distinct}
        if found:
            self._remembered.add(found)
            if self._remembered.size > _REMEMBERED:
                self._remembered = _Remembered()
        return known

    def _find(self, terms: Sequence[str]) -> dict[str, _Term]:
        keys = [encode(term) for term in terms]
        ordered = sorted(set(keys))
        wanted = pack(ordered)
        columns: list[list[int]] = []
        frequencies = [0] * len(ordered)
        for segment, marks in self.segments:  # number by number: for so few, arrays take longer
            numbers = self._kernel.find(segment.terms, wanted)
            columns.append(numbers.tolist())
            deleted = marks.deleted(np.maximum(numbers, 0)).tolist() if len(marks.terms) else None
            for at, number in enumerate(columns[-1]):
                if number >= 0:
                    less = deleted[at] if deleted else 0
                    frequencies[at] += segment.document_frequency(number) - less
        places = dict(zip(ordered, zip(*columns, strict=True), strict=True)) if columns else {}
        weights = dict(zip(ordered, map(self.manifest.statistics.idf, frequencies), strict=True))
        found: dict[str, _Term] = {}
        for term, key in zip(terms, keys, strict=True):
            here = places.get(key, ())
            found[term] = _Term(here, weights[key], max(here, default=-1) >= 0)
        return found


def find_in_all(
    kernel: Kernel, parts: Sequence[tuple[Segment, Marks]], wanted: Terms
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Look terms up in all segments.

    Returns:
        Their numbers, int64 of shape (segments, terms), -1 for none; and in how many live passages
        they are, int64 of shape (terms,).
    """
    count = len(wanted.ends) - 1
    numbers = np.full((len(parts), count), -1, dtype=np.int64)
    frequencies = np.zeros(count, dtype=np.int64)
    for at, (segment, marks) in enumerate(parts):
        numbers[at] = kernel.find(segment.terms, wanted)
        held = np.flatnonzero(numbers[at] >= 0)
        there = numbers[at][held]
        frequencies[held] += segment.frequencies_of(there) - marks.deleted(there)
    return numbers, frequencies
