"""The kernel in numpy alone: every posting of the query's terms is scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1
from retriever.index.kernel import TABLE_ROWS, Best, Filter, Query, Scoring
from retriever.index.segment import BLOCK, Postings, frequencies_between
from retriever.index.terms import Terms


class NumpyKernel:
    """See :class:`retriever.index.kernel.Kernel`."""

    name = "numpy"

    def find(self, terms: Terms, wanted: Terms) -> NDArray[np.int64]:
        text, ends = terms.text, terms.ends
        count = len(ends) - 1
        found = np.full(len(wanted.ends) - 1, -1, dtype=np.int64)
        lowest = 0
        for place in range(len(found)):
            term = wanted.text[wanted.ends[place] : wanted.ends[place + 1]].tobytes()
            low, high = lowest, count
            while low < high:
                middle = (low + high) // 2
                if text[ends[middle] : ends[middle + 1]].tobytes() < term:
                    low = middle + 1
                else:
                    high = middle
            lowest = low
            if low < count and text[ends[low] : ends[low + 1]].tobytes() == term:
                found[place] = low
        return found

    def add_scores(
        self, postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
    ) -> None:
        contributions = [
            None if number < 0 else self._contribution(postings, scoring, int(number), weight)
            for number, weight in zip(query.numbers, query.weights, strict=True)
        ]
        for place in query.sequence:
            contribution = contributions[place]
            if contribution is not None:
                documents, values = contribution
                out[documents] += values

    def search(
        self,
        postings: Postings,
        scoring: Scoring,
        query: Query,
        choice: Filter,
        best: Best,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        scores = np.zeros(len(postings.lengths), dtype=np.float64)
        self.add_scores(postings, scoring, query, scores)
        holds = np.zeros(len(scores), dtype=np.bool_)
        for number in query.numbers:
            if number >= 0:
                holds[self._documents(postings, int(number))] = True
        if len(choice.live):
            holds &= choice.live
        if len(choice.allowed):
            holds &= choice.allowed[choice.collections]
        numbers = np.flatnonzero(holds)
        values = scores[numbers]
        k, seen = len(best.heap), int(best.size[0])
        highest = np.concatenate((best.heap[:seen], values))
        if k < len(highest):
            highest = np.partition(highest, len(highest) - k)[len(highest) - k :]
        highest.sort()  # which makes a heap of it
        best.heap[: len(highest)] = highest
        best.size[0] = len(highest)
        if len(highest) == k:
            keep = values >= highest[0]
            numbers, values = numbers[keep], values[keep]
        return numbers, values

    def count_deleted(self, postings: Postings, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        counts = np.zeros(len(postings.term_runs) - 1, dtype=np.int64)
        runs = len(postings.run_blocks)
        for first in range(0, runs, 1 << 20):
            last = min(first + (1 << 20), runs)
            starts = postings.run_starts[first : last + 1].astype(np.int64)
            documents = postings.offsets[starts[0] : starts[-1]] + np.repeat(
                postings.run_blocks[first:last].astype(np.int64) * BLOCK, np.diff(starts)
            )
            places = np.flatnonzero(gone[documents]) + starts[0]
            owners = np.searchsorted(postings.run_starts, places, side="right") - 1
            terms = np.searchsorted(postings.term_runs, owners, side="right") - 1
            counts += np.bincount(terms, minlength=len(counts))
        return counts

    def _documents(self, postings: Postings, number: int) -> NDArray[np.int64]:
        first, last = int(postings.term_runs[number]), int(postings.term_runs[number + 1])
        starts = postings.run_starts[first : last + 1].astype(np.int64)
        blocks = postings.run_blocks[first:last].astype(np.int64) * BLOCK
        offsets = postings.offsets[starts[0] : starts[-1]].astype(np.int64)
        return offsets + np.repeat(blocks, starts[1:] - starts[:-1])

    def _contribution(
        self, postings: Postings, scoring: Scoring, number: int, weight: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        documents = self._documents(postings, number)
        codes = postings.lengths[documents]
        start = int(postings.run_starts[postings.term_runs[number]])
        tf = frequencies_between(postings, start, start + len(documents))
        values = scoring.saturations[np.minimum(tf, TABLE_ROWS - 1), codes]
        high = np.flatnonzero(tf >= TABLE_ROWS)
        if len(high):
            frequencies = tf[high].astype(np.float64)
            values[high] = frequencies * (K1 + 1) / (frequencies + scoring.norms[codes[high]])
        return documents, weight * values
