"""Scoring a reader on a SQuAD file, and the files that hold predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reader.errors import DatasetError
from reader.files import read_json
from reader.metrics import squad_scores
from reader.output import write_text
from reader.reader import Passage, Reader
from reader.squad import Example

_CHUNK = 128  # questions whose windows are sorted by length together


@dataclass(frozen=True, slots=True)
class Proposal:
    """One of the best answers to a question: ``context[start:end]`` in characters.

    ``score`` is in logits; ``probability`` is the span's share of one softmax over every span of
    the question's windows, 0 to 1.
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a reader answered, by question id, and the figures of the SQuAD script.

    ``predictions`` are the best answers, also where "no answer" scored higher, as SQuAD 2.0's
    script wants them: with ``no_answer`` beside them, and the same threshold, it gives the same
    figures, the best ones over all thresholds too. :func:`refused` takes out what a threshold
    refuses. ``no_answer`` is the score of "no answer" minus the best span's, in logits; 0 where the
    data has no unanswerable questions. In several windows the lowest score of "no answer" counts,
    as in BERT's and SpanBERT's evaluation.
    """

    predictions: dict[str, str]
    scores: dict[str, float]
    no_answer: dict[str, float] = field(default_factory=dict)
    n_best: dict[str, list[Proposal]] = field(default_factory=dict)


def evaluate(
    reader: Reader,
    examples: Sequence[Example],
    *,
    n_best: int = 1,
    threshold: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Read every question on its own paragraph; ``progress`` gets the questions done.

    Where the data has unanswerable questions, an answer counts as none when the score of "no
    answer" is more than ``threshold`` above it; ``best_exact`` and ``best_f1`` tell what another
    threshold would reach. ``n_best`` is how many candidates are kept for each question: spans of
    different texts, which may overlap.
    """
    has_unanswerable = any(not example.answers for example in examples)
    best: dict[str, str] = {}
    odds: dict[str, float] = {}
    proposals: dict[str, list[Proposal]] = {}
    for begin in range(0, len(examples), _CHUNK):
        chunk = examples[begin : begin + _CHUNK]
        asked = [(e.question, [Passage(document=e.id, start=0, text=e.context)]) for e in chunk]
        for example, found in zip(chunk, reader.candidates(asked, top_k=n_best), strict=True):
            spans = found.spans
            proposals[example.id] = [
                Proposal(span.text, span.start, span.end, span.score, span.probability)
                for span in spans
            ]
            best[example.id] = spans[0].text if spans else ""
            compare = has_unanswerable and bool(spans)
            odds[example.id] = found.null_score - spans[0].score if compare else 0.0
        if progress is not None:
            progress(len(chunk))
    scores = squad_scores(examples, best, odds, threshold=threshold)
    return Evaluation(best, scores, odds, proposals)


def refused(
    predictions: Mapping[str, str], no_answer: Mapping[str, float], threshold: float
) -> dict[str, str]:
    """The predictions with ``""`` where ``no_answer`` (0 where it is missing) is above it."""
    return {
        key: "" if no_answer.get(key, 0.0) > threshold else text
        for key, text in predictions.items()
    }


def save_predictions(predictions: Mapping[str, str], path: Path) -> None:
    """Write the predictions as SQuAD's own tools read them: one object, id to text."""
    _save(predictions, path)


def save_no_answer(no_answer: Mapping[str, float], path: Path) -> None:
    """Write how unlikely an answer is, as SQuAD 2.0's script reads it: id to number."""
    _save(no_answer, path)


def save_n_best(n_best: Mapping[str, Sequence[Proposal]], path: Path) -> None:
    """Write the best answers, id to a list of objects with the fields of :class:`Proposal`."""
    _save({key: [asdict(one) for one in several] for key, several in n_best.items()}, path)


def _save(record: Mapping[str, object], path: Path) -> None:
    write_text(path, json.dumps(record, ensure_ascii=False, indent=0) + "\n")


def load_predictions(path: Path) -> dict[str, str]:
    """Read a predictions file: one JSON object, question id to answer text.

    Raises:
        DatasetError: the file is missing or of another form; the message names the line or the
            question that is wrong.
    """
    record = _load(path)
    for key, value in record.items():
        if not isinstance(value, str):
            raise DatasetError(
                f'{path}: the prediction for "{key}" is {type(value).__name__}, expected a text'
            )
    return record


def load_no_answer(path: Path) -> dict[str, float]:
    """Read how unlikely an answer is: one JSON object, question id to number.

    Raises:
        DatasetError: as for :func:`load_predictions`.
    """
    record = _load(path)
    for key, value in record.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise DatasetError(f'{path}: the value for "{key}" is {value!r}, expected a number')
    return {key: float(value) for key, value in record.items()}


def _load(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict):
        raise DatasetError(f"{path} holds a {type(record).__name__}, expected an object of answers")
    return record
