"""Running the network: windows in, float32 logits out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from reader.checkpoint import Checkpoint
from reader.features import Window, pad


class Network:
    """A checkpoint as the reader's ``Logits``: bfloat16 on CUDA, float32 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._autocast = checkpoint.device.type == "cuda"

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        try:
            return self._forward(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
        # Halve until it fits: a busy GPU slows answers down instead of refusing them.
        torch.cuda.empty_cache()
        middle = len(batch) // 2
        halves = (self(batch[:middle]), self(batch[middle:]))
        width = max(len(window) for window in batch)
        starts = np.zeros((len(batch), width), dtype=np.float32)
        ends = np.zeros_like(starts)
        row = 0
        for start, end in halves:
            starts[row : row + len(start), : start.shape[1]] = start
            ends[row : row + len(end), : end.shape[1]] = end
            row += len(start)
        return starts, ends

    def _forward(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        device = self._checkpoint.device
        arrays = pad(batch, self._checkpoint.tokenizer.pad_id)
        uniform = all(len(window) == len(batch[0]) for window in batch)
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=self._autocast),
        ):
            output = self._checkpoint.model(
                input_ids=torch.from_numpy(arrays.input_ids).to(device),
                token_type_ids=torch.from_numpy(arrays.token_type_ids).to(device),
                attention_mask=(
                    None if uniform else torch.from_numpy(arrays.attention_mask).to(device)
                ),
            )
        return (
            output.start_logits.float().cpu().numpy(),
            output.end_logits.float().cpu().numpy(),
        )
