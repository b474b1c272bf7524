"""How fast the reader is beside its peers: the same passages, the same weights, one run.

    python -m bench.reader --squad dev-v1.1.json --pipeline OLD/bin/python \\
        --haystack HAYSTACK/bin/python --out bench/results/reader-speed

Every engine runs in a process of its own, one after the other (:mod:`bench.reader_worker`), on
questions with ten passages of 100 words each: with the embedded reader, and with a BERT of 12
layers and 768 units whose weights are random, for the speed alone. ``OUT.json`` holds what was
measured, ``OUT.png`` draws it. A peer whose Python is not named, and CUDA where there is none, are
"not measured".
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.processor import processor
from bench.reader_engines import environment
from reader.arguments import program, told, whole
from reader.checkpoint import EMBEDDED
from reader.errors import ReaderError
from reader.squad import load_squad, spread

#: The row that the ratios are to.
BASELINE = "pipeline, fp32"


@dataclass(frozen=True, slots=True)
class Row:
    """One engine with one model; what was not measured is None."""

    model: str
    device: str
    engine: str
    passages_per_second: float | None = None
    ratio: float | None = None
    milliseconds: float | None = None
    spread: float | None = None
    first_answer: float | None = None
    f1: float | None = None
    utilisation: float | None = None
    version: str | None = None
    threads: int | None = None
    gpu: str | None = None


def passages(squad: Path, *, questions: int, count: int, words: int) -> list[tuple[str, list[str]]]:
    """Questions, each with ``count`` passages of ``words`` words from the text around it."""
    examples = load_squad(squad)
    contexts = list(dict.fromkeys(example.context for example in examples))
    found: list[tuple[str, list[str]]] = []
    for number in range(questions):
        example = examples[number * len(examples) // questions]
        # From the question's own paragraph on, round and round.
        place = contexts.index(example.context)
        text: list[str] = []
        while len(text) < count * words:
            text.extend(contexts[place % len(contexts)].split())
            place += 1
        parts = [" ".join(text[n * words : (n + 1) * words]) for n in range(count)]
        found.append((example.question, parts))
    return found


def make_base(folder: Path) -> Path:
    """A BERT of 12 layers and 768 units with random weights and the embedded reader's words."""
    import shutil

    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    torch.manual_seed(0)
    BertForQuestionAnswering(BertConfig()).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EMBEDDED / name, folder / name)
    return folder


def measure(python: str, engine: str, spec: dict[str, Any], work: Path) -> dict[str, Any]:
    """What the worker prints.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    file = work / "spec.json"
    file.write_text(json.dumps({**spec, "started": time.time()}), encoding="utf-8")
    done = subprocess.run(  # noqa: S603  the Pythons that the caller named
        [python, "-m", "bench.reader_worker", engine, str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    if done.returncode:
        raise RuntimeError(f"{engine} with {python} failed:\n{done.stderr[-2000:]}")
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def f1_of(squad: Path, precision: str, device: str, limit: int) -> float:
    """The embedded reader's F1 on questions spread over a SQuAD file."""
    from reader.evaluate import evaluate
    from reader.reader import load_reader

    examples = load_squad(squad)
    scored = evaluate(load_reader(device=device, precision=precision), spread(examples, limit))
    return scored.scores["f1"]


def utilisation(model: Path, texts: Sequence[tuple[str, list[str]]], seconds: float) -> float:
    """Share of the measured bf16 matrix rate that reading these passages used."""
    import torch

    from reader.bert import shape_of
    from reader.throughput import forward_flops, measured_peak
    from reader.tokenization import PieceTokenizer

    shape = shape_of(json.loads((model / "config.json").read_text(encoding="utf-8")))
    tokenizer = PieceTokenizer.from_folder(model)
    lengths = [
        len(asked.ids) + len(own.ids) + 3
        for question, parts in texts
        for asked in tokenizer.pieces_batch([question])
        for own in tokenizer.pieces_batch(parts)
    ]
    peak = measured_peak(torch.device("cuda"), bf16=True)
    return forward_flops(shape, lengths) / seconds / peak


