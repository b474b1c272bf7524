"""Memory that runs out; the errors are those that torch raises on a GPU."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertForQuestionAnswering

from reader import checkpoint as checkpoints
from reader.bert import Bert
from reader.errors import ReaderError, TrainingError
from reader.features import Window
from reader.masking import MaskingConfig
from reader.memory import in_parts, out_of_memory, room_for
from reader.network import Network
from reader.pretrain_model import Pretrainer, build
from reader.ranker import load_ranker
from reader.recipes import FinetuneConfig
from reader.throughput import measured_peak
from reader.training import History, Training
from tests.reader_models import checkpoint

CPU = torch.device("cpu")

SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
]
ANOTHER = RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)")

each_kind = pytest.mark.parametrize("error", SHORT, ids=["torch", "cublas", "driver"])


@each_kind
def test_short_memory_is_told_from_other_errors(error: RuntimeError) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(ANOTHER)
    with (
        pytest.raises(ReaderError, match="cpu has no memory left for it; free some, or use anot"),
        room_for("it", CPU),
    ):
        raise error
    with pytest.raises(RuntimeError, match="mat1 and mat2"), room_for("it", CPU):
        raise ANOTHER


@each_kind
def test_a_step_is_computed_in_parts_that_fit(error: RuntimeError) -> None:
    model = nn.Linear(1, 1)
    room, tried, drawn = 4, [], []

    def compute(parts: int) -> float:
        tried.append(parts)
        drawn.append(torch.rand(3))
        model(torch.ones(1)).sum().backward()
        if parts < room:
            raise error
        return 1.0 / parts

    def step(most: int) -> tuple[float, int]:
        return in_parts(compute, model, CPU, parts=1, most=most, too_large=lambda: "too large")

    assert step(4) == (0.25, 4)
    assert tried == [1, 2, 4]
    assert all(torch.equal(drawn[0], later) for later in drawn)
    assert model.bias.grad is not None
    assert model.bias.grad.item() == 1.0  # of the last attempt alone
    with pytest.raises(TrainingError, match="too large"):
        step(2)


def test_another_error_is_not_tried_again() -> None:
    tried = []

    def compute(parts: int) -> None:
        tried.append(parts)
        raise ANOTHER

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        in_parts(compute, nn.Linear(1, 1), CPU, parts=1, most=9, too_large=lambda: "too large")
    assert tried == [1]


def full(*arguments: Any, **named: Any) -> None:
    raise SHORT[1]


def test_weights_that_do_not_fit_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkpoint(tmp_path / "m")
    loaded, stored = checkpoints.load(folder, device=CPU), checkpoints.read(folder)
    monkeypatch.setattr(BertForQuestionAnswering, "to", full)
    monkeypatch.setattr(Pretrainer, "to", full)
    monkeypatch.setattr(Bert, "__init__", full)
    told = r"cpu has no memory left for {}; free some, or use another device"
    with pytest.raises(ReaderError, match=told.format(f"the weights of {folder}")):
        checkpoints.load(folder, device=CPU)
    with pytest.raises(ReaderError, match=told.format("the reader's weights")):
        Network.of(stored, CPU)
    with pytest.raises(ReaderError, match=told.format("the ranker's weights")):
        load_ranker(device="cpu")
    with pytest.raises(ReaderError, match=told.format("the heads of pre-training")):
        build(loaded, folder, MaskingConfig())


def test_an_optimizer_that_does_not_fit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FinetuneConfig()

    def training() -> Training:
        model = nn.Linear(1, 1)
        model(torch.ones(1)).sum().backward()
        return Training(tmp_path, model, config, History(config=asdict(config), steps=9))

    begun = training()
    begun.step()
    begun.save(1)
    told = "memory left for AdamW, .*; free some, begin with a smaller network, or use another dev"
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "load_state_dict", full)
        with pytest.raises(ReaderError, match=told):  # and not that the network is another
            training().resume()
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", full)
        with pytest.raises(ReaderError, match=told):
            training().step()
    assert training().resume() == 1


def test_the_matrix_rate_is_measured_on_matrices_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    inner, tried, room = torch.mm, [], 600

    def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        tried.append(len(one))
        if len(one) > room:
            raise SHORT[1]
        return inner(one, other)

    monkeypatch.setattr(torch, "mm", product)
    assert measured_peak(CPU, bf16=False, repeats=1) > 0
    assert tried == [1024, 512, 512]
    room = 0
    with pytest.raises(ReaderError, match="cpu has no memory left for matrices of 256 x 256; free"):
        measured_peak(CPU, bf16=False)


def test_what_only_reads_halves_its_batch_when_cublas_has_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = load_ranker(device="cpu")
    network = Network.of(checkpoints.read(checkpoint(tmp_path / "m")), CPU)
    windows = [Window(0, (2, 10 + n, 3, 11, 3), 3, 3, ((0, 1),)) for n in range(3)]
    texts = ["the code", "a token", "ask"]
    wanted, logits = ranker.encode(texts), network(windows)
    for owner in (ranker, network):
        inner = owner._forward

        def short(batch: Any, *more: Any, inner: Any = inner) -> Any:
            if len(batch) > 1:
                raise SHORT[1]
            return inner(batch, *more)

        monkeypatch.setattr(owner, "_forward", short)
    np.testing.assert_allclose(ranker.encode(texts), wanted, atol=1e-5)
    np.testing.assert_allclose(network(windows), logits, atol=1e-5)
