"""How many passages must be read for the same first answer: SQuAD, with the paragraphs searched.

    python -m bench.rounds dev-v1.1.json --questions 500 --out bench/results/rounds.json

All paragraphs of the file are ranked by BM25 for each question. The best ten are read one by one;
from the best span of each follows what :meth:`reader.reader.Reader.read_until` would have done
under every ceiling: the best of several passages is the best of their bests. A ceiling is compared
with reading everything by F1 and by the share of equal answers. ``--prior`` is what one unit of
BM25 is worth in logits.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rank_bm25 import BM25Okapi

from bench.arguments import foreseen
from reader.arguments import whole
from reader.metrics import squad_v1_scores
from reader.reader import Ceiling, Passage, Reader, Span, load_reader
from reader.squad import Example, load_squad, spread
from retriever.analysis import Analyzer


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its passages in the order of their promise, and the best span in each."""

    example: Example
    passages: list[Passage]
    best: list[Span | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Reading under one ceiling; None for reading everything. Scores in percent."""

    ceiling: float | None
    passages: float
    exact: float
    f1: float
    same: float


def searched(examples: Sequence[Example], questions: int, count: int, prior: float) -> list[Asked]:
    """Questions spread over the file, with the ``count`` best paragraphs of the whole file."""
    contexts = list(dict.fromkeys(example.context for example in examples))
    analyzer = Analyzer()
    index = BM25Okapi([analyzer.terms(context) for context in contexts])
    found = []
    for example in spread(examples, questions):
        scores = index.get_scores(analyzer.terms(example.question))
        order = np.argsort(-scores, kind="stable")[:count]
        passages = [
            Passage(str(place), 0, contexts[place], prior * float(scores[place] - scores[order[0]]))
            for place in order
        ]
        found.append(Asked(example, passages, []))
    return found


def read(reader: Reader, asked: Sequence[Asked]) -> None:
    """Fill in the best span of each passage."""
    for one in asked:
        alone = [(one.example.question, [passage]) for passage in one.passages]
        for spans in reader.read_batch(alone, top_k=1):
            one.best.append(spans[0] if spans else None)
        sys.stderr.write(".")
        sys.stderr.flush()
    sys.stderr.write("\n")


def stopped(one: Asked, ceiling: float | None, round_size: int) -> tuple[str, int]:
    """The first answer under a ceiling, and how many passages were read for it."""
    for done in range(round_size, len(one.passages), round_size):
        spans = sorted(filter(None, one.best[:done]), key=lambda span: -span.score)
        if ceiling is not None and Ceiling(ceiling)(spans, one.passages[done:]):
            return spans[0].text, done
    spans = sorted(filter(None, one.best), key=lambda span: -span.score)
    return (spans[0].text if spans else ""), len(one.passages)


def outcome(asked: Sequence[Asked], ceiling: float | None, round_size: int) -> Outcome:
    answers, counts, same = {}, [], 0
    for one in asked:
        answers[one.example.id], count = stopped(one, ceiling, round_size)
        counts.append(count)
        same += answers[one.example.id] == stopped(one, None, round_size)[0]
    scores = squad_v1_scores([one.example for one in asked], answers)
    return Outcome(
        ceiling=ceiling,
        passages=float(np.mean(counts)),
        exact=scores["exact_match"],
        f1=scores["f1"],
        same=100 * same / len(asked),
    )


@foreseen()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rounds", description=__doc__)
    parser.add_argument("squad", type=Path)
    parser.add_argument("--model", help="folder or hub id; by default the embedded reader")
    parser.add_argument("--questions", type=whole(1), default=500)
    parser.add_argument("--passages", type=whole(1), default=10)
    parser.add_argument("--prior", type=float, default=0.3)
    parser.add_argument("--round", type=whole(1), default=1, dest="round_size")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args(arguments)
    reader = load_reader(options.model)
    examples = load_squad(options.squad)
    asked = searched(examples, options.questions, options.passages, options.prior)
    read(reader, asked)
    logits = [
        span.score - passage.prior
        for one in asked
        for span, passage in zip(one.best, one.passages, strict=True)
        if span is not None
    ]
    shares = (0.5, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
    ceilings = [float(value) for value in np.quantile(logits, shares)]
    rows = [outcome(asked, value, options.round_size) for value in (None, *ceilings)]
    sys.stdout.write("| ceiling | passages read | EM | F1 | same answer |\n|---|---|---|---|---|\n")
    for row in rows:
        shown = "none" if row.ceiling is None else f"{row.ceiling:.1f}"
        sys.stdout.write(
            f"| {shown} | {row.passages:.2f} | {row.exact:.2f} | {row.f1:.2f} "
            f"| {row.same:.1f} % |\n"
        )
    if options.out is not None:
        record = {
            "questions": len(asked),
            "prior": options.prior,
            "rows": [asdict(r) for r in rows],
        }
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
