"""Between the host's memory and a GPU's, without waiting for what the GPU is doing.

A copy from or to ordinary memory ends when all that was launched before it has ended. From or to
pinned memory it takes its turn among what was launched, and the host goes on. torch keeps pinned
memory for the next copy, and gives it to none before the last one is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(values: NDArray[Any], device: torch.device) -> Tensor:
    """An array on the device; on a CPU it shares the array's memory."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def fetched(found: Tensor) -> Callable[[], NDArray[np.float32]]:
    """Have a float32 tensor copied from its device; what comes back waits until that is done."""
    if found.device.type != "cuda":
        return found.numpy
    host = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
    host.copy_(found, non_blocking=True)
    done = torch.cuda.current_stream(found.device).record_event()

    def wait() -> NDArray[np.float32]:
        done.synchronize()
        array: NDArray[np.float32] = host.numpy()
        return array

    return wait
