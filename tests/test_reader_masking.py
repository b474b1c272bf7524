"""Span masking: the budget, the law of lengths, whole words, 80/10/10 by span."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reader.errors import TrainingError
from reader.masking import (
    MaskingConfig,
    Vocabulary,
    draw_spans,
    length_law,
    mask_row,
    piece_budget,
    words_of,
)

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "a", "b", "c", "##d", "##e"]
CLS, SEP, MASK = 2, 3, 4
A, B, C, D, E = range(6, 11)
VOCABULARY = Vocabulary.of_pieces(PIECES)
LARGE = Vocabulary.of_pieces(PIECES[:6] + [f"w{i}" for i in range(1000)])
SPANS, SINGLE = MaskingConfig(), MaskingConfig(kind="pieces")


def row(*pieces: int) -> NDArray[np.int64]:
    return np.array([CLS, *pieces, SEP], dtype=np.int64)


def text_row(generator: np.random.Generator, length: int) -> NDArray[np.int64]:
    """Words of one to a few pieces; the first piece begins a word."""
    ids = np.where(
        generator.random(length) < 0.3,
        generator.choice([D, E], size=length),
        generator.choice([A, B, C], size=length),
    )
    ids[0] = A
    return row(*ids.tolist())


def test_words_are_found_between_special_pieces_and_cut_words_left_out() -> None:
    #         0    1  2  3  4  5    6  7  8  9
    ids = row(D, A, D, E, SEP, B, C, D)  # [CLS] ##d a ##d ##e [SEP] b c ##d [SEP]
    starts, ends = words_of(ids, VOCABULARY)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(2, 5), (6, 7), (7, 9)]
    starts, ends = words_of(ids, VOCABULARY, next_continues=True)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(2, 5), (6, 7)]


def test_the_law_of_lengths_is_the_papers() -> None:
    law = length_law(0.2, 10)
    assert law.sum() == pytest.approx(1)
    assert law[1:] / law[:-1] == pytest.approx(0.8)
    assert law @ np.arange(1, 11) == pytest.approx(3.797, abs=1e-3)  # the paper says 3.8


def test_lengths_follow_the_geometric_law() -> None:
    """Chi-square with 9 degrees of freedom: 27.9 is passed by chance once in a thousand."""
    generator = np.random.default_rng(5)
    starts = np.arange(1, 3001)
    counts = np.zeros(10)
    for _ in range(400):
        # The first 20 spans of a budget that has room for 100: nothing cuts or crowds them.
        spans = draw_spans(starts, starts + 1, 1000, SPANS, generator)[:20]
        for first, last in spans:
            counts[last - first] += 1
    expected = length_law(0.2, 10) * counts.sum()
    assert counts.sum() == 8000
    assert float(((counts - expected) ** 2 / expected).sum()) < 27.9


def test_starts_are_uniform() -> None:
    generator = np.random.default_rng(6)
    starts = np.arange(1, 501)
    counts = np.zeros(10)
    for _ in range(4000):
        (first, _), *_rest = draw_spans(starts, starts + 1, 75, MaskingConfig(longest=1), generator)
        counts[(first - 1) // 50] += 1
    assert float(((counts - 400) ** 2 / 400).sum()) < 27.9


@given(seed=st.integers(0, 10**6), length=st.integers(1, 200))
def test_spans_are_whole_words_apart_and_within_the_budget(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    ids = text_row(generator, length)
    starts, ends = words_of(ids, VOCABULARY)
    budget = piece_budget(len(ids), 0.15)
    spans = sorted(draw_spans(starts, ends, budget, SPANS, generator))
    begins, stops = set(starts.tolist()), set(ends.tolist())
    for first, last in spans:
        assert first in begins
        assert last + 1 in stops
        assert 1 <= sum(first <= start <= last for start in starts.tolist()) <= 10
    for (_, before), (after, _) in pairwise(spans):
        assert after - before >= 2  # a piece that can be seen stands between them
    assert sum(last + 1 - first for first, last in spans) <= budget


def test_the_budget_is_used_up_but_for_a_word() -> None:
    generator = np.random.default_rng(7)
    shares = []
    for _ in range(200):
        ids = text_row(generator, 510)
        masked = mask_row(ids, VOCABULARY, SPANS, generator)
        hidden = sum(last + 1 - first for first, last in masked.spans)
        longest = int((np.subtract(*words_of(ids, VOCABULARY)[::-1])).max())
        assert 77 - longest < hidden <= 77  # 15 % of 512
        shares.append(hidden / 512)
    assert 0.145 < float(np.mean(shares)) <= 0.1505


def test_spans_do_not_reach_over_the_end_of_a_document() -> None:
    generator = np.random.default_rng(8)
    ids = row(*([A] * 5 + [SEP]) * 30)
    for _ in range(50):
        masked = mask_row(ids, VOCABULARY, SPANS, generator)
        assert len(masked.spans) > 1
        assert all((ids[first : last + 1] == A).all() for first, last in masked.spans)


@pytest.mark.parametrize("config", [SPANS, SINGLE])
def test_80_10_10_is_drawn_once_for_a_span(config: MaskingConfig) -> None:
    generator = np.random.default_rng(9)
    kinds = {"mask": 0, "random": 0, "same": 0}
    ids = row(*(6 + np.arange(510) % 1000).tolist())
    for _ in range(300):
        masked = mask_row(ids, LARGE, config, generator)
        covered = np.zeros(len(ids), dtype=bool)
        for first, last in masked.spans:
            now, before = masked.ids[first : last + 1], ids[first : last + 1]
            covered[first : last + 1] = True
            if (now == MASK).all():
                kinds["mask"] += 1
            elif (now == before).all():
                kinds["same"] += 1
            else:
                kinds["random"] += 1
                assert not LARGE.special[now].any()  # all random: no [MASK] among them
                assert (now != before).mean() > 0.5 or last - first < 3
        assert (masked.ids[~covered] == ids[~covered]).all()
    total = sum(kinds.values())
    expected = {"mask": 0.8, "random": 0.1, "same": 0.1}
    chi = sum((kinds[k] - total * p) ** 2 / (total * p) for k, p in expected.items())
    assert chi < 13.8  # two degrees of freedom, one in a thousand


def test_the_baseline_masks_single_pieces_exactly_to_the_budget() -> None:
    generator = np.random.default_rng(10)
    ids = text_row(generator, 510)
    hits = np.zeros(len(ids))
    for _ in range(400):
        masked = mask_row(ids, VOCABULARY, SINGLE, generator)
        places = [first for first, last in masked.spans]
        assert [last for _, last in masked.spans] == places
        assert len(set(places)) == len(places) == 77
        hits[places] += 1
    assert hits[0] == hits[-1] == 0
    continued = VOCABULARY.continues[ids]
    assert hits[continued].mean() == pytest.approx(hits[1:-1].mean(), rel=0.03)


def test_the_same_generator_masks_the_same() -> None:
    ids = text_row(np.random.default_rng(1), 100)
    one, other = (mask_row(ids, VOCABULARY, SPANS, np.random.default_rng(3)) for _ in "ab")
    assert one.spans == other.spans
    assert (one.ids == other.ids).all()


def test_rows_without_words_are_left_as_they_are() -> None:
    ids = row(SEP, D, SEP)
    masked = mask_row(ids, VOCABULARY, SPANS, np.random.default_rng(1))
    assert masked.spans == ()
    assert (masked.ids == ids).all()


def test_what_cannot_be_masked_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"no \[MASK\]"):
        Vocabulary.of_pieces(["[PAD]", "a"])
    with pytest.raises(TrainingError, match='the masking is "words"'):
        MaskingConfig(kind="words")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="budget"):
        MaskingConfig(budget=1.5)
