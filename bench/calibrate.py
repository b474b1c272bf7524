"""Fit how sure the bot is of an answer, and show what each threshold would give.

    python -m bench.calibrate QUESTIONS.jsonl --home NAME=HOME ... [--write]

Each line of the questions names its knowledge base (``kb``); ``--home`` gives the home folder of
an installation to which that one was added. The table is of cross-validated confidences.
``--write`` puts the weights, fitted on all questions, into ``bot/calibration.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.answering import AnswerOptions, Candidate, sentence_of
from bot.confidence import feature_names
from bot.evaluation import holds_answer
from bot.installation import Installation
from bot.settings import Settings, from_environment

_FOLDS = 10
_L2 = 1.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """The answers found to a question, best first, and which of them are right."""

    answerable: bool
    features: NDArray[np.float64]  # (candidates, features)
    right: NDArray[np.bool_]  # (candidates,)


def collect(
    records: Sequence[dict[str, object]], homes: dict[str, str], prior: float, passages: int
) -> list[Labelled]:
    """Ask every question of its knowledge base."""
    found: list[Labelled] = []
    options = replace(AnswerOptions(), prior=prior, passages=passages)
    for name, home in homes.items():
        with Installation(_settings(home)) as installation:
            answerer = installation.answerer_with(options)
            for record in records:
                if record["kb"] != name:
                    continue
                answers = record["answers"]
                assert isinstance(answers, list)
                candidates = answerer.consider(str(record["question"]))[:3]
                found.append(
                    Labelled(
                        answerable=record.get("answerable") is not False,
                        features=np.array(
                            [astuple(c.features) for c in candidates], dtype=np.float64
                        ).reshape(len(candidates), len(feature_names())),
                        right=np.array([_is_right(c, answers) for c in candidates], dtype=bool),
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


def _is_right(candidate: Candidate, answers: Sequence[str]) -> bool:
    hit, span = candidate.hit, candidate.span
    begin, stop = sentence_of(hit, span)
    return bool(answers) and holds_answer(hit.text[begin:stop], answers)


def fit(
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


def cross_validated(found: Sequence[Labelled]) -> NDArray[np.float64]:
    """The confidence of each question's first answer, fitted without that question."""
    fold = np.random.default_rng(7).permutation(len(found)) % _FOLDS
    confidence = np.zeros(len(found))
    for number in range(_FOLDS):
        rest = [item for item, f in zip(found, fold, strict=True) if f != number]
        weights, intercept = fit(*_stack(rest))
        for index in np.flatnonzero(fold == number).tolist():
            if len(found[index].features):
                total = found[index].features[0] @ weights + intercept
                confidence[index] = 1 / (1 + np.exp(-total))
    return confidence


def _stack(found: Sequence[Labelled]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    firsts = [item for item in found if len(item.features)]
    return (
        np.concatenate([item.features for item in firsts]),
        np.concatenate([item.right for item in firsts]),
    )


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The probability that a positive scores above a negative."""
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def report(found: Sequence[Labelled]) -> dict[str, object]:
    """What each threshold would give."""
    confidence = cross_validated(found)
    right = np.array([len(item.right) > 0 and bool(item.right[0]) for item in found])
    answerable = np.array([item.answerable for item in found])
    rows = []
    for threshold in np.arange(0.05, 0.8, 0.05):
        shown = confidence >= threshold
        rows.append(
            {
                "threshold": round(float(threshold), 2),
                "contains": round(float((right & shown)[answerable].mean()), 3),
                "answered": round(float(shown[answerable].mean()), 3),
                "silent": round(float((~shown)[~answerable].mean()), 3),
                "precision": round(float(right[shown].mean()), 3) if shown.any() else None,
            }
        )
    return {
        "questions": len(found),
        "right_first": round(float(right[answerable].mean()), 3),
        "right_of_three": round(
            float(np.mean([item.right.any() for item in found if item.answerable])), 3
        ),
        "auroc_right": round(auroc(confidence, right), 3),
        "auroc_answerable": round(auroc(confidence, answerable), 3),
        "thresholds": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--home", action="append", required=True, metavar="NAME=HOME")
    parser.add_argument("--prior", type=float, default=AnswerOptions().prior)
    parser.add_argument("--passages", type=int, default=AnswerOptions().passages)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    homes = dict(pair.split("=", 1) for pair in arguments.home)
    lines = arguments.questions.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    found = collect(records, homes, arguments.prior, arguments.passages)
    figures = report(found)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    if arguments.write:
        weights, intercept = fit(*_stack(found))
        record = {
            "fitted_on": f"{arguments.questions.name}, {len(found)} questions",
            "weights": dict(
                zip(feature_names(), [round(float(w), 5) for w in weights], strict=True)
            ),
            "intercept": round(intercept, 5),
        }
        target = Path(__file__).parent.parent / "bot" / "calibration.json"
        target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
