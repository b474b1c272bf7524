"""A dictionary of terms that opens without being read: sorted UTF-8, end to end.

The i-th term is ``text[ends[i]:ends[i + 1]]``. Sorted by bytes, so that a term is found by binary
search in the mapped file, and the terms of one dictionary are found in another in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Terms(NamedTuple):
    """Terms in the order of their bytes.

    Attributes:
        text: uint8, shape (bytes,).
        ends: uint32, shape (terms + 1,); begins with 0.
    """

    text: NDArray[np.uint8]
    ends: NDArray[np.uint32]


def encode(term: str) -> bytes:
    """A term as the dictionary keeps it; what is no UTF-8 (a lone surrogate) becomes ``?``."""
    return term.encode("utf-8", errors="replace")


def pack(ordered: Sequence[bytes]) -> Terms:
    """Terms that are sorted and distinct, as one dictionary."""
    sizes = accumulate(map(len, ordered), initial=0)
    ends = np.fromiter(sizes, dtype=np.int64, count=len(ordered) + 1)
    if ends[-1] >= 2**32:
        raise ValueError("the terms of one segment are longer than 4 GiB")
    text = np.frombuffer(b"".join(ordered), dtype=np.uint8)
    return _read_only(text, ends)


def unpack(terms: Terms) -> list[bytes]:
    """All terms, in order."""
    text = terms.text.tobytes()
    ends = terms.ends.tolist()
    return [text[begin:end] for begin, end in pairwise(ends)]


def select(terms: Terms, numbers: NDArray[np.int64]) -> Terms:
    """The terms of these numbers, which ascend."""
    begins = terms.ends[numbers].astype(np.int64)
    sizes = terms.ends[numbers + 1].astype(np.int64) - begins
    ends = np.zeros(len(numbers) + 1, dtype=np.int64)
    np.cumsum(sizes, out=ends[1:])
    places = np.repeat(begins - ends[:-1], sizes) + np.arange(ends[-1])
    return _read_only(terms.text[places], ends)


def _read_only(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> Terms:
    terms = Terms(text, ends.astype(np.uint32))
    for array in terms:
        array.flags.writeable = False
    return terms
