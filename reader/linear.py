"""The linear maps of a network in the precision that suits the machine.

``int8`` is for CPUs: weights in 8 bits with a scale for each output, inputs in 8 bits with a scale
and a smallest value for each row, products summed in 32 bits. Rows have scales of their own, so
that what a text gets does not depend on what it is read with (one scale for the whole batch, as
torch's own dynamic quantization takes it, also loses twice as much precision); and they begin at
their smallest value, since what layers pass on is lopsided: activations by their function, hidden
states by the few large numbers that a BERT has. On CPUs without VNNI instructions inputs have 7
bits: two products of 8 bits overflow the 16 bits in which those add them up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from reader.errors import DeviceError

#: How a network computes.
Precision = Literal["fp32", "int8", "bf16"]

#: Inputs in rows, float of shape (rows, inputs), to outputs of shape (rows, outputs).
Linear = Callable[[Tensor], Tensor]

_SMALLEST = 1e-12


def choose_precision(name: str, device: torch.device) -> Precision:
    """``auto`` is bf16 on CUDA, int8 on CPUs with vector instructions for it, else fp32.

    Raises:
        DeviceError: the name is unknown, or int8 was named and is not to be had here.
    """
    if name == "auto":
        if device.type == "cuda":
            return "bf16"
        return "int8" if device.type == "cpu" and has_int8() else "fp32"
    if name not in get_args(Precision):
        raise DeviceError(f'unknown precision "{name}"; use auto, {", ".join(get_args(Precision))}')
    if name == "int8" and (device.type != "cpu" or not has_int8()):
        raise DeviceError(
            f"int8 was asked for, but {device.type} cannot compute in it here; use auto"
        )
    chosen: Precision = name  # type: ignore[assignment]
    return chosen


@cache
def has_int8() -> bool:
    """Whether this CPU has instructions, and this torch the operators, for products of 8 bits."""
    if "AVX" not in torch.backends.cpu.get_cpu_capability():
        return False
    try:
        found = _int8(torch.eye(8), torch.zeros(8), levels=127)(torch.eye(8))
    except (AttributeError, RuntimeError):  # operators that only some builds of torch have
        return False
    return bool(torch.allclose(found, torch.eye(8), atol=0.05))


@cache
def _levels() -> int:
    """The largest input of a product: 255, where sums of the largest products come out right."""
    product = _products(torch.full((1, 8), 127, dtype=torch.int8), torch.ones(1))
    found = product(torch.full((1, 8), 255, dtype=torch.uint8), 1.0)
    return 255 if found.item() == 8 * 255 * 127 else 127


def linear(weight: Tensor, bias: Tensor, precision: Precision) -> Linear:
    """The map ``x @ weight.T + bias``; weight float32 of shape (outputs, inputs)."""
    if precision == "int8":
        return _int8(weight, bias, levels=_levels())
    if precision == "bf16":
        weight, bias = weight.bfloat16(), bias.bfloat16()
    return lambda rows: functional.linear(rows, weight, bias)


def _int8(weight: Tensor, bias: Tensor, *, levels: int) -> Linear:
    scales = weight.abs().amax(dim=1).clamp_min(_SMALLEST) / 127
    small = (weight / scales[:, None]).round().to(torch.int8)
    product = _products(small, scales)
    # What a row's smallest value brings to each output, for a value of 1.
    sums = (small.float().sum(dim=1) * scales)[None]

    def apply(rows: Tensor) -> Tensor:
        least = rows.amin(dim=1, keepdim=True)
        reach = (rows.amax(dim=1, keepdim=True) - least).clamp_min_(_SMALLEST)
        # The half makes cutting off into rounding.
        steps = ((rows - least) * (levels / reach)).add_(0.5).to(torch.uint8)
        # NaN stays NaN, in what is least.
        return torch.addmm(bias, least, sums).addcmul_(product(steps, 1 / levels), reach)

    return apply


def _products(small: Tensor, scales: Tensor) -> Callable[[Tensor, float], Tensor]:
    """What multiplies inputs, uint8 of shape (rows, inputs) with their scale, with weights, int8 of
    shape (outputs, inputs) with a scale each; float32 of shape (rows, outputs).
    """
    packed = torch.ops.onednn.qlinear_prepack(small, None)
    zeros = torch.zeros(len(small), dtype=torch.int64)

    def product(rows: Tensor, scale: float) -> Tensor:
        found: Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, scale, 0, packed, scales, zeros,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return found

    return product
