"""A device whose memory is short: how that is noticed, and what training then does.

A training step whose batches do not fit is computed anew in smaller parts. Its gradients are the
same but for dropout, which draws other masks for other parts, and for rounding, since sums have
another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from reader.errors import ReaderError, TrainingError

_Result = TypeVar("_Result")

#: What errors say that are no OutOfMemoryError: cuBLAS asks the driver for memory of its own, and
#: so do a context on a GPU that is full, and pinned memory.
_TOLD = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device's memory ran out; torch has more than one error for that."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _TOLD)


def release(device: torch.device) -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def room_for(what: str, device: torch.device, todo: str = "free some") -> Iterator[None]:
    """Around what cannot be done in parts.

    Raises:
        ReaderError: the device's memory runs out; ``todo`` or another device is the next step.
    """
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise ReaderError(
            f"{device} has no memory left for {what}; {todo}, or use another device"
        ) from error


def in_parts(
    compute: Callable[[int], _Result],
    model: torch.nn.Module,
    device: torch.device,
    *,
    parts: int,
    most: int,
    too_large: Callable[[], str],
) -> tuple[_Result, int]:
    """What a step's computation gives, in so many parts or in twice as many until they fit.

    Args:
        compute: adds the gradients of the step, its batches in so many parts. An attempt that fails
            leaves no gradients, and no trace in the random numbers that dropout draws.
        most: parts beyond which none gets smaller.
        too_large: what is said where they do not fit either.

    Returns:
        The result, and the number of parts.

    Raises:
        TrainingError: the smallest parts do not fit.
    """
    while True:
        before = _random_state(device)
        try:
            return compute(parts), parts
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if parts >= most:
                raise TrainingError(too_large()) from error
        # Behind the except clause, where the error no longer holds on to what it interrupted.
        model.zero_grad(set_to_none=True)
        release(device)
        _set_random_state(before, device)
        parts *= 2


def _random_state(device: torch.device) -> list[torch.Tensor]:
    """Of the CPU, and of the GPU where the device is one."""
    state = [torch.get_rng_state()]
    return [*state, torch.cuda.get_rng_state(device)] if device.type == "cuda" else state


def _set_random_state(state: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
