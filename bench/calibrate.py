"""Fit how sure the bot is of an answer, and show what each threshold would give.

    python -m bench.calibrate QUESTIONS.jsonl ... --home NAME=HOME ... [--limit N] [--write]

Each line of the questions names its knowledge base (``kb``); ``--home`` gives the home folder of
an installation to which that one was added. The table is cross-validated, by document.
``--limit`` takes only the first so many of each file. ``--write`` puts the weights, fitted on all
questions, into ``bot/calibration.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.answering import AnswerOptions
from bot.confidence import feature_names, leads
from bot.evaluation import holds_answer
from bot.installation import Installation
from bot.settings import Settings, from_environment

_FOLDS = 10
_L2 = 1.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """The answers found to a question, and which of them are right.

    ``document`` is one that holds the answer, for questions on it to stay in one fold.
    """

    answerable: bool
    document: str
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

    def of_first(self, features: NDArray[np.float64]) -> float:
        """The confidence of the candidate that comes first."""
        appeals = (features @ self.choice).tolist()
        first = int(np.argmax(appeals))
        total = features[first] @ self.confidence + self.lead * leads(appeals)[first]
        return float(1 / (1 + np.exp(-(total + self.intercept))))


def collect(
    records: Sequence[dict[str, object]], homes: dict[str, str], options: AnswerOptions
) -> list[Labelled]:
    """Ask every question of its knowledge base."""
    found: list[Labelled] = []
    for name, home in homes.items():
        with Installation(_settings(home)) as installation:
            answerer = installation.answerer_with(options)
            for record in records:
                if record["kb"] != name:
                    continue
                answers, gold = record["answers"], record["documents"]
                assert isinstance(answers, list)
                assert isinstance(gold, list)
                candidates = answerer.consider(str(record["question"]))
                found.append(
                    Labelled(
                        answerable=record.get("answerable") is not False,
                        document=str(gold[0]) if gold else str(record["question"]),
                        features=np.array(
                            [astuple(c.features) for c in candidates], dtype=np.float64
                        ).reshape(len(candidates), len(feature_names())),
                        right=np.array(
                            [holds_answer(c.sentence, answers) for c in candidates], dtype=bool
                        ),
                    )
                )
                sys.stderr.write(f"\r{len(found)} of {len(records)} questions")
    sys.stderr.write("\n")
    return found


def _settings(home: str) -> Settings:
    folder = Path(home).absolute()
    return replace(
        from_environment(), home=folder, database_url=f"sqlite:///{folder / 'spanbot.db'}"
    )


def fit(found: Sequence[Labelled]) -> Fitted:
    """The choice, then the confidence of what it puts first, second and third."""
    asked = [item for item in found if len(item.features)]
    choice = fit_choice(asked)
    rows, right = [], []
    for item in asked:
        appeals = (item.features @ choice).tolist()
        ahead = leads(appeals)
        for number in np.argsort(-np.array(appeals), kind="stable")[:3].tolist():
            rows.append([*item.features[number].tolist(), ahead[number]])
            right.append(bool(item.right[number]))
    weights, intercept = fit_logistic(np.array(rows), np.array(right))
    return Fitted(choice, weights[:-1], float(weights[-1]), intercept)


def fit_choice(found: Sequence[Labelled]) -> NDArray[np.float64]:
    """L2-regularised conditional logit by Newton's method; weights of the features.

    Several right answers to a question share its probability.
    """
    usable = [item for item in found if item.right.any() and not item.right.all()]
    scale = np.concatenate([item.features for item in usable]).std(axis=0) + 1e-9
    designs = [item.features / scale for item in usable]

    def state(weights: NDArray[np.float64]) -> tuple[float, list[tuple[Any, Any]]]:
        """The loss, and for each question the shares of all answers and of the right ones."""
        loss, shares = 0.5 * _L2 * float(weights @ weights), []
        for item, design in zip(usable, designs, strict=True):
            total = design @ weights
            right = np.where(item.right, total, -np.inf)
            every = np.logaddexp.reduce(total)
            good = np.logaddexp.reduce(right)
            loss += float(every - good)
            shares.append((np.exp(total - every), np.exp(right - good)))
        return loss, shares

    weights = np.zeros(len(scale))
    loss, shares = state(weights)
    for _ in range(100):
        gradient, hessian = _L2 * weights, _L2 * np.eye(len(scale))
        for design, (p, q) in zip(designs, shares, strict=True):
            mean = p @ design
            gradient += mean - q @ design
            hessian += design.T @ (design * p[:, None]) - np.outer(mean, mean)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        following = state(weights - step)
        while following[0] > loss and size > 1e-4:  # too far: half as far
            size /= 2
            following = state(weights - size * step)
        if loss - following[0] < 1e-9:
            break
        weights = weights - size * step
        loss, shares = following
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
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
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


@dataclass(frozen=True, slots=True)
class Judged:
    """A question's first answer as an asker would see it."""

    answerable: bool
    confidence: float
    right: bool
    right_of_three: bool


