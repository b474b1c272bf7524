"""The linear maps of a network in the precision that suits the machine.

``int8`` is for CPUs: weights in 8 bits with a scale for each output, inputs in 7 bits with a scale
for each row, products summed in 32 bits. Rows have scales of their own, so that what a text gets
does not depend on what it is read with (one scale for the whole batch, as torch's own dynamic
quantization takes it, also loses twice as much precision). Seven bits, because two products of 8
bits overflow the 16 bits in which CPUs without VNNI instructions add them up.
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

_LEVELS = 63  # -63..63, around _ZERO
_ZERO = 64
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
        found = _int8(torch.eye(8), torch.zeros(8))(torch.eye(8))
    except (AttributeError, RuntimeError):  # operators that only some builds of torch have
        return False
    return bool(torch.allclose(found, torch.eye(8), atol=0.05))


def linear(weight: Tensor, bias: Tensor, precision: Precision) -> Linear:
    """The map ``x @ weight.T + bias``; weight float32 of shape (outputs, inputs)."""
    if precision == "int8":
        return _int8(weight, bias)
    if precision == "bf16":
        weight, bias = weight.bfloat16(), bias.bfloat16()
    return lambda rows: functional.linear(rows, weight, bias)


def _int8(weight: Tensor, bias: Tensor) -> Linear:
    scales = weight.abs().amax(dim=1).clamp_min(_SMALLEST) / 127
    small = (weight / scales[:, None]).round().to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(small, None)
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    middle = torch.tensor(_ZERO + 0.5)  # the half makes cutting off into rounding

    def apply(rows: Tensor) -> Tensor:
        # The extremes apart: far faster than their absolute values' at once.
        largest = torch.maximum(
            rows.amax(dim=1, keepdim=True), rows.amin(dim=1, keepdim=True).neg_()
        ).clamp_min_(_SMALLEST)
        levels = torch.addcmul(middle, rows, _LEVELS / largest).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            levels, 1 / _LEVELS, _ZERO, packed, scales, zeros,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(bias, product, largest)  # NaN stays NaN

    return apply
