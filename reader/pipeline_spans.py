"""Windows and spans as the question-answering pipeline of transformers 4.57.6 made them.

The arithmetic differs from :mod:`reader.spans`: probabilities are a softmax for each window and
not one over all, a span's score is the product of its start's and its end's, and scores of equal
texts are added up. It is kept here for callers who rely on those numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from reader.tokenization import PieceTokenizer, WordPieces

#: Logits or probabilities, in the precision that the network gave them: the arithmetic keeps it.
Scores = NDArray[np.floating[Any]]

#: What a masked logit becomes before the softmax.
_MASKED = -10000.0


class PipelineAnswer(TypedDict):
    """An answer: ``context[start:end]`` in characters, and its score (see the module)."""

    score: float
    start: int
    end: int
    answer: str


@dataclass(frozen=True, slots=True)
class PipelineWindow:
    """One input of the network: ``[CLS] question [SEP] context [SEP]`` and padding.

    ``offsets`` and ``words`` belong to the pieces ``ids[:length]``: the characters of the text a
    piece is from, and the number of its word in that text (None for special pieces). Context
    pieces are ``first`` to ``stop``, ``stop`` excluded.
    """

    ids: tuple[int, ...]
    length: int
    first: int
    stop: int
    offsets: tuple[tuple[int, int], ...]
    words: tuple[int | None, ...]

    def characters(self, start: int, end: int, *, align_to_words: bool) -> tuple[int, int]:
        """Characters of the context from piece ``start`` to piece ``end``, both included.

        Whole words reach as far as this window shows them. ``[CLS]`` belongs to no word; a span
        that begins or ends there keeps the offsets of its pieces.
        """
        if align_to_words:
            opening, closing = self._word(start), self._word(end)
            if opening is not None and closing is not None:
                return self.offsets[opening[0]][0], self.offsets[closing[1]][1]
        return self.offsets[start][0], self.offsets[end][1]

    def _word(self, piece: int) -> tuple[int, int] | None:
        """First and last context piece with the word number of a piece."""
        number = self.words[piece]
        if number is None:
            return None
        same = [i for i in range(self.first, self.stop) if self.words[i] == number]
        return (same[0], same[-1]) if same else None


def pipeline_windows(
    question: WordPieces,
    context: WordPieces,
    tokenizer: PieceTokenizer,
    *,
    max_length: int,
    overlap: int,
    padding: str | bool,
) -> list[PipelineWindow]:
    """The windows of a context, of at most ``max_length`` pieces, sharing ``overlap`` of them.

    Raises:
        ValueError: the question leaves no room for the context or for the overlap.
    """
    room = max_length - len(question) - 3
    windows: list[PipelineWindow] = []
    if len(context) > room:
        if room < 1:
            raise ValueError(
                f"the question has {len(question)} word pieces and leaves no room for the context "
                f"in a window of {max_length}; shorten it or raise `max_seq_len`"
            )
        if overlap >= room:
            raise ValueError(
                f"`doc_stride` ({overlap}) must be smaller than the room for the context, {room} "
                f"word pieces beside the question in a window of {max_length}"
            )
    step = max(1, room - overlap)
    begin = 0
    while True:
        stop = min(begin + room, len(context)) if len(context) > room else len(context)
        windows.append(_window(question, context, begin, stop, tokenizer))
        if stop == len(context):
            break
        begin += step
    if padding in (False, "do_not_pad"):
        return windows
    width = max_length if padding == "max_length" else max(window.length for window in windows)
    return [padded(window, width, tokenizer.pad_id) for window in windows]


def _window(
    question: WordPieces, context: WordPieces, begin: int, stop: int, tokenizer: PieceTokenizer
) -> PipelineWindow:
    nowhere, first = ((0, 0),), len(question) + 2
    ids = (
        tokenizer.cls_id,
        *question.ids,
        tokenizer.sep_id,
        *context.ids[begin:stop],
        tokenizer.sep_id,
    )
    return PipelineWindow(
        ids=ids,
        length=len(ids),
        first=first,
        stop=first + stop - begin,
        offsets=nowhere + question.offsets + nowhere + context.offsets[begin:stop] + nowhere,
        words=(None, *question.words, None, *context.words[begin:stop], None),
    )


def padded(window: PipelineWindow, width: int, pad_id: int) -> PipelineWindow:
    """The window with padding up to ``width`` pieces, if it is shorter."""
    missing = max(0, width - len(window.ids))
    return PipelineWindow(
        ids=window.ids + (pad_id,) * missing,
        length=window.length,
        first=window.first,
        stop=window.stop,
        offsets=window.offsets,
        words=window.words,
    )


@dataclass(frozen=True, slots=True)
class ScoredSpans:
    """The best spans of a window as (first piece, last piece, score), and its null score."""

    window: PipelineWindow
    spans: tuple[tuple[int, int, float], ...]
    null_score: float


def score_spans(
    window: PipelineWindow,
    start_logits: Scores,
    end_logits: Scores,
    *,
    cls_id: int,
    count: int,
    max_pieces: int,
) -> ScoredSpans:
    """The ``count`` best spans of a window.

    Logits have shape (pieces of the window, padding included). Every piece outside the context is
    masked except ``[CLS]``, which takes part in the softmax and then scores 0. Where a window has
    too few spans to fill ``count``, spans of score 0 do, in no order that could be relied on.
    """
    pieces = len(window.ids)
    allowed = np.array(window.ids, dtype=np.int64) == cls_id
    allowed[window.first : window.stop] = True
    allowed[window.length :] = False
    starts, ends = _softmax(start_logits, allowed), _softmax(end_logits, allowed)
    null_score = float(starts[0] * ends[0])
    starts[0] = ends[0] = 0.0
    scores = np.outer(starts, ends)  # (pieces, pieces): from each piece to each piece
    distance = np.arange(pieces)[None, :] - np.arange(pieces)[:, None]
    scores[(distance < 0) | (distance >= max_pieces)] = 0.0
    flat = scores.ravel()
    if count == 1:
        order = np.array([flat.argmax()])
    elif count >= flat.size:
        order = np.argsort(-flat)
    else:
        order = np.argpartition(-flat, count)[:count]
        order = order[np.argsort(-flat[order])]
    spans = tuple(
        (first, last, float(scores[first, last]))
        for first, last in ((int(i) // pieces, int(i) % pieces) for i in order)
        if allowed[first] and allowed[last]
    )
    return ScoredSpans(window, spans, null_score)


def _softmax(logits: Scores, allowed: NDArray[np.bool_]) -> Scores:
    masked = np.where(allowed, logits, logits.dtype.type(_MASKED))
    powers = np.exp(masked - masked.max())
    normalised: Scores = powers / powers.sum()
    return normalised


def collect(
    context: str,
    scored: Iterable[ScoredSpans],
    *,
    top_k: int,
    align_to_words: bool,
    null_answer: bool,
) -> list[PipelineAnswer]:
    """The ``top_k`` answers over the windows of a context, best first.

    Spans whose texts are equal but for case are one answer, at the place where it was met first,
    with the sum of their scores. The empty answer scores what the window that believes in it least
    gives it.
    """
    answers: dict[str, PipelineAnswer] = {}
    null_scores: list[float] = []
    for part in scored:
        null_scores.append(part.null_score)
        for first, last, score in part.spans:
            start, end = part.window.characters(first, last, align_to_words=align_to_words)
            text = context[start:end]
            known = answers.get(text.lower())
            if known is not None:
                known["score"] += score
            else:
                answers[text.lower()] = PipelineAnswer(
                    score=score, start=start, end=end, answer=text
                )
    found: Sequence[PipelineAnswer] = list(answers.values())
    if null_answer:
        found = [*found, PipelineAnswer(score=min(null_scores), start=0, end=0, answer="")]
    return sorted(found, key=lambda answer: answer["score"], reverse=True)[:top_k]
