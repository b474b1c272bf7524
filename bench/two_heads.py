"""What it gives and costs that one network reads and ranks.

    python -m bench.two_heads --data DATA --start MINILM --out RUN [--questions 4000] \
        [--handbooks BOOK.tar.xz ... [--asked QUESTIONS.jsonl ...]]

The start weights are trained twice on the same SQuAD questions, every other one of which has a
paragraph beside its own that BM25 ranks high: for reading alone, and to rank too. Both are scored
on SQuAD dev in float32; the vectors of the start weights and of both encoders on SQuAD dev and on
QED, as :mod:`bench.ranking` does, and with ``--handbooks`` on our own questions in colleagues'
words, each of which finds a document by its best passage. A training that was cut off goes on when
the command is given again. The report is ``RUN/two-heads.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import recipe_data as data_of
from bench.arguments import foreseen
from bench.clock import keep, say
from bench.question_sets import Collection, asked, handbooks, squad
from bench.question_sets import spread as spread_collection
from bench.ranking import gains, ranks, success, vectors_of
from reader.arguments import existing_file, rate, whole
from reader.checkpoint import choose_device
from reader.compare import compare
from reader.errors import DatasetError
from reader.evaluate import evaluate
from reader.finetune import Progress, finetune
from reader.groups import Group
from reader.ranker import Ranker, load_ranker, store
from reader.reader import load_reader
from reader.recipes import FinetuneConfig
from reader.squad import load_squad, spread
from reader.throughput import prefers_bf16

ALONE, BOTH = "reading alone", "two heads"

#: What the questions on handbooks are called in the report.
HANDBOOKS = "handbooks"

_ASKED = Path(__file__).parent / "questions" / "calibration.jsonl"

#: What the ranking weighs in each training.
WEIGHTS: Mapping[str, float] = {ALONE: 0.0, BOTH: 1.0}


def trained(
    start: Path, groups: Sequence[Group], run: Path, config: FinetuneConfig, device: str
) -> dict[str, Any]:
    """Train in a run's folder; ``cost`` is processor time, in seconds a step of this call's."""
    steps = 0
    begin = time.process_time()

    def tell(step: Progress) -> None:
        nonlocal steps
        steps += 1
        if step.step % 20 == 0 or step.step == step.steps:
            say(f"{run.name}: step {step.step} of {step.steps}, loss {step.loss:.3f}")

    finetune(start, groups, run, config, device=choose_device(device), progress=tell)
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    return {
        "ranking": config.ranking,
        "steps": history["steps"],
        "cost": round((time.process_time() - begin) / steps, 2) if steps else None,
    }


def collections(given: argparse.Namespace) -> dict[str, Collection]:
    """What the vectors are compared on, by name: SQuAD dev, QED, and the handbooks if given.

    Raises:
        DatasetError: a file is not there, or no question is on a document of the handbooks.
    """
    sets = {
        Path(name).name: squad(data_of.file_of(given.data, name))
        for name in (data_of.DEV, data_of.QED)
    }
    if given.handbooks:
        sets[HANDBOOKS] = asked(handbooks(given.handbooks), given.asked)
        if not sets[HANDBOOKS].questions:
            raise DatasetError(
                f"no question in {', '.join(map(str, given.asked))} is on a document of "
                f"{', '.join(map(str, given.handbooks))}; their names are the questions' kb"
            )
    return {name: spread_collection(found, given.dev_questions) for name, found in sets.items()}


def places(found: Collection, rankers: Mapping[str, Ranker]) -> dict[str, Any]:
    """Success@k of each ranker's vectors and what they gain over the start weights'."""
    vectors: dict[str, NDArray[np.int64]] = {}
    both: dict[str, NDArray[np.int64]] = {}
    for name, ranker in rankers.items():
        ways = ranks(found, ranker, vectors_of(found.passages, ranker))
        vectors[name], both[name] = ways["vectors"], ways["both"]
        bm25 = ways["BM25"]
    first = next(iter(rankers))
    return {
        "questions": len(found.questions),
        "passages": len(found.passages),
        "BM25": success(bm25),
        "vectors": {name: success(rank) for name, rank in vectors.items()},
        "BM25 and vectors": {name: success(rank) for name, rank in both.items()},
        f"gain over the {first}": {
            name: gains(rank, vectors[first]) for name, rank in vectors.items()
        },
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Train and score; the report."""
    data, out = given.data, given.out
    sets = collections(given)  # a file that is missing is told before the trainings
    groups = data_of.squad_groups(
        data_of.file_of(data, data_of.READER_SETS["SQuAD 1.1 train, reconstructed"][0]),
        given.questions,
        out / "groups",
        lambda: None,
    )
    bf16 = prefers_bf16(choose_device(given.device))
    configs = {
        name: FinetuneConfig(
            bf16=bf16, ranking=weight, save_every=50, learning_rate=given.learning_rate
        )
        for name, weight in WEIGHTS.items()
    }
    folders = {name: out / name.replace(" ", "-") for name in WEIGHTS}
    trainings = {
        name: trained(given.start, groups, folders[name], configs[name], given.device)
        for name in WEIGHTS
    }
    examples = spread(load_squad(data_of.file_of(data, data_of.DEV)), given.dev_questions)
    predictions = {}
    for name, folder in folders.items():
        reader = load_reader(folder / "model", device=given.device, precision="fp32")
        scored = evaluate(reader, examples)
        predictions[name] = scored.predictions
        trainings[name]["scores"] = scored.scores
    store(given.start, out / "start", name="start")
    store(folders[ALONE] / "model", out / "alone", name="alone")  # it has no mark: its encoder
    rankers = {
        "start weights": load_ranker(out / "start", device=given.device),
        ALONE: load_ranker(out / "alone", device=given.device),
        BOTH: load_ranker(folders[BOTH] / "model", device=given.device),
    }
    return {
        "questions": len(groups),
        "config": {**asdict(configs[BOTH]), "ranking": "see trainings"},
        "trainings": trainings,
        "two heads less reading alone": [
            asdict(one) for one in compare(examples, predictions[ALONE], predictions[BOTH])
        ],
        "ranking": {name: places(found, rankers) for name, found in sets.items()},
    }


