"""Searching: a question in, passages with their places out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retriever.indexing import IndexKeeper
from retriever.links import place_of
from retriever.passage_terms import index_text
from retriever.proximity import nearness
from retriever.ranking import NEAREST, NEARNESS, Ranked, upper_bound
from retriever.records import Hit
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.passages import StoredPassage, passages_by_id
from retriever.store.sources import collection_ids


class Retriever:
    """Ranks passages for questions, within the collections that the asker may search."""

    def __init__(self, database: Database, keeper: IndexKeeper) -> None:
        self._database = database
        self._keeper = keeper

    def search(
        self, question: str, *, k: int = 10, collections: Sequence[str] | None = None
    ) -> list[Hit]:
        """The ``k`` best passages, best first; fewer when there are no more.

        Args:
            collections: names of those to search; None for all.

        Raises:
            IngestError: a collection does not exist.
            StoreError, SearchIndexError: the database or the index cannot be read.
        """
        question = question.encode(errors="replace").decode()  # an encoder takes no surrogates
        if k <= 0 or not any(character.isalnum() for character in question):
            return []  # an encoder would find something for nothing
        index = self._keeper.current()
        terms = self._keeper.analyzer.terms(question)
        # Another encoder's vectors mean nothing to this one: then BM25 ranks alone.
        alike = index.encoder is not None and index.encoder == self._keeper.encoder_name()
        vectors = self._keeper.vectors([question]) if alike else None
        with self._database.read() as session:
            allowed = None if collections is None else collection_ids(session, collections)
            if vectors is None:
                ranked = index.search(terms, k, allowed)
            else:
                ranked = index.search(terms, max(k, NEAREST), allowed, vectors[0])
            found = passages_by_id(session, [place.passage_id for place in ranked])
            if vectors is not None:
                ranked = self._by_nearness(terms, index.weights(terms), ranked, found)[:k]
            anchors = documents.anchors_of(
                session, sorted({passage.document_id for passage in found.values()})
            )
        hits: list[Hit] = []
        for entry in ranked:
            passage = found.get(entry.passage_id)
            if passage is None:  # removed since the index was built
                continue
            place = place_of(
                passage.start,
                title=passage.title,
                link=passage.link,
                anchors=anchors[passage.document_id],
            )
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    score=entry.score,
                    bm25=entry.bm25,
                    passage_id=passage.id,
                    document_id=passage.document_id,
                    version=passage.version,
                    document=passage.uri,
                    title=passage.title,
                    section=place.section,
                    page=place.page,
                    url=place.url,
                    start=passage.start,
                    end=passage.end,
                    text=passage.text,
                )
            )
        return hits

    def _by_nearness(
        self,
        terms: Sequence[str],
        weights: Sequence[float],
        ranked: Sequence[Ranked],
        found: Mapping[int, StoredPassage],
    ) -> list[Ranked]:
        """The passages that are there, the first of them by what their texts add to their scores.

        However many are wanted, the same ones are looked at, so that a longer list begins as a
        shorter one. Nothing is taken from a score: what follows stays behind.
        """
        bound = upper_bound(weights)
        there = [place for place in ranked if place.passage_id in found]
        if bound == 0.0:
            return there
        first, others = there[:NEAREST], there[NEAREST:]
        near = nearness(
            terms,
            weights,
            [self._keeper.analyzer.terms(index_text(found[p.passage_id])) for p in first],
        )
        added = [
            place._replace(score=place.score + NEARNESS * float(more) / bound)
            for place, more in zip(first, near, strict=True)
        ]
        return [*sorted(added, key=lambda place: -place.score), *others]  # a stable order

    def similarity(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """How near texts are to a question in meaning: cosines, shape (texts,).

        All 0 where there is no encoder.
        """
        vectors = self._keeper.vectors([question, *texts])
        if vectors is None:
            return np.zeros(len(texts))
        cosines: NDArray[np.float64] = (vectors[1:] @ vectors[0]).astype(np.float64)
        return cosines

    def coverage(self, question: str, texts: Sequence[str]) -> list[float]:
        """How much of the question's weight (idf) each text holds, 0 to 1.

        A word that no passage holds weighs as much as one that a single passage holds: that
        nobody ever wrote it says more about the question than anything else.
        """
        index = self._keeper.current()
        terms_of = self._keeper.analyzer.terms
        wanted = list(dict.fromkeys(terms_of(question)))
        weights = [max(weight, 0.0) for weight in index.weights(wanted)]
        total = sum(weights)
        if total == 0:
            return [0.0] * len(texts)
        held = []
        for text in texts:
            present = set(terms_of(text))
            own = zip(wanted, weights, strict=True)
            held.append(sum(weight for term, weight in own if term in present) / total)
        return held
