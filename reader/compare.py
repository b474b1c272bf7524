"""Comparing two runs on the same questions.

The interval is the percentile interval of a paired bootstrap (Efron and Tibshirani 1993, "An
Introduction to the Bootstrap", chapter 13; Koehn 2004, "Statistical Significance Tests for Machine
Translation Evaluation"): questions are drawn with replacement, and with each question both runs'
scores, so that what makes a question easy or hard cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reader.errors import DatasetError
from reader.metrics import question_scores
from reader.squad import Example

#: Resamples drawn, and the share of them that the interval holds.
RESAMPLES = 10_000
LEVEL = 0.95

_CELLS = 2_000_000  # drawn questions held in memory at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two runs, in percent.

    Attributes:
        metric: ``exact`` or ``f1``, with ``HasAns_`` or ``NoAns_`` before it for a part.
        questions: how many it is over.
        difference: ``b - a``, in points; ``low`` to ``high`` is its interval.
        b_better: share of the resamples in which b is above a; equal ones count half.
    """

    metric: str
    questions: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    b_better: float


def compare(
    examples: Sequence[Example],
    a: Mapping[str, str],
    b: Mapping[str, str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Exact match and F1 (SQuAD 2.0's) of predictions ``a`` and ``b``, and how they differ.

    Predictions are question id to text; a question without one scores 0. Where the data has
    unanswerable questions, the parts are compared too. The same seed gives the same interval.

    Raises:
        DatasetError: there are no questions.
    """
    if not examples:
        raise DatasetError("the data holds no questions to compare on")
    first, second = question_scores(examples, a), question_scores(examples, b)
    parts = {"": list(first)}
    if not all(score.answerable for score in first.values()):
        parts["HasAns_"] = [key for key, score in first.items() if score.answerable]
        parts["NoAns_"] = [key for key, score in first.items() if not score.answerable]
    found: list[Comparison] = []
    for prefix, ids in parts.items():
        if not ids:
            continue
        one = np.array([(first[key].exact, first[key].f1) for key in ids])  # (questions, 2)
        two = np.array([(second[key].exact, second[key].f1) for key in ids])
        drawn = bootstrap_means(two - one, resamples, np.random.default_rng(seed))
        for column, name in enumerate(("exact", "f1")):
            means = drawn[:, column]
            low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            before, after = float(one[:, column].mean()), float(two[:, column].mean())
            found.append(
                Comparison(
                    metric=prefix + name,
                    questions=len(ids),
                    a=100 * before,
                    b=100 * after,
                    difference=100 * (after - before),
                    low=100 * float(low),
                    high=100 * float(high),
                    b_better=float((means > 0).mean() + (means == 0).mean() / 2),
                )
            )
    return found


def bootstrap_means(
    values: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Means of ``values`` (items, columns) over resamples of the items: (resamples, columns)."""
    count = len(values)
    chunk = max(1, _CELLS // count)
    means = [
        values[generator.integers(0, count, (min(chunk, resamples - begin), count))].mean(axis=1)
        for begin in range(0, resamples, chunk)
    ]
    return np.concatenate(means)
