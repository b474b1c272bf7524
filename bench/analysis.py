"""What each choice of the analysis is worth, and what goes beyond BM25.

    python -m bench.analysis --data SHARED/data --questions FILE.jsonl ... \
        [--peers-python PYTHON] [--collections NAME ...] [--processes N] \
        [--results FOLDER]

``--data`` is a folder with ``squad/``, ``qa/`` and ``kb/``. Each choice is left out of the
defaults, and added alone to words that are cut at spaces and signs and nothing else. Success@k is
the share of questions that find a right passage (of our own questions: document) among the first k;
MRR counts the first hundred. Differences are of the same questions, with a bootstrap interval of
95 %. What is finished goes into ``analysis.json`` at once, beside what is there of others.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import ranking
from bench.arguments import foreseen
from bench.question_sets import Collection, asked, handbooks, headings, squad
from bench.sparse import Sparse, feedback, near_duplicates, neighbours
from reader.arguments import existing_file, whole
from reader.compare import bootstrap_means
from reader.errors import DatasetError
from reader.ranker import load_ranker
from retriever.analysis import AnalysisOptions, Analyzer
from retriever.passage_terms import TermsOfPassages
from retriever.store.passages import SearchText

_FIRST = Path(__file__).parent
_RESAMPLES = 1000
_CUTS = (1, 5, 20)
_DEPTH = 100
METRICS = (*(f"success@{cut}" for cut in _CUTS), "mrr")
_NOWHERE = 1 << 30
COLLECTIONS = ("SQuAD-dev-open", "NQ", "headings", "colleagues")

BARE = AnalysisOptions(
    unicode_words=False,
    case_folding=False,
    accents=False,
    stop_words=False,
    stemming=False,
    wholes=False,
    joined=False,
    heading_weight=0,
    abbreviations=False,
)
#: What each choice is: the changes that add it to the bare words. They leave the defaults by
#: taking the bare words' values instead, or come to them where they are not among them.
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "unicode words": {"unicode_words": True},
    "case folding": {"case_folding": True},
    "accents": {"unicode_words": True, "accents": True},
    "stop words": {"stop_words": True},
    "stemming": {"case_folding": True, "stemming": True},
    "wholes": {"wholes": True},
    "joined": {"wholes": True, "joined": True},
    "headings": {"heading_weight": 1},
    "headings twice": {"heading_weight": 2},
    "headings three times": {"heading_weight": 3},
    "abbreviations": {"abbreviations": True},
}
_FIELD = {
    "unicode words": "unicode_words",
    "case folding": "case_folding",
    "accents": "accents",
    "stop words": "stop_words",
    "stemming": "stemming",
    "wholes": "wholes",
    "joined": "joined",
    "headings": "heading_weight",
    "headings twice": "heading_weight",
    "headings three times": "heading_weight",
    "abbreviations": "abbreviations",
}


def ranks(
    collection: Collection,
    score: Callable[[int], NDArray[np.float64]],
    same: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Where the first right passage of each question stands, from 0, shape (questions,).

    Args:
        score: the scores of all passages to a question, by its number.
        same: the first passage that each nearly repeats: those after it are left out of the list.
    """
    starts = np.flatnonzero(np.diff(collection.documents, prepend=-1))
    found = np.full(len(collection.questions), _NOWHERE)
    for number, right in enumerate(collection.right):
        scores = score(number)
        if collection.by_document:
            scores = np.maximum.reduceat(scores, starts)
            right = np.unique(collection.documents[right])
        elif same is not None:
            best = np.full(len(scores), -1.0)
            np.maximum.at(best, same, scores)
            scores, right = best, np.unique(same[right])
        first = right[np.argmax(scores[right])]
        if scores[first] > 0:
            before = scores > scores[first]
            before[:first] |= scores[:first] == scores[first]
            found[number] = before.sum()
    return found


