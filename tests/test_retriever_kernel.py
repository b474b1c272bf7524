"""The kernels' own contract, where a whole index would hide what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retriever.index.build import IndexedPassage, segment_of
from retriever.index.kernel import Best, Kernel, Query, Scoring, choice_of, scoring
from retriever.index.segment import NO_MARKS, Segment
from retriever.index.terms import encode, pack
from tests.index_parts import KERNELS, Mirror, random_passages

kernels = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def empty(k: int) -> Best:
    return Best(np.zeros(k, dtype=np.float64), np.zeros(1, dtype=np.int64))


@dataclass(frozen=True)
class Asked:
    """A query of a segment, each term once."""

    kernel: Kernel
    segment: Segment
    query: Query
    scoring: Scoring

    def all_scores(self) -> NDArray[np.float64]:
        scores = np.zeros(len(self.segment), dtype=np.float64)
        self.kernel.add_scores(self.segment.postings, self.scoring, self.query, scores)
        return scores

    def search(self, best: Best) -> dict[int, float]:
        numbers, scores = self.kernel.search(
            self.segment.postings,
            self.scoring,
            self.query,
            choice_of(self.segment, NO_MARKS),
            best,
        )
        return dict(zip(numbers.tolist(), scores.tolist(), strict=True))


def ask(
    kernel: Kernel,
    segment: Segment,
    terms: Sequence[str],
    weights: Sequence[float],
    average: float | None = None,
) -> Asked:
    weight_of = {encode(term): weight for term, weight in zip(terms, weights, strict=True)}
    ordered = sorted(weight_of)
    query = Query(
        kernel.find(segment.terms, pack(ordered)),
        np.array([weight_of[term] for term in ordered], dtype=np.float64),
        np.ones(len(terms), dtype=np.float64),
        np.arange(len(terms), dtype=np.int64),
    )
    return Asked(kernel, segment, query, scoring(segment, average or segment.average_length))


@kernels
def test_the_best_of_all_segments_are_kept_from_one_to_the_next(kernel: Kernel) -> None:
    source = random.Random(2)
    terms, weights = ["t3", "t9", "t20"], [1.0, 2.0, 3.0]
    best, everything = empty(6), np.zeros(0, dtype=np.float64)
    for count in (3, 200, 200, 1):
        asked = ask(kernel, segment_of(random_passages(source, count)), terms, weights)
        before = best.heap[0] if best.size[0] == 6 else 0.0
        scores = asked.all_scores()
        found = asked.search(best)
        everything = np.concatenate((everything, scores[scores > 0]))
        highest = np.sort(everything)[-6:]
        assert np.sort(best.heap[: best.size[0]]).tolist() == highest.tolist()
        expected = {at: scores[at] for at in np.flatnonzero(scores > 0)}
        wanted = {at: score for at, score in expected.items() if score >= highest[0]}
        assert wanted.items() <= found.items() <= expected.items()
        assert all(score >= before - 1e-6 for score in found.values())


@kernels
def test_a_search_that_ends_in_an_error_leaves_nothing_to_the_next(kernel: Kernel) -> None:
    passages = [IndexedPassage(n, 1, ["often"] * 20) for n in range(5)]
    passages += [IndexedPassage(5 + n, 1, ["other"]) for n in range(5)]
    segment = segment_of(passages)
    broken = ask(kernel, segment, ["often"], [1.0])
    broken.scoring.norms[:] = -20.0  # so that a saturation is divided by 0
    with np.errstate(divide="raise"), pytest.raises(ArithmeticError):
        broken.search(empty(2))
    assert list(ask(kernel, segment, ["other"], [1.0]).search(empty(10))) == [5, 6, 7, 8, 9]


@kernels
def test_short_passages_beside_long_ones_score_more_than_their_segment_knows(
    tmp_path: Path, kernel: Kernel
) -> None:
    """Bounds are for the average length of the segment, here 2; that of all is about 80."""
    mirror = Mirror(tmp_path / "index", kernel)
    filler = [f"f{number}" for number in range(97)]
    mirror.change([IndexedPassage(n, 1, ["rare"] * 3 * (n == 1) + filler) for n in range(1, 40)])
    mirror.change(
        [IndexedPassage(n, 1, ["rare" if n == 45 else "some", "word"]) for n in range(40, 50)]
    )
    index = mirror.index()
    scores = dict(zip(index.passages.tolist(), index.scores(["rare"]).tolist(), strict=True))
    assert scores[45] > scores[1] > scores[45] * 0.8
    assert [hit.passage_id for hit in index.search_bm25(["rare"], 1)] == [45]


@kernels
def test_a_passage_that_holds_all_of_very_many_terms_is_found(
    tmp_path: Path, kernel: Kernel
) -> None:
    """Each posting is worth a unit more than it need be; all of them must fit together."""
    terms = [f"t{number}" for number in range(4000)]
    mirror = Mirror(tmp_path / "index", kernel)
    index = mirror.change(
        [IndexedPassage(n, 1, terms if n in (2, 5) else ["other"]) for n in range(12)]
    )
    for count in range(3000, 4001, 100):
        assert [hit.passage_id for hit in index.search_bm25(terms[:count], 3)] == [2, 5]


@kernels
def test_none_of_equal_passages_is_lost_to_rounding(kernel: Kernel) -> None:
    """What a posting is worth in whole units may be all of its score, to the last bits."""
    segment = segment_of([IndexedPassage(n, 1, ["a", "b", "c"][: 1 + n % 3]) for n in range(30)])
    for step in range(4000):
        average = segment.average_length * (1 - step / 10_000)
        asked = ask(kernel, segment, ["c"], [3.0], average)
        scores = asked.all_scores()
        equal = np.flatnonzero(scores == scores.max()).tolist()
        assert sorted(asked.search(empty(2))) == equal, average
