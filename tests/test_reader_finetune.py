from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from reader import checkpoint as checkpoints
from reader.curve import draw
from reader.errors import TrainingError
from reader.evaluate import evaluate
from reader.features import Window
from reader.finetune import (
    FinetuneConfig,
    Progress,
    TrainingWindow,
    batches,
    finetune,
    training_windows,
)
from reader.network import Network
from reader.reader import Reader
from reader.squad import Example, GoldAnswer
from tests.reader_models import checkpoint, tokenizer

CONTEXT = "the code is valid for 12 hours. the token is valid for 90 days."
EXAMPLES = [
    Example("a", "how many hours?", CONTEXT, (GoldAnswer("12 hours", 22),)),
    Example("b", "how many days?", CONTEXT, (GoldAnswer("90 days", 55),)),
    Example("c", "who?", CONTEXT, ()),
]
EASY = [
    Example("d", "how many hours?", "ask: 12 hours", (GoldAnswer("12 hours", 5),)),
    Example("e", "how many days?", "for the token it is 90 days", (GoldAnswer("90 days", 20),)),
]
CPU = torch.device("cpu")


def test_an_answer_is_trained_at_its_pieces() -> None:
    tokens = tokenizer()
    found = training_windows(EXAMPLES, tokens, max_length=128, overlap=16)
    assert len(found) == 2
    for item, example in zip(found, EXAMPLES, strict=False):
        first = item.window.offsets[item.start - item.window.first][0]
        last = item.window.offsets[item.end - item.window.first][1]
        assert CONTEXT[first:last] == example.answers[0].text


def test_a_window_that_cuts_the_answer_is_not_trained_on() -> None:
    tokens = tokenizer()
    long = Example("d", "how?", "ask who " * 60 + CONTEXT, (GoldAnswer("12 hours", 480 + 22),))
    for item in training_windows([long], tokens, max_length=40, overlap=12):
        first = item.window.offsets[item.start - item.window.first][0]
        last = item.window.offsets[item.end - item.window.first][1]
        assert long.context[first:last] == "12 hours"


def test_batches_hold_every_window_once_within_the_budget() -> None:
    items = [
        TrainingWindow(Window(0, (0,) * length, 1, 1, ()), 0, 0)
        for length in range(5, 60)
        for _ in "ab"
    ]
    found = batches(items, batch_pieces=200, generator=np.random.default_rng(1))
    assert sorted(id(item) for batch in found for item in batch) == sorted(map(id, items))
    assert all(len(b) * max(len(i.window) for i in b) <= 200 for b in found)
    again = batches(items, batch_pieces=200, generator=np.random.default_rng(1))
    assert [[id(i) for i in b] for b in found] == [[id(i) for i in b] for b in again]


def config(**changes: object) -> FinetuneConfig:
    values: dict[str, object] = {
        "epochs": 12, "learning_rate": 4e-3, "batch_pieces": 40, "bf16": False, "save_every": 5,
    }  # fmt: skip
    return FinetuneConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_training_learns_its_examples_and_leaves_a_model_and_a_curve(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    seen: list[Progress] = []
    model = finetune(
        start,
        EASY,
        tmp_path / "run",
        config(epochs=40),
        device=CPU,
        evaluate=lambda c: evaluate(Reader(c.tokenizer, Network(c)), EASY).scores["f1"],
        evaluate_every=40,
        progress=seen.append,
    )
    trained = checkpoints.load(model, device=CPU)
    scores = evaluate(Reader(trained.tokenizer, Network(trained)), EASY).scores
    assert scores["exact"] == 100.0
    assert seen[-1].step == seen[-1].steps
    assert seen[-1].loss < seen[0].loss
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["evaluations"][-1][1] == 100.0
    draw(tmp_path / "run" / "history.json", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


class CutError(Exception):
    """The run is cut off here."""


def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    settings = config(dropout=0.1)
    whole = finetune(start, EXAMPLES, tmp_path / "whole", settings, device=CPU)

    def cut(progress: Progress) -> None:
        if progress.step == 13:
            raise CutError

    with pytest.raises(CutError):
        finetune(start, EXAMPLES, tmp_path / "cut", settings, device=CPU, progress=cut)
    resumed = finetune(start, EXAMPLES, tmp_path / "cut", settings, device=CPU)
    one, other = (checkpoints.load(m, device=CPU).model.state_dict() for m in (whole, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_runs_that_cannot_start(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    with pytest.raises(TrainingError, match="none of the 1 questions has an answer"):
        finetune(start, EXAMPLES[2:], tmp_path / "run", config(), device=CPU)
    finetune(start, EXAMPLES, tmp_path / "run", config(epochs=1), device=CPU)
    with pytest.raises(TrainingError, match="another configuration"):
        finetune(start, EXAMPLES, tmp_path / "run", config(epochs=2), device=CPU)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"garbage")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt cannot be read"):
        finetune(start, EXAMPLES, tmp_path / "run", config(epochs=1), device=CPU)
