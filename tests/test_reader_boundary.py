"""The span boundary objective's inputs, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu, layer_norm

from reader.boundary import IGNORED, BoundaryHead, PieceHead, targets_of
from reader.masking import Masked


def masked(*spans: tuple[int, int]) -> Masked:
    return Masked(np.zeros(8, dtype=np.int64), spans)


ROWS = [np.array([2, 10, 11, 12, 13, 14, 15, 3]), np.array([2, 20, 21, 22, 23, 24, 25, 3])]


def test_the_inputs_of_a_span_are_its_neighbours_and_the_place_in_it() -> None:
    """Pieces 2 to 4 of the second row: positions 10 to 12 of the flattened batch."""
    found = targets_of(ROWS, [masked(), masked((2, 4))], 8)
    assert found.positions.tolist() == [10, 11, 12]
    assert found.labels.tolist() == [21, 22, 23]
    assert found.left.tolist() == [9, 9, 9]  # x_{s-1}: the piece 20
    assert found.right.tolist() == [13, 13, 13]  # x_{e+1}: the piece 24
    assert found.offsets.tolist() == [0, 1, 2]  # p_1, p_2, p_3 in the paper's counting
    assert found.boundary_labels.tolist() == [21, 22, 23]


def test_at_the_edges_of_a_row_the_neighbours_are_cls_and_sep() -> None:
    found = targets_of(ROWS, [masked((1, 2)), masked((6, 6), (1, 1))], 8)
    assert found.positions.tolist() == [1, 2, 14, 9]
    assert found.left.tolist() == [0, 0, 13, 8]
    assert found.right.tolist() == [3, 3, 15, 10]
    assert found.labels.tolist() == [10, 11, 25, 20]
    flat = np.concatenate(ROWS)
    assert flat[found.left[0]] == 2  # [CLS]
    assert flat[found.right[2]] == 3  # [SEP]
    assert flat[found.left[3]] == 2  # the second row's own [CLS]


def test_short_rows_are_padded_and_their_neighbours_are_their_own() -> None:
    """Rows of 8, 4 and 3 pieces, each padded to 8: the second one begins at 8, the third at 16."""
    short = [ROWS[0], np.array([2, 30, 31, 3]), np.array([2, 40, 3])]
    found = targets_of(short, [masked(), masked((2, 2)), masked((1, 1))], 8)
    assert found.positions.tolist() == [10, 17]
    assert found.labels.tolist() == [31, 40]
    assert found.left.tolist() == [9, 16]  # the piece 30, and the third row's [CLS]
    assert found.right.tolist() == [11, 18]  # each row's own [SEP], not the padding
    with pytest.raises(ValueError, match="the span 2 to 3 has no piece beside it"):
        targets_of(short, [masked(), masked((2, 3)), masked()], 8)


def test_pieces_beyond_the_last_place_are_left_to_the_other_head() -> None:
    found = targets_of(ROWS, [masked((1, 4)), masked()], 8, max_span_pieces=3)
    assert found.labels.tolist() == [10, 11, 12, 13]
    assert found.offsets.tolist() == [0, 1, 2, 2]
    assert found.boundary_labels.tolist() == [10, 11, 12, IGNORED]


def test_spans_without_a_piece_beside_them_are_refused() -> None:
    for span in ((0, 2), (5, 7)):
        with pytest.raises(ValueError, match="no piece beside it"):
            targets_of(ROWS, [masked(span), masked()], 8)


def test_a_batch_may_hold_nothing_to_guess() -> None:
    found = targets_of(ROWS, [masked(), masked()], 8)
    assert found.positions.shape == found.boundary_labels.shape == (0,)


def test_the_boundary_head_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    head = BoundaryHead(4, 9, positions=5, position_size=3).double()
    left, right = torch.randn(2, 4).double(), torch.randn(2, 4).double()
    embeddings, offsets = torch.randn(9, 4).double(), torch.tensor([0, 3])
    joined = torch.cat([left, right, head.places.weight[offsets]], dim=-1)  # (2, 11)
    state = joined
    for layer in (head.first, head.second):
        dense: Any = layer[0]
        norm: Any = layer[2]
        state = gelu(state @ dense.weight.T + dense.bias)
        state = layer_norm(state, (4,), norm.weight, norm.bias, 1e-12)
    expected = state @ embeddings.T + head.bias
    assert torch.allclose(head(left, right, offsets, embeddings), expected)


def test_the_heads_own_no_output_weights() -> None:
    """300 pieces, hidden size 8: no parameter but the biases has 300 entries on a side."""
    for head in (PieceHead(8, 300), BoundaryHead(8, 300)):
        shapes = [tuple(p.shape) for p in head.parameters()]
        assert (300,) in shapes
        assert not any(300 in shape for shape in shapes if len(shape) > 1)
    dense: Any = BoundaryHead(8, 300).first[0]
    assert dense.in_features == 2 * 8 + 200
