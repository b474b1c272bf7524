"""What each option of the reader's training adds: small trainings that differ in one thing.

    python -m bench.ablation --data DATA --out RUN [--start MINILM] [--questions 4000] \
        [--dev-questions 3000] [--open-questions 500] [--minutes 9]

Every variant (:mod:`bench.ablation_variants`) starts from the same weights, with the same seed, on
the same questions of SQuAD's train set, and is scored

- on questions of SQuAD's dev set, each with its own paragraph;
- on open questions: the same set's, each with the five best paragraphs that BM25 finds among dev's
  and train's, one softmax over all of them;
- on the sample handbook: whether the sentence that the bot shows first holds the answer, with the
  bot's settings but that it always answers.

Differences to ``base`` have a paired bootstrap interval of 95 %. It tells of the sample of
questions; with one training each, nothing is known of how seeds differ.

The command stops by itself after ``--minutes`` and goes on when it is given again. ``RUN/work`` has
a folder for each variant, ``RUN/results`` has ``ablation.json`` and ``ablation.png`` of those that
are finished.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from bench import ablation_report as reports
from bench.ablation_variants import VARIANTS, Material, Variant
from bench.arguments import foreseen
from bench.clock import TIME_IS_UP, Clock, OutOfTimeError, keep, say
from bench.open_questions import Found, find
from bench.recipe import embedded_start, weights_of
from bench.recipe_data import DEV, READER_SETS, file_of, settings_on
from bot.evaluation import holds_answer, load_questions, run_questions
from bot.installation import Installation
from reader import checkpoint as checkpoints
from reader.arguments import rate, whole
from reader.corpus import documents, fingerprint
from reader.evaluate import evaluate
from reader.finetune import Progress, finetune
from reader.pretrain import PretrainConfig, pretrain
from reader.pretrain import Progress as PretrainProgress
from reader.reader import Passage, load_reader
from reader.recipes import FinetuneConfig
from reader.squad import Example, load_squad, spread
from reader.throughput import prefers_bf16

#: Paragraphs that are read for an open question.
READ = 5
_CORPUS = "corpus/wiki-en-2018-core-1.txt.xz"
_SAMPLE = Path(__file__).parent.parent / "bot" / "sample"
_CHUNK = 50  # open questions read at once
_SPANS = 20  # looked at when "no answer" counts


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all variants share; a run of another one does not go on in its folder."""

    start: str  # fingerprints
    data: str
    questions: int
    dev_questions: int
    open_questions: int
    batch_pieces: int
    learning_rate: float
    pretrain_steps: int
    pretrain_documents: int
    seed: int
    precision: str


