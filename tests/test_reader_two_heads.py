"""A reader that ranks too: trained, stored, averaged, loaded, and chosen by the program."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bot.installation import Installation
from bot.models import ranker_of
from bot.settings import Settings, from_environment
from reader import checkpoint as checkpoints
from reader.average import average
from reader.contrast import ContrastConfig
from reader.contrast import train as train_ranker
from reader.contrast_loss import batch_loss, contrasts
from reader.errors import CheckpointError, TrainingError
from reader.finetune import finetune
from reader.groups import Group, GroupPassage
from reader.ranker import load_ranker
from reader.reader import Passage, load_reader
from reader.recipes import FinetuneConfig
from retriever.index.folder import IndexFolder
from tests.reader_models import checkpoint
from tests.resumed_runs import resumed_as_whole

CPU = torch.device("cpu")
FACTS = [
    ("how long is the code valid", "the code is valid for hours", "hours"),
    ("who can reset the vpn", "ask who can reset the vpn", "ask who"),
    ("how many days for the token", "the token is for many days", "many days"),
    ("where is the code", "reset is where the code is", "where"),
]
GROUPS = [
    Group(
        question,
        (
            GroupPassage(text, ((text.index(answer), text.index(answer) + len(answer)),)),
            GroupPassage("the vpn is valid", context="vpn"),
        ),
    )
    for question, text, answer in FACTS
] + [Group("who?", (GroupPassage("the code"),))]
TEXTS = [text for _, text, _ in FACTS] + ["", "ask who can reset the vpn " * 30]


def config(**changes: object) -> FinetuneConfig:
    values: dict[str, object] = {
        "epochs": 40, "learning_rate": 3e-3, "batch_pieces": 400, "save_every": 5, "ranking": 1.0,
    }  # fmt: skip
    return FinetuneConfig(**{**values, **changes})  # type: ignore[arg-type]


def ranking_loss(folder: Path) -> float:
    """What the training is to make small, over all questions at once."""
    loaded = checkpoints.load(folder, device=CPU, head_required=False)
    with torch.no_grad():
        loss = batch_loss(loaded.model.bert, loaded.tokenizer, contrasts(GROUPS), max_length=64)
    return float(loss)


def marks(folder: Path) -> object:
    return json.loads((folder / "config.json").read_text()).get("ranking")


def pooled_states(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    """The mean of transformers' last layer, of length one, each text by itself."""
    loaded = checkpoints.load(folder, device=CPU)
    tokens = loaded.tokenizer
    found = []
    for text in texts:
        ids = [tokens.cls_id, *tokens.pieces(text).ids[: loaded.max_length - 2], tokens.sep_id]
        with torch.inference_mode():
            hidden = loaded.model.bert(input_ids=torch.tensor([ids])).last_hidden_state
        found.append(torch.nn.functional.normalize(hidden[0].mean(0), dim=0).numpy())
    return np.stack(found)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "start", head=False)


