"""The places of things of several lengths that lie one after the other in one array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def begins_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each begins; int64 of the shape of ``lengths``, (things,)."""
    found: NDArray[np.int64] = np.cumsum(lengths) - lengths
    return found


def counted(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 and so on up to each length; int64 of shape (sum of the lengths,)."""
    found: NDArray[np.int64] = np.arange(lengths.sum()) - np.repeat(begins_of(lengths), lengths)
    return found
