"""Running the network: windows in, float32 logits out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reader.bert import Bert, Shape, pack, shape_of
from reader.errors import ReaderError
from reader.features import Window
from reader.linear import Precision

if TYPE_CHECKING:
    from reader.checkpoint import Checkpoint, Stored

#: Pieces that a CPU computes at once: what lies between two layers stays in its cache.
_CPU_PIECES = 1024


def release(device: torch.device) -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


class Network:
    """A question-answering BERT as the reader's ``Logits``.

    Args:
        weights: float32, named as in :class:`reader.checkpoint.Stored`.
    """

    def __init__(
        self,
        shape: Shape,
        weights: Mapping[str, Tensor],
        *,
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        body = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
        self._bert = Bert(shape, body, device=device, precision=precision)
        # The head is small: it always computes in float32.
        self._head = [weights[f"qa_outputs.{part}"].to(device) for part in ("weight", "bias")]
        self._device = device
        self.precision = precision

    @classmethod
    def of(cls, stored: Stored, device: torch.device, precision: Precision = "fp32") -> Network:
        """The network of a checkpoint that was read."""
        return cls(stored.shape, stored.weights, device=device, precision=precision)

    @classmethod
    def of_model(cls, checkpoint: Checkpoint, precision: Precision = "fp32") -> Network:
        """The network of a model in training, with the weights that it has now."""
        model = checkpoint.model
        weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        shape = shape_of(model.config.to_dict())
        return cls(shape, weights, device=checkpoint.device, precision=precision)

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Start and end logits; 0 where no answer can be (question, context, padding).

        Raises:
            ReaderError: there is no memory for a single window.
        """
        shape = (2, len(batch), max(len(window) for window in batch))
        logits = np.zeros(shape, dtype=np.float32)
        for begin, end in self._packs(batch):
            self._fill(batch[begin:end], logits[:, begin:end])
        return logits[0], logits[1]

    def _packs(self, batch: Sequence[Window]) -> list[tuple[int, int]]:
        if self._device.type != "cpu":
            return [(0, len(batch))]
        packs = [(0, 1)]
        pieces = len(batch[0])
        for number, window in enumerate(batch[1:], start=1):
            if pieces + len(window) <= _CPU_PIECES:
                packs[-1] = (packs[-1][0], number + 1)
                pieces += len(window)
            else:
                packs.append((number, number + 1))
                pieces = len(window)
        return packs

    def _fill(self, batch: Sequence[Window], logits: NDArray[np.float32]) -> None:
        """Compute the logits of windows into an array of shape (2, windows, longest)."""
        try:
            self._forward(batch, logits)
            return
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ReaderError(
                    f"{self._device} has no memory left for a window of {len(batch[0])} pieces; "
                    "free some, or use another device"
                ) from error
        # Halve until it fits: a busy GPU slows answers down instead of refusing them.
        release(self._device)
        middle = len(batch) // 2
        self._fill(batch[:middle], logits[:, :middle])
        self._fill(batch[middle:], logits[:, middle:])

    def _forward(self, batch: Sequence[Window], logits: NDArray[np.float32]) -> None:
        packed = pack(
            [window.ids for window in batch],
            [window.second for window in batch],
            self._device,
            [window.matched for window in batch],
        )
        rows: list[int] = []
        columns: list[int] = []
        wanted: list[int] = []
        begin = 0
        for row, window in enumerate(batch):
            places = (0, *range(window.first, window.first + len(window.offsets)))
            rows.extend([row] * len(places))
            columns.extend(places)
            wanted.extend(begin + place for place in places)
            begin += len(window)
        with torch.inference_mode():
            hidden = self._bert(packed, torch.tensor(wanted).to(self._device))
            found = functional.linear(hidden.float(), *self._head)  # (wanted, 2)
        logits[:, rows, columns] = found.T.cpu().numpy()
