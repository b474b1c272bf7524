"""How much arithmetic training needs, and how much of the machine it gets.

Model FLOP utilisation is the arithmetic that the model needs, recomputation not counted, over what
the machine could do in the time (Chowdhery et al. 2022, appendix B). "Could do" is measured on the
machine itself with one large matrix product in the precision of the training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reader.bert import Shape
from reader.memory import out_of_memory, release, room_for

#: The side of the smallest matrices whose product is measured in the place of larger ones.
_SMALL = 256


def prefers_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is the faster precision: on GPUs and CPUs with instructions for it.

    Others emulate it, slower than float32.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):  # of several GPUs each has its own instructions
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


def measured_peak(device: torch.device, *, bf16: bool, size: int = 0, repeats: int = 5) -> float:
    """The best rate of a square matrix product, in FLOP per second.

    ``size`` is the side of the matrices; 0 takes 8,192 on CUDA and 1,024 on the CPU. Where memory
    is short they are smaller, and the rate may be lower.

    Raises:
        ReaderError: there is no memory for small ones either.
    """
    size = size or (8192 if device.type == "cuda" else 1024)
    while size > _SMALL:
        try:
            return _rate(device, bf16, size, repeats)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        release(device)
        size //= 2
    with room_for(f"matrices of {size} x {size}", device):
        return _rate(device, bf16, size, repeats)


def _rate(device: torch.device, bf16: bool, size: int, repeats: int) -> float:
    dtype = torch.bfloat16 if bf16 else torch.float32
    generator = torch.Generator(device=device).manual_seed(0)
    matrix = torch.randn(size, size, device=device, generator=generator).to(dtype)
    best = float("inf")
    for _ in range(repeats + 1):  # the first one warms up
        _wait(device)
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_flops(shape: Shape, lengths: Sequence[int]) -> float:
    """FLOPs of the encoder's matrix products for texts of these lengths in pieces."""
    hidden, inner = shape.hidden, shape.inner
    each = 2 * (4 * hidden * hidden + 2 * hidden * inner)
    return float(shape.layers * sum(n * (each + 4 * n * hidden) for n in lengths))


def training_flops(
    config: Any,
    lengths: NDArray[np.int64],
    *,
    targets: int,
    boundary_targets: int = 0,
    boundary_inputs: int = 0,
) -> float:
    """FLOPs of one training step's matrix products: forward, and twice that backward.

    Only pieces of text count: what is spent on padding is not arithmetic that the model needs.

    Args:
        config: a BERT's configuration.
        lengths: (rows,) pieces of each row, without padding.
        targets: pieces guessed by the masked-piece head.
        boundary_targets: pieces guessed by the boundary head.
        boundary_inputs: width of that head's input.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    pieces, pairs = int(lengths.sum()), int((lengths * lengths).sum())
    encoder = config.num_hidden_layers * (
        2 * (4 * hidden * hidden + 2 * hidden * inner) * pieces + 4 * hidden * pairs
    )
    output = 2 * hidden * config.vocab_size
    guessed = targets * (2 * hidden * hidden + output)
    beside = boundary_targets * (2 * (boundary_inputs * hidden + hidden * hidden) + output)
    return 3.0 * float(encoder + guessed + beside)
