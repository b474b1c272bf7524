"""From a question and a passage to the windows that the network reads.

The layout is BERT's for SQuAD (Devlin et al. 2019, section 4.2): ``[CLS] question [SEP] passage
[SEP]``, token type 0 up to the first ``[SEP]`` and 1 after it; with the match feature
(:mod:`reader.matching`) 2 for the passage's words that are the question's. A passage that does not
fit is read in windows that overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reader.errors import ReaderError
from reader.tokenization import Pieces, PieceTokenizer

#: The context in front of a passage is cut to this many pieces.
MAX_CONTEXT_PIECES = 32

#: Questions are cut to this many pieces, so that at least most of a window is passage.
MAX_QUESTION_PIECES = 64


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the network.

    ``ids`` is the whole sequence; token type 1 begins at ``second``. Passage pieces stand at
    ``ids[first:first + len(offsets)]``, and ``offsets[i]`` are the characters of passage number
    ``passage`` that the i-th one stands for. Between ``second`` and ``first`` stands the passage's
    context, which is read and holds no answers. ``matched`` are the places in ``ids`` that have
    token type 2; none without the match feature.
    """

    passage: int
    ids: tuple[int, ...]
    second: int
    first: int
    offsets: tuple[tuple[int, int], ...]
    matched: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows padded to one length, int64 arrays of shape (windows, length)."""

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


def windows(
    question: Pieces,
    passages: Sequence[Pieces],
    tokenizer: PieceTokenizer,
    *,
    max_length: int,
    overlap: int,
    contexts: Sequence[Pieces] = (),
    matched: Sequence[Sequence[bool]] = (),
) -> Iterator[Window]:
    """Yield the windows of one question over its passages, in order.

    ``max_length`` and ``overlap`` are in pieces; neighbouring windows of a passage share
    ``overlap`` pieces (less where the question leaves no room for it). ``contexts``, if there are
    any, holds one for each passage and stands in front of it in every window. ``matched``, if there
    are any, says of each piece of each passage whether it gets token type 2.

    Raises:
        ReaderError: the question, with the context, leaves no room for a passage.
    """
    question_ids = question.ids[:MAX_QUESTION_PIECES]
    asked = (tokenizer.cls_id, *question_ids, tokenizer.sep_id)
    for number, passage in enumerate(passages):
        context = contexts[number].ids[:MAX_CONTEXT_PIECES] if contexts else ()
        head = (*asked, *context)
        marks = matched[number] if matched else ()
        room = max_length - len(head) - 1
        if room < 1:
            raise ReaderError(
                f"windows of {max_length} word pieces leave no room for a passage beside a "
                f"question of {len(question_ids)}; shorten the question, or use a model that reads "
                "more at once"
            )
        step = max(1, room - min(overlap, room // 2))
        start = 0
        while True:
            end = min(start + room, len(passage))
            yield Window(
                passage=number,
                ids=(*head, *passage.ids[start:end], tokenizer.sep_id),
                second=len(asked),
                first=len(head),
                offsets=passage.offsets[start:end],
                matched=tuple(len(head) + n for n, is_so in enumerate(marks[start:end]) if is_so),
            )
            if end == len(passage):
                break
            start += step


def pad(batch: Sequence[Window], pad_id: int) -> Batch:
    """Pad windows to the longest one. Shapes: (windows, longest)."""
    shape = (len(batch), max(len(window) for window in batch))
    input_ids = np.full(shape, pad_id, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.int64)
    for row, window in enumerate(batch):
        length = len(window)
        input_ids[row, :length] = window.ids
        token_type_ids[row, window.second : length] = 1
        token_type_ids[row, list(window.matched)] = 2
        attention_mask[row, :length] = 1
    return Batch(input_ids, token_type_ids, attention_mask)
