"""Running the network: windows in, float32 logits out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from reader.memory import out_of_memory, release, room_for
from reader.pace import Fetch
from reader.ranges import begins_of, counted
from reader.transfer import fetched, sent

if TYPE_CHECKING:
    from reader.checkpoint import Checkpoint, Stored

#: Pieces that a CPU computes at once: what lies between two layers stays in its cache.
_CPU_PIECES = 1024


class Network:
    """A question-answering BERT as the reader's ``Logits``.

    Args:
        weights: float32, named as in :class:`reader.checkpoint.Stored`.

    Raises:
        ReaderError: the device has no memory for them.
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
        with room_for("the reader's weights", device):
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
        return self._begun(batch)()

    def launch(self, batch: Sequence[Window]) -> Fetch:
        """Have the logits computed; what comes back waits for them, and gives what a call does.

        A GPU begins at once and works by itself meanwhile. A CPU begins when they are fetched.

        Raises:
            ReaderError: as a call does, here or when they are fetched.
        """
        return partial(self, batch) if self._device.type == "cpu" else self._begun(batch)

    def _begun(self, batch: Sequence[Window]) -> Fetch:
        shape = (2, len(batch), max(len(window) for window in batch))
        logits = np.zeros(shape, dtype=np.float32)
        parts = [
            part
            for begin, end in self._packs(batch)
            for part in self._parts(batch[begin:end], logits[:, begin:end])
        ]

        def fetch() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            for part in parts:
                self._fill(part)
            return logits[0], logits[1]

        return fetch

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

    def _parts(self, batch: Sequence[Window], logits: NDArray[np.float32]) -> list[_Part]:
        """Launch windows whose logits go to an array of shape (2, windows, longest)."""
        try:
            return [self._forward(batch, logits)]
        except RuntimeError as error:
            self._check_several(batch, error)
        return self._halves(batch, logits)

    def _fill(self, part: _Part) -> None:
        """Wait for logits and put them where they belong."""
        try:
            part.fill()
            return
        except RuntimeError as error:  # of a launch, told when it was waited for
            self._check_several(part.batch, error)
        for half in self._halves(part.batch, part.logits):
            self._fill(half)

    def _halves(self, batch: Sequence[Window], logits: NDArray[np.float32]) -> list[_Part]:
        """Halve until it fits: a busy GPU slows answers down instead of refusing them."""
        release(self._device)
        middle = len(batch) // 2
        return [
            *self._parts(batch[:middle], logits[:, :middle]),
            *self._parts(batch[middle:], logits[:, middle:]),
        ]

    def _check_several(self, batch: Sequence[Window], error: RuntimeError) -> None:
        """Raises what cannot be helped by halving."""
        if not out_of_memory(error):
            raise error
        if len(batch) == 1:
            raise ReaderError(
                f"{self._device} has no memory left for a window of {len(batch[0])} pieces; "
                "free some, or use another device"
            ) from error

    def _forward(self, batch: Sequence[Window], logits: NDArray[np.float32]) -> _Part:
        packed = pack(
            [window.ids for window in batch],
            [window.second for window in batch],
            self._device,
            [window.matched for window in batch],
        )
        rows, columns = _places(batch)
        begins = begins_of(np.array(packed.lengths))
        wanted = sent(begins[rows] + columns, self._device)
        with torch.inference_mode():
            hidden = self._bert(packed, wanted)
            found = functional.linear(hidden.float(), *self._head)  # (wanted, 2)
        return _Part(batch, logits, rows, columns, fetched(found))


@dataclass(frozen=True, slots=True)
class _Part:
    """Windows that the device computes, and where in ``logits`` what it finds belongs."""

    batch: Sequence[Window]
    logits: NDArray[np.float32]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    found: Callable[[], NDArray[np.float32]]  # (wanted, 2)

    def fill(self) -> None:
        self.logits[:, self.rows, self.columns] = self.found().T


def _places(batch: Sequence[Window]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where logits are wanted, ``[CLS]`` and the passage: the windows' numbers, and the pieces'."""
    counts = np.array([1 + len(window.offsets) for window in batch])
    number = counted(counts)
    before = np.repeat([window.first - 1 for window in batch], counts)
    return np.repeat(np.arange(len(batch)), counts), np.where(number == 0, 0, before + number)
