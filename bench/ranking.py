"""How well BM25, a ranker's vectors, and both together find what answers a question.

    python -m bench.ranking SQUAD.json ... [--ranker FOLDER] [--questions N] [--out FILE.json]
    python -m bench.ranking --handbooks BOOK.tar.xz ... --asked QUESTIONS.jsonl ...

Every paragraph of a SQuAD file is a passage, and a question's own paragraph the only right one. Of
handbooks the documents that hold the answer are right, each ranked by its best passage. Success@k
is the share of questions that find a right one among the first k, with a bootstrap interval of
95 %. Without ``--ranker`` it is the embedded one; a folder is one that ``python -m reader.ranker``
wrote, or a reader that was trained to rank too.

Ways to rank: BM25; the vectors' cosine; both, as :func:`retriever.ranking.combine` adds them up,
over all passages and over those that are first by BM25; both, and then how near the question's
words stand to each other (:mod:`retriever.proximity`), which is what the program does; and the sum
of 1 / (60 + rank) by each (reciprocal rank fusion, Cormack et al. 2009).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arguments import foreseen
from bench.question_sets import Collection, asked, handbooks, spread, squad
from reader.arguments import existing_file, whole
from reader.compare import RESAMPLES, bootstrap_means
from reader.ranker import Ranker, load_ranker
from retriever.analysis import Analyzer
from retriever.index.build import IndexedPassage, segment_of
from retriever.index.folder import IndexFolder
from retriever.passage_terms import TermsOfPassages, index_text
from retriever.proximity import nearness
from retriever.ranking import CANDIDATES, NEAREST, NEARNESS, combine, upper_bound
from retriever.store.passages import SearchText

_CUTS = (1, 5, 10, 20)
_FUSION = 60
_NOWHERE = 1 << 30


def vectors_of(passages: Sequence[SearchText], ranker: Ranker) -> NDArray[np.float32]:
    """The vectors of passages as the program stores them, shape (passages, dimensions)."""
    begin = time.perf_counter()
    vectors = ranker.encode(
        [index_text(text) for text in passages], progress=_Progress(len(passages))
    )
    sys.stderr.write(f", {time.perf_counter() - begin:.0f} s\n")
    return vectors


def ranks(
    collection: Collection, ranker: Ranker, vectors: NDArray[np.float32]
) -> dict[str, NDArray[np.int64]]:
    """Where each question's first right one stands, from 0, shape (questions,), for each way.

    Args:
        vectors: of the collection's passages, see :func:`vectors_of`.
    """
    analyzer = Analyzer()
    terms_of = TermsOfPassages(analyzer)
    passages = [
        IndexedPassage(number, 0, terms_of(text))
        for number, text in enumerate(collection.passages, 1)
    ]
    texts = [analyzer.terms(index_text(passage)) for passage in collection.passages]
    questions = ranker.encode(collection.questions)
    places: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = IndexFolder(Path(folder))
        with place.writer():
            index = place.update(None, new=segment_of(passages), content_version=1)
        for question, vector, right in zip(
            collection.questions, questions, collection.right, strict=True
        ):
            terms = analyzer.terms(question)
            weights = index.weights(terms)
            ways = _ways(index.scores(terms), vectors @ vector, upper_bound(weights))
            ways["both, and nearness"] = _with_nearness(ways["both"], terms, weights, texts)
            for name, scores in ways.items():
                places.setdefault(name, []).append(_place(collection, scores, right))
    return {name: np.array(found, dtype=np.int64) for name, found in places.items()}


def _ways(
    bm25: NDArray[np.float64], cosine: NDArray[np.float32], bound: float
) -> dict[str, NDArray[np.float64]]:
    """The scores of all passages, -inf for one that is not in the list."""
    found = bm25 > 0
    order = np.argsort(-bm25, kind="stable")
    by_words = np.empty(len(bm25))
    by_words[order] = np.arange(1, len(bm25) + 1)
    by_meaning = np.empty(len(bm25))
    by_meaning[np.argsort(-cosine, kind="stable")] = np.arange(1, len(bm25) + 1)
    both = combine(bm25, cosine, bound)
    fused = np.where(found, 1 / (_FUSION + by_words), 0.0) + 1 / (_FUSION + by_meaning)
    ways = {
        "BM25": np.where(found, bm25, -np.inf),
        "vectors": cosine.astype(np.float64),
        "both": both,
        "reciprocal ranks": fused,
    }
    for count in (100, CANDIDATES):
        first = found & (by_words <= count)
        ways[f"both, of BM25's first {count}"] = np.where(first, both, -np.inf)
    return ways


def _with_nearness(
    both: NDArray[np.float64],
    terms: Sequence[str],
    weights: Sequence[float],
    texts: Sequence[Sequence[str]],
) -> NDArray[np.float64]:
    """The scores with what :meth:`retriever.search.Retriever.search` adds to the first."""
    bound = upper_bound(weights)
    if bound == 0.0:
        return both
    first = np.argsort(-both, kind="stable")[:NEAREST]
    scores = both.copy()
    scores[first] += NEARNESS * nearness(terms, weights, [texts[n] for n in first]) / bound
    return scores


def _place(collection: Collection, scores: NDArray[np.float64], right: NDArray[np.int64]) -> int:
    if collection.by_document:
        starts = np.flatnonzero(np.diff(collection.documents, prepend=-1))
        scores = np.maximum.reduceat(scores, starts)
        right = np.unique(collection.documents[right])
    best = scores[right].max()
    return int((scores > best).sum()) if best > -np.inf else _NOWHERE


def success(places: NDArray[np.int64]) -> dict[str, list[float]]:
    """Success at each cut: the share, and the interval's ends."""
    return {f"success@{cut}": _interval((places < cut).astype(np.float64)) for cut in _CUTS}


