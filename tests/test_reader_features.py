from __future__ import annotations

import itertools

import numpy as np
import pytest

from reader.errors import ReaderError
from reader.features import MAX_QUESTION_PIECES, pad, windows
from reader.tokenization import Pieces
from tests.reader_models import tokenizer

TOKENS = tokenizer()


def pieces(count: int) -> Pieces:
    return Pieces(tuple(range(10, 10 + count)), tuple((i * 2, i * 2 + 1) for i in range(count)))


def test_a_short_passage_is_one_window_in_berts_layout() -> None:
    question, passage = TOKENS.pieces("how many hours?"), TOKENS.pieces("for 12 hours")
    (window,) = windows(question, [passage], TOKENS, max_length=32, overlap=8)
    assert window.ids == (
        TOKENS.cls_id,
        *question.ids,
        TOKENS.sep_id,
        *passage.ids,
        TOKENS.sep_id,
    )
    assert window.first == len(question) + 2
    assert window.offsets == passage.offsets


def test_a_long_passage_is_covered_by_windows_that_overlap() -> None:
    question, passage = pieces(3), pieces(50)
    found = list(windows(question, [passage], TOKENS, max_length=26, overlap=5))
    assert all(len(window) <= 26 for window in found)
    seen = [offset for window in found for offset in window.offsets]
    assert set(seen) == set(passage.offsets)
    for one, other in itertools.pairwise(found):
        assert one.offsets[-5:] == other.offsets[:5]


def test_a_question_of_any_length_leaves_room_for_the_passage() -> None:
    found = list(windows(pieces(500), [pieces(40)], TOKENS, max_length=128, overlap=32))
    assert all(window.first == MAX_QUESTION_PIECES + 2 for window in found)
    with pytest.raises(ReaderError, match=r"of 60 word pieces .* a question of 64; shorten"):
        list(windows(pieces(500), [pieces(40)], TOKENS, max_length=60, overlap=32))


def test_a_context_stands_in_front_of_every_window() -> None:
    question, passage, context = pieces(3), pieces(50), Pieces((7, 8), ((0, 1), (1, 2)))
    found = list(windows(question, [passage], TOKENS, max_length=26, overlap=5, contexts=[context]))
    assert len(found) > 2
    for window in found:
        assert window.ids[window.second : window.first] == (7, 8)
        assert len(window) <= 26
    assert pad(found[:1], TOKENS.pad_id).token_type_ids[0].tolist() == [0] * 5 + [1] * 21


def test_an_empty_passage_is_a_window_without_offsets() -> None:
    (window,) = windows(pieces(3), [Pieces((), ())], TOKENS, max_length=32, overlap=8)
    assert window.offsets == ()


def test_padding_marks_what_is_question_passage_and_nothing() -> None:
    long, short = windows(pieces(2), [pieces(4), pieces(1)], TOKENS, max_length=32, overlap=8)
    batch = pad([long, short], TOKENS.pad_id)
    assert batch.input_ids.shape == (2, 9)
    assert batch.token_type_ids.tolist() == [[0] * 4 + [1] * 5, [0] * 4 + [1, 1] + [0] * 3]
    assert batch.attention_mask.tolist() == [[1] * 9, [1] * 6 + [0] * 3]
    assert np.all(batch.input_ids[1, 6:] == TOKENS.pad_id)
