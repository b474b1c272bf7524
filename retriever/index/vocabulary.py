"""Terms as numbers while an index is built: in the order in which they are met, not yet sorted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Key = TypeVar("_Key")


class Vocabulary:
    """Numbers terms in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._terms: list[str] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers_of(self, terms: Iterable[str]) -> list[int]:
        """The numbers of terms; one that is new gets its number."""
        numbers = self._numbers
        return [numbers.setdefault(term, len(numbers)) for term in terms]

    def terms_of(self, numbers: Iterable[int]) -> list[str]:
        """The terms of numbers."""
        new = len(self._numbers) - len(self._terms)
        self._terms.extend(latest(self._numbers, new))
        return [self._terms[number] for number in numbers]


def latest(keys: dict[_Key, int], count: int) -> list[_Key]:
    """The keys that were set last, in the order in which they were."""
    return list(islice(reversed(keys), count))[::-1]


@dataclass(frozen=True, slots=True)
class NumberedTerms:
    """The terms of texts, end to end.

    Attributes:
        numbers: uint32, shape (terms of all texts,); of a vocabulary.
        lengths: int64, shape (texts,); how many of them each text has.
    """

    numbers: NDArray[np.uint32]
    lengths: NDArray[np.int64]

    def of_each(self) -> list[NDArray[np.uint32]]:
        """The numbers of each text."""
        return np.split(self.numbers, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


def end_to_end(each: Sequence[Sequence[int] | NDArray[np.uint32]]) -> NumberedTerms:
    """Texts of which each has its own numbers."""
    return NumberedTerms(
        np.concatenate(
            [np.zeros(0, dtype=np.uint32), *(np.asarray(own, dtype=np.uint32) for own in each)]
        ),
        np.array([len(numbers) for numbers in each], dtype=np.int64),
    )


def side_by_side(columns: Sequence[NumberedTerms]) -> NumberedTerms:
    """The terms of each text in all columns, which are of the same texts, one behind the other."""
    lengths = np.zeros_like(columns[0].lengths)
    for column in columns:
        lengths += column.lengths
    numbers = np.empty(int(lengths.sum()), dtype=np.uint32)
    begins = np.cumsum(lengths) - lengths
    for column in columns:
        own = np.cumsum(column.lengths) - column.lengths
        places = np.repeat(begins - own, column.lengths)
        places += np.arange(len(places))
        numbers[places] = column.numbers
        begins = begins + column.lengths
    return NumberedTerms(numbers, lengths)
