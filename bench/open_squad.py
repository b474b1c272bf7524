"""Questions without their paragraph: SQuAD's dev set asked of all paragraphs, dev's and train's.

    python -m bench.open_squad dev-v1.1.json.xz --more train-v1.1.json.xz --work WORK \\
        --pipeline OLD/bin/python --haystack HAYSTACK/bin/python

The retriever finds ten paragraphs for each question. Every reader gets the same ones and has the
same weights, runs in a process of its own and with its own defaults (:mod:`bench.reader_engines`).
Of several passages the pipeline's answer is the one with its highest score, as Haystack's is in its
own order; ours compares logits. Exact match and F1 are of the first answer and of the best of the
first three; differences to ours in fp32 have a paired bootstrap interval of 95 %. "With the
ranking" adds the retriever's score to the reader's as the bot does.

Each answer is kept in WORK when it is given, so that a run that was stopped goes on, and one with
more questions asks only the new ones. Another model or other paragraphs begin anew; for another
version of a reader empty the folder. ``OUT`` has all figures.

A question may be answered after fewer than ten passages: the ceiling (``Reader.read_until``) for
one half of the questions is chosen on the other half, and then they are asked again with it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.open_questions import Found, Question, digest, find
from bench.open_report import (
    METRICS,
    SHOWN,
    UNREAD,
    Kept,
    choose_ceiling,
    first_answers,
    in_rounds,
    retrieval,
    row,
    scores,
    table,
    with_interval,
)
from bench.processor import processor
from bench.reader_engines import environment
from bot.answering import AnswerOptions
from reader.arguments import whole
from reader.checkpoint import EMBEDDED
from reader.digests import digest_of_weights_file
from reader.linear import has_int8

#: The best passages that are looked at for the retrieval's figures.
_DEPTH = 20
#: More than a reading of ten passages has.
_ALL_SPANS = 1000
#: The peers: what makes each, and what it is told.
_PEERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "pipeline": ("pipeline", {}),
    "Haystack": ("haystack", {}),
    "Haystack, told the segments": ("haystack", {"segments": True}),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What every reader of a run has in common; ``kept`` holds their answers."""

    found: Found
    model: Path
    passages: int
    threads: int
    kept: Path


def ask(
    reading: Reading,
    label: str,
    python: str,
    engine: str,
    questions: Sequence[Question],
    *,
    ceilings: Mapping[str, float] | None = None,
    **options: Any,
) -> Kept:
    """What a reader answers to each question, by its id; asks what is not kept.

    A question for which no passage was found has no answer from anybody.

    Args:
        ceilings: that of each question, by its id, to be read with the ranking; without them the
            ranking is added afterwards, to the spans.

    Raises:
        RuntimeError: its process failed; what it said is on stderr.
    """
    name = "-".join(part for part in label.lower().replace(",", "").split())
    out = reading.kept / f"{name}.jsonl"
    wanted = {one.example.id: list(one.passages[: reading.passages]) for one in questions}
    kept = {
        key: record
        for key, record in _records(out).items()
        if record["passages"] == wanted.get(key, record["passages"])  # the retriever may change
    }
    missing = [one for one in questions if one.passages and one.example.id not in kept]
    if missing:
        _tidy(out, kept)
        spec = {
            "label": label,
            "model": str(reading.model),
            "device": "cpu",
            "threads": reading.threads,
            "together": False,
            "answers": SHOWN,
            **options,
            "out": str(out),
            "contexts": reading.found.paragraphs,
            "questions": [
                {
                    "id": one.example.id,
                    "question": one.example.question,
                    "passages": wanted[one.example.id],
                    "priors": [
                        prior if ceilings else 0.0 for prior in one.priors[: reading.passages]
                    ],
                    "ceiling": ceilings[one.example.id] if ceilings else 0.0,
                }
                for one in missing
            ],
        }
        file = reading.kept / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        done = subprocess.run(  # noqa: S603  the Pythons that the caller named
            [python, "-m", "bench.open_worker", engine, str(file)],
            check=False,
            env=environment(),
        )
        if done.returncode:
            raise RuntimeError(f"{label} with {python} failed")
        file.unlink()
        kept = _records(out)
    return {one.example.id: kept[one.example.id] if one.passages else UNREAD for one in questions}


def _records(file: Path) -> dict[str, dict[str, Any]]:
    """What is kept; a last line that was cut off is not."""
    found: dict[str, dict[str, Any]] = {}
    if file.exists():
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            record = json.loads(line)
            found[record["id"]] = record
    return found


def _tidy(file: Path, kept: Mapping[str, Any]) -> None:
    """Write a file anew, without a line that was cut off."""
    part = file.with_suffix(".part")
    part.write_text("".join(json.dumps(one) + "\n" for one in kept.values()), encoding="utf-8")
    part.replace(file)


