"""The inner loops over postings: compiled by numba where it is installed, else numpy's.

Both give the same results to the last bit. What they share is here: the tables by which a posting
becomes a score, and what a query is to a segment.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1, norms
from retriever.index.segment import CLASSES, LARGE, Marks, Postings, Segment
from retriever.index.terms import Terms

#: Different codes of postings.
CODES = CLASSES * (LARGE + 1)
#: A query of more distinct terms is not searched for the best, but scored on every passage.
MOST_TERMS = 4096
#: Saturations of term frequencies below this are looked up, those above computed.
TABLE_ROWS = LARGE


class Scoring(NamedTuple):
    """How the postings of a segment score, for one average length.

    Attributes:
        saturations: float64, shape (TABLE_ROWS, different lengths); ``[tf, length code]`` is
            ``tf * (k1 + 1) / (tf + norm)``.
        norms: float64, shape (different lengths,).
        bounds: float32, shape (CODES,); the highest saturation that a posting of each code,
            see :class:`retriever.index.segment.Postings`, can have.
        bound_factor: what the bounds of runs, which are for the segment's own average length, are
            multiplied by.
    """

    saturations: NDArray[np.float64]
    norms: NDArray[np.float64]
    bounds: NDArray[np.float32]
    bound_factor: float


def scoring(segment: Segment, average: float) -> Scoring:
    """The tables of a segment for a generation's average length."""
    by_length = norms(segment.postings.length_values, average)
    tf = np.arange(TABLE_ROWS, dtype=np.float64)[:, np.newaxis]
    saturations = tf * (K1 + 1) / (tf + by_length)
    shortest = norms(segment.postings.class_lengths, average)
    bounds = np.full((CLASSES, LARGE + 1), K1 + 1)
    bounds[:, :TABLE_ROWS] = (tf * (K1 + 1) / (tf + shortest)).T
    own = segment.average_length
    # Longer passages elsewhere make those here count as shorter; see segment.py.
    factor = max(1.0, average / own) * (1 + 1e-9) if own else 1.0
    return Scoring(saturations, by_length, bounds.reshape(-1).astype(np.float32), factor)


class Filter(NamedTuple):
    """Which passages of a segment a query may find.

    Attributes:
        live: bool, shape (passages,), or no length where all are.
        collections: uint16, shape (passages,); places in ``allowed``.
        allowed: bool, shape (collections,), or no length where all are.
    """

    live: NDArray[np.bool_]
    collections: NDArray[np.uint16]
    allowed: NDArray[np.bool_]


class Query(NamedTuple):
    """A query as a segment sees it.

    Attributes:
        numbers: int64, shape (distinct terms,); in the segment's dictionary, -1 for none.
        weights: float64, of the same shape; the idf of each.
        times: float64, of the same shape; how often the query has it.
        sequence: int64, shape (terms,); the query's terms in order, as places in ``numbers``.
    """

    numbers: NDArray[np.int64]
    weights: NDArray[np.float64]
    times: NDArray[np.float64]
    sequence: NDArray[np.int64]


@dataclass(slots=True)
class Best:
    """The best scores that a search has seen so far, over all segments.

    Attributes:
        heap: float64, shape (k,); a heap whose first is the least, once ``size`` of it are set.
        size: int64, shape (1,).
    """

    heap: NDArray[np.float64]
    size: NDArray[np.int64]


class Kernel(Protocol):
    """The inner loops."""

    name: str

    def find(self, terms: Terms, wanted: Terms) -> NDArray[np.int64]:
        """The numbers in ``terms`` of the (sorted) ``wanted``; -1 for those not there."""
        ...

    def add_scores(
        self, postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
    ) -> None:
        """Add the score of every passage to ``out``, float64 of shape (passages,)."""
        ...

    def search(
        self,
        postings: Postings,
        scoring: Scoring,
        query: Query,
        choice: Filter,
        best: Best,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The passages of a segment that may be among the k best of all, with their scores.

        Only weights of 0 or more are allowed. Passages that hold no term are left out. The scores
        of the others go into ``best``.

        Returns:
            Numbers of passages, int64, and their scores, float64, of the same shape, in no order;
            every passage that is left out is worse than ``best.heap`` will be.
        """
        ...

    def count_deleted(self, postings: Postings, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the passages ``gone`` (bool of shape (passages,)) hold each term."""
        ...


def choice_of(segment: Segment, marks: Marks, collections: frozenset[int] | None = None) -> Filter:
    """The live passages of a segment in these collections; None for all."""
    allowed = (
        np.zeros(0, dtype=np.bool_)
        if collections is None
        else np.isin(segment.collection_values, list(collections))
    )
    return Filter(marks.live, segment.collections, allowed)


def is_compiled() -> bool:
    """Whether numba is installed; it is not loaded for that."""
    return importlib.util.find_spec("numba") is not None


def load(compiled: bool | None = None, folder: Path | None = None) -> Kernel:
    """The kernel: numba's if that is installed, unless said otherwise; compiled here if it must be.

    Args:
        folder: where its machine code is kept; numba's own choice by default. The first of a
            process counts.
    """
    if is_compiled() if compiled is None else compiled:
        return _numba_kernel(folder, compiling=True)
    from retriever.index import kernel_numpy

    return kernel_numpy.NumpyKernel()


def load_compiled(folder: Path) -> Kernel | None:
    """Numba's kernel with the machine code that is kept in a folder; None where none fits."""
    if not is_compiled():
        return None
    try:
        return _numba_kernel(folder, compiling=False)
    except Exception:  # noqa: BLE001  # whatever numba makes of files that are not its own
        return None


def _numba_kernel(folder: Path | None, *, compiling: bool) -> Kernel:
    import numba

    config: Any = numba.config  # it makes its attributes as it goes
    before = config.CACHE_DIR
    try:
        if folder is not None:
            config.CACHE_DIR = str(folder)
        from retriever.index import kernel_numba
    finally:
        config.CACHE_DIR = before
    kernel_numba.prepare(compiling=compiling)
    return kernel_numba.NumbaKernel()


_kernel: Kernel | None = None


def default() -> Kernel:
    """The kernel of this process: numpy's, until a compiled one was set."""
    global _kernel
    if _kernel is None:
        _kernel = load(compiled=False)
    return _kernel


def set_default(kernel: Kernel) -> None:
    """Search with this kernel from now on; both find the same."""
    global _kernel
    _kernel = kernel
