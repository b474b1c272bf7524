from __future__ import annotations

import numpy as np

from retriever.bm25 import norms, top


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


def test_norms_grow_with_the_length() -> None:
    assert norms(np.array([0, 10, 20], dtype=np.uint32), 10.0).tolist() == [0.375, 1.5, 2.625]
    assert norms(np.array([0], dtype=np.uint32), 0.0).tolist() == [1.5]