def values(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each question's figures, shape (questions, metrics)."""
    hits = [(places < cut).astype(np.float64) for cut in _CUTS]
    return np.stack([*hits, np.where(places < _DEPTH, 1 / (places + 1.0), 0.0)], axis=1)


def figures(
    found: NDArray[np.float64], beside: NDArray[np.float64] | None = None
) -> dict[str, list[float]]:
    """Each metric in percent with its interval, or its difference to ``beside``."""
    wanted = found if beside is None else found - beside
    drawn = bootstrap_means(wanted, _RESAMPLES, np.random.default_rng(5))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    rows = zip(METRICS, wanted.mean(axis=0), low, high, strict=True)
    return {name: [round(100 * float(v), 2) for v in row] for name, *row in rows}


def analysed(collection: Collection, options: AnalysisOptions) -> tuple[Analyzer, list[list[str]]]:
    """The terms of every passage."""
    analyzer = Analyzer(options)
    return analyzer, list(map(TermsOfPassages(analyzer), collection.passages))


def by_options(collection: Collection, options: AnalysisOptions) -> NDArray[np.float64]:
    """The figures of plain BM25 with an analysis, for each question."""
    analyzer, passages = analysed(collection, options)
    index = Sparse(passages)
    queries = [Counter(analyzer.terms(question)) for question in collection.questions]
    return values(ranks(collection, _by(index, queries)))


def _by(
    index: Sparse,
    queries: Sequence[Mapping[str, float]],
    near: Sparse | None = None,
    pairs: Sequence[Mapping[str, float]] = (),
    weight: float = 0.0,
) -> Callable[[int], NDArray[np.float64]]:
    """The scores of a question by its number, with those of its pairs where there are any."""

    def score(number: int) -> NDArray[np.float64]:
        scores = index.scores(queries[number])
        return scores if near is None else scores + weight * near.scores(pairs[number])

    return score


BEYOND = ("feedback", "proximity", "repetitions")


def beyond(collection: Collection, kind: str) -> dict[str, NDArray[np.float64]]:
    """What a way beyond BM25 gives, for each question, by the way and its weight."""
    analyzer, passages = analysed(collection, AnalysisOptions())
    index = Sparse(passages)
    asked_terms = [analyzer.terms(question) for question in collection.questions]
    queries = [Counter(terms) for terms in asked_terms]
    found: dict[str, NDArray[np.float64]] = {}
    if kind == "feedback":
        for share in (0.1, 0.3):
            wider = [feedback(index, passages, query, share) for query in queries]
            places = ranks(collection, _by(index, wider))
            found[f"feedback, {share}"] = values(places)
    elif kind == "proximity":
        for name, window in (("pairs in order", 1), ("pairs within 3", 3)):
            near = Sparse(neighbours(terms, window) for terms in passages)
            pairs = [Counter(neighbours(terms, window)) for terms in asked_terms]
            for weight in (0.1, 0.2):
                places = ranks(collection, _by(index, queries, near, pairs, weight))
                found[f"{name}, {weight}"] = values(places)
    elif not collection.by_document:
        same = near_duplicates(passages)
        found["repetitions merged"] = values(ranks(collection, _by(index, queries), same))
    return found


def peers(collection: Collection, base: NDArray[np.float64], python: Path) -> dict[str, Any]:
    """Other engines with their own analysis, and ours less theirs, on every third question.

    Ours is BM25 alone (``base``), and what the program does with its ranker ("both stages").
    """
    chosen = list(range(0, len(collection.questions), 3))
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.json")
        record = {
            "passages": [passage.text for passage in collection.passages],
            "questions": [collection.questions[number] for number in chosen],
            "depth": _DEPTH,
        }
        job.write_text(json.dumps(record), encoding="utf-8")
        done = subprocess.run(  # noqa: S603  # a file of this folder
            [str(python), str(_FIRST / "analysis_peers.py"), str(job)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    both = both_stages(
        replace(
            collection,
            questions=tuple(collection.questions[number] for number in chosen),
            right=tuple(collection.right[number] for number in chosen),
        )
    )
    report: dict[str, Any] = {
        "questions": len(chosen),
        "spanbot": figures(base[chosen]),
        "spanbot, both stages": figures(both),
    }
    for name, lists in json.loads(done.stdout).items():
        places = [
            next((at for at, one in enumerate(listed) if one in collection.right[number]), _NOWHERE)
            for number, listed in zip(chosen, lists, strict=True)
        ]
        theirs = values(np.array(places))
        report[name] = {
            "figures": figures(theirs),
            "spanbot_less_it": figures(base[chosen], theirs),
            "both_stages_less_it": figures(both, theirs),
        }
    return report


def both_stages(collection: Collection) -> NDArray[np.float64]:
    """The figures of what the program does with the embedded ranker, for each question."""
    ranker = load_ranker()
    places = ranking.ranks(collection, ranker, ranking.vectors_of(collection.passages, ranker))
    return values(places["both, and nearness"])


_collection: Collection  # of a worker


def _start(collection: Collection) -> None:
    global _collection  # passed once to each worker, not with each job
    _collection = collection


def _work(options: AnalysisOptions) -> NDArray[np.float64]:
    return by_options(_collection, options)


def _work_beyond(kind: str) -> dict[str, NDArray[np.float64]]:
    return beyond(_collection, kind)


def measure(
    name: str, collection: Collection, processes: int
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """All figures of a collection but those of the peers, and those of each question."""
    defaults = AnalysisOptions()
    has_headings = any(passage.heading for passage in collection.passages)
    wanted = [defaults, BARE]
    compared: list[tuple[str, str, AnalysisOptions, AnalysisOptions]] = []
    for choice, changes in CHOICES.items():
        field = _FIELD[choice]
        if field == "heading_weight" and not has_headings:
            continue
        compared.append(("alone", choice, replace(BARE, **changes), BARE))
        if changes[field] == getattr(defaults, field):
            without = replace(defaults, **{field: getattr(BARE, field)})
            compared.append(("left_out", choice, defaults, without))
        else:
            compared.append(
                ("added", choice, replace(defaults, **{field: changes[field]}), defaults)
            )
    wanted = list(dict.fromkeys(o for _, _, *both in compared for o in both))
    with ProcessPoolExecutor(
        processes, multiprocessing.get_context("fork"), _start, (collection,)
    ) as pool:
        later = [pool.submit(_work_beyond, kind) for kind in BEYOND]
        found = dict(zip(wanted, pool.map(_work, wanted), strict=True))
        further = [one.result() for one in later]
    base = found[defaults]
    report: dict[str, Any] = {
        "passages": len(collection.passages),
        "questions": len(collection.questions),
        "defaults": figures(base),
        "bare": figures(found[BARE]),
        "alone": {},
        "left_out": {},
        "added": {},
        "beyond": {way: figures(got, base) for results in further for way, got in results.items()},
    }
    for part, choice, with_it, without in compared:
        report[part][choice] = figures(found[with_it], found[without])
    sys.stderr.write(f"{name} is measured\n")
    return report, base


def table(record: Mapping[str, Any]) -> str:
    """Success@5 and MRR of every choice, in points, as Markdown."""
    sets = [name for name in COLLECTIONS if name in record]
    lines = [
        "| | " + " | ".join(f"{name}: success@5, MRR" for name in sets) + " |",
        "|---" * (len(sets) + 1) + "|",
    ]
    found = record
    for part in ("bare", "defaults"):
        cells = [
            f"{found[n][part]['success@5'][0]:.1f}, {found[n][part]['mrr'][0]:.1f}" for n in sets
        ]
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    for part in ("alone", "left_out", "added", "beyond"):
        choices = dict.fromkeys(choice for name in sets for choice in found[name][part])
        for choice in choices:
            cells = [_cell(found[name][part].get(choice)) for name in sets]
            lines.append(f"| {part.replace('_', ' ')}: {choice} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(entry: Mapping[str, list[float]] | None) -> str:
    if entry is None:
        return ""
    return ", ".join(
        f"{entry[metric][0]:+.1f}" + ("" if entry[metric][1] <= 0 <= entry[metric][2] else "*")
        for metric in ("success@5", "mrr")
    )


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of squad/, qa/ and kb/")
    parser.add_argument(
        "--questions", type=existing_file, nargs="*", default=[], help="our own questions"
    )
    parser.add_argument("--peers-python", type=existing_file, help="the Python that has the peers")
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, help="only these")
    parser.add_argument("--processes", type=whole(1), default=1)
    parser.add_argument("--results", type=Path, default=_FIRST / "results")
    chosen: Any = parser.parse_args(given)
    data: Path = chosen.data
    chosen.results.mkdir(parents=True, exist_ok=True)
    path = chosen.results / "analysis.json"
    books: dict[str, list[SearchText]] = {}

    def opened(name: str) -> Collection:
        if name == "SQuAD-dev-open":
            more = data / "squad" / "train-reconstructed-v1.1.json.xz"
            return squad(data / "squad" / "dev-v1.1.json.xz", [more])
        if name == "NQ":
            return squad(data / "qa" / "qed-nq-dev.json.xz")
        if not books:
            archives = sorted((data / "kb").glob("*.tar.xz"))
            if not archives:
                raise DatasetError(f"{data / 'kb'} holds no .tar.xz; give its folder with --data")
            books.update(handbooks(archives))
        return headings(books) if name == "headings" else asked(books, chosen.questions)

    for name in chosen.collections or COLLECTIONS:
        if name == "colleagues" and not chosen.questions:
            continue
        collection = opened(name)
        found, base = measure(name, collection, chosen.processes)
        _put(path, name, found)
        if name == "SQuAD-dev-open" and chosen.peers_python:
            _put(path, "peers", peers(collection, base, chosen.peers_python.absolute()))
    sys.stdout.write(table(json.loads(path.read_text(encoding="utf-8"))))


def _put(path: Path, name: str, found: Mapping[str, Any]) -> None:
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record[name] = found
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
