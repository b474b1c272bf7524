from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.spans import (
    Scored,
    align_to_words,
    log_sum_exp,
    merge_overlapping,
    normalise,
    window_candidates,
)

LOGITS = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12)


@given(LOGITS, st.integers(1, 14), st.integers(1, 30), st.randoms(use_true_random=False))
def test_candidates_are_those_of_trying_every_span(
    starts: list[float], longest: int, n_best: int, source: object
) -> None:
    ends = list(reversed(starts))
    spans = {
        (i, j): float(np.float32(starts[i])) + float(np.float32(ends[j]))
        for i, j in itertools.product(range(len(starts)), repeat=2)
        if i <= j < i + longest
    }
    found, total = window_candidates(
        np.array(starts, dtype=np.float32),
        np.array(ends, dtype=np.float32),
        max_pieces=longest,
        n_best=n_best,
    )
    best = sorted(spans.values(), reverse=True)[:n_best]
    assert [candidate.score for candidate in found] == pytest.approx(best)
    assert all(spans[c.first, c.last] == pytest.approx(c.score) for c in found)
    assert total == pytest.approx(math.log(sum(math.exp(value) for value in spans.values())))


def test_a_window_without_passage_pieces_has_no_spans() -> None:
    nothing = np.zeros(0, dtype=np.float32)
    assert window_candidates(nothing, nothing, max_pieces=5, n_best=5) == ([], -math.inf)
    assert log_sum_exp([]) == -math.inf
    nowhere = np.full(3, -np.inf, dtype=np.float32)
    assert window_candidates(nowhere, nowhere, max_pieces=5, n_best=5) == ([], -math.inf)
    assert log_sum_exp([-math.inf, -math.inf]) == -math.inf
    assert log_sum_exp([-math.inf, -2000.0, 2000.0]) == 2000.0  # and no overflow


def scored(document: str, start: int, end: int, score: float, probability: float = 0.1) -> Scored:
    return Scored(0, document, start, end, score, 0.0, probability)


def test_overlapping_spans_become_the_best_one_with_their_common_probability() -> None:
    merged = merge_overlapping(
        [
            scored("a", 10, 20, 5.0, 0.5),
            scored("a", 15, 25, 4.0, 0.2),
            scored("b", 10, 20, 3.0, 0.1),
            scored("a", 20, 30, 2.0, 0.05),
            scored("a", 0, 10, 1.0, 0.05),
        ],
        top_k=10,
    )
    assert [(m.document, m.start, m.end) for m in merged] == [
        ("a", 10, 20),
        ("b", 10, 20),
        ("a", 20, 30),
        ("a", 0, 10),
    ]
    assert merged[0].probability == pytest.approx(0.7)
    # What is rounded up makes no more than all.
    rounded = [scored("a", 10, 20, 5.0, 0.75), scored("a", 15, 25, 4.0, 0.75)]
    assert merge_overlapping(rounded, top_k=1)[0].probability == 1.0


PLACES = st.tuples(
    st.sampled_from("ab"), st.integers(0, 20), st.integers(1, 6), st.floats(-3, 3, width=32)
)


@given(st.lists(PLACES, max_size=40), st.integers(0, 5))
def test_how_many_are_wanted_changes_none_of_them(
    places: list[tuple[str, int, int, float]], top_k: int
) -> None:
    spans = [scored(name, start, start + size, score) for name, start, size, score in places]
    assert merge_overlapping(spans, top_k) == merge_overlapping(spans, len(spans))[:top_k]


def test_the_same_words_read_in_two_windows_count_once() -> None:
    merged = merge_overlapping(
        [scored("a", 10, 20, 5.0, 0.5), scored("a", 10, 20, 4.5, 0.3)], top_k=10
    )
    assert len(merged) == 1
    assert merged[0].probability == pytest.approx(0.5)


def test_probabilities_share_one_softmax() -> None:
    spans = normalise([scored("a", 0, 1, 1.0), scored("b", 0, 1, 2.0)], log_sum_exp([1.0, 2.0]))
    assert sum(span.probability for span in spans) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        ("unbelievable news", (2, 5), (0, 12)),
        ("up to 12 hours", (6, 8), (6, 8)),
        ("a b", (1, 1), (1, 1)),
        ("ab", (1, 1), (1, 1)),
        ("cost(net)sum", (4, 9), (4, 9)),
        ("a €5b", (2, 4), (2, 5)),
        ("up to 12", (3, 8), (3, 8)),
        ("Größe", (1, 2), (0, 5)),
        ("well-known", (0, 4), (0, 4)),
    ],
)
def test_no_word_is_cut(text: str, span: tuple[int, int], expected: tuple[int, int]) -> None:
    assert align_to_words(text, *span) == expected
