"""Fits the choice among answers and the confidence in it; see :mod:`bot.confidence`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.found import Found
from bot.confidence import feature_names, leads
from bot.wanted import text_features

_FOLDS = 10
_L2 = 1.0
#: So many answers of a question are shown at most, and the confidence is fitted on.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Labelled:
    """The answers found to a question, and which of them are right.

    Questions of one ``group`` stay in one fold.
    """

    answerable: bool
    group: str
    features: NDArray[np.float64]  # (candidates, features)
    right: NDArray[np.bool_]  # (candidates,)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The weights of a :class:`bot.confidence.Calibration`."""

    choice: NDArray[np.float64]
    confidence: NDArray[np.float64]
    lead: float
    intercept: float

    def order(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """The candidates' numbers, best first."""
        return np.argsort(-(features @ self.choice), kind="stable")

    def confidences(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each candidate's confidence, in the order of the features."""
        ahead = np.array(leads((features @ self.choice).tolist()))
        total = features @ self.confidence + self.lead * ahead + self.intercept
        found: NDArray[np.float64] = 1 / (1 + np.exp(-total))
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What weights make of a question: its best answers, best first, at most three.

    ``confidences`` and ``rights`` belong together, answer by answer.
    """

    group: str
    answerable: bool
    confidences: tuple[float, ...]
    rights: tuple[bool, ...]

    @property
    def confidence(self) -> float:
        """That of the first answer; 0 where nothing was found."""
        return self.confidences[0] if self.confidences else 0.0

    @property
    def right(self) -> bool:
        """Whether the first answer is."""
        return any(self.rights[:1])

    def among(self, share: float) -> list[bool]:
        """Which are right of the answers with at least this share of the first one's confidence."""
        least = share * self.confidence
        return [
            right
            for place, (own, right) in enumerate(zip(self.confidences, self.rights, strict=True))
            if not place or own >= least
        ]


def labelled(found: Found) -> Labelled:
    """The numbers of what was found to a question.

    What the words alone say is taken from the words, so that its rules can change without asking
    anew.
    """
    names, asked, rows = feature_names(), found.question.question, []
    for answer in found.answers:
        span = found.passages[answer.passage].text[answer.span_start : answer.span_end]
        features = {**answer.features, **text_features(asked, answer.sentence, span)}
        rows.append([features[name] for name in names])
    return Labelled(
        answerable=found.question.answerable,
        group=found.question.group,
        features=np.array(rows, dtype=np.float64).reshape(len(rows), len(names)),
        right=np.array([answer.right for answer in found.answers], dtype=bool),
    )


def fit(found: Sequence[Labelled]) -> Fitted:
    """The choice, then the confidence of what it puts first, second and third."""
    asked = [item for item in found if len(item.features)]
    choice = fit_choice(asked)
    rows, right = [], []
    for item in asked:
        appeals = (item.features @ choice).tolist()
        ahead = leads(appeals)
        for number in np.argsort(-np.array(appeals), kind="stable")[:_SHOWN].tolist():
            rows.append([*item.features[number].tolist(), ahead[number]])
            right.append(bool(item.right[number]))
    weights, intercept = fit_logistic(np.array(rows), np.array(right))
    return Fitted(choice, weights[:-1], float(weights[-1]), intercept)


def fit_choice(found: Sequence[Labelled]) -> NDArray[np.float64]:
    """L2-regularised conditional logit by Newton's method; weights of the features.

    Several right answers to a question share its probability.
    """
    usable = [item for item in found if item.right.any() and not item.right.all()]
    rows = np.concatenate([item.features for item in usable])
    right = np.concatenate([item.right for item in usable])
    counts = [len(item.right) for item in usable]
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])  # of each question's rows
    scale = _spread(rows)
    design = rows / scale

    def shares(total: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The softmax over each question's rows, and its logarithmic denominator."""
        largest = np.repeat(np.maximum.reduceat(total, begins), counts)
        grown = np.exp(total - largest)
        sums = np.add.reduceat(grown, begins)
        return grown / np.repeat(sums, counts), np.log(sums) + largest[begins]

    def state(weights: NDArray[np.float64]) -> tuple[float, Any, Any]:
        """The loss, and the shares of all rows and of the right ones."""
        total = design @ weights
        p, every = shares(total)
        q, good = shares(np.where(right, total, -1e30))
        return 0.5 * _L2 * float(weights @ weights) + float((every - good).sum()), p, q

    weights = np.zeros(len(scale))
    loss, p, q = state(weights)
    for _ in range(100):
        means = np.add.reduceat(design * p[:, None], begins)
        gradient = _L2 * weights + (p - q) @ design
        hessian = _L2 * np.eye(len(scale)) + design.T @ (design * p[:, None]) - means.T @ means
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        following = state(weights - step)
        while following[0] > loss and size > 1e-4:  # too far: half as far
            size /= 2
            following = state(weights - size * step)
        if loss - following[0] < 1e-9:
            break
        weights = weights - size * step
        loss, p, q = following
    unscaled: NDArray[np.float64] = weights / scale
    return unscaled


def fit_logistic(
    features: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    """L2-regularised logistic regression by Newton's method; weights and intercept.

    Args:
        features: shape (samples, features).
        right: shape (samples,).
    """
    mean, scale = features.mean(axis=0), _spread(features)
    design = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    penalty = np.diag([_L2] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (p - right) + penalty @ weights
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + penalty
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    unscaled = weights[:-1] / scale
    return unscaled, float(weights[-1] - unscaled @ mean)


def _spread(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard deviation of each feature; 1 for one that never changes."""
    deviation = features.std(axis=0)
    return np.where(deviation > 1e-9, deviation, 1.0)


def folds(groups: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Who is in each fold; those of one group are in one fold."""
    names = sorted(set(groups))
    shuffled = np.random.default_rng(7).permutation(len(names)) % _FOLDS
    fold_of = dict(zip(names, shuffled.tolist(), strict=True))
    numbers = np.array([fold_of[group] for group in groups])
    return [numbers == number for number in range(min(_FOLDS, len(names)))]


def cross_validated(found: Sequence[Labelled]) -> list[Judged]:
    """Each question judged by weights that were fitted without any question of its group."""
    judged: list[Judged] = []
    for inside in folds([item.group for item in found]):
        fitted = fit([item for item, held in zip(found, inside, strict=True) if not held])
        judged += [judge(item, fitted) for item, held in zip(found, inside, strict=True) if held]
    return judged


def judge(item: Labelled, fitted: Fitted) -> Judged:
    """What these weights make of a question."""
    best = fitted.order(item.features)[:_SHOWN]
    confidences = fitted.confidences(item.features)[best] if len(best) else best
    return Judged(
        item.group,
        item.answerable,
        tuple(confidences.tolist()),
        tuple(item.right[best].tolist()),
    )
