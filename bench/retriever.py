"""The retriever beside other engines: latency, build, size, changes, growth.

    python -m bench.retriever --corpus FOLDER --questions FILE.json.xz --sizes 100000 700000 \
        --peers-python PYTHON --work FOLDER

Real passages of about a hundred words are cut from the text files of ``--corpus`` (one document
after the other, a blank line between them) and spread evenly over all of it for a smaller size.
Each stage of each engine runs in a process of its own, one at a time, with one thread; see
``bench.stages`` for what they do. What is finished is kept in ``--work`` and not done again, so a
run can be stopped and goes on where it was. Figures, picture and table go to ``bench/results``.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processor import processor
from bench.retriever_report import draw, table
from reader.arguments import existing_file, told, whole
from reader.errors import ReaderError
from reader.squad import load_squad

_WORDS = 100
_CHANGED = 1000
_QUESTIONS = 1000
_WARM = 200
_FIRST = Path(__file__).parent
#: Engines that hold all of a collection in Python's memory and take minutes to build it.
_SMALL_ONLY = ("rank_bm25", "haystack")
_ENGINES = ("spanbot", "bm25s", "tantivy", "fts5", "rank_bm25", "haystack")
#: Fewer questions for those that take a tenth of a second or more for each.
_SLOW = {"fts5": 200, "rank_bm25": 100, "haystack": 50}
_LIBRARIES = ("NUMBA", "OMP", "OPENBLAS", "MKL")
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in _LIBRARIES}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        small: the largest size for the engines that live in Python's memory alone.
        repeats: how often the questions are asked, each time by a new process.
    """

    work: Path
    passages: Path
    sizes: tuple[int, ...]
    engines: tuple[str, ...]
    peers_python: Path | None
    small: int
    repeats: int


def passages_of(lines: Iterator[str]) -> Iterator[str]:
    """Passages of a hundred words, or of what is left where a document ends."""
    words: list[str] = []
    for line in lines:
        found = line.split()
        words += found
        while len(words) >= _WORDS:
            yield " ".join(words[:_WORDS])
            words = words[_WORDS:]
        if words and not found:
            yield " ".join(words)
            words = []
    if words:
        yield " ".join(words)


def cut_corpus(corpus: Path, target: Path) -> int:
    """Write all passages of a corpus, one a line; how many there are."""
    count = target.with_suffix(".count")
    if not count.exists():
        number = 0
        files = sorted(corpus.glob("*.txt.xz"))
        if not files:
            raise SystemExit(f"{corpus} holds no .txt.xz files; give their folder with --corpus")
        with target.open("w", encoding="utf-8") as out:
            for file in files:
                try:
                    with lzma.open(file, "rt", encoding="utf-8") as lines:
                        for passage in passages_of(lines):
                            out.write(passage + "\n")
                            number += 1
                except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
                    raise SystemExit(
                        f"{file} is not a whole .xz file of UTF-8 text ({error}); copy it again"
                    ) from error
        count.write_text(str(number), encoding="ascii")
    return int(count.read_text(encoding="ascii"))