def measure(
    reading: Reading, peers: Mapping[str, str | None], *, round_size: int, block: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The figures of every reader, by its name (None: not measured), and of reading fewer.

    The readers take turns, ``block`` questions each, so that what else the machine does meets all.
    """
    questions = reading.found.questions
    precisions = ["fp32", "int8"] if has_int8() else ["fp32"]
    asked: dict[str, tuple[str, str, dict[str, Any]]] = {
        f"spanbot, {precision}": (
            sys.executable,
            "ours",
            {"precision": precision, "answers": _ALL_SPANS},
        )
        for precision in precisions
    }
    for name, (engine, options) in _PEERS.items():
        if python := peers[engine]:
            asked[name] = (python, engine, options)
    kept: dict[str, dict[str, Any]] = {name: {} for name in asked}
    for begin in range(0, len(questions), block):
        part = questions[begin : begin + block]
        for name, (python, engine, options) in asked.items():
            kept[name].update(ask(reading, name, python, engine, part, **options))
    ours = scores(questions, first_answers(questions, kept["spanbot, fp32"]))
    readers: dict[str, Any] = {}

    def add(name: str, kept: Kept | None, *, prior: bool = False) -> None:
        if kept is None:
            readers[name] = None
            return
        found = scores(questions, first_answers(questions, kept, prior=prior))
        readers[name] = row(found, ours, [kept[one.example.id] for one in questions])

    for precision in ("fp32", "int8"):
        name = f"spanbot, {precision}"
        add(name, kept.get(name))
        add(f"{name}, with the ranking", kept.get(name), prior=True)
    fewer = None
    if len(questions) > 1:
        best = precisions[-1]  # what the bot takes here
        name = f"spanbot, {best}"
        fewer, under = read_fewer(reading, kept[name], best, round_size)
        add(f"{name}, with the ranking, stopping at a ceiling", under)
    for name in _PEERS:
        add(name, kept.get(name))
    return readers, fewer


def read_fewer(
    reading: Reading, all_read: Kept, precision: str, round_size: int
) -> tuple[dict[str, Any], Kept]:
    """Each half of the questions read under a ceiling that was chosen on the other half.

    Halves of the file, which share one article at most.
    """
    questions = reading.found.questions
    halves = [questions[: len(questions) // 2], questions[len(questions) // 2 :]]
    chosen = [
        round(choose_ceiling(in_rounds(other, all_read), round_size), 3) for other in halves[::-1]
    ]
    kept = ask(
        reading,
        f"until {chosen[0]} {chosen[1]} by {round_size}, {precision}",
        sys.executable,
        "until",
        questions,
        ceilings={
            one.example.id: ceiling
            for ceiling, half in zip(chosen, halves, strict=True)
            for one in half
        },
        precision=precision,
        round=round_size,
    )
    answers = first_answers(questions, kept)
    of_all = first_answers(questions, all_read, prior=True)
    difference = scores(questions, answers) - scores(questions, of_all)
    same = sum(one[:1] == two[:1] for one, two in zip(answers, of_all, strict=True))
    report = {
        "precision": precision,
        "round": round_size,
        "ceilings": chosen,
        "passages_read": round(sum(one["read"] for one in kept.values()) / len(questions), 3),
        "same_answer": round(100 * same / len(questions), 2),
        "less_reading_all": {
            name: with_interval(difference[:, column]) for column, name in enumerate(METRICS)
        },
    }
    return report, kept


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.open_squad", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("squad", type=Path, help="SQuAD JSON, also .xz: its questions are asked")
    parser.add_argument(
        "--more", type=Path, nargs="*", default=[], help="SQuAD files with more paragraphs"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for what is kept")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="folder; the embedded reader")
    parser.add_argument("--pipeline", help="Python with transformers before 5.3")
    parser.add_argument("--haystack", help="Python with haystack-ai before 3")
    parser.add_argument(
        "--questions", type=whole(1), help="so many, spread over the file; else all"
    )
    parser.add_argument("--passages", type=whole(1), default=10, help="how many are read")
    parser.add_argument(
        "--vectors", action="store_true", help="rank by the ranker's vectors too, as the bot does"
    )
    parser.add_argument(
        "--round", type=whole(1), default=1, help="passages a round under a ceiling"
    )
    parser.add_argument("--block", type=whole(1), default=300, help="questions a turn of a reader")
    parser.add_argument("--threads", type=whole(0), default=0, help="0: what torch takes")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args(arguments)
    if options.passages > _DEPTH:
        parser.error(f"--passages is {options.passages}; read 1 to {_DEPTH}")
    options.work.mkdir(parents=True, exist_ok=True)
    found = find(
        options.squad,
        options.more,
        count=options.questions,
        depth=_DEPTH,
        vectors=options.work if options.vectors else None,
    )
    weights = digest_of_weights_file(options.model)
    kind = (options.passages, options.vectors, options.threads, AnswerOptions().prior)
    kept = options.work.absolute() / digest([weights, *map(str, kind), *found.paragraphs])
    kept.mkdir(exist_ok=True)
    reading = Reading(found, options.model.absolute(), options.passages, options.threads, kept)
    peers = {"pipeline": options.pipeline, "haystack": options.haystack}
    readers, fewer = measure(reading, peers, round_size=options.round, block=options.block)
    record = {
        "questions": len(found.questions),
        "paragraphs": len(found.paragraphs),
        "passages": options.passages,
        "ranking": "BM25 and vectors" if options.vectors else "BM25",
        "weights_sha256": weights,
        "processor": processor(),
        "cores": os.cpu_count(),
        "retrieval": retrieval(found.questions),
        "readers": readers,
        "fewer": fewer,
    }
    if options.out is not None:
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(table(record))


if __name__ == "__main__":
    main()
