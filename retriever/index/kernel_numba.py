"""The kernel compiled by numba.

Compiled code is kept on disk by numba and loaded again by the next process; a search compiles
nothing, see :mod:`retriever.index.compiled`.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import numba
import numpy as np
from numba.core import event
from numpy.typing import NDArray

from retriever.index.build import IndexedPassage, SegmentBuilder
from retriever.index.kernel import Best, Filter, Query, Scoring, choice_of, scoring
from retriever.index.loops import add_scores, count_deleted, find
from retriever.index.maxscore import search
from retriever.index.segment import BLOCK, NO_MARKS, Postings
from retriever.index.terms import Terms


class NumbaKernel:
    """See :class:`retriever.index.kernel.Kernel`."""

    name = "numba"

    def __init__(self) -> None:
        self._scratch = threading.local()

    def find(self, terms: Terms, wanted: Terms) -> NDArray[np.int64]:
        return find(terms.text, terms.ends, wanted.text, wanted.ends)

    def add_scores(
        self, postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
    ) -> None:
        add_scores(postings, scoring, query, out)

    def search(
        self,
        postings: Postings,
        scoring: Scoring,
        query: Query,
        choice: Filter,
        best: Best,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        sums = getattr(self._scratch, "sums", None)
        if sums is None:
            sums = np.zeros(BLOCK, dtype=np.uint16)
        self._scratch.sums = None  # a search that ends in an error leaves sums behind
        found = search(postings, scoring, query, choice, best.heap, best.size, sums)
        self._scratch.sums = sums
        return found

    def count_deleted(self, postings: Postings, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        return count_deleted(postings, gone, np.flatnonzero(gone))


class NotCompiledError(RuntimeError):
    """There is no compiled code on disk that can be loaded."""


class _Refusing(event.Listener):
    """Stops numba where it would begin to compile."""

    def on_start(self, event: event.Event) -> None:
        raise NotCompiledError

    def on_end(self, event: event.Event) -> None:
        pass


def prepare(*, compiling: bool) -> None:
    """Load the machine code of every loop; from then on nothing is compiled in this process.

    Args:
        compiling: compile what is not on disk, and keep it there.

    Raises:
        NotCompiledError: something is not on disk, and ``compiling`` is not set.
    """
    type_of: Any = numba.typeof
    with nullcontext() if compiling else event.install_listener("numba:compile", _Refusing()):
        for loop, arguments in _samples():
            signature = tuple(type_of(argument) for argument in arguments)
            if signature not in loop.overloads:
                loop.disable_compile(False)
                loop.compile(signature)
            loop.disable_compile()


def _samples() -> list[tuple[Any, tuple[object, ...]]]:
    """The loops that are called from outside, with arguments of the types that they get."""
    builder = SegmentBuilder()
    builder.add(IndexedPassage(1, 1, ["term"]))
    segment = builder.segment()
    postings, terms = segment.postings, segment.terms
    some, weights = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.float64)
    given = (postings, scoring(segment, 1.0), Query(some, weights, weights, some))
    choice = choice_of(segment, NO_MARKS)
    return [
        (find, (terms.text, terms.ends, terms.text, terms.ends)),
        (add_scores, (*given, weights)),
        (search, (*given, choice, weights, some, np.zeros(1, dtype=np.uint16))),
        (count_deleted, (postings, np.zeros(1, dtype=np.bool_), some)),
    ]
