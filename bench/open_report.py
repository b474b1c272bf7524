"""Figures of ``bench.open_squad``: scores with intervals, reading fewer passages, the table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.open_questions import Question
from bench.rounds import Asked, outcome
from reader.compare import LEVEL, RESAMPLES, bootstrap_means
from reader.metrics import question_scores
from reader.reader import Passage, Span

#: So many answers are looked at.
SHOWN = 3
METRICS = ("exact", "f1", "exact_of_3", "f1_of_3")
_CUTS = (1, 5, 10, 20)
#: Ceilings that are tried: so large a share of the best spans of passages is below them.
_SHARES = np.linspace(0.3, 1.0, 29)
#: What a ceiling may cost in F1 where it is chosen, in points.
LOSS = 0.1

#: A question's answers as a worker wrote them: its record by the question's id.
Kept = Mapping[str, Mapping[str, Any]]
#: That of a question for which no passage was found.
UNREAD: Mapping[str, Any] = {"answers": [], "read": 0}


def with_interval(values: NDArray[np.float64]) -> list[float]:
    """The mean of each question's figure in percent, and the ends of its interval."""
    drawn = bootstrap_means(values, RESAMPLES, np.random.default_rng(0))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [round(100 * float(value), 2) for value in (values.mean(), low, high)]


def retrieval(questions: Sequence[Question]) -> dict[str, list[float]]:
    """How often a question's own paragraph is among the first, with intervals."""
    return {
        f"success@{cut}": with_interval(
            np.array([float(one.own in one.passages[:cut]) for one in questions])
        )
        for cut in _CUTS
    }


def first_answers(
    questions: Sequence[Question], kept: Kept, *, prior: bool = False
) -> list[list[str]]:
    """The first answers to each question, best first.

    Args:
        prior: add what the retriever's score of a passage counts to the scores of its spans; the
            reader does nothing else with it, so all spans of a reading without it must be there.
    """
    found = []
    for question in questions:
        answers = kept[question.example.id]["answers"]
        if prior:
            answers = sorted(answers, key=lambda answer: -(answer[2] + question.priors[answer[1]]))
        found.append([answer[0] or "" for answer in answers[:SHOWN]])
    return found


def scores(questions: Sequence[Question], answers: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Exact match and F1 of the first answer, and the best among the first three.

    Float64 of shape (questions, 4), 0 to 1, in the order of :data:`METRICS`.
    """
    examples = [question.example for question in questions]
    places = []
    for place in range(SHOWN):
        predictions = {
            example.id: own[place]
            for example, own in zip(examples, answers, strict=True)
            if len(own) > place
        }
        found = question_scores(examples, predictions)
        places.append([(found[example.id].exact, found[example.id].f1) for example in examples])
    table = np.array(places)  # (places, questions, 2)
    return np.concatenate([table[0], table.max(axis=0)], axis=1)


def row(
    found: NDArray[np.float64], ours: NDArray[np.float64], records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One reader's figures in percent, and their differences to ours in points."""
    timed = [record for record in records if record["read"]]
    seconds = [record["seconds"] for record in timed]
    computed = [record["processor_seconds"] for record in timed]
    return {
        "scores": {
            name: round(100 * float(value), 2)
            for name, value in zip(METRICS, found.mean(axis=0), strict=True)
        },
        "less_ours": {
            name: with_interval(found[:, column] - ours[:, column])
            for column, name in enumerate(METRICS)
        },
        "seconds_median": round(statistics.median(seconds), 4),
        # A machine that does something else meanwhile leaves the fastest tenth alone.
        "seconds_fastest_tenth": round(float(np.quantile(seconds, 0.1)), 4),
        "seconds_mean": round(statistics.fmean(seconds), 4),
        # What else the machine does, and which reader's turn that falls in, is not in these.
        "processor_seconds_median": round(statistics.median(computed), 4),
        "processor_seconds_mean": round(statistics.fmean(computed), 4),
        "passages_read": round(statistics.fmean(record["read"] for record in records), 2),
        "versions": sorted({record["version"] for record in timed}),
    }


def in_rounds(questions: Sequence[Question], kept: Kept) -> list[Asked]:
    """Each question with its passages' priors and the best span in each, for :mod:`bench.rounds`.

    Of overlapping spans the reader keeps the best, so a passage's best one is always there.
    """
    found = []
    for question in questions:
        record = kept[question.example.id]
        passages = [
            Passage(str(number), 0, "", prior)
            for number, prior in enumerate(question.priors[: record["read"]])
        ]
        best: list[Span | None] = [None] * len(passages)
        for text, number, score in record["answers"]:  # best first
            if best[number] is None:
                total = score + passages[number].prior
                best[number] = Span(number, str(number), 0, 1, text, total, 0.0, 0.0)
        found.append(Asked(question.example, passages, best))
    return found


def choose_ceiling(asked: Sequence[Asked], round_size: int) -> float:
    """The lowest ceiling that costs no more than :data:`LOSS`, as none above it does either."""
    logits = [
        span.score - passage.prior
        for one in asked
        for span, passage in zip(one.best, one.passages, strict=True)
        if span is not None
    ]
    least = outcome(asked, None, round_size).f1 - LOSS
    chosen = max(logits)
    for ceiling in np.quantile(logits, _SHARES)[::-1]:
        if outcome(asked, float(ceiling), round_size).f1 < least:
            break
        chosen = float(ceiling)
    return chosen


def table(record: Mapping[str, Any]) -> str:
    """The readers as a Markdown table, what was found above it, reading fewer below it."""
    found = ", ".join(
        f"success@{cut} {record['retrieval'][f'success@{cut}'][0]:.1f}" for cut in _CUTS
    )
    lines = [
        f"{record['questions']:,} questions, {record['paragraphs']:,} paragraphs, "
        f"{record['passages']} read; {record['ranking']}: {found} %",
        "",
        "| reader | EM | F1 | EM of 3 | F1 of 3 | F1 less ours | F1 of 3 less ours "
        "| s a question | processor s | passages |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in record["readers"].items():
        if one is None:
            lines.append(f"| {name} |" + " not measured |" * 9)
            continue
        cells = [
            *(f"{one['scores'][metric]:.2f}" for metric in METRICS),
            _difference(one["less_ours"]["f1"]),
            _difference(one["less_ours"]["f1_of_3"]),
            f"{one['seconds_median']:.3f}",
            f"{one['processor_seconds_mean']:.3f}",
            f"{one['passages_read']:.2f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    fewer = record["fewer"]
    if fewer:
        lines += [
            "",
            f"Stopping at a ceiling ({', '.join(f'{c:.1f}' for c in fewer['ceilings'])}): "
            f"{fewer['passages_read']:.2f} passages read, F1 "
            f"{_difference(fewer['less_reading_all']['f1'])} to reading all, "
            f"the same answer to {fewer['same_answer']:.1f} %",
        ]
    return "\n".join(lines) + "\n"


def _difference(values: Sequence[float]) -> str:
    middle, low, high = values
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"
