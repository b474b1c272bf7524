"""Distillation: a reader learns where a better one would begin and end its answer.

In each window the Kullback-Leibler divergence from the teacher's distribution over the places of
the passage to the student's, at a temperature, times its square (Hinton et al. 2015, "Distilling
the knowledge in a neural network"). ``[CLS]`` takes no part: not every teacher has learnt what to
say with it.

The teacher reads the same question, context and characters in its own pieces. What it gives to a
piece goes, for starts, to the student's piece that holds the piece's first character, for ends to
the one that holds its last: with one vocabulary that is the same piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reader import checkpoint as checkpoints
from reader.errors import TrainingError
from reader.features import Window, windows
from reader.matching import Matcher
from reader.network import Network
from reader.tokenization import PieceTokenizer
from reader.training_data import TrainingGroup

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained reader that a smaller one learns from; it is only read with."""

    name: str
    network: Network
    tokenizer: PieceTokenizer
    max_length: int
    match: bool

    @classmethod
    def load(
        cls, source: str, device: torch.device, *, bf16: bool, notify: Callable[[str], None]
    ) -> Teacher:
        """A checkpoint's reader on ``device``.

        Raises:
            CheckpointError: see :func:`reader.checkpoint.read`.
        """
        stored = checkpoints.read(source, notify=notify)
        network = Network.of(stored, device, "bf16" if bf16 else "fp32")
        return cls(stored.name, network, stored.tokenizer, stored.max_length, stored.match)

    def targets(self, batch: Sequence[TrainingGroup], *, temperature: float) -> Tensor:
        """Where the teacher begins and ends its answers, in the student's places.

        Returns:
            Probabilities, float32 on the CPU, of shape (2, windows, pieces) for starts and ends;
            each window's add up to 1. The windows are the batch's in order, padded to the longest.

        Raises:
            TrainingError: a window that the teacher cannot read whole, or logits that are not
                numbers.
        """
        own = [(group, item.window) for group in batch for item in group.windows]
        asked = [self._asked(group, window) for group, window in own]
        logits = self.network(asked)
        if not all(np.isfinite(side).all() for side in logits):
            raise TrainingError(
                f"the teacher {self.name} gave logits that are not numbers; its weights are "
                "damaged or overflow in this precision"
            )
        longest = max(len(window) for _, window in own)
        found = np.zeros((2, len(own), longest), dtype=np.float32)
        for row, ((_, window), their) in enumerate(zip(own, asked, strict=True)):
            inside = slice(their.first, their.first + len(their.offsets))
            shares = [_softmax(side[row, inside] / temperature) for side in logits]
            places = slice(window.first, window.first + len(window.offsets))
            found[:, row, places] = moved(shares[0], shares[1], their.offsets, window.offsets)
        return torch.from_numpy(found)

    def _asked(self, group: TrainingGroup, window: Window) -> Window:
        """The student's window in the teacher's pieces, with offsets in the whole passage."""
        passage = group.source.passages[window.passage]
        begin, end = window.offsets[0][0], window.offsets[-1][1]
        text = passage.text[begin:end]
        question, pieces, context = self.tokenizer.pieces_batch(
            [group.source.question, text, passage.context]
        )
        marks = [Matcher(group.source.question).pieces(text, pieces.offsets)] if self.match else ()
        [first, *more] = windows(
            question,
            [pieces],
            self.tokenizer,
            max_length=self.max_length,
            overlap=0,
            contexts=[context],
            matched=marks,
        )
        if more or not first.offsets:
            reason = (
                f"longer than the {self.max_length} pieces that it reads; use another teacher"
                if more
                else "no text to it; take the passage out of the training data"
            )
            raise TrainingError(
                f"what the teacher {self.name} says of a passage cannot be mapped to the student: "
                f'"{text[:60]}" is {reason}'
            )
        offsets = tuple((begin + start, begin + stop) for start, stop in first.offsets)
        return Window(0, first.ids, first.second, first.first, offsets, first.matched)


def moved(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    their: Sequence[tuple[int, int]],
    own: Sequence[tuple[int, int]],
) -> NDArray[np.float32]:
    """Probabilities of pieces at offsets ``their`` as those of pieces at ``own``, shape (2, own).

    Characters that have no piece of ``own`` count for the next one (starts) or the one before
    (ends).
    """
    mine, other = np.array(own), np.array(their)
    first = np.searchsorted(mine[:, 1], other[:, 0], side="right").clip(max=len(own) - 1)
    last = (np.searchsorted(mine[:, 0], other[:, 1], side="left") - 1).clip(min=0)
    return np.stack(
        [
            np.bincount(places, weights=shares, minlength=len(own)).astype(np.float32)
            for places, shares in ((first, starts), (last, ends))
        ]
    )


def distillation_loss(
    logits: Tensor, inside: Tensor, target: Tensor, *, temperature: float
) -> Tensor:
    """Mean over windows of the divergence from the target, times the temperature's square.

    Args:
        logits: the student's, float of shape (windows, pieces), of starts or of ends.
        inside: bool of that shape: the pieces that can be chosen.
        target: the teacher's probabilities, of that shape; 0 outside.
    """
    own = torch.log_softmax((logits / temperature).masked_fill(~inside, _NEVER), dim=1)
    divergence = (torch.xlogy(target, target) - target * own).sum(dim=1)
    return divergence.mean() * temperature**2


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max())
    shares: NDArray[np.float32] = raised / raised.sum()
    return shares