def table(report: Mapping[str, Any]) -> str:
    """The report in Markdown: F1 of reading, success@5 of the vectors in percent."""
    sets = report["ranking"]
    lines = [
        "| | SQuAD dev F1 | processor s a step | "
        + " | ".join(f"{name}: vectors, success@5 | with BM25" for name in sets)
        + " |",
        "|---" * (3 + 2 * len(sets)) + "|",
    ]
    for name in ("start weights", *WEIGHTS):
        training = report["trainings"].get(name)
        cells = (
            ["–", "–"]
            if training is None
            else [f"{training['scores']['f1']:.2f}", training["cost"]]
        )
        for found in sets.values():
            for way in ("vectors", "BM25 and vectors"):
                mean, low, high = (100 * v for v in found[way][name]["success@5"])
                cells.append(f"{mean:.1f} ({low:.1f} to {high:.1f})")
        lines.append("| " + " | ".join(str(cell) for cell in (name, *cells)) + " |")
    return "\n".join(lines)


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--start", type=Path, required=True, help="folder of a sentence encoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--questions", type=whole(1), default=4000, help="to train on")
    parser.add_argument("--dev-questions", type=whole(1), default=1000, help="of each set")
    parser.add_argument("--handbooks", type=existing_file, nargs="+", default=[])
    parser.add_argument(
        "--asked", type=existing_file, nargs="+", default=[_ASKED], help="questions on handbooks"
    )
    parser.add_argument("--learning-rate", type=rate, default=FinetuneConfig().learning_rate)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(given)
    chosen.out.mkdir(parents=True, exist_ok=True)
    report = measure(chosen)
    keep(report, chosen.out / "two-heads.json")
    sys.stdout.write(table(report) + "\n")


if __name__ == "__main__":
    main()