class Ablation:
    """A run in its folder."""

    def __init__(self, arguments: argparse.Namespace, recipe: Recipe, clock: Clock) -> None:
        self.recipe = recipe
        self.work: Path = arguments.out / "work"
        self._given = arguments
        self._clock = clock
        self._device: torch.device = checkpoints.choose_device(arguments.device)
        self._material = Material(arguments.data, recipe.questions, recipe.seed)

    @cached_property
    def dev(self) -> list[Example]:
        """The questions that are scored on their own paragraphs."""
        return spread(load_squad(self._file(DEV)), self.recipe.dev_questions)

    @cached_property
    def found(self) -> Found:
        """The open questions with what BM25 found."""
        return find(
            self._file(DEV),
            [self._file(READER_SETS["SQuAD 1.1 train, reconstructed"][0])],
            count=self.recipe.open_questions or None,
            depth=READ,
            vectors=None,
        )

    def finished(self, name: str, variant: Variant) -> dict[str, Any]:
        """Train and score a variant, as far as that is not done; all that its files say."""
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "trained": lambda: self._train(name, variant, folder),
            "squad": lambda: self._squad(folder),
            "open": lambda: self._open(folder, none=bool(variant.options.get("no_answer"))),
            "sample": lambda: self._sample(folder),
        }
        facts: dict[str, Any] = {}
        for part, make in parts.items():
            path = folder / f"{part}.json"
            if not path.exists():
                self._clock.check()
                say(f"{name}: {part} ...")
                keep(make(), path)
            facts[part] = json.loads(path.read_text(encoding="utf-8"))
        return facts

    def _train(self, name: str, variant: Variant, folder: Path) -> dict[str, Any]:
        start = self._given.start
        if variant.pretrained:
            start = self._pretrained()
        groups = variant.groups(self._material)
        config = FinetuneConfig(
            learning_rate=self.recipe.learning_rate,
            batch_pieces=round(self.recipe.batch_pieces * variant.passages),
            bf16=self.recipe.precision == "bf16",
            seed=self.recipe.seed,
            save_every=self._given.save_every,
            **variant.options,
        )

        def report(now: Progress) -> None:
            if now.step % 20 == 0:
                speed = f"{now.pieces_per_second:,.0f} pieces/s"
                say(f"{name}: step {now.step} of {now.steps}, loss {now.loss:.3f}, {speed}")
            self._clock.check()

        finetune(start, groups, folder, config, device=self._device, progress=report)
        history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        return {
            "questions": len(groups),
            "passages": sum(len(group.passages) for group in groups),
            "steps": history["steps"],
        }

    def _pretrained(self) -> Path:
        corpus = self._given.corpus or self._given.data / _CORPUS

        def report(now: PretrainProgress) -> None:
            speed = f"{now.pieces_per_second:,.0f} pieces/s"
            say(f"pre-training: step {now.step} of {now.steps}, loss {now.loss:.3f}, {speed}")
            self._clock.check()

        return pretrain(
            self._given.start,
            islice(documents([corpus]), self.recipe.pretrain_documents),
            self.work / "pretrain",
            PretrainConfig(
                steps=self.recipe.pretrain_steps,
                rows=16,
                length=256,
                dropout=0.0,
                seed=self.recipe.seed,
                save_every=self._given.save_every,
            ),
            source=f"{fingerprint([corpus])}:{self.recipe.pretrain_documents}",
            device=self._device,
            prepared=self._clock.check,
            progress=report,
        )

    def _reader(self, folder: Path) -> Any:
        return load_reader(
            folder / "model", device=self._given.device, precision=self.recipe.precision
        )

    def _squad(self, folder: Path) -> dict[str, Any]:
        found = evaluate(self._reader(folder), self.dev, progress=self._clock.check)
        return {"answers": found.predictions}

    def _open(self, folder: Path, *, none: bool) -> dict[str, Any]:
        """The first answers; ``none``: also by the score less that of "no answer"."""
        reader, found = self._reader(folder), self.found
        first: dict[str, str] = {}
        less_none: dict[str, str] = {}
        for begin in range(0, len(found.questions), _CHUNK):
            self._clock.check()
            part = found.questions[begin : begin + _CHUNK]
            asked = [
                (
                    one.example.question,
                    [Passage(str(n), 0, found.paragraphs[n]) for n in one.passages],
                )
                for one in part
            ]
            for one, spans in zip(part, reader.read_batch(asked, top_k=_SPANS), strict=True):
                first[one.example.id] = spans[0].text if spans else ""
                other = max(spans, key=lambda span: span.score - span.null_score, default=None)
                less_none[one.example.id] = other.text if other else ""
        return {"answers": first, "less_none": less_none if none else None}

    def _sample(self, folder: Path) -> dict[str, Any]:
        """For each answerable question whether the first sentence shown holds an answer."""
        settings = replace(
            settings_on(self.work / "sample", self._given.device),
            reader=str(folder / "model"),
            reader_precision=self.recipe.precision,
            precision=0.0,
        )
        asked = [one for one in load_questions(self._given.asked) if one.answerable]
        with Installation(settings) as installation:
            installation.knowledge.add([self._given.handbook])
            outcomes = run_questions(
                asked, installation.retriever, installation.answerer, progress=self._clock.check
            )
        return {
            "contains": [
                any(
                    holds_answer(answer.sentence, outcome.gold.answers)
                    for answer in outcome.reply.answers[:1]
                )
                for outcome in outcomes
            ]
        }

    def _file(self, name: str) -> Path:
        return file_of(self._given.data, name)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a BERT sentence encoder")
    parser.add_argument("--corpus", type=Path, help=f"text to pre-train on; by default {_CORPUS}")
    parser.add_argument("--handbook", type=Path, default=_SAMPLE / "handbook")
    parser.add_argument("--asked", type=Path, default=_SAMPLE / "questions.jsonl")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--questions", type=whole(1), default=4000)
    parser.add_argument("--dev-questions", type=whole(0), default=3000, help="0: all")
    parser.add_argument("--open-questions", type=whole(0), default=500, help="0: all")
    parser.add_argument("--batch-pieces", type=whole(1), default=1280)
    parser.add_argument("--learning-rate", type=rate, default=1e-4)
    parser.add_argument("--pretrain-steps", type=whole(1), default=300)
    parser.add_argument("--pretrain-documents", type=whole(1), default=5000)
    parser.add_argument("--seed", type=whole(0), default=13)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--save-every", type=whole(1), default=50, help="steps between checkpoints")
    return parser.parse_args(given)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    names = [DEV, *(path for path, _ in READER_SETS.values())]
    device = checkpoints.choose_device(arguments.device)
    return Recipe(
        start=fingerprint(weights_of(arguments.start)),
        data=fingerprint([file_of(arguments.data, name) for name in names]),
        precision="bf16" if prefers_bf16(device) else "fp32",
        **{
            name: getattr(arguments, name)
            for name in (
                "questions dev_questions open_questions batch_pieces learning_rate "
                "pretrain_steps pretrain_documents seed"
            ).split()
        },
    )


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    arguments.start = arguments.start or embedded_start()
    recipe = _recipe(arguments)
    made_with = arguments.out / "work" / "recipe.json"
    if not made_with.exists():
        made_with.parent.mkdir(parents=True, exist_ok=True)
        keep(asdict(recipe), made_with)
    elif json.loads(made_with.read_text(encoding="utf-8")) != asdict(recipe):
        sys.exit(f"{arguments.out} holds a run of another recipe; choose another --out")
    run = Ablation(arguments, recipe, Clock.of_minutes(arguments.minutes))
    facts: dict[str, Any] = {}
    for name in VARIANTS:
        if name != "base" and name not in arguments.variants:
            continue
        try:
            facts[name] = run.finished(name, VARIANTS[name])
        except OutOfTimeError:
            say(TIME_IS_UP)
            break
        report = {
            "recipe": asdict(recipe),
            "missing": [other for other in VARIANTS if other not in facts],
            "variants": reports.compared(facts, run.dev, run.found),
        }
        results = arguments.out / "results"
        results.mkdir(exist_ok=True)
        keep(report, results / "ablation.json")
        reports.draw(report, results / "ablation.png")
    if facts:
        sys.stdout.write(reports.table(report))


if __name__ == "__main__":
    main()
