"""Memory that runs out; the errors are those that torch raises on a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reader.errors import ReaderError, TrainingError
from reader.memory import in_parts, out_of_memory, room_for

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
