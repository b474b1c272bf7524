"""What BM25 needs to know of a whole generation: sizes, document frequencies, the average idf.

The idf of rank_bm25 has a floor, ``epsilon`` times the mean idf over all terms, which changes with
every passage. An idf depends on nothing but the term's document frequency and the number of
passages; so it is enough to know how many terms there are of each document frequency. That
histogram is kept in the manifest, and changes only at the terms of what is added or deleted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import EPSILON, raw_idf


@dataclass(frozen=True)
class Statistics:
    """Of the live passages of a generation.

    Attributes:
        passages: how many there are.
        length: how many terms they have in all, repetitions included.
        histogram: how many distinct terms are in exactly so many passages, by that number.
    """

    passages: int
    length: int
    histogram: Mapping[int, int]

    @cached_property
    def average_length(self) -> float:
        """Terms a passage; 0 without passages."""
        return self.length / self.passages if self.passages else 0.0

    @cached_property
    def average_idf(self) -> float:
        """The mean idf over all terms, those below the floor included as they are."""
        terms = sum(self.histogram.values())
        if not terms:
            return 0.0
        weights = (raw_idf(self.passages, df) * count for df, count in self.histogram.items())
        return math.fsum(weights) / terms

    def idf(self, document_frequency: int) -> float:
        """The weight of a term, floor included; 0 for a term that is nowhere."""
        if document_frequency <= 0:
            return 0.0
        weight = raw_idf(self.passages, document_frequency)
        return weight if weight >= 0 else EPSILON * self.average_idf

    def changed(
        self,
        passages: int,
        length: int,
        before: NDArray[np.int64],
        after: NDArray[np.int64],
    ) -> Statistics:
        """With so many more passages and terms, and other document frequencies.

        Args:
            before, after: of every term concerned, shape (terms,); 0 for one that is nowhere.
        """
        counts = dict(self.histogram)
        for frequencies, sign in ((before, -1), (after, 1)):
            values, numbers = np.unique(frequencies[frequencies > 0], return_counts=True)
            for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                counts[value] = counts.get(value, 0) + sign * number
        return Statistics(
            passages=self.passages + passages,
            length=self.length + length,
            histogram={df: count for df, count in sorted(counts.items()) if count},
        )


EMPTY = Statistics(0, 0, {})