def run(options: argparse.Namespace, work: Path) -> list[Row]:
    import torch

    own = sys.executable
    models = {"embedded, 6 x 384": EMBEDDED}
    if not options.no_base:
        models["BERT base, 12 x 768"] = make_base(work / "base")
    rows: list[Row] = []
    for device in ("cpu", "cuda"):
        there = device == "cpu" or torch.cuda.is_available()
        batch = options.questions if device == "cpu" else options.gpu_questions
        texts = passages(
            options.squad, questions=batch, count=options.passages, words=options.words
        )
        engines: list[tuple[str, str, str | None, str]] = [
            (BASELINE, "pipeline", options.pipeline, "fp32"),
            ("Haystack, fp32", "haystack", options.haystack, "fp32"),
            ("plain batched torch, fp32", "plain", own, "fp32"),
            ("spanbot, fp32", "ours", own, "fp32"),
            *([("spanbot, int8", "ours", own, "int8")] if device == "cpu" else []),
            *([("spanbot, bf16", "ours", own, "bf16")] if device == "cuda" else []),
        ]
        for name, model in models.items():
            found: list[Row] = []
            for label, engine, python, precision in engines:
                if python is None or not there:
                    found.append(Row(name, device, label))
                    continue
                spec = {
                    "model": str(model),
                    "device": device,
                    "precision": precision,
                    "together": device == "cuda",
                    "threads": options.threads,
                    "repeats": options.repeats,
                    "questions": texts,
                }
                record = measure(python, engine, spec, work)
                middle = statistics.median(record["seconds"])
                bf16 = precision == "bf16"
                scored = engine == "ours" and model == EMBEDDED and options.f1_questions
                found.append(
                    Row(
                        model=name,
                        device=device,
                        engine=label,
                        passages_per_second=batch * options.passages / middle,
                        milliseconds=1000 * middle / batch,
                        spread=(max(record["seconds"]) - min(record["seconds"])) / middle,
                        first_answer=record["first_answer"],
                        f1=f1_of(options.squad, precision, device, options.f1_questions)
                        if scored
                        else None,
                        utilisation=utilisation(model, texts, middle) if bf16 else None,
                        version=record["version"],
                        threads=record["threads"],
                        gpu=record["gpu"],
                    )
                )
                sys.stderr.write(f"{name}, {device}, {label}: {1000 * middle / batch:.0f} ms\n")
            rows.extend(with_ratios(found))
    return rows


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """The rows of one model on one device, with their speed over the baseline's."""
    from dataclasses import replace

    base = next((row.passages_per_second for row in rows if row.engine == BASELINE), None)
    return [
        replace(row, ratio=row.passages_per_second / base)
        if base and row.passages_per_second
        else row
        for row in rows
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| model | device | engine | passages/s | ratio | ms a question | first answer, s | F1 "
        "| of the bf16 rate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            _shown(row.passages_per_second, ".1f"),
            _shown(row.ratio, ".2f"),
            _shown(row.milliseconds, ".0f"),
            _shown(row.first_answer, ".2f"),
            _shown(row.f1, ".2f"),
            _shown(row.utilisation, ".0%") if "bf16" in row.engine else "",
        ]
        lines.append(f"| {' | '.join([row.model, row.device, row.engine, *cells])} |")
    return "\n".join(lines)


def _shown(value: float | None, style: str) -> str:
    return "not measured" if value is None else format(value, style)


def draw(rows: Sequence[Row], target: Path) -> None:
    """Bars of passages a second, one picture a model and device that were measured."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    measured = [row for row in rows if row.passages_per_second]
    parts = list(dict.fromkeys((row.model, row.device) for row in measured))
    figure, axes = pyplot.subplots(len(parts), 1, figsize=(8, 2.4 * len(parts)), squeeze=False)
    for axis, (model, device) in zip(axes[:, 0], parts, strict=True):
        chosen = [row for row in measured if (row.model, row.device) == (model, device)][::-1]
        values = [row.passages_per_second or 0.0 for row in chosen]
        bars = axis.barh([row.engine for row in chosen], values)
        axis.bar_label(bars, [f" {_shown(row.ratio, '.2f')} x" for row in chosen])
        axis.set_title(f"{model}, {device}")
        axis.set_xlabel("passages a second")
        axis.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(target, dpi=120)
    pyplot.close(figure)


@told(ReaderError)
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reader", description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="SQuAD JSON, also .xz")
    parser.add_argument("--out", type=Path, required=True, help="without suffix")
    parser.add_argument("--pipeline", type=program, help="Python with transformers before 5.3")
    parser.add_argument("--haystack", type=program, help="Python with haystack-ai before 3")
    parser.add_argument("--questions", type=whole(1), default=4)
    parser.add_argument("--gpu-questions", type=whole(1), default=128)
    parser.add_argument("--passages", type=whole(1), default=10)
    parser.add_argument("--words", type=whole(1), default=100)
    parser.add_argument("--repeats", type=whole(1), default=7)
    parser.add_argument("--threads", type=whole(0), default=0, help="0: what torch takes")
    parser.add_argument("--f1-questions", type=whole(0), default=1000, help="0: no F1")
    parser.add_argument("--no-base", action="store_true", help="the embedded reader alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = run(options, Path(folder))
    kept = {key: str(value) for key, value in vars(options).items()}
    for key in ("pipeline", "haystack", "squad", "out"):  # places on one machine mean nothing
        kept.pop(key)
    record = {
        "command": kept,
        "processor": processor(),
        "cores": os.cpu_count(),
        "rows": [asdict(row) for row in rows],
    }
    options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    draw(rows, options.out.with_suffix(".png"))
    sys.stdout.write(table(rows) + "\n")


if __name__ == "__main__":
    main()
