"""Does span masking with the boundary objective pay? Against plain masking, all else equal.

    python -m bench.masking_experiment --start MODEL --corpus FILE... --train FILE --dev FILE \
        --out FOLDER [--minutes 9]

Two arms, ``spans`` (with the boundary head) and ``pieces`` (plain masking), from the same weights,
over the same rows of text in the same order, each of one document (:mod:`reader.corpus`), then
fine-tuned alike and scored on the dev file; once for each seed. The difference of their F1 comes
with a paired bootstrap interval. The defaults are meant for half an hour of one modern GPU; they
have not been timed on one.

The command stops by itself after ``--minutes`` and goes on when it is given again. Results
(``FOLDER/results``: predictions and figures of each finished run, ``masking.json``,
``masking.png``) are small files apart from the work (``FOLDER/work``), so that finished runs can be
carried to another machine without the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.arguments import foreseen
from bench.clock import TIME_IS_UP, Clock, OutOfTimeError, keep, say
from reader import checkpoint as checkpoints
from reader.arguments import rate, whole
from reader.corpus import documents, fingerprint
from reader.evaluate import evaluate
from reader.finetune import finetune
from reader.groups import of_squad
from reader.masking import Kind, MaskingConfig
from reader.metrics import best_over, exact_match, f1
from reader.pretrain import PretrainConfig, Progress, pretrain
from reader.reader import load_reader
from reader.recipes import FinetuneConfig
from reader.squad import Example, load_squad, spread
from reader.throughput import prefers_bf16

ARMS: tuple[Kind, ...] = ("spans", "pieces")
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything both arms share; stored in every result, so that only like is compared."""

    start: str
    corpora: str  # their fingerprint
    train: str
    dev: str
    steps: int
    rows: int
    length: int
    learning_rate: float
    train_questions: int
    dev_questions: int
    epochs: int
    finetune_rate: float


def run_arm(
    kind: Kind, seed: int, recipe: Recipe, arguments: argparse.Namespace, clock: Clock
) -> dict[str, Any]:
    """Pre-train, fine-tune and score one arm with one seed; goes on where it was stopped."""
    work = arguments.out / "work" / f"{kind}-{seed}"
    device = checkpoints.choose_device(arguments.device)

    def report(now: Progress) -> None:
        say(
            f"{kind} {seed}: step {now.step} of {now.steps}, loss {now.loss:.3f}, "
            f"{now.pieces_per_second:,.0f} pieces/s, {now.utilisation:.0%} of the matrix rate"
        )
        clock.check()

    encoder = pretrain(
        arguments.start,
        documents(arguments.corpus),
        work / "pretrain",
        PretrainConfig(
            steps=recipe.steps,
            rows=recipe.rows,
            length=recipe.length,
            learning_rate=recipe.learning_rate,
            dropout=0.0,
            masking=MaskingConfig(kind=kind),
            seed=seed,
            save_every=arguments.save_every,
        ),
        source=recipe.corpora,
        pieces=arguments.out / "work" / "corpus",
        device=device,
        prepared=clock.check,
        progress=report,
    )
    model = _finetuned(
        encoder,
        spread(load_squad(arguments.train), recipe.train_questions),
        work / "finetune",
        FinetuneConfig(
            epochs=recipe.epochs,
            learning_rate=recipe.finetune_rate,
            bf16=prefers_bf16(device),
            seed=seed,
            save_every=arguments.save_every,
        ),
        device,
        clock,
    )
    dev = spread(load_squad(arguments.dev), recipe.dev_questions)
    scored = evaluate(load_reader(model, device=str(device)), dev, progress=clock.check)
    history = json.loads((work / "pretrain" / "history.json").read_text(encoding="utf-8"))
    return {
        "arm": kind,
        "seed": seed,
        "recipe": asdict(recipe),
        "scores": {key: scored.scores[key] for key in ("exact", "f1", "total")},
        "machine": history["machine"],
        "last_report": history["reports"][-1],
        "predictions": scored.predictions,
    }


def _finetuned(
    start: Path,
    examples: Sequence[Example],
    run: Path,
    config: FinetuneConfig,
    device: Any,
    clock: Clock,
) -> Path:
    """The one place that knows how fine-tuning is called."""
    return finetune(start, of_squad(examples), run, config, device=device, progress=clock.check)


