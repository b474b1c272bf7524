"""BM25 exactly as ``rank_bm25.BM25Okapi`` defines it.

    idf(t)      = log(N - n(t) + 0.5) - log(n(t) + 0.5),
                  where negative: epsilon * mean over all terms of idf(t)
    score(d, q) = sum over t in q of idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / avg))

with k1 = 1.5, b = 0.75, epsilon = 0.25 (Robertson et al. 1995, with rank_bm25's floor for frequent
terms). rank_bm25 walks every passage for every query term; :mod:`retriever.index` touches only
passages that hold the term. The scores are float64 and made of the same operations in the same
order, so they agree to rounding.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

K1 = 1.5
B = 0.75
EPSILON = 0.25


def raw_idf(passages: int, document_frequency: int) -> float:
    """The idf of a term without the floor."""
    return math.log(passages - document_frequency + 0.5) - math.log(document_frequency + 0.5)


def norms(lengths: NDArray[np.uint32], average: float) -> NDArray[np.float64]:
    """The part of the denominator that depends on the length alone, of the shape of ``lengths``."""
    if average == 0.0:  # nobody has a term, so nobody asks
        return np.full(len(lengths), K1)
    result: NDArray[np.float64] = K1 * (1 - B + B * lengths.astype(np.float64) / average)
    return result


def top(
    scores: NDArray[np.float64], k: int, candidates: NDArray[np.bool_] | None = None
) -> list[int]:
    """The k best documents, best first; ties in document order.

    ``candidates`` (shape (documents,)) decides before ranking which there are; without it, those
    with a score other than 0.
    """
    numbers = np.flatnonzero(scores if candidates is None else candidates)
    if 0 < k < len(numbers):
        values = scores[numbers]
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        numbers = numbers[values >= threshold]
    order = np.lexsort((numbers, -scores[numbers]))
    return [int(numbers[position]) for position in order[: max(k, 0)]]
