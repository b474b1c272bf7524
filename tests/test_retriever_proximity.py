"""How near a question's words stand in a passage, by hand-worked cases."""

from __future__ import annotations

import pytest

from retriever.bm25 import K1
from retriever.proximity import nearness


def one(query: str, passage: str, weights: list[float] | None = None) -> float:
    terms = query.split()
    return float(nearness(terms, weights or [1.0] * len(terms), [passage.split()])[0])


def test_a_pair_counts_like_a_term_of_bm25() -> None:
    # One passage is as long as the average, so its norm is K1.
    assert one("annual leave", "the annual leave is long") == pytest.approx((K1 + 1) / (1 + K1))
    assert one("annual leave", "annual leave and annual leave") == pytest.approx(
        # annual-leave, leave-annual, annual-leave: three pairs within three words
        3 * (K1 + 1) / (3 + K1)
    )


def test_words_are_near_up_to_three_words_apart_and_in_any_order() -> None:
    near = one("annual leave", "annual leave x x x x")
    assert one("annual leave", "leave x x annual x x") == near
    assert one("annual leave", "leave x x x annual x") == 0.0


def test_only_pairs_that_stand_near_each_other_in_the_question_count() -> None:
    assert one("a w x y b", "a b") == 0.0
    assert one("a w x b", "a b") > 0.0


def test_a_pair_weighs_the_mean_of_its_words_and_none_below_zero() -> None:
    assert one("a b", "a b", [3.0, 1.0]) == 2 * one("a b", "a b", [1.0, 1.0])
    assert one("a b", "a b", [2.0, -5.0]) == one("a b", "a b", [1.0, 1.0])


def test_a_word_twice_is_no_pair() -> None:
    assert one("a a", "a a a") == 0.0
    assert one("a b a", "b a") == 2 * one("a b", "b a")


def test_a_short_passage_counts_more_than_a_long_one() -> None:
    short, long = nearness(["a", "b"], [1.0, 1.0], ["a b".split(), "a b x x x x x x".split()])
    assert short > long > 0


def test_nothing_asked_and_nothing_found() -> None:
    assert nearness([], [], [["a"]]).tolist() == [0.0]
    assert nearness(["a", "b"], [1.0, 1.0], [[], []]).tolist() == [0.0, 0.0]
    assert nearness(["a"], [1.0], []).tolist() == []