def paired_interval(
    differences: NDArray[np.float64], generator: np.random.Generator
) -> tuple[float, float]:
    """The 95 % percentile interval of the mean under resampling of the questions.

    Args:
        differences: (questions,) of one arm's score less the other's on the same question.
    """
    count = len(differences)
    means = [differences[generator.integers(count, size=count)].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(results: Sequence[Mapping[str, Any]], dev: Sequence[Example]) -> dict[str, Any]:
    """Spans less pieces, in points of percent, over the seeds that both arms have.

    The interval of all seeds resamples questions of the mean over seeds: it tells of the sample of
    questions, the spread of the seeds' own differences of the training.
    """
    by = {(str(r["arm"]), int(r["seed"])): r for r in results}
    seeds = sorted({seed for _, seed in by if all((arm, seed) in by for arm in ARMS)})
    generator = np.random.default_rng(2020)
    report: dict[str, Any] = {"questions": len(dev), "seeds": seeds, "runs": [], "difference": {}}
    for _, result in sorted(by.items()):
        report["runs"].append(
            {key: result[key] for key in ("arm", "seed", "scores", "machine", "last_report")}
        )
    for name, metric in (("f1", f1), ("exact", exact_match)):
        tables = {
            key: 100
            * np.array(
                [
                    best_over(
                        metric, result["predictions"].get(example.id, ""), example.answer_texts
                    )
                    for example in dev
                ]
            )
            for key, result in by.items()
        }
        differences = [tables["spans", seed] - tables["pieces", seed] for seed in seeds]
        if not differences:
            continue
        mean = np.mean(differences, axis=0)  # (questions,)
        report["difference"][name] = {
            "mean": float(mean.mean()),
            "interval_95": paired_interval(mean, generator),
            "by_seed": {
                str(seed): {
                    "mean": float(one.mean()),
                    "interval_95": paired_interval(one, generator),
                }
                for seed, one in zip(seeds, differences, strict=True)
            },
        }
    return report


def draw(report: Mapping[str, Any], picture: Path) -> None:
    """F1 of every run, and the differences with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for place, arm in enumerate(ARMS):
        values = [run["scores"]["f1"] for run in report["runs"] if run["arm"] == arm]
        left.plot([place] * len(values), values, "o")
    left.set_xticks(range(len(ARMS)), ["spans + boundary", "plain pieces"])
    left.set_xlim(-0.5, len(ARMS) - 0.5)
    left.set_ylabel("SQuAD dev F1")
    if "f1" in report["difference"]:
        whole = report["difference"]["f1"]
        named = [*whole["by_seed"].items(), ("all", whole)]
        for place, (_, item) in enumerate(named):
            low, high = item["interval_95"]
            right.plot([low, high], [place, place], color="tab:blue")
            right.plot([item["mean"]], [place], "o", color="tab:blue")
        right.set_yticks(range(len(named)), [name for name, _ in named])
        right.axvline(0, color="grey", linewidth=0.8)
    right.set_xlabel("F1, spans less pieces (95 % interval)")
    right.set_ylabel("seed")
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", required=True, help="folder or hub id of the start weights")
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--train", type=Path, required=True, help="SQuAD JSON to fine-tune on")
    parser.add_argument("--dev", type=Path, required=True, help="SQuAD JSON to score on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seeds", type=whole(0), nargs="+", default=[13, 14, 15])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=whole(1), default=2000)
    parser.add_argument("--rows", type=whole(1), default=128)
    parser.add_argument("--length", type=whole(1), default=256)
    parser.add_argument("--learning-rate", type=rate, default=2e-4)
    parser.add_argument("--train-questions", type=whole(0), default=0, help="0: all")
    parser.add_argument("--dev-questions", type=whole(0), default=0, help="0: all")
    parser.add_argument("--epochs", type=whole(1), default=1)
    parser.add_argument("--finetune-rate", type=rate, default=2e-4)
    parser.add_argument("--save-every", type=whole(1), default=100)
    return parser.parse_args()


@foreseen()
def main() -> None:
    arguments = _arguments()
    clock = Clock.of_minutes(arguments.minutes)
    recipe = Recipe(
        start=Path(arguments.start).name,
        corpora=fingerprint(arguments.corpus),
        train=fingerprint([arguments.train]),
        dev=fingerprint([arguments.dev]),
        **{
            name: getattr(arguments, name)
            for name in (
                "steps rows length learning_rate train_questions dev_questions epochs finetune_rate"
            ).split()
        },
    )
    folder = arguments.out / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    complete = True
    for seed, arm in product(arguments.seeds, ARMS):
        path = folder / f"{arm}-{seed}.json"
        if not path.exists():
            try:
                keep(run_arm(arm, seed, recipe, arguments, clock), path)
            except OutOfTimeError:
                complete = False
                say(TIME_IS_UP)
                break
        result = cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
        if result["recipe"] != asdict(recipe):
            sys.exit(f"{path} is of another recipe; choose another --out")
        results.append(result)
    if not results:
        return
    dev = spread(load_squad(arguments.dev), recipe.dev_questions)
    report = {"complete": complete, "recipe": asdict(recipe), **compare(results, dev)}
    keep(report, folder / "masking.json")
    draw(report, folder / "masking.png")
    sys.stdout.write(json.dumps(report["difference"], indent=1) + "\n")


if __name__ == "__main__":
    main()
