"""The steps of a training run by hand-worked cases, on a real network and in a real folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from reader.errors import OutputError, TrainingError
from reader.training import History, Training


@dataclass(frozen=True, slots=True)
class Steps:
    """What a configuration says of the steps."""

    learning_rate: float = 0.1
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1e9


class Two(nn.Module):
    """A weight of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))


def training(
    run: Path, model: nn.Module, config: Steps, *, steps: int, final_rate: float = 0.0
) -> Training:
    history = History(config=asdict(config), steps=steps)
    return Training(run, model, config, history, final_rate=final_rate)


def with_gradient(model: Two, *values: float) -> None:
    model.weight.grad = torch.tensor(values)


def moves(run: Path, config: Steps, *, final_rate: float = 0.0) -> list[float]:
    """How far each of ten steps moves a weight whose gradient is always the same.

    AdamW then moves it by the learning rate of the step.
    """
    model = Two()
    steps = training(run, model, config, steps=10, final_rate=final_rate)
    found = []
    for _ in range(10):
        before = float(model.weight[0].detach())
        with_gradient(model, 0.5, -0.5)
        steps.step()
        found.append(before - float(model.weight[0].detach()))
    return found


def test_the_rate_rises_to_its_peak_and_falls_to_its_end(tmp_path: Path) -> None:
    # Two steps of ten rise, by halves; eight more fall, by eighths, to 0 after the last.
    rates = [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    found = moves(tmp_path / "a", Steps(warmup=0.2))
    assert found == pytest.approx([0.1 * rate for rate in rates], abs=1e-5)
    # To a fifth of the peak: by eighths of the other four fifths.
    rates = [0.5, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    found = moves(tmp_path / "b", Steps(warmup=0.2), final_rate=0.2)
    assert found == pytest.approx([0.1 * rate for rate in rates], abs=1e-5)
    # Without warm-up the first step has the peak.
    found = moves(tmp_path / "c", Steps(warmup=0.0))
    assert found[:3] == pytest.approx([0.1, 0.1, 0.1 * 8 / 9], abs=1e-5)


def momentum(run: Path, gradient: tuple[float, float], clip_norm: float) -> list[float]:
    """What the first step's gradient was when the optimizer saw it.

    AdamW's first moment is then a tenth of it; the checkpoint holds it.
    """
    model = Two()
    steps = training(run, model, Steps(clip_norm=clip_norm), steps=10)
    with_gradient(model, *gradient)
    steps.step()
    steps.save(1)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    moment: torch.Tensor = state["optimizer"]["state"][0]["exp_avg"]
    return (moment / 0.1).tolist()


def test_gradients_are_cut_to_the_norm_and_not_below(tmp_path: Path) -> None:
    assert momentum(tmp_path / "a", (3.0, 4.0), 1.0) == pytest.approx([0.6, 0.8], abs=1e-4)
    assert momentum(tmp_path / "b", (3.0, 4.0), 2.5) == pytest.approx([1.5, 2.0], abs=1e-4)
    assert momentum(tmp_path / "c", (0.3, 0.4), 1.0) == pytest.approx([0.3, 0.4], abs=1e-4)


def test_the_norm_0_cuts_nothing(tmp_path: Path) -> None:
    assert momentum(tmp_path, (3.0, 4.0), 0.0) == pytest.approx([3.0, 4.0], abs=1e-4)


def test_the_norm_is_that_of_all_gradients_together(tmp_path: Path) -> None:
    model = nn.ModuleList([Two(), Two()])
    steps = training(tmp_path, model, Steps(clip_norm=1.0), steps=10)
    for part in model:
        part.weight.grad = torch.tensor([3.0, 4.0])
    steps.step()
    steps.save(1)
    moments = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["optimizer"]["state"]
    found = torch.cat([moments[number]["exp_avg"] for number in (0, 1)]) / 0.1
    assert float(found.norm()) == pytest.approx(1.0, abs=1e-4)


def test_a_step_leaves_no_gradients(tmp_path: Path) -> None:
    model = Two()
    with_gradient(model, 1.0, 1.0)
    training(tmp_path, model, Steps(), steps=10).step()
    assert model.weight.grad is None


def test_matrices_decay_and_biases_and_normalisation_do_not(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model: Any = BertModel(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                   intermediate_size=16)
    )  # fmt: skip
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1.0)  # so that none is 0
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for value in model.parameters():
        value.grad = torch.zeros_like(value)  # only the decay moves it
    config = Steps(learning_rate=0.1, warmup=0.0, weight_decay=0.5)
    training(tmp_path, model, config, steps=10).step()
    kinds = {"decays": 0, "stays": 0}
    for name, value in model.named_parameters():
        stays = name.endswith(".bias") or "LayerNorm" in name
        kinds["stays" if stays else "decays"] += 1
        expected = before[name] if stays else before[name] * (1 - 0.1 * 0.5)
        assert torch.allclose(value, expected, atol=1e-6), name
    assert min(kinds.values()) > 5


@pytest.mark.parametrize("written", [b"", b"half of a checkpoint"], ids=["nothing", "half"])
def test_a_checkpoint_that_was_not_written_whole_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bytes
) -> None:
    model = Two()
    steps = training(tmp_path, model, Steps(), steps=10)
    with_gradient(model, 1.0, -1.0)
    steps.step()
    steps.save(1)
    kept = model.weight.detach().clone()
    history = json.loads((tmp_path / "history.json").read_text())
    with_gradient(model, 1.0, -1.0)
    steps.step()

    def full(state: object, target: Path) -> None:
        Path(target).write_bytes(written)
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(OutputError, match="No space left on device; the one before it"):
            steps.save(2)
    again = Two()
    assert training(tmp_path, again, Steps(), steps=10).resume() == 1
    assert torch.equal(again.weight, kept)
    assert json.loads((tmp_path / "history.json").read_text()) == history
    steps.save(2)  # there is room again
    assert training(tmp_path, Two(), Steps(), steps=10).resume() == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda state: [state["model"]],
        lambda state: {},
        lambda state: {key: value for key, value in state.items() if key != "step"},
        lambda state: {key: value for key, value in state.items() if key != "random"},
        lambda state: {**state, "model": [state["model"]]},
        lambda state: {**state, "optimizer": None},
        lambda state: {**state, "config": [state["config"]]},
        lambda state: {**state, "losses": 3},
    ],
    ids=[
        "list",
        "empty",
        "no step",
        "no random state",
        "other model",
        "other optimizer",
        "other config",
        "no list",
    ],
)
def test_a_file_that_is_not_a_runs_checkpoint_is_named(tmp_path: Path, change: Any) -> None:
    steps = training(tmp_path, Two(), Steps(), steps=10)
    steps.save(1)
    file = tmp_path / "checkpoint.pt"
    torch.save(change(torch.load(file, weights_only=True)), file)
    with pytest.raises(TrainingError, match=rf"^{file} is not the checkpoint of a training run; g"):
        training(tmp_path, Two(), Steps(), steps=10).resume()


def test_a_run_goes_on_where_there_are_fewer_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = training(tmp_path, Two(), Steps(), steps=10)
    steps.save(1)
    file = tmp_path / "checkpoint.pt"
    states = [torch.zeros(16, dtype=torch.uint8), torch.ones(16, dtype=torch.uint8)]
    torch.save({**torch.load(file, weights_only=True), "cuda_random": states}, file)
    given: list[list[torch.Tensor]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.append)
    assert training(tmp_path, Two(), Steps(), steps=10).resume() == 1
    assert [[state.tolist() for state in some] for some in given] == [[[0] * 16]]
