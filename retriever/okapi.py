"""rank_bm25 itself as the scorer: the definition of the scores, for small collections.

It keeps everything in memory and walks every passage for every query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi


class OkapiScorer:
    """``rank_bm25.BM25Okapi`` behind the interface of :class:`retriever.bm25.Bm25`."""

    def __init__(self, corpus: Sequence[Sequence[str]]) -> None:
        self._size = len(corpus)
        # BM25Okapi divides by the number of documents and by that of distinct terms.
        self._okapi = BM25Okapi([list(terms) for terms in corpus]) if any(corpus) else None

    def idf(self, term: str) -> float:
        """The term's weight; 0 for a term that is nowhere."""
        return 0.0 if self._okapi is None else float(self._okapi.idf.get(term, 0.0))

    def matches(self, query: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents hold a term of the query, bool of shape (documents,)."""
        if self._okapi is None:
            return np.zeros(self._size, dtype=bool)
        wanted = set(query)
        return np.array([not wanted.isdisjoint(terms) for terms in self._okapi.doc_freqs])

    def scores(self, query: Sequence[str]) -> NDArray[np.float64]:
        """The score of every document, float64 of shape (documents,)."""
        if self._okapi is None:
            return np.zeros(self._size, dtype=np.float64)
        return np.asarray(self._okapi.get_scores(list(query)), dtype=np.float64)