def gains(places: NDArray[np.int64], beside: NDArray[np.int64]) -> dict[str, list[float]]:
    """What success at each cut is more than another way's, with the interval's ends."""
    return {
        f"success@{cut}": _interval(1.0 * (places < cut) - 1.0 * (beside < cut)) for cut in _CUTS
    }


def _interval(values: NDArray[np.float64]) -> list[float]:
    drawn = bootstrap_means(values, RESAMPLES, np.random.default_rng(5))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [round(float(v), 3) for v in (values.mean(), low, high)]


class _Progress:
    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0

    def __call__(self, more: int) -> None:
        self._done += more
        sys.stderr.write(f"\r{self._done:,} of {self._count:,} passages")


def table(report: Mapping[str, Any]) -> str:
    """A Markdown table of every collection."""
    lines = []
    for name, found in report.items():
        if not isinstance(found, dict):
            continue
        lines += [
            f"| {name}: {found['questions']:,} questions, {found['passages']:,} passages | "
            + " | ".join(f"success@{cut}" for cut in _CUTS)
            + " |",
            "|---" * (len(_CUTS) + 1) + "|",
        ]
        for way, figures in found["ways"].items():
            cells = [
                f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"
                for mean, low, high in figures.values()
            ]
            lines.append(f"| {way} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--handbooks", type=existing_file, nargs="*", default=[])
    parser.add_argument(
        "--asked", type=existing_file, nargs="*", default=[], help="our own questions"
    )
    parser.add_argument("--ranker", type=Path)
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or int8")
    parser.add_argument(
        "--questions", type=whole(1), default=1000, help="so many, spread over a file"
    )
    parser.add_argument("--out", type=Path)
    chosen: Any = parser.parse_args(given)
    if not chosen.files and not (chosen.handbooks and chosen.asked):
        parser.error("give SQuAD files, or --handbooks and --asked")
    ranker = load_ranker(chosen.ranker, precision=chosen.precision)
    report: dict[str, Any] = {"ranker": ranker.name, "precision": chosen.precision}
    for path in chosen.files:
        found = spread(squad(path), chosen.questions)
        vectors = vectors_of(found.passages, ranker)
        report[path.name.split(".")[0]] = _measure(found, ranker, vectors)
    if chosen.handbooks:
        books = handbooks(chosen.handbooks)
        vectors = vectors_of([text for texts in books.values() for text in texts], ranker)
        for path in chosen.asked:
            found = spread(asked(books, [path]), chosen.questions)
            report[path.name.split(".")[0]] = _measure(found, ranker, vectors)
    text = json.dumps(report, indent=1) + "\n"
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
        text = table(report)
    sys.stdout.write(text)


def _measure(
    collection: Collection, ranker: Ranker, vectors: NDArray[np.float32]
) -> dict[str, Any]:
    places = ranks(collection, ranker, vectors)
    return {
        "passages": len(collection.passages),
        "questions": len(collection.questions),
        "ways": {name: success(found) for name, found in places.items()},
        "gain over BM25": {name: gains(f, places["BM25"]) for name, f in places.items()},
    }


if __name__ == "__main__":
    main()
