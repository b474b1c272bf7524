"""How near to each other a question's terms stand in a passage (Rasolofo and Savoy 2003).

    nearness(q, d) = sum over pairs (s, t) of q of idf(s, t) * n * (k1 + 1) / (n + norm(d))

where s and t are terms within :data:`WINDOW` places of each other in the question, n is how often
they are in the passage, in any order, and idf(s, t) is the mean of theirs. It is BM25 with pairs
for terms; "annual leave" in a passage says more than "annual" here and "leave" there. Terms are
those of the analysis: a compound such as "e-mail" is several, whose pairs count like others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1, norms

#: So many places further on a term's neighbours end.
WINDOW = 3


def nearness(
    query: Sequence[str], weights: Sequence[float], passages: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Float64 of shape (passages,).

    Args:
        query: the terms of the question, in order.
        weights: the idf of each; what is below 0 counts as 0.
        passages: the terms of each passage, in order; its length counts beside the others'.
    """
    idf = dict(zip(query, weights, strict=True))
    wanted = Counter(_pairs(list(enumerate(query))))
    lengths = np.array([len(terms) for terms in passages], dtype=np.uint32)
    average = float(lengths.mean()) if len(lengths) else 0.0
    found = np.zeros(len(passages), dtype=np.float64)
    for number, (terms, norm) in enumerate(zip(passages, norms(lengths, average), strict=True)):
        places = [(place, term) for place, term in enumerate(terms) if term in idf]
        for pair, times in Counter(_pairs(places)).items():
            if pair in wanted:
                mean = sum(max(idf[term], 0.0) for term in pair) / 2
                found[number] += wanted[pair] * mean * times * (K1 + 1) / (times + norm)
    return found


def _pairs(places: Sequence[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Different terms that stand near each other, each pair in alphabetical order."""
    for at, (place, term) in enumerate(places):
        for other_place, other in places[at + 1 : at + 1 + WINDOW]:
            if other_place - place > WINDOW:
                break
            if other != term:
                yield (term, other) if term < other else (other, term)
