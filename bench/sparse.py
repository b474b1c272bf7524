"""BM25 over passages in memory, for measuring: all scores of a question in one go.

The scores are those of :mod:`retriever.bm25`, but for a floor of idf that no stemmed text reaches:
a weight below zero counts as zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1, norms, raw_idf


class Sparse:
    """Postings with their weights; a passage's number is its place in the list."""

    def __init__(self, passages: Iterable[Sequence[str]]) -> None:
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        occurrences = [[numbers[term] for term in terms] for terms in passages]
        self.count = len(occurrences)
        self._numbers = dict(numbers)
        lengths = np.array([len(one) for one in occurrences], dtype=np.uint32)
        owners = np.repeat(np.arange(self.count), lengths)
        terms = np.array([number for one in occurrences for number in one], dtype=np.int64)
        keys, tf = np.unique(terms * max(self.count, 1) + owners, return_counts=True)
        holders, self._documents = np.divmod(keys, max(self.count, 1))
        self._starts = np.searchsorted(holders, np.arange(len(numbers) + 1))
        df = np.diff(self._starts)
        self.idf = np.array([max(raw_idf(self.count, int(n)), 0.0) for n in df])
        norm = norms(lengths, float(lengths.mean()) if self.count else 0.0)
        self._weights = self.idf[holders] * tf * (K1 + 1) / (tf + norm[self._documents])

    def scores(self, query: Mapping[str, float]) -> NDArray[np.float64]:
        """Float64 of shape (passages,), for terms and how much each counts."""
        result = np.zeros(self.count)
        for term, weight in query.items():
            number = self._numbers.get(term)
            if number is not None:
                begin, end = self._starts[number], self._starts[number + 1]
                result[self._documents[begin:end]] += weight * self._weights[begin:end]
        return result

    def weight(self, term: str) -> float:
        """The idf of a term; 0 for one that is nowhere."""
        number = self._numbers.get(term)
        return 0.0 if number is None else float(self.idf[number])


def feedback(
    index: Sparse, passages: Sequence[Sequence[str]], query: Mapping[str, float], share: float
) -> dict[str, float]:
    """The query with the ten weightiest terms of its five best passages (Rocchio 1971, without
    negative feedback): the new terms together count ``share`` of the old ones.
    """
    scores = index.scores(query)
    best = np.argpartition(-scores, min(5, len(scores) - 1))[:5]
    found: defaultdict[str, float] = defaultdict(float)
    for number in best[scores[best] > 0]:
        for term, tf in Counter(passages[number]).items():
            found[term] += tf * index.weight(term) / max(len(passages[number]), 1)
    chosen = sorted(found.items(), key=lambda item: -item[1])[:10]
    total = sum(weight for _, weight in chosen)
    wider = dict(query)
    for term, weight in chosen:
        wider[term] = wider.get(term, 0.0) + share * sum(query.values()) * weight / total
    return wider


def neighbours(terms: Sequence[str], window: int) -> list[str]:
    """Pairs of terms that stand near: in order for a window of 1, else in any order."""
    if window == 1:
        return [f"{one} {two}" for one, two in pairwise(terms)]
    return [
        " ".join(sorted((one, two)))
        for at, one in enumerate(terms)
        for two in terms[at + 1 : at + 1 + window]
    ]


def near_duplicates(passages: Sequence[Sequence[str]], least: float = 0.7) -> NDArray[np.int64]:
    """The number of the first passage that each nearly repeats, int64 of shape (passages,).

    Two are near if so much of the smaller one's runs of four terms is in the other (containment,
    Broder 1997).
    """
    first = np.arange(len(passages))
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes: list[int] = []
    for number, terms in enumerate(passages):
        runs = {tuple(terms[at : at + 4]) for at in range(max(len(terms) - 3, 1))}
        sizes.append(len(runs))
        shared = Counter(other for run in runs for other in holders[run][:20])
        for other, count in shared.items():
            if count >= least * min(sizes[number], sizes[other]) and count >= 3:
                first[number] = min(first[number], first[other])
        for run in runs:
            holders[run].append(number)
    return first
