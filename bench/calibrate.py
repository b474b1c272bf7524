"""Fit the choice of an answer and how sure the bot is of it, and measure what that is worth.

    python -m bench.calibrate collect QUESTIONS.jsonl ... --home NAME=HOME ... --found FOUND.jsonl
    python -m bench.calibrate fit FOUND.jsonl ... [--results FOLDER] [--write [FOLDER]]

``collect`` asks every question, once, and keeps what was found; it takes about a second a question
and goes on where it was stopped. Each line of the questions names its knowledge base (``kb``);
``--home`` gives the home folder of an installation to which that one was added.

``fit`` prints what each precision that may be asked for, and each threshold, would give;
cross-validated, by document. ``--results`` also writes that as ``calibration.json``, with a picture
(``calibration.png``). ``--write`` puts the weights, fitted on all questions, into
``bot/calibration.json``, which the embedded models use; ``--write FOLDER`` into the folder of the
reader that the questions were asked with (``SPANBOT_READER=FOLDER``), which then has a confidence
of its own. Both name the weights of the reader and the ranker.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import reliability
from bench.arguments import foreseen, named_home, settings_of
from bench.fitting import (
    Fitted,
    Judged,
    cross_validated,
    fit,
    folds,
    labelled,
)
from bench.found import EMBEDDED, collect, load_found, load_kb_questions
from bot.answering import Answerer, AnswerOptions
from bot.calibration import FILE
from bot.confidence import Precisions, feature_names
from bot.installation import Installation
from bot.models import Models, models_of
from bot.settings import from_environment
from reader.arguments import whole
from reader.output import write_text

CALIBRATION = Path(__file__).parent.parent / "bot" / FILE
_EMBEDDED = Path()  # --write without a folder
_ASKED = (0.5, 0.6, 0.7, 0.8, 0.9)
#: Shares of the first answer's confidence that a further one may need.
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)


def report(judged: Sequence[Judged]) -> dict[str, Any]:
    """What was measured on questions that the weights were not fitted on."""
    confidence, right, answerable = _arrays(judged)
    three = np.array([any(item.rights) for item in judged])
    return {
        "questions": len(judged),
        "answerable": int(answerable.sum()),
        "right_first": _round(right[answerable].mean()),
        "right_of_three": _round(three[answerable].mean()),
        "auroc_right": _round(reliability.auroc(confidence, right)),
        "auroc_answerable": _round(reliability.auroc(confidence, answerable)),
        "calibration_error": _round(reliability.calibration_error(confidence, right)),
        "calibration_error_by_chance": _round(reliability.error_by_chance(confidence)),
        "aurc": _round(reliability.area_under_risk(confidence, right)),
        "aurc_least": _round(reliability.least_area(right)),
        "precisions": [_asked(judged, precision) for precision in _ASKED],
        "further": [_further(judged, share) for share in _SHARES],
        "thresholds": [
            {"threshold": step / 20, **_shown(judged, confidence >= step / 20)}
            for step in range(20)
        ],
    }


def precisions(judged: Sequence[Judged]) -> Precisions:
    """What each threshold gave."""
    confidence, right, *_ = _arrays(judged)
    return Precisions(tuple(reliability.precision_table(confidence, right)))


def _asked(judged: Sequence[Judged], precision: float) -> dict[str, Any]:
    """What comes of asking for a precision; each question's threshold is chosen without it too."""
    threshold = precisions(judged).threshold(precision)
    shown = _sure_enough(judged, precision)
    return {"asked": precision, "threshold": threshold, **_shown(judged, shown)}


def _sure_enough(judged: Sequence[Judged], precision: float) -> NDArray[np.bool_]:
    """Who gets an answer at a precision, each by a threshold chosen on the other folds."""
    confidence, *_ = _arrays(judged)
    shown = np.zeros(len(judged), dtype=bool)
    for inside in folds([item.group for item in judged]):
        others = [item for item, held in zip(judged, inside, strict=True) if not held]
        shown |= inside & (confidence >= precisions(others).threshold(precision))
    return shown


def _further(judged: Sequence[Judged], share: float) -> dict[str, Any]:
    """What comes of further answers that need this share of the first one's confidence.

    ``shown`` is how many answers a question gets that gets any, ``right`` how many of the further
    ones are right; at the precision that is asked for where nobody sets one.
    """
    sure = _sure_enough(judged, AnswerOptions().precision)
    *_, answerable = _arrays(judged)
    seen = [item.among(share) if held else [] for item, held in zip(judged, sure, strict=True)]
    further = [right for rights in seen for right in rights[1:]]
    return {
        "share": share,
        "contains@3": _round(np.array([any(rights) for rights in seen])[answerable].mean()),
        "shown": _round(sum(map(len, seen)) / max(1, int(sure.sum()))),
        "right": _round(sum(further) / len(further)) if further else None,
    }


