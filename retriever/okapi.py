"""rank_bm25 itself as the index: the definition of the scores, for small collections.

It keeps everything in memory and walks every passage for every query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from rank_bm25 import BM25Okapi

from retriever.bm25 import top
from retriever.index import IndexedPassage


class OkapiIndex:
    """``rank_bm25.BM25Okapi`` behind the same search as :class:`retriever.index.Bm25Index`."""

    def __init__(self, passages: Iterable[IndexedPassage], *, content_version: int) -> None:
        kept = list(passages)
        self._ids = [passage.passage_id for passage in kept]
        self._collections = np.asarray([passage.collection_id for passage in kept], dtype=np.int64)
        # BM25Okapi divides by the number of documents and by that of distinct terms.
        usable = any(passage.terms for passage in kept)
        self._okapi = BM25Okapi([list(passage.terms) for passage in kept]) if usable else None
        self._content_version = content_version

    @property
    def content_version(self) -> int:
        return self._content_version

    def __len__(self) -> int:
        return len(self._ids)

    def search(
        self, terms: Sequence[str], k: int, collections: frozenset[int] | None = None
    ) -> list[tuple[int, float]]:
        if self._okapi is None:
            return []
        allowed = None if collections is None else np.isin(self._collections, list(collections))
        scores = np.asarray(self._okapi.get_scores(list(terms)), dtype=np.float64)
        return [(self._ids[number], float(scores[number])) for number in top(scores, k, allowed)]

    def idf(self, term: str) -> float:
        """The weight of a term; 0 for one that is nowhere."""
        return 0.0 if self._okapi is None else float(self._okapi.idf.get(term, 0.0))
