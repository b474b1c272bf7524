"""The heads of pre-training: masked pieces, and the span boundary objective.

The span boundary objective (Joshi et al. 2020, section 3.2) guesses each piece of a masked span
from the two pieces beside the span and its place in it: with the span at positions s to e, the
piece at i is guessed from ``[x_{s-1}; x_{e+1}; p_{i-s+1}]`` through two layers of (linear, GELU,
layer norm). Both heads share the input embeddings as their output weights, as BERT's head does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from reader.masking import Masked
from reader.ranges import begins_of, counted

#: The label of a target that counts for nothing.
IGNORED = -100

#: Pieces of a span beyond this many are left to the masked-piece head alone, as in the paper's
#: program.
MAX_SPAN_PIECES = 20

#: The size of the position embeddings in the paper.
POSITION_SIZE = 200


@dataclass(frozen=True, slots=True)
class Targets:
    """What is to be guessed in a batch, int64 arrays of shape (targets,), row after row.

    Positions index the batch's hidden states flattened to (rows * length, hidden).

    Attributes:
        positions: the masked piece itself, for the masked-piece head.
        labels: its id.
        left, right: the pieces before and after its span.
        offsets: its place in the span, from 0.
        boundary_labels: its id, for the boundary head, or ``IGNORED``.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    offsets: NDArray[np.int64]
    boundary_labels: NDArray[np.int64]


def targets_of(
    rows: Sequence[NDArray[np.int64]],
    masked: Sequence[Masked],
    length: int,
    *,
    max_span_pieces: int = MAX_SPAN_PIECES,
) -> Targets:
    """The targets of a batch.

    Args:
        rows: of each row the ids before masking, ``[CLS]`` first and ``[SEP]`` last, no padding.
        masked: what was masked in each of them.
        length: pieces to which every row is padded in the batch.

    Raises:
        ValueError: a span has no piece of its row beside it.
    """
    found: list[tuple[int, int, int]] = []  # row, first and last piece of each span
    for number, (row, hidden) in enumerate(zip(rows, masked, strict=True)):
        for first, last in hidden.spans:
            if first < 1 or last > len(row) - 2:
                raise ValueError(f"the span {first} to {last} has no piece beside it")
            found.append((number, first, last))
    owners, firsts, lasts = np.array(found, dtype=np.int64).reshape(-1, 3).T  # each (spans,)
    sizes = lasts + 1 - firsts
    span = np.repeat(np.arange(len(sizes)), sizes)  # (targets,) the span of each target
    place = counted(sizes)
    begins = begins_of(np.array([len(row) for row in rows]))  # of the rows without padding
    labels = np.concatenate(rows)[(begins[owners] + firsts)[span] + place]
    base = owners * length
    return Targets(
        positions=(base + firsts)[span] + place,
        labels=labels,
        left=(base + firsts - 1)[span],
        right=(base + lasts + 1)[span],
        offsets=np.minimum(place, max_span_pieces - 1),
        boundary_labels=np.where(place < max_span_pieces, labels, IGNORED),
    )


class PieceHead(nn.Module):
    """BERT's masked-piece head: (linear, GELU, layer norm), then the input embeddings.

    The output weights are an argument of :meth:`forward`, so that they are tied and not copied.
    """

    def __init__(self, hidden: int, vocabulary: int) -> None:
        super().__init__()
        self.transform = _layer(hidden, hidden)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (targets, vocabulary).

        Args:
            states: (targets, hidden) of the masked pieces.
            embeddings: (vocabulary, hidden).
        """
        return linear(self.transform(states), embeddings, self.bias)


class BoundaryHead(nn.Module):
    """The span boundary head; ``positions`` is how many places of a span are told apart."""

    def __init__(
        self,
        hidden: int,
        vocabulary: int,
        *,
        positions: int = MAX_SPAN_PIECES,
        position_size: int = POSITION_SIZE,
    ) -> None:
        super().__init__()
        self.places = nn.Embedding(positions, position_size)
        nn.init.normal_(self.places.weight, std=0.02)
        self.first = _layer(2 * hidden + position_size, hidden)
        self.second = _layer(hidden, hidden)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, left: Tensor, right: Tensor, offsets: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (targets, vocabulary).

        Args:
            left, right: (targets, hidden) states of the pieces beside the span.
            offsets: (targets,) int64, place in the span from 0.
            embeddings: (vocabulary, hidden).
        """
        joined = torch.cat([left, right, self.places(offsets).to(left.dtype)], dim=-1)
        return linear(self.second(self.first(joined)), embeddings, self.bias)


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    dense = nn.Linear(inputs, outputs)
    nn.init.normal_(dense.weight, std=0.02)
    nn.init.zeros_(dense.bias)
    return nn.Sequential(dense, nn.GELU(), nn.LayerNorm(outputs, eps=1e-12))
