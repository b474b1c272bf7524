"""Scoring a reader on a SQuAD file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reader.metrics import squad_scores
from reader.reader import Passage, Reader
from reader.squad import Example

_CHUNK = 128  # questions whose windows are sorted by length together


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions by question id, and the figures of the SQuAD script."""

    predictions: dict[str, str]
    scores: dict[str, float]


def evaluate(
    reader: Reader,
    examples: Sequence[Example],
    *,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Read every question on its own paragraph; ``progress`` gets the questions done.

    Where the data has unanswerable questions, the answer is ``""`` when the score of "no answer"
    is above the best span's.
    """
    has_unanswerable = any(not example.answers for example in examples)
    predictions: dict[str, str] = {}
    odds: dict[str, float] = {}
    for begin in range(0, len(examples), _CHUNK):
        chunk = examples[begin : begin + _CHUNK]
        asked = [(e.question, [Passage(document=e.id, start=0, text=e.context)]) for e in chunk]
        for example, spans in zip(chunk, reader.read_batch(asked, top_k=1), strict=True):
            text, difference = "", 0.0
            if spans:
                text = spans[0].text
                if has_unanswerable:
                    difference = spans[0].null_score - spans[0].score
            odds[example.id] = difference
            predictions[example.id] = "" if difference > 0 else text
        if progress is not None:
            progress(len(chunk))
    return Evaluation(predictions, squad_scores(examples, predictions, odds))


def save_predictions(predictions: dict[str, str], path: Path) -> None:
    """Write the predictions as SQuAD's own tools read them: one object, id to text."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(
        json.dumps(predictions, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
    temporary.replace(path)
