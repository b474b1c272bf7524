"""Which answer is the best one, and how sure the bot is of it.

Both are linear in a handful of features of reader, retriever and wording together, fitted by
``python -m bench.calibrate`` on questions over real handbooks:

* the *choice* is a conditional logit (McFadden 1974): the answers to one question compete;
* the *confidence* is a logistic regression on the same features and on the *lead*, which is how
  far the choice prefers an answer to the best other one. It is a probability of being right.

An operator sets no confidence but a precision: how many of the answers shown are to be right. The
calibration holds which precision each least confidence gave on questions that it was not fitted on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from bot.models import Models


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of an answer before it is shown.

    Attributes:
        logit: start logit + end logit of the best span in the sentence, without the prior.
        margin: that less the score of "no answer" in the same passage.
        probability: the share of the sentence's spans in the softmax over all passages.
        coverage: share of the question's weight (idf) that the passage with its headings holds.
        score: what the passage was ranked by.
        behind: how far that is behind the best passage's; 0 or less.
        likeness: cosine of the question and the sentence under its headings; 0 without a ranker.
        said: the share of the question's weight that the sentence itself holds.
        brief: 1 for a sentence of very few words, else 0.
        decisive: for a question that yes or no could answer, 1 for a sentence with a word of
            permission, duty or denial, -1 without; 0 for other questions.
        amount: the same for a question of how much, how long or when, and a span with a number,
            a date or a time.
    """

    logit: float
    margin: float
    probability: float
    coverage: float
    score: float
    behind: float
    likeness: float
    said: float
    brief: float
    decisive: float
    amount: float


@dataclass(frozen=True, slots=True)
class Precisions:
    """What share of the answers shown were right, by the confidence that showing them took.

    ``measured`` are pairs of a threshold, from 0, and the precision of the first answers whose
    confidence reaches it; both rise.
    """

    measured: tuple[tuple[float, float], ...]

    @property
    def highest(self) -> float:
        """The best precision that was measured."""
        return self.measured[-1][1]

    def threshold(self, precision: float) -> float:
        """The least confidence to show at for this precision; the strictest for one too high."""
        for threshold, reached in self.measured:
            if reached >= precision:
                return threshold
        return self.measured[-1][0]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights, in the order of :class:`Features`, for the choice and for the confidence.

    ``lead`` and ``intercept`` belong to the confidence. ``fitted_with`` are the models that found
    what it was fitted on; None where that is not known.
    """

    choice: tuple[float, ...]
    confidence: tuple[float, ...]
    lead: float
    intercept: float
    precisions: Precisions
    fitted_with: Models | None = None

    def appeal(self, features: Features) -> float:
        """What answers to one question are ordered by, in no unit; more is better."""
        return _dot(self.choice, features)

    def confidences(self, answers: Sequence[Features]) -> list[float]:
        """The probability of each answer to one question that it is right, 0 to 1."""
        appeals = [self.appeal(answer) for answer in answers]
        return [
            _logistic(_dot(self.confidence, answer) + self.lead * lead + self.intercept)
            for answer, lead in zip(answers, leads(appeals), strict=True)
        ]


def leads(appeals: Sequence[float]) -> list[float]:
    """How far each is ahead of the best of the others; 0 for one that is alone."""
    found = []
    for number, own in enumerate(appeals):
        others = [other for place, other in enumerate(appeals) if place != number]
        found.append(own - max(others) if others else 0.0)
    return found


def feature_names() -> Sequence[str]:
    """The features' names, in order."""
    return [field.name for field in fields(Features)]


@cache
def default_calibration() -> Calibration:
    """The calibration that comes with the program."""
    return read_calibration((files("bot") / "calibration.json").read_text(encoding="utf-8"))


def read_calibration(text: str) -> Calibration:
    """The calibration that ``bench.calibrate`` wrote; features that it does not name weigh 0.

    Raises:
        ValueError: it is something else; the message says what is wrong with it.
    """
    try:
        record = json.loads(text)
        calibration = Calibration(
            choice=_weights(record["choice"]),
            confidence=_weights(record["confidence"]),
            lead=_number(record["lead"]),
            intercept=_number(record["intercept"]),
            precisions=Precisions(
                tuple(
                    (_number(threshold), _number(reached))
                    for threshold, reached in record["precisions"].items()
                )
            ),
            fitted_with=_models(record.get("fitted_with")),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error
    except (AttributeError, TypeError) as error:
        raise ValueError(f"a value is of the wrong kind: {error}") from error
    measured = calibration.precisions.measured
    if not measured or list(measured) != sorted(measured):
        raise ValueError("its precisions do not rise from the first to the last")
    return calibration


def _weights(record: Any) -> tuple[float, ...]:
    return tuple(_number(record.get(name, 0.0)) for name in feature_names())


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):  # json reads NaN, and nothing would ever be shown
        raise ValueError(f"{value} is no finite number")
    return number


def _models(record: Any) -> Models | None:
    if record is None:
        return None
    return Models(
        record["reader"],
        record["ranker"],
        record.get("reader_settings"),
        record.get("ranker_settings"),
    )


def _dot(weights: Sequence[float], features: Features) -> float:
    return float(sum(w * value for w, value in zip(weights, astuple(features), strict=True)))


def _logistic(total: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))
