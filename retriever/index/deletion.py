"""What deleting passages changes: the marks of their segment, and document frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retriever.index.generation import find_in_all
from retriever.index.kernel import Kernel
from retriever.index.segment import Marks, Segment
from retriever.index.terms import select


def marks_after(kernel: Kernel, segment: Segment, marks: Marks, gone: NDArray[np.int64]) -> Marks:
    """The marks after these ids, ascending, are deleted too; the same object where nothing
    changes.
    """
    places = np.searchsorted(segment.passages, gone)
    inside = places < len(segment)
    places, gone = places[inside], gone[inside]
    places = places[segment.passages[places] == gone]
    live = marks.live_of(segment)
    places = places[live[places]]
    if not len(places):
        return marks
    now = np.zeros(len(segment), dtype=np.bool_)
    now[places] = True
    counts = kernel.count_deleted(segment.postings, now)
    counts[marks.terms] += marks.counts
    terms = np.flatnonzero(counts)
    live = live.copy()
    live[places] = False
    return Marks(live, terms.astype(np.uint32), counts[terms].astype(np.uint32))


def frequencies_around(
    kernel: Kernel, parts: Sequence[tuple[Segment, Marks]], at: int, after: Marks
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In how many live passages of all parts each term is of which one part loses some.

    Returns:
        With the marks that ``parts[at]`` has, and with ``after``; int64 of shape (terms,) each.
    """
    segment, marks = parts[at]
    numbers = after.terms.astype(np.int64)
    more = after.counts - marks.deleted(numbers)
    changed = np.flatnonzero(more)
    numbers, more = numbers[changed], more[changed]
    others = [part for other, part in enumerate(parts) if other != at]
    _, elsewhere = find_in_all(kernel, others, select(segment.terms, numbers))
    before = elsewhere + segment.frequencies_of(numbers) - marks.deleted(numbers)
    return before, before - more
