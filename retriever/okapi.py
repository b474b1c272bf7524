"""rank_bm25 itself as the index: the definition of the scores, for small collections.

It keeps everything in memory and walks every passage for every query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from retriever.bm25 import top
from retriever.index.build import IndexedPassage
from retriever.ranking import Ranked, combine, rarest_idf, upper_bound


class OkapiIndex:
    """``rank_bm25.BM25Okapi`` with the methods of :class:`retriever.index.generation.PassageIndex`.

    Args:
        passages: in any order; they are ranked in the order of their ids where scores are equal.
    """

    def __init__(
        self,
        passages: Sequence[IndexedPassage],
        *,
        encoder: str | None,
        content_version: int,
        analyzer: str = "",
    ) -> None:
        ordered = sorted(passages, key=lambda passage: passage.passage_id)
        self.analyzer = analyzer
        self.encoder = encoder
        self.content_version = content_version
        self.passages = np.array([p.passage_id for p in ordered], dtype=np.int64)
        self._collections = np.array([p.collection_id for p in ordered], dtype=np.int64)
        self._vectors = np.array(
            [p.vector for p in ordered if p.vector is not None], dtype=np.float16
        ).astype(np.float32)
        corpus = [list(passage.terms) for passage in ordered]
        # BM25Okapi divides by the number of documents and by that of distinct terms.
        self._okapi = BM25Okapi(corpus) if any(corpus) else None

    def __len__(self) -> int:
        return len(self.passages)

    def search(
        self,
        terms: Sequence[str],
        k: int,
        collections: frozenset[int] | None = None,
        vector: NDArray[np.float32] | None = None,
    ) -> list[Ranked]:
        """See :meth:`retriever.index.generation.PassageIndex.search`."""
        bm25 = self.scores(terms)
        allowed = (
            np.ones(len(self), dtype=np.bool_)
            if collections is None
            else np.isin(self._collections, list(collections))
        )
        if vector is None or self.encoder is None:
            cosine = np.zeros(len(self), dtype=np.float32)
            allowed &= self._matches(terms)
        else:
            cosine = self._vectors @ vector if len(self) else np.zeros(0, dtype=np.float32)
        scores = combine(bm25, cosine, upper_bound(self.weights(terms)))
        return [
            Ranked(int(self.passages[n]), float(scores[n]), float(bm25[n]))
            for n in top(scores, k, allowed)
        ]

    def scores(self, terms: Sequence[str]) -> NDArray[np.float64]:
        """The score of every passage, float64 of shape (passages,)."""
        if self._okapi is None:
            return np.zeros(len(self), dtype=np.float64)
        return np.asarray(self._okapi.get_scores(list(terms)), dtype=np.float64)

    def idf(self, term: str) -> float:
        """The term's weight; 0 for a term that is nowhere."""
        return 0.0 if self._okapi is None else float(self._okapi.idf.get(term, 0.0))

    def weights(self, terms: Sequence[str]) -> list[float]:
        """See :meth:`retriever.index.generation.PassageIndex.weights`."""
        rarest = rarest_idf(len(self))
        return [self.idf(term) or rarest for term in terms]

    def _matches(self, query: Sequence[str]) -> NDArray[np.bool_]:
        """Which passages hold a term of the query: not the same as a score, which may be 0."""
        if self._okapi is None:
            return np.zeros(len(self), dtype=np.bool_)
        wanted = set(query)
        return np.array([not wanted.isdisjoint(terms) for terms in self._okapi.doc_freqs])
