"""From start and end logits to answer spans that can be compared across passages.

A span's score is its raw start logit plus its raw end logit plus the prior of its passage. Raw
logits of all passages of a question go under one softmax, so that a passage without an answer does
not get to share out a full unit of probability among bad spans (Clark and Gardner 2018, "Simple
and Effective Multi-Paragraph Reading Comprehension", section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Tuples: hundreds of both are made for a question, and a frozen dataclass takes four times as long.


class Candidate(NamedTuple):
    """A span in one window: passage pieces ``first`` to ``last``, both included."""

    first: int
    last: int
    score: float


class Scored(NamedTuple):
    """A span of a document with its score and, once normalised, its probability."""

    passage: int
    document: str
    start: int
    end: int
    score: float
    null_score: float
    probability: float = 0.0


def window_candidates(
    start_logits: NDArray[np.float32],
    end_logits: NDArray[np.float32],
    *,
    max_pieces: int,
    n_best: int,
) -> tuple[list[Candidate], float]:
    """The ``n_best`` spans of a window and the log of the sum over all its spans.

    Args:
        start_logits, end_logits: shape (passage pieces,).
        max_pieces: longest span, in pieces.

    Returns:
        Candidates from best to worst, and ``logsumexp`` of the scores of every span of at most
        ``max_pieces`` pieces (the window's share of the common softmax's denominator).
    """
    pieces = len(start_logits)
    if pieces == 0:
        return [], -math.inf
    width = min(max_pieces, pieces)
    # scores[i, k]: the span from piece i to piece i + k; -inf where it would leave the window.
    padded = np.full(pieces + width - 1, -np.inf, dtype=np.float64)
    padded[:pieces] = end_logits
    ends = np.lib.stride_tricks.sliding_window_view(padded, width)  # (pieces, width)
    scores = start_logits.astype(np.float64)[:, None] + ends
    flat = scores.ravel()
    count = min(n_best, flat.size)
    top = np.argpartition(-flat, count - 1)[:count]
    top = top[np.lexsort((top, -flat[top]))]  # ties: the earlier, shorter span first
    top = top[np.isfinite(flat[top])]
    firsts, further = np.divmod(top, width)
    columns = (firsts, firsts + further, flat[top])
    candidates = [Candidate(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    peak = float(flat.max())
    if peak == -math.inf:
        return [], -math.inf
    return candidates, peak + math.log(float(np.exp(flat - peak).sum()))


def log_sum_exp(values: Iterable[float]) -> float:
    """``log(sum(exp(v)))``, -inf for nothing."""
    finite = [value for value in values if value > -math.inf]
    if not finite:
        return -math.inf
    peak = max(finite)
    return peak + math.log(sum(math.exp(value - peak) for value in finite))


def normalise(spans: Iterable[Scored], log_total: float) -> list[Scored]:
    """Give each span its probability under the softmax whose log denominator is ``log_total``."""
    return [
        Scored(*span[:-1], probability=min(1.0, math.exp(span.score - log_total))) for span in spans
    ]


def best_first(spans: Iterable[Scored]) -> list[Scored]:
    """By score; equal ones by their place."""
    return sorted(spans, key=lambda s: (-s.score, s.document, s.start, s.end))


def merge_overlapping(spans: Sequence[Scored], top_k: int) -> list[Scored]:
    """Keep the best span of each group that overlaps in a document.

    Overlapping passages and windows propose the same words several times, and one answer comes in
    several lengths. The best proposal keeps its bounds and takes the probability of those that it
    replaces; exact repetitions (the same words, read in two windows) count once.
    """
    kept: list[Scored] = []
    shares: list[float] = []
    seen: set[tuple[str, int, int]] = set()
    for span in best_first(spans):
        place = (span.document, span.start, span.end)
        if place in seen:
            continue
        seen.add(place)
        for index, better in enumerate(kept):
            overlap = span.start < better.end and better.start < span.end
            if overlap and span.document == better.document:
                shares[index] = min(1.0, shares[index] + span.probability)
                break
        else:
            if len(kept) < top_k:  # a further one takes nothing from those before it
                kept.append(span)
                shares.append(span.probability)
    return [span._replace(probability=share) for span, share in zip(kept, shares, strict=True)]


def align_to_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen ``text[start:end]`` so that it does not cut a word in two."""
    while start > 0 and start < end and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while start < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end