def cross_validated(found: Sequence[Labelled]) -> list[Judged]:
    """Each question judged by weights that were fitted without any question on its document."""
    names = sorted({item.document for item in found})
    shuffled = np.random.default_rng(7).permutation(len(names)) % _FOLDS
    fold_of = dict(zip(names, shuffled.tolist(), strict=True))
    judged: list[Judged] = []
    for number in range(_FOLDS):
        fitted = fit([item for item in found if fold_of[item.document] != number])
        judged += [judge(item, fitted) for item in found if fold_of[item.document] == number]
    return judged


def judge(item: Labelled, fitted: Fitted) -> Judged:
    """What these weights make of a question."""
    if not len(item.features):
        return Judged(item.answerable, 0.0, right=False, right_of_three=False)
    order = fitted.order(item.features)
    return Judged(
        item.answerable,
        fitted.of_first(item.features),
        right=bool(item.right[order[0]]),
        right_of_three=bool(item.right[order[:3]].any()),
    )


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    return float(
        sum(
            abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
            for b in range(10)
            if (bins == b).any()
        )
    )


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The probability that a positive scores above a negative."""
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def report(judged: Sequence[Judged]) -> dict[str, object]:
    """What each threshold would give."""
    confidence = np.array([item.confidence for item in judged])
    right = np.array([item.right for item in judged])
    three = np.array([item.right_of_three for item in judged])
    answerable = np.array([item.answerable for item in judged])
    rows = []
    for threshold in np.arange(0.05, 0.8, 0.05):
        shown = confidence >= threshold
        rows.append(
            {
                "threshold": round(float(threshold), 2),
                "contains": round(float((right & shown)[answerable].mean()), 3),
                "contains@3": round(float((three & shown)[answerable].mean()), 3),
                "answered": round(float(shown[answerable].mean()), 3),
                "silent": round(float((~shown)[~answerable].mean()), 3),
                "precision": round(float(right[shown].mean()), 3) if shown.any() else None,
            }
        )
    return {
        "questions": len(judged),
        "right_first": round(float(right[answerable].mean()), 3),
        "right_of_three": round(float(three[answerable].mean()), 3),
        "auroc_right": round(auroc(confidence, right), 3),
        "auroc_answerable": round(auroc(confidence, answerable), 3),
        "calibration_error": round(calibration_error(confidence, right), 3),
        "thresholds": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=Path, nargs="+")
    parser.add_argument("--home", action="append", required=True, metavar="NAME=HOME")
    parser.add_argument("--prior", type=float, default=AnswerOptions().prior)
    parser.add_argument("--passages", type=int, default=AnswerOptions().passages)
    parser.add_argument("--limit", type=int, help="only the first so many of each file")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    homes = dict(pair.split("=", 1) for pair in arguments.home)
    records = [
        json.loads(line)
        for path in arguments.questions
        for line in path.read_text(encoding="utf-8").splitlines()[: arguments.limit]
    ]
    options = replace(AnswerOptions(), prior=arguments.prior, passages=arguments.passages)
    found = collect(records, homes, options)
    sys.stdout.write(json.dumps(report(cross_validated(found)), indent=1) + "\n")
    if arguments.write:
        fitted = fit(found)
        record = {
            "fitted_on": f"{len(found)} questions of "
            + " and ".join(path.name for path in arguments.questions),
            "choice": _named(fitted.choice),
            "confidence": _named(fitted.confidence),
            "lead": round(fitted.lead, 5),
            "intercept": round(fitted.intercept, 5),
        }
        target = Path(__file__).parent.parent / "bot" / "calibration.json"
        target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _named(weights: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(feature_names(), [round(float(w), 5) for w in weights], strict=True))


if __name__ == "__main__":
    main()