@pytest.fixture(scope="module")
def two_heads(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader trained to rank too, with the match feature."""
    run = tmp_path_factory.mktemp("trained")
    return finetune(start, GROUPS, run, config(match=True), device=CPU)


def test_both_losses_go_down_and_only_the_marked_model_says_that_it_ranks(
    start: Path, tmp_path: Path
) -> None:
    seen: dict[str, list[float]] = {"both": [], "one": []}
    models = {}
    for name, ranking in (("both", 1.0), ("one", 0.0)):
        models[name] = finetune(
            start,
            GROUPS,
            tmp_path / name,
            config(ranking=ranking),
            device=CPU,
            progress=lambda step, name=name: seen[name].append(step.loss),  # type: ignore[misc]
        )
    # At the first step the weights are the same: what is added is the loss of the ranking.
    assert seen["both"][0] > seen["one"][0] + 0.1
    assert seen["both"][-1] < seen["both"][0] / 4
    before, both, one = (ranking_loss(f) for f in (start, models["both"], models["one"]))
    assert both < before / 4
    assert both < one / 2
    assert (marks(models["both"]), marks(models["one"])) == (True, None)
    for question, text, answer in FACTS:
        (best, *_) = load_reader(models["both"], device="cpu").read(
            question, [Passage("a", 0, text)]
        )
        assert best.text == answer
    # Trained on without ranking, it is none that ranks any more.
    again = finetune(
        models["both"], GROUPS, tmp_path / "again", config(epochs=1, ranking=0.0), device=CPU
    )
    assert marks(again) is None
    passages = [
        GroupPassage(text, ((text.index(answer), text.index(answer) + len(answer)),))
        for _, text, answer in FACTS
    ]
    files = [[Group(group.question, (p,)) for group, p in zip(GROUPS, passages, strict=False)]]
    assert marks(train_ranker(models["both"], files, tmp_path / "c", ContrastConfig())) is None


def test_its_vectors_are_the_means_of_the_last_layer(two_heads: Path) -> None:
    ranker = load_ranker(two_heads, device="cpu", precision="fp32")
    vectors = ranker.encode(TEXTS)
    np.testing.assert_allclose(vectors, pooled_states(two_heads, TEXTS), atol=1e-5)
    questions = ranker.encode([group.question for group in GROUPS[:4]])
    assert (questions @ vectors[:4].T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_it_ranks_stored_in_half_and_averaged_under_names_of_their_own(
    two_heads: Path, start: Path, tmp_path: Path
) -> None:
    loaded = checkpoints.load(two_heads, device=CPU)
    checkpoints.save(loaded, tmp_path / "half", half=True)
    average(start_with_head(start, tmp_path), two_heads, tmp_path / "mean", share=0.9)
    (tmp_path / "copy").mkdir()
    checkpoints.save(loaded, tmp_path / "copy")
    rankers = {
        name: load_ranker(folder, device="cpu", precision="fp32")
        for name, folder in (
            ("whole", two_heads),
            ("copy", tmp_path / "copy"),
            ("half", tmp_path / "half"),
            ("mean", tmp_path / "mean"),
        )
    }
    assert rankers["whole"].name == rankers["copy"].name
    assert len({ranker.name for ranker in rankers.values()}) == 3
    whole, half = rankers["whole"].encode(TEXTS), rankers["half"].encode(TEXTS)
    assert ((whole * half).sum(axis=1) > 0.999).all()
    mean = rankers["mean"].encode(TEXTS)
    np.testing.assert_allclose(mean, pooled_states(tmp_path / "mean", TEXTS), atol=1e-5)


def start_with_head(start: Path, folder: Path) -> Path:
    """The start weights as a reader with the match feature that cannot rank."""
    loaded = checkpoints.load(start, device=CPU, head_required=False, match=True)
    checkpoints.save(loaded, folder / "plain")
    return folder / "plain"


def test_what_cannot_rank_is_refused(two_heads: Path, start: Path, tmp_path: Path) -> None:
    plain = start_with_head(start, tmp_path)
    for folder in (plain, start):
        with pytest.raises(
            CheckpointError, match=r'does not rank: .*neither "ranking" nor "ranker_name"; train'
        ):
            load_ranker(folder, device="cpu")
    damaged = tmp_path / "damaged"
    checkpoints.save(checkpoints.load(two_heads, device=CPU), damaged)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"damaged/model\.safetensors is cut off or damaged"):
        load_ranker(damaged, device="cpu")
    (damaged / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="is not a checkpoint's configuration"):
        load_ranker(damaged, device="cpu")
    with pytest.raises(TrainingError, match=r"ranking is -1\.0; it must be at least 0"):
        config(ranking=-1.0)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(
    start: Path, tmp_path: Path, bf16: bool
) -> None:
    settings = config(epochs=5, batch_pieces=80, dropout=0.1, bf16=bf16)
    resumed = resumed_as_whole(start, GROUPS, tmp_path, settings, cut_at=7)
    assert marks(resumed) is True
    with pytest.raises(TrainingError, match="another configuration"):
        finetune(start, GROUPS, tmp_path / "cut", replace(settings, ranking=0.5), device=CPU)


def settings_of(home: Path, reader: Path | None, **variables: str) -> Settings:
    given = {"SPANBOT_HOME": str(home), "SPANBOT_DEVICE": "cpu", **variables}
    return from_environment(given | ({} if reader is None else {"SPANBOT_READER": str(reader)}))


def test_the_program_ranks_with_the_reader_unless_it_is_told_otherwise(
    two_heads: Path, start: Path, tmp_path: Path
) -> None:
    own = load_ranker(two_heads, device="cpu").name
    embedded = load_ranker(device="cpu").name
    plain = start_with_head(start, tmp_path)
    for reader, variables, name in (
        (two_heads, {}, own),
        (two_heads, {"SPANBOT_RANKER": "auto"}, own),
        (two_heads, {"SPANBOT_RANKER": "on"}, embedded),
        (plain, {}, embedded),
        (None, {}, embedded),
    ):
        assert ranker_of(settings_of(tmp_path / "home", reader, **variables)).name == name
    nowhere = settings_of(tmp_path / "home", tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r'SPANBOT_READER is ".*nowhere": there is no model'):
        ranker_of(nowhere)
    document = tmp_path / "documents" / "code.md"
    document.parent.mkdir()
    document.write_text("# Code\n\nThe code is valid for hours.\n")
    with Installation(settings_of(tmp_path / "home", two_heads)) as installation:
        installation.knowledge.add([document.parent])
        assert installation.keeper.current().encoder == own
        assert installation.ranker().dimensions == 32


def test_vectors_of_another_tokenizer_are_made_anew(two_heads: Path, tmp_path: Path) -> None:
    reader = tmp_path / "reader"
    shutil.copytree(two_heads, reader)
    settings = settings_of(tmp_path / "home", reader)
    document = tmp_path / "documents" / "code.md"
    document.parent.mkdir()
    document.write_text("# Code\n\nThe CODE is valid for hours.\n")

    def vectors() -> bytes:
        with Installation(settings) as installation:
            installation.knowledge.add([document.parent])
            name = installation.ranker().name
        [segment] = IndexFolder(settings.index_folder).usable_segments(name)
        return bytes(segment.vectors)

    before = vectors()
    assert vectors() == before
    tokenizer = reader / "tokenizer.json"
    text = tokenizer.read_text()
    assert '"lowercase": true' in text
    tokenizer.write_text(text.replace('"lowercase": true', '"lowercase": false'))
    assert vectors() != before