def _shown(judged: Sequence[Judged], shown: NDArray[np.bool_]) -> dict[str, Any]:
    _, right, answerable = _arrays(judged)
    share = AnswerOptions().further_confidence
    three = np.array([any(item.among(share)) for item in judged])
    return {
        "contains": _round((right & shown)[answerable].mean()),
        "contains@3": _round((three & shown)[answerable].mean()),
        "answered": _round(shown[answerable].mean()),
        "silent": _round((~shown)[~answerable].mean()),
        "precision": _round(right[shown].mean()) if shown.any() else None,
    }


def _arrays(
    judged: Sequence[Judged],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Confidence, right first, answerable."""
    return (
        np.array([item.confidence for item in judged]),
        np.array([item.right for item in judged]),
        np.array([item.answerable for item in judged]),
    )


def _round(value: float) -> float:
    return round(float(value), 3)


def record(fitted: Fitted, judged: Sequence[Judged], models: Models) -> dict[str, Any]:
    """What ``calibration.json`` holds."""
    return {
        "fitted_on": f"{len(judged):,} questions",
        "fitted_with": asdict(models),
        "choice": _named(fitted.choice),
        "confidence": _named(fitted.confidence),
        "lead": round(fitted.lead, 5),
        "intercept": round(fitted.intercept, 5),
        "precisions": {f"{least:.2f}": share for least, share in precisions(judged).measured},
    }


def _named(weights: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(feature_names(), [round(float(w), 5) for w in weights], strict=True))


def run_collect(arguments: argparse.Namespace) -> None:
    homes = dict(arguments.home)
    questions = [
        question
        for path in arguments.questions
        for question in load_kb_questions(path, arguments.limit)
    ]
    options = replace(AnswerOptions(), prior=arguments.prior, passages=arguments.passages)
    with ExitStack() as stack:

        def open_home(home: str) -> Answerer:
            installation = stack.enter_context(Installation(settings_of(home)))
            return installation.answerer_with(options)

        collect(
            questions,
            {name: partial(open_home, home) for name, home in homes.items()},
            options,
            arguments.found,
            reader=from_environment().reader or EMBEDDED,
            models=models_of(from_environment()),
            progress=_say,
        )


def run_fit(arguments: argparse.Namespace) -> None:
    folder: Path | None = arguments.write
    if folder is None:
        loaded, models = load_found(arguments.found), None
    elif folder == _EMBEDDED:
        embedded = replace(from_environment(), reader=None, ranker_mode="auto")
        models = models_of(embedded)
        loaded = load_found(arguments.found, models=models, reader=EMBEDDED)
    else:
        models = models_of(replace(from_environment(), reader=str(folder)))
        loaded = load_found(arguments.found, models=models)
    found = [labelled(item) for item in loaded]
    judged = cross_validated(found)
    shown = json.dumps(report(judged), indent=1) + "\n"
    sys.stdout.write(shown)
    if arguments.results:
        arguments.results.mkdir(parents=True, exist_ok=True)
        (arguments.results / "calibration.json").write_text(shown, encoding="utf-8")
        confidence, right, *_ = _arrays(judged)
        reliability.draw(confidence, right, arguments.results / "calibration.png")
    if folder is not None and models is not None:
        text = json.dumps(record(fit(found), judged, models), indent=1) + "\n"
        write_text(CALIBRATION if folder == _EMBEDDED else folder / FILE, text)


def _say(done: int, count: int) -> None:
    sys.stderr.write(f"\r{done:,} of {count:,} questions" + ("\n" if done == count else ""))
    sys.stderr.flush()


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("collect", help="ask every question and keep what was found")
    first.add_argument("questions", type=Path, nargs="+")
    first.add_argument(
        "--home", type=named_home, action="append", required=True, metavar="NAME=HOME"
    )
    first.add_argument("--found", type=Path, required=True, help="the file to keep it in")
    first.add_argument("--prior", type=float, default=AnswerOptions().prior)
    first.add_argument("--passages", type=whole(1), default=AnswerOptions().passages)
    first.add_argument("--limit", type=whole(1), help="only the first so many of each file")
    first.set_defaults(step=run_collect)
    second = steps.add_parser("fit", help="fit and measure on what was found")
    second.add_argument("found", type=Path, nargs="+")
    second.add_argument("--results", type=Path, help="folder for the report and its picture")
    second.add_argument(
        "--write",
        type=lambda value: Path(value).absolute(),  # "." is a folder too
        nargs="?",
        const=_EMBEDDED,
        metavar="FOLDER",
        help="write calibration.json into this reader's folder; without one, into bot",
    )
    second.set_defaults(step=run_fit)
    return parser.parse_args(given)


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    arguments = parse(given)
    arguments.step(arguments)


if __name__ == "__main__":
    main()
