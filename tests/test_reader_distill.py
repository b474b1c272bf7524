"""Learning from a better reader: its distribution mapped by hand, and whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reader import checkpoint as checkpoints
from reader.distill import Teacher, distillation_loss, moved
from reader.errors import CheckpointError, TrainingError
from reader.finetune import finetune
from reader.groups import Group, GroupPassage
from reader.reader import Passage, load_reader
from reader.recipes import FinetuneConfig
from reader.training_data import training_groups
from tests.reader_models import checkpoint, tokenizer
from tests.resumed_runs import resumed_as_whole

CPU = torch.device("cpu")
TEXT = "vpn 12 hours, token 90 days"
GROUPS = [
    Group("vpn?", (GroupPassage(TEXT, ((4, 12),), "codes"), GroupPassage("ask the token"))),
    Group("token?", (GroupPassage(TEXT, ((20, 27),)),)),
]


def config(**changes: object) -> FinetuneConfig:
    values: dict[str, object] = {
        "epochs": 6, "learning_rate": 3e-3, "batch_pieces": 40, "save_every": 5,
    }  # fmt: skip
    return FinetuneConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_probabilities_go_where_the_characters_are() -> None:
    """Theirs: "unread able, x"; ours: "un read able" and no piece for the comma."""
    their = [(0, 6), (6, 10), (10, 11), (12, 13)]
    own = [(0, 2), (2, 6), (6, 10), (12, 13)]
    starts = np.array([0.5, 0.2, 0.1, 0.2], dtype=np.float32)
    ends = np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32)
    first, last = moved(starts, ends, their, own)
    assert first == pytest.approx([0.5, 0.0, 0.2, 0.3])
    assert last == pytest.approx([0.0, 0.4, 0.5, 0.1])
    same = moved(starts, ends, own, own)
    assert same[0] == pytest.approx(starts)
    assert same[1] == pytest.approx(ends)
    # The only piece takes everything, before it and behind it.
    assert moved(starts, ends, their, [(11, 12)]) == pytest.approx(np.ones((2, 1)))


def test_the_loss_is_the_divergence_at_the_temperature() -> None:
    logits = torch.tensor([[9.0, 2.0, 4.0, 7.0], [1.0, 0.0, 0.0, 5.0]])
    inside = torch.tensor([[False, True, True, False], [False, True, True, False]])
    target = torch.tensor([[0.0, 0.25, 0.75, 0.0], [0.0, 0.0, 1.0, 0.0]])
    own = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()  # at temperature 2
    one = 0.25 * np.log(0.25 / own[0]) + 0.75 * np.log(0.75 / own[1])
    expected = 4 * (one + np.log(2)) / 2
    found = distillation_loss(logits, inside, target, temperature=2.0)
    assert found.item() == pytest.approx(expected, 1e-5)
    exact = torch.log(target.clamp(min=1e-30)) * 2.0
    assert distillation_loss(exact, inside, target, temperature=2.0).item() == pytest.approx(
        0.0, abs=1e-6
    )


@pytest.mark.parametrize("cased", [False, True])
def test_targets_are_what_the_teacher_says_of_the_same_characters(
    tmp_path: Path, cased: bool
) -> None:
    """With one vocabulary or another, each window's shares add up to 1 and lie in its passage."""
    folder = checkpoint(tmp_path / "teacher", cased=cased)
    teacher = Teacher.load(str(folder), CPU, bf16=False, notify=print)
    batch = training_groups(GROUPS, tokenizer(), max_length=24, overlap=4)
    target = teacher.targets(batch, temperature=2.0)
    rows = [item.window for group in batch for item in group.windows]
    assert target.shape == (2, len(rows), max(len(window) for window in rows))
    for row, window in enumerate(rows):
        inside = slice(window.first, window.first + len(window.offsets))
        assert target[:, row, inside].sum(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
        assert target[:, row].sum(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    if not cased:  # the same pieces: a window that is a whole passage is read as it stands
        whole = next(n for n, window in enumerate(rows) if window.passage == 1)
        starts, _ = teacher.network([rows[whole]])
        window = rows[whole]
        inside = slice(window.first, window.first + len(window.offsets))
        own = torch.softmax(torch.from_numpy(starts[0, inside]) / 2.0, 0)
        assert target[0, whole, inside].numpy() == pytest.approx(own.numpy(), abs=1e-5)


def test_a_student_learns_what_only_the_teacher_knows(tmp_path: Path) -> None:
    """The teacher was taught other answers than the data has."""
    days, hours = GroupPassage(TEXT, ((20, 27),)), GroupPassage(TEXT, ((4, 12),))
    right = [Group("vpn?", (hours,)), Group("token?", (days,))]
    other = [Group("vpn?", (days,)), Group("token?", (hours,))]
    start = checkpoint(tmp_path / "start", head=False)
    settings = config(epochs=60, batch_pieces=80)
    teacher = finetune(start, other, tmp_path / "teacher", settings, device=CPU)
    passages = [Passage("a", 0, TEXT)]
    assert load_reader(teacher, device="cpu").read("vpn?", passages)[0].text == "90 days"
    taught = config(epochs=60, batch_pieces=80, teacher=str(teacher), distill=50.0)
    model = finetune(start, right, tmp_path / "student", taught, device=CPU)
    alone = finetune(start, right, tmp_path / "alone", settings, device=CPU)
    assert load_reader(model, device="cpu").read("vpn?", passages)[0].text == "90 days"
    assert load_reader(alone, device="cpu").read("vpn?", passages)[0].text == "12 hours"


def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    teacher = checkpoint(tmp_path / "teacher", cased=True)
    settings = config(dropout=0.1, match=True, teacher=str(teacher))
    resumed_as_whole(start, GROUPS, tmp_path, settings, cut_at=8)


def test_teachers_that_cannot_teach_are_refused(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    run = tmp_path / "run"
    headless = checkpoint(tmp_path / "headless", head=False)
    with pytest.raises(CheckpointError, match="no question-answering head"):
        finetune(start, GROUPS, run, config(teacher=str(headless)), device=CPU)
    with pytest.raises(TrainingError, match=r"temperature is 0\.0; it must"):
        config(temperature=0.0)
    loaded = checkpoints.load(start, device=CPU)
    with torch.no_grad():
        loaded.model.qa_outputs.bias[:] = float("inf")
    checkpoints.save(loaded, tmp_path / "damaged")
    with pytest.raises(TrainingError, match="damaged gave logits that are not numbers"):
        finetune(start, GROUPS, run, config(teacher=str(tmp_path / "damaged")), device=CPU)
    short = checkpoint(tmp_path / "short")
    (short / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 12}')
    with pytest.raises(TrainingError, match=r'"vpn 12 hours.*" is longer than the 12 pieces'):
        finetune(start, GROUPS, run, config(teacher=str(short)), device=CPU)
