"""How sure the bot is of an answer, from the reader and the retriever together.

A logistic regression on a handful of features, fitted by ``python -m bench.calibrate`` on
questions over real handbooks. Reader logits alone tell answerable from unanswerable questions
badly; that the question's words stand in the passage belongs in the decision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of an answer before it is shown.

    Attributes:
        logit: start logit + end logit of the span, without the prior.
        probability: the span's share of the softmax over all passages.
        coverage: share of the question's weight (idf) that the passage with its headings holds.
        score: what the passage was ranked by.
        behind: how far that is behind the best passage's; 0 or less.
        likeness: cosine of the question and the sentence under its headings; 0 without a ranker.
    """

    logit: float
    probability: float
    coverage: float
    score: float
    behind: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the features, in the order of :class:`Features`, and the intercept."""

    weights: tuple[float, ...]
    intercept: float

    def confidence(self, features: Features) -> float:
        """The probability that the answer is right, 0 to 1."""
        total = self.intercept + sum(
            weight * value for weight, value in zip(self.weights, astuple(features), strict=True)
        )
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def feature_names() -> Sequence[str]:
    """The features' names, in order."""
    return [field.name for field in fields(Features)]


@cache
def default_calibration() -> Calibration:
    """The calibration that comes with the program."""
    record = json.loads((files("bot") / "calibration.json").read_text(encoding="utf-8"))
    return Calibration(
        weights=tuple(float(record["weights"][name]) for name in feature_names()),
        intercept=float(record["intercept"]),
    )
