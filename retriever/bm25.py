"""BM25 exactly as ``rank_bm25.BM25Okapi`` defines it, over posting lists.

    idf(t)      = log(N - n(t) + 0.5) - log(n(t) + 0.5),
                  where negative: epsilon * mean over all terms of idf(t)
    score(d, q) = sum over t in q of idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / avg))

with k1 = 1.5, b = 0.75, epsilon = 0.25 (Robertson et al. 1995, with rank_bm25's floor for frequent
terms). rank_bm25 walks every passage for every query term; here only passages that hold the term
are touched. Scores are float64 and made of the same operations, so they agree to rounding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

K1 = 1.5
B = 0.75
EPSILON = 0.25


@dataclass(frozen=True, slots=True)
class Postings:
    """An inverted index.

    Attributes:
        terms: sorted terms; the i-th one's postings are ``[offsets[i]:offsets[i + 1]]``.
        offsets: int64, shape (terms + 1,).
        documents: int32, shape (postings,); ascending within a term.
        frequencies: int32, shape (postings,).
        lengths: int32, shape (documents,); terms in each.
    """

    terms: Sequence[str]
    offsets: NDArray[np.int64]
    documents: NDArray[np.int32]
    frequencies: NDArray[np.int32]
    lengths: NDArray[np.int32]


def build_postings(corpus: Iterable[Sequence[str]]) -> Postings:
    """Invert a corpus given as one sequence of terms a document."""
    lists: dict[str, tuple[list[int], list[int]]] = {}
    lengths: list[int] = []
    for number, terms in enumerate(corpus):
        lengths.append(len(terms))
        for term, frequency in Counter(terms).items():
            documents, frequencies = lists.setdefault(term, ([], []))
            documents.append(number)
            frequencies.append(frequency)
    ordered = sorted(lists)
    offsets = np.zeros(len(ordered) + 1, dtype=np.int64)
    np.cumsum([len(lists[term][0]) for term in ordered], out=offsets[1:])
    documents_all = np.empty(int(offsets[-1]), dtype=np.int32)
    frequencies_all = np.empty_like(documents_all)
    for index, term in enumerate(ordered):
        part = slice(int(offsets[index]), int(offsets[index + 1]))
        documents_all[part], frequencies_all[part] = lists[term]
    return Postings(
        terms=ordered,
        offsets=offsets,
        documents=documents_all,
        frequencies=frequencies_all,
        lengths=np.asarray(lengths, dtype=np.int32),
    )


class Bm25:
    """Scores of a query over postings."""

    def __init__(self, postings: Postings) -> None:
        self._postings = postings
        self._numbers = {term: number for number, term in enumerate(postings.terms)}
        self.size = len(postings.lengths)
        self._idf = _idf(np.diff(postings.offsets), self.size)
        total = int(postings.lengths.sum(dtype=np.int64))
        average = total / self.size if self.size else 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            # The part of the denominator that depends on the document's length alone.
            self._norms = K1 * (1 - B + B * postings.lengths / average)

    def idf(self, term: str) -> float:
        """The term's weight, floor included; 0 for a term that is nowhere."""
        number = self._numbers.get(term)
        return 0.0 if number is None else float(self._idf[number])

    def matches(self, query: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents hold a term of the query, bool of shape (documents,).

        Not the same as a score: the idf of a term in exactly half of the documents is 0.
        """
        found = np.zeros(self.size, dtype=bool)
        for term in query:
            number = self._numbers.get(term)
            if number is not None:
                part = slice(*self._postings.offsets[number : number + 2].tolist())
                found[self._postings.documents[part]] = True
        return found

    def scores(self, query: Sequence[str]) -> NDArray[np.float64]:
        """The score of every document, float64 of shape (documents,)."""
        scores = np.zeros(self.size, dtype=np.float64)
        for term in query:
            number = self._numbers.get(term)
            if number is None:
                continue
            part = slice(
                int(self._postings.offsets[number]), int(self._postings.offsets[number + 1])
            )
            documents = self._postings.documents[part]
            frequencies = self._postings.frequencies[part].astype(np.float64)
            scores[documents] += self._idf[number] * (
                frequencies * (K1 + 1) / (frequencies + self._norms[documents])
            )
        return scores


def _idf(document_frequencies: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    idf = np.array(
        [math.log(size - n + 0.5) - math.log(n + 0.5) for n in document_frequencies.tolist()],
        dtype=np.float64,
    )
    if len(idf):
        average = float(idf.sum()) / len(idf)
        idf[idf < 0] = EPSILON * average
    return idf


def top(
    scores: NDArray[np.float64], k: int, candidates: NDArray[np.bool_] | None = None
) -> list[int]:
    """The k best documents, best first; ties in document order.

    ``candidates`` (shape (documents,)) decides before ranking which there are; without it, those
    with a score other than 0.
    """
    numbers = np.flatnonzero(scores if candidates is None else candidates)
    if 0 < k < len(numbers):
        values = scores[numbers]
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        numbers = numbers[values >= threshold]
    order = np.lexsort((numbers, -scores[numbers]))
    return [int(numbers[position]) for position in order[: max(k, 0)]]
