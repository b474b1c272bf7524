"""Training runs of a tiny ranker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reader import checkpoint as checkpoints
from reader import contrast, ranker
from reader.bert import Bert
from reader.contrast import ContrastConfig, batches, train
from reader.contrast_loss import Contrast, batch_loss, contrast_loss, contrasts, embed, labels
from reader.errors import CheckpointError, TrainingError
from reader.groups import Group, GroupPassage, save_groups
from tests.reader_models import checkpoint

FACTS = [
    ("how long is the code valid", "the code is valid for hours", "hours"),
    ("who can reset the vpn", "ask who can reset the vpn", "ask who"),
    ("how many days for the token", "the token is for many days", "many days"),
    ("where is the code", "reset is where the code is", "where"),
] * 4


def groups() -> list[Group]:
    return [
        Group(
            question,
            (
                GroupPassage(text, ((text.index(answer), text.index(answer) + len(answer)),)),
                GroupPassage("the vpn is valid", context="vpn"),
            ),
        )
        for question, text, answer in FACTS
    ]


def small(**changes: int) -> ContrastConfig:
    values: dict[str, int] = {"batch_questions": 4, "block": 2, "save_every": 3, **changes}
    return ContrastConfig(learning_rate=3e-3, **values)


def test_the_loss_is_that_of_a_softmax_over_the_texts_that_take_part() -> None:
    similarity = torch.tensor([[0.5, 0.1, 0.4], [0.2, 0.3, 0.9]])
    label = torch.tensor([[1, 0, -1], [1, 1, 0]])
    expected = [
        -np.log(np.exp(5.0) / (np.exp(5.0) + np.exp(1.0))),
        -np.log((np.exp(2.0) + np.exp(3.0)) / (np.exp(2.0) + np.exp(3.0) + np.exp(9.0))),
    ]
    assert contrast_loss(similarity, label, 10.0).item() == pytest.approx(np.mean(expected), 1e-5)


def test_a_text_that_holds_the_answer_is_nobody_s_negative_but_where_it_is_said_to_be() -> None:
    items = [
        Contrast("how long", ("valid for Two  hours",), ("not two hours",), ("two hours",)),
        Contrast("who", ("ask the desk",), (), ("the desk",)),
    ]
    texts = ["valid for Two  hours", "not two hours", "ask the desk", "it takes two\nhours"]
    assert labels(items, texts).tolist() == [[1, 0, 0, -1], [0, 0, 1, 0]]


def test_questions_without_an_answer_are_left_out_and_headings_stand_above_the_text() -> None:
    silent = Group("what", (GroupPassage("the code"),))
    found = contrasts([silent, groups()[0]])
    assert [item.question for item in found] == ["how long is the code valid"]
    assert found[0].right == ("the code is valid for hours",)
    assert found[0].wrong == ("vpn\nthe vpn is valid",)
    assert found[0].answers == ("hours",)


def test_a_batch_is_of_one_file_and_keeps_neighbours_together() -> None:
    files = [[Contrast(f"{name}{n}", ("text",), (), ()) for n in range(10)] for name in ("a", "b")]
    plan = batches(files, small(), np.random.default_rng(3))
    assert sorted(item.question for batch in plan for item in batch) == sorted(
        item.question for file in files for item in file
    )
    for batch in plan:
        assert len({item.question[0] for item in batch}) == 1
        numbers = [int(item.question[1:]) for item in batch]
        for even in range(0, 10, 2):
            assert (even in numbers) == (even + 1 in numbers)


def test_the_vectors_in_training_are_those_of_the_ranker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranker, "_BATCH_PIECES", 20)  # several batches
    start = checkpoint(tmp_path / "start", head=False)
    loaded = checkpoints.load(start, device=torch.device("cpu"), head_required=False, dropout=0.0)
    texts = ["who", "the code is valid for hours", "", "ask who can reset the vpn " * 9, "token"]
    vectors = embed(loaded.model.bert, loaded.tokenizer, texts, 24)
    shape, weights = (
        checkpoints.read(start, head_required=False).shape,
        {name: value.detach() for name, value in loaded.model.bert.state_dict().items()},
    )
    own = Bert(shape, weights, device=torch.device("cpu"))
    theirs = ranker.Ranker(own, loaded.tokenizer, name="own", max_length=24).encode(texts)
    np.testing.assert_allclose(vectors.detach().numpy(), theirs, atol=1e-5)
    assert vectors.requires_grad


def test_in_parts_the_loss_has_the_gradients_of_the_whole(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    items = contrasts(groups()[:7])

    def gradients(parts: int) -> tuple[float, list[torch.Tensor]]:
        torch.manual_seed(5)
        loaded = checkpoints.load(start, device=torch.device("cpu"), head_required=False)
        bert: Any = loaded.model.bert
        loss = batch_loss(bert, loaded.tokenizer, items, max_length=24, parts=parts)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item(), [each.grad for each in bert.parameters() if each.grad is not None]

    whole, parts = gradients(1), gradients(3)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert len(whole[1]) == len(parts[1]) > 30
    assert any(float(grad.abs().max()) > 1e-3 for grad in whole[1])
    for one, other in zip(whole[1], parts[1], strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_training_brings_the_question_nearer_to_its_text(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    seen: list[float] = []
    model = train(
        start,
        [groups() * 3],
        tmp_path / "run",
        small(batch_questions=16),
        progress=lambda step, steps, loss, seconds: seen.append(loss),
    )
    assert len(seen) == 3
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [loss for _, loss in history["losses"]] == pytest.approx(seen)
    before, after = (load_file(f / "model.safetensors") for f in (start, model))
    assert not torch.equal(
        before["encoder.layer.0.output.dense.weight"], after["encoder.layer.0.output.dense.weight"]
    )
    again: list[float] = []
    train(
        model,
        [groups() * 3],
        tmp_path / "second",
        small(batch_questions=16),
        progress=lambda step, steps, loss, seconds: again.append(loss),
    )
    assert np.mean(again) < np.mean(seen)


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    whole = train(start, [groups()], tmp_path / "whole", small())

    class StoppedError(Exception):
        pass

    def stop(step: int, steps: int, loss: float, seconds: float) -> None:
        if step == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(start, [groups()], tmp_path / "halves", small(save_every=3), progress=stop)
    resumed: list[int] = []
    halves = train(
        start,
        [groups()],
        tmp_path / "halves",
        small(),
        progress=lambda step, steps, loss, seconds: resumed.append(step),
    )
    assert resumed == [4]
    one, other = (load_file(model / "model.safetensors") for model in (whole, halves))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_goes_on_in_parts_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    # Without AdamW's division by the gradients' size, which makes much of rounding.
    monkeypatch.setattr(torch.optim, "AdamW", _descent)
    whole = train(start, [groups()], tmp_path / "whole", small())
    most = 2
    seen: list[int] = []
    told: list[str] = []

    def short(model: Any, tokenizer: Any, texts: Sequence[str], max_length: int) -> torch.Tensor:
        seen.append(len(texts))
        if len(texts) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(model, tokenizer, texts, max_length)

    monkeypatch.setattr("reader.contrast_loss.embed", short)
    parts = train(start, [groups()], tmp_path / "parts", small(), notify=told.append)
    assert len(told) == 1
    assert "memory ran out at step 1; batches go in 4 parts" in told[0]
    assert json.loads((tmp_path / "parts" / "history.json").read_text())["parts"] == [[1, 4]]
    assert seen[:4] == [4, 2, 2, 3]  # questions; questions, and of the texts the first half
    assert max(seen[4:]) <= 2
    one, other = (load_file(model / "model.safetensors") for model in (whole, parts))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    most = 0
    with pytest.raises(TrainingError, match="4 questions, a text at a time, does not fit into the"):
        train(start, [groups()], tmp_path / "none", small())


def _descent(groups: Any, *, lr: float, **other: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=lr)


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    with pytest.raises(TrainingError, match="no question has a text that answers it"):
        train(start, [[Group("what", (GroupPassage("the code"),))]], tmp_path / "run", small())
    with pytest.raises(CheckpointError, match="there is no model folder"):
        train(tmp_path / "nowhere", [groups()], tmp_path / "run", small())
    train(start, [groups()], tmp_path / "run", small())
    with pytest.raises(TrainingError, match="has batch_questions 4 there and 2 here; it has 4 st"):
        train(start, [groups()], tmp_path / "run", small(batch_questions=2))
    with pytest.raises(TrainingError, match="data: its training data are others; it has 4 steps"):
        train(start, [groups() * 2], tmp_path / "run", small())
    other = checkpoint(tmp_path / "other", head=False, cased=True)
    with pytest.raises(TrainingError, match=r"data: its start weights are others\. Give"):
        train(other, [groups()], tmp_path / "run", small())


def test_a_run_is_of_its_data_and_its_start_weights(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    run = tmp_path / "run"
    train(start, [groups()], run, small())
    [first, *rest] = groups()
    changed = Group(first.question, (first.passages[0], GroupPassage("the vpn is valid.")))
    with pytest.raises(TrainingError, match=r"other data: its training data are others\. G"):
        train(start, [[changed, *rest]], run, small())
    weights = load_file(start / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"][0] += 1e-3
    save_file(weights, start / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match=r"other data: its start weights are others\. Gi"):
        train(start, [groups()], run, small())


def test_the_command_takes_every_nth_question_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    save_groups(groups(), tmp_path / "groups.jsonl")
    run = tmp_path / "run"
    contrast.main([f"{tmp_path / 'groups.jsonl'}:4", "--start", str(start), "--run", str(run)])
    assert "step 1 of 1" in capsys.readouterr().err
    assert (run / "model" / "model.safetensors").exists()
