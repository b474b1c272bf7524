"""How well BM25, a ranker's vectors, and both together find the paragraph of a question.

    python -m bench.ranking SQUAD.json ... [--ranker FOLDER] [--questions N] [--out FILE.json]

Every paragraph of a file is a passage, and a question's own paragraph the only right one. Success@k
is the share of questions that find it among the first k, with a bootstrap interval of 95 %.
Without ``--ranker`` it is the embedded one; a folder is one that ``python -m reader.ranker`` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arguments import foreseen
from reader.arguments import whole
from reader.compare import RESAMPLES, bootstrap_means
from reader.ranker import Ranker, load_ranker
from reader.squad import Example, load_squad
from retriever.analysis import Analyzer
from retriever.index.build import IndexedPassage
from retriever.okapi import OkapiIndex
from retriever.ranking import combine, upper_bound

_CUTS = (1, 5, 10)


def ranks(
    examples: Sequence[Example], contexts: Sequence[str], ranker: Ranker
) -> dict[str, NDArray[np.int64]]:
    """Where each question's paragraph stands, from 0, shape (questions,), for each way to rank."""
    analyzer = Analyzer()
    vectors = ranker.encode(contexts, progress=_Progress(len(contexts)))
    index = OkapiIndex(
        [
            IndexedPassage(number, 0, analyzer.terms(text), None)
            for number, text in enumerate(contexts)
        ],
        encoder=None,
        content_version=0,
    )
    number_of = {text: number for number, text in enumerate(contexts)}
    found: dict[str, list[int]] = {"BM25": [], "vectors": [], "both": []}
    asked = ranker.encode([example.question for example in examples])
    for example, vector in zip(examples, asked, strict=True):
        terms = analyzer.terms(example.question)
        bm25, cosine = index.scores(terms), vectors @ vector
        own = number_of[example.context]
        for name, scores in (
            ("BM25", bm25),
            ("vectors", cosine),
            ("both", combine(bm25, cosine, upper_bound(index.weights(terms)))),
        ):
            found[name].append(int((scores > scores[own]).sum()))
    return {name: np.array(places) for name, places in found.items()}


def success(places: NDArray[np.int64]) -> dict[str, list[float]]:
    """Success at each cut: the share, and the interval's ends."""
    table = {}
    for cut in _CUTS:
        hits = (places < cut).astype(np.float64)
        drawn = bootstrap_means(hits, RESAMPLES, np.random.default_rng(5))
        low, high = np.quantile(drawn, [0.025, 0.975])
        table[f"success@{cut}"] = [round(float(v), 3) for v in (hits.mean(), low, high)]
    return table


class _Progress:
    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0

    def __call__(self, more: int) -> None:
        self._done += more
        sys.stderr.write(f"\r{self._done:,} of {self._count:,} paragraphs")


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--ranker", type=Path)
    parser.add_argument(
        "--questions", type=whole(1), default=1000, help="so many, spread over a file"
    )
    parser.add_argument("--out", type=Path)
    chosen: Any = parser.parse_args(given)
    ranker = load_ranker(chosen.ranker)
    report: dict[str, Any] = {"ranker": ranker.name}
    for path in chosen.files:
        examples = load_squad(path)
        contexts = list(dict.fromkeys(example.context for example in examples))
        asked = examples[:: max(1, len(examples) // chosen.questions)][: chosen.questions]
        places = ranks(asked, contexts, ranker)
        sys.stderr.write("\n")
        report[path.name.split(".")[0]] = {
            "paragraphs": len(contexts),
            "questions": len(asked),
            **{name: success(found) for name, found in places.items()},
        }
    text = json.dumps(report, indent=1) + "\n"
    sys.stdout.write(text)
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
