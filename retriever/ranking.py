"""The order of passages: BM25, and where there is an encoder, what the texts mean.

    score = cosine(question, passage) + WEIGHT * BM25(question, passage) / bound(question)

BM25 finds the words that were asked; vectors find what was said in other words ("guarantee" in a
page on warranty). The bound is the highest BM25 score that any passage could have, so that a
question whose words hardly occur does not make much of the few that do. Without an encoder the
cosine is 0, and only passages that hold a word of the question are found: the order is BM25's.

With one, the first passages are then ordered once more by their texts:

    score + NEARNESS * nearness(question, passage) / bound(question)

See :mod:`retriever.proximity`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1

#: Chosen on the tuning and calibration questions; between 0.6 and 0.8 hardly anything changes.
WEIGHT = 0.7

#: Up to so many passages all are ranked by both; of more, only those that are first by BM25.
EXHAUSTIVE = 1 << 16
CANDIDATES = 300

#: Chosen on the same questions, on SQuAD's and on Natural Questions'; the first NEAREST passages
#: are looked at.
NEARNESS = 0.1
NEAREST = 30


class Encoder(Protocol):
    """Turns texts into vectors of length one; ``name`` changes with its weights."""

    @property
    def name(self) -> str: ...

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Float32 of shape (texts, dimensions); ``progress`` gets the texts done."""
        ...


class Ranked(NamedTuple):
    """A passage in its place: what it is ranked by, and its BM25 score."""

    passage_id: int
    score: float
    bm25: float


def upper_bound(weights: Sequence[float]) -> float:
    """Above what BM25 can give a query whose terms have these weights (idf): tf at infinity."""
    return sum(max(weight, 0.0) for weight in weights) * (K1 + 1)


def rarest_idf(passages: int) -> float:
    """The idf of a term that a single passage holds: what a term weighs that none holds."""
    return math.log(max(passages, 1) + 0.5) - math.log(1.5)


def combine(
    bm25: NDArray[np.float64], cosine: NDArray[np.float32], bound: float
) -> NDArray[np.float64]:
    """The score of every passage; all arrays have the shape (passages,)."""
    share = bm25 / bound if bound > 0 else np.zeros_like(bm25)
    return cosine.astype(np.float64) + WEIGHT * share