def choose_passages(everything: Path, total: int, size: int, target: Path) -> None:
    """``size`` passages and those that are added later, spread evenly, in an order by chance."""
    wanted = size + _CHANGED
    if wanted > total:
        raise SystemExit(f"the corpus has {total} passages; {size} and {_CHANGED} more were asked")
    if target.exists():
        return
    chosen = [place * total // wanted for place in range(wanted)]
    found: list[str] = []
    with everything.open(encoding="utf-8") as lines:
        at = 0
        for number, line in enumerate(lines):
            if at < wanted and number == chosen[at]:
                found.append(line)
                at += 1
    random.Random(size).shuffle(found)
    part = target.with_suffix(".part")
    part.write_text("".join(found), encoding="utf-8")
    part.replace(target)


def write_questions(source: Path, target: Path) -> int:
    """The questions of a SQuAD file in an order by chance, one a line; how many are timed."""
    chosen = sorted({" ".join(example.question.split()) for example in load_squad(source)})
    random.Random(1).shuffle(chosen)
    chosen = chosen[: _QUESTIONS + _WARM]
    if len(chosen) < 2 * _WARM:
        raise SystemExit(f"{source} has {len(chosen)} questions; at least {2 * _WARM} are needed")
    target.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return len(chosen) - _WARM


def measure(plan: Plan, engine: str, size: int, questions: int) -> dict[str, Any] | None:
    """One engine at one size, from what is kept or anew; None where it cannot."""
    kept = plan.work / f"{engine}-{size}.json"
    if kept.exists():
        result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return result
    if engine != "spanbot" and plan.peers_python is None:
        return None
    if engine in _SMALL_ONLY and size > plan.small:
        return None
    store = plan.work / f"store-{engine}-{size}"
    shutil.rmtree(store, ignore_errors=True)
    job = plan.work / "job.json"
    job.write_text(
        json.dumps(
            {
                "passages": str(plan.passages / f"passages-{size}.txt"),
                "queries": str(plan.work / "questions.txt"),
                "count": size,
                "questions": min(questions, _SLOW.get(engine, questions)),
                "warm": 5 if engine in _SLOW else _WARM,
                "changed": _CHANGED,
                "store": str(store),
            }
        ),
        encoding="utf-8",
    )
    result = {}
    if engine not in _SMALL_ONLY:
        result |= _stage(plan, engine, "build", job, size)
    asked = [
        _stage(plan, engine, "query", job, size)
        for _ in range(1 if engine in _SMALL_ONLY else plan.repeats)
    ]
    for name in asked[0]:
        result[name] = statistics.median(one[name] for one in asked)
    if engine in _SMALL_ONLY:
        result |= {"build_s": result["open_s"], "disk_mib": None}
    result |= _stage(plan, engine, "update", job, size)
    shutil.rmtree(store, ignore_errors=True)
    kept.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _stage(plan: Plan, engine: str, stage: str, job: Path, size: int) -> dict[str, Any]:
    sys.stderr.write(f"{size} passages, {engine}: {stage}\n")
    python = sys.executable if engine == "spanbot" else str(plan.peers_python)
    done = subprocess.run(  # noqa: S603  # commands of this file
        [python, "-m", "bench.stages", engine, stage, str(job)],
        cwd=_FIRST.parent,
        env={**os.environ, **_ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{engine}, {stage}, {size} passages:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(plan: Plan, total: int, questions: int, results: Path) -> None:
    """Measure everything; figures, picture and table."""
    figures: dict[str, dict[str, Any]] = {}
    for size in plan.sizes:
        choose_passages(
            plan.passages / "all.txt", total, size, plan.passages / f"passages-{size}.txt"
        )
        found = {engine: measure(plan, engine, size, questions) for engine in plan.engines}
        figures[str(size)] = {engine: value for engine, value in found.items() if value is not None}
    record = {
        "machine": {
            "cpu": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "questions": questions,
        "repeats": plan.repeats,
        "sizes": figures,
    }
    results.mkdir(parents=True, exist_ok=True)
    (results / "retriever.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (results / "retriever.md").write_text(table(record), encoding="utf-8")
    draw(record, results / "retriever.png")
    sys.stdout.write(table(record))


@told(ReaderError)
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The retriever beside other engines.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of .txt.xz files")
    parser.add_argument(
        "--questions", type=existing_file, required=True, help="SQuAD JSON, also .xz"
    )
    parser.add_argument("--sizes", type=whole(1), nargs="+", default=[100_000, 700_000])
    parser.add_argument("--engines", nargs="+", default=list(_ENGINES), choices=_ENGINES)
    parser.add_argument("--peers-python", type=existing_file, help="the Python that has the peers")
    parser.add_argument("--small", type=whole(0), default=100_000, help="most for those in memory")
    parser.add_argument("--repeats", type=whole(1), default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is kept")
    parser.add_argument("--results", type=Path, default=_FIRST / "results")
    options = parser.parse_args(arguments)
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        work=work,
        passages=work,
        sizes=tuple(sorted(options.sizes)),
        engines=tuple(options.engines),
        peers_python=options.peers_python and options.peers_python.absolute(),
        small=options.small,
        repeats=options.repeats,
    )
    total = cut_corpus(options.corpus, work / "all.txt")
    questions = write_questions(options.questions, work / "questions.txt")
    run(plan, total, questions, options.results)


if __name__ == "__main__":
    main()
