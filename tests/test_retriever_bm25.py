"""Our BM25 against its definition: rank_bm25 itself."""

from __future__ import annotations

import random

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from retriever.bm25 import Bm25, build_postings, top


def random_corpus(seed: int, documents: int, vocabulary: int) -> list[list[str]]:
    source = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(vocabulary)]
    names = [f"t{i}" for i in range(vocabulary)]
    return [
        source.choices(names, weights, k=source.randint(0 if seed % 2 else 1, 40))
        for _ in range(documents)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_rank_bm25(seed: int) -> None:
    corpus = random_corpus(seed, documents=120, vocabulary=60)
    ours, theirs = Bm25(build_postings(corpus)), BM25Okapi(corpus)
    source = random.Random(seed)
    for _ in range(50):
        query = source.choices([f"t{i}" for i in range(70)], k=source.randint(1, 6))
        expected = np.asarray(theirs.get_scores(query))
        np.testing.assert_allclose(ours.scores(query), expected, rtol=0, atol=1e-9)


def test_a_term_in_most_documents_gets_the_floor_of_rank_bm25() -> None:
    corpus = [["common", "rare"], ["common"], ["common", "other"]]
    ours, theirs = Bm25(build_postings(corpus)), BM25Okapi(corpus)
    assert theirs.idf["common"] == ours.idf("common")
    assert ours.idf("nowhere") == 0.0


def test_an_empty_corpus_scores_nothing() -> None:
    bm25 = Bm25(build_postings([]))
    assert bm25.scores(["anything"]).shape == (0,)


def test_top_orders_by_score_then_by_document_and_leaves_zeros_out() -> None:
    scores = np.array([0.0, 2.0, 5.0, 2.0, 1.0, 2.0])
    assert top(scores, 3) == [2, 1, 3]
    assert top(scores, 10) == [2, 1, 3, 5, 4]
    assert top(scores, 0) == []


def test_top_is_exact_within_what_is_allowed() -> None:
    scores = np.array([9.0, 2.0, 5.0, 2.0])
    candidates = np.array([False, True, False, True])
    assert top(scores, 2, candidates) == [1, 3]
    assert top(np.array([-1.0, 0.0]), 5, np.array([True, True])) == [1, 0]
