"""The stages of the recipe: each works in its folder and gives back what the cards tell of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import recipe_data as data_of
from bench.question_sets import spread as spread_collection
from bench.question_sets import squad
from bench.ranking import ranks, success, vectors_of
from bench.recipe_run import Run
from reader import checkpoint as checkpoints
from reader import ranker as rankers
from reader.average import average
from reader.contrast import ContrastConfig
from reader.contrast import train as train_ranker
from reader.corpus import documents, fingerprint
from reader.evaluate import evaluate, load_predictions, save_predictions
from reader.finetune import finetune
from reader.groups import Group, load_groups, load_training, save_groups
from reader.metrics import squad_scores
from reader.pretrain import PretrainConfig, pretrain
from reader.reader import load_reader
from reader.recipes import FinetuneConfig
from reader.squad import load_squad, spread
from reader.throughput import prefers_bf16

#: Of stage 2's weights in the average with stage 1's.
SHARE = 0.85

#: What the ranking weighs beside the reading where one network learns both.
RANKING = 1.0

#: Of the passage files every so manieth question trains the ranker; of the sentence files all do.
EVERY, EVERY_APART = 3, 4

#: Rows that the device sees at once in pre-training, and those of a step.
PRETRAIN_ROWS, PRETRAIN_BATCH = 32, 128

_CHUNK = 1000


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


def pretrain_start(run: Run, folder: Path) -> dict[str, Any]:
    """The start weights on plain text, with masked spans and the boundary head."""
    files = data_of.corpora(run.arguments.data)
    config = PretrainConfig(
        steps=run.recipe.pretrain_steps,
        rows=PRETRAIN_ROWS,
        accumulate=PRETRAIN_BATCH // PRETRAIN_ROWS,
        length=256,
        dropout=0.0,
        save_every=run.recipe.save_every,
    )
    pretrain(
        run.arguments.start,
        documents(files),
        folder,
        config,
        source=run.recipe.corpora,
        device=checkpoints.choose_device(run.arguments.device),
        prepared=run.clock.check,
        progress=run.clock.check,
    )
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    corpus = {name: history["corpus"][name] for name in ("pieces", "documents")}
    return {**_trained(folder), **corpus}


def train_stage1(run: Run, folder: Path) -> dict[str, Any]:
    """The start weights, pre-trained or not, on the public sets."""
    groups: list[Group] = []
    sets = []
    for name, (file, licence) in data_of.reader_sets(run.recipe.more).items():
        found = load_training(data_of.file_of(run.arguments.data, file))
        found = found[: run.recipe.limit] if run.recipe.limit else found
        sets.append((name, len(found), licence))
        groups += found
    config = _config(run, learning_rate=2e-4, epochs=run.recipe.epochs)
    start = run.work / "pretrain" / "model" if run.recipe.pretrain_steps else run.arguments.start
    made = _finetuned(run, start, groups, folder, config)
    return {"sets": sets, "more": run.recipe.more, **made}


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
        ranking=RANKING if run.recipe.two_heads else 0.0,
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
    return _trained(folder)


def _trained(folder: Path) -> dict[str, Any]:
    """The configuration and the steps of a training."""
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return {name: history[name] for name in ("config", "steps")}


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
    shape = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    return {
        **_trained(folder),
        "questions": sum(map(len, files)),
        "shape": {
            "layers": shape["num_hidden_layers"],
            "hidden": shape["hidden_size"],
            "heads": shape["num_attention_heads"],
        },
    }


def store_rankers(run: Run, folder: Path) -> dict[str, Any]:
    """The trained ranker, where it is one of its own, and the start weights, in 8 bits a number."""
    if not run.recipe.two_heads:
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
    trained = "reader" if run.recipe.two_heads else "ranker"
    ours, start = (
        rankers.load_ranker(run.work / name, device=run.arguments.device)
        for name in (f"{trained}/model", "ranker/start")
    )
    sets: dict[str, Any] = {}
    for name in (data_of.DEV, data_of.QED):
        found = spread_collection(
            squad(data_of.file_of(run.arguments.data, name)), run.recipe.dev_questions or 1000
        )
        mine, theirs = (
            ranks(found, ranker, vectors_of(found.passages, ranker)) for ranker in (ours, start)
        )
        run.clock.check()
        sets[Path(name).name] = {
            "questions": len(found.questions),
            "paragraphs": len(found.passages),
            "BM25": success(mine["BM25"]),
            "start weights": success(theirs["vectors"]),
            "vectors": success(mine["vectors"]),
            "BM25 and vectors": success(mine["both"]),
        }
    return {"sets": sets}
