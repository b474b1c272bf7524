# To numba, Python's and numpy's integers are the same; to a type checker they are not.
# mypy: disable-error-code="arg-type,assignment,no-any-return,return-value"
"""The kernel compiled by numba, with MaxScore (Turtle and Flood 1995) over blocks of passages.

In a block, terms are ordered by the most that one of their postings there can add to a score. The
lowest of them together may be less than what the k-th best passage has; then no passage with these
terms alone can be among the best, and only the lists of the others, the essential ones, are walked.
What is found there is looked up in the rest, highest first, until it is decided.

Sums are made in whatever order the lists are walked, and passages that come within ``SLACK`` of the
k-th best are kept; in the end these are scored anew in the order of the query, which gives the very
float64 that ``rank_bm25`` computes.

Compiled code is kept on disk by numba and loaded again by the next process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1
from retriever.index.kernel import TABLE_ROWS, Best, Filter, Query, Scoring
from retriever.index.segment import BLOCK, BOUND_STEPS, LARGE, LEVELS, Postings
from retriever.index.terms import Terms

_F = TypeVar("_F", bound=Callable[..., object])

#: More than the rounding of a sum, less than any difference that matters.
SLACK = 1e-9
_WINDOW = 4096
_WINDOW_BITS = 12
_GAIN = K1 + 1
#: A list of so many postings is walked by itself, a longer one only from this level on.
_FEW = 1024
_SELECTIVE = 8


def _compiled(function: _F) -> _F:
    return cast(_F, numba.njit(cache=True, nogil=True)(function))


class NumbaKernel:
    """See :class:`retriever.index.kernel.Kernel`."""

    name = "numba"

    def find(self, terms: Terms, wanted: Terms) -> NDArray[np.int64]:
        return _find(terms.text, terms.ends, wanted.text, wanted.ends)

    def add_scores(
        self, postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
    ) -> None:
        _add_scores(postings, scoring, query, out)

    def search(
        self,
        postings: Postings,
        scoring: Scoring,
        query: Query,
        choice: Filter,
        bound_factor: float,
        best: Best,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return _search(postings, scoring, query, choice, bound_factor, best.heap, best.size)

    def count_deleted(self, postings: Postings, gone: NDArray[np.bool_]) -> NDArray[np.int64]:
        return _count_deleted(postings, gone, np.flatnonzero(gone))


@_compiled
def _compare(
    left: NDArray[np.uint8],
    left_start: int,
    left_end: int,
    right: NDArray[np.uint8],
    right_start: int,
    right_end: int,
) -> int:
    """Less than, equal to or greater than 0, as the bytes of the left are to those of the right."""
    left_size = left_end - left_start
    right_size = right_end - right_start
    for place in range(min(left_size, right_size)):
        a = np.int64(left[left_start + place])
        b = np.int64(right[right_start + place])
        if a != b:
            return a - b
    return left_size - right_size


@_compiled
def _find(
    text: NDArray[np.uint8],
    ends: NDArray[np.uint32],
    wanted: NDArray[np.uint8],
    wanted_ends: NDArray[np.uint32],
) -> NDArray[np.int64]:
    count = len(ends) - 1
    found = np.full(len(wanted_ends) - 1, -1, dtype=np.int64)
    low = 0
    for place in range(len(found)):
        start, end = np.int64(wanted_ends[place]), np.int64(wanted_ends[place + 1])
        # Gallop from where the one before was found: few steps when many are wanted.
        step = 1 if len(found) > 64 else count
        high = low
        while high < count and (
            _compare(text, np.int64(ends[high]), np.int64(ends[high + 1]), wanted, start, end) < 0
        ):
            low = high + 1
            high = min(high + step, count) if step < count else count
            step *= 2
        while low < high:
            middle = (low + high) >> 1
            if (
                _compare(
                    text, np.int64(ends[middle]), np.int64(ends[middle + 1]), wanted, start, end
                )
                < 0
            ):
                low = middle + 1
            else:
                high = middle
        if low < count and (
            _compare(text, np.int64(ends[low]), np.int64(ends[low + 1]), wanted, start, end) == 0
        ):
            found[place] = low
    return found


@_compiled
def _saturation(postings: Postings, scoring: Scoring, place: int, document: int) -> float:
    """``tf * (k1 + 1) / (tf + norm)`` of a posting."""
    tf = postings.frequencies[place] & LARGE
    code = postings.lengths[document]
    if tf < TABLE_ROWS:
        return scoring.saturations[tf, code]
    frequency = float(tf)
    if tf == LARGE:
        at = np.searchsorted(postings.large_places, place)
        frequency = float(postings.large_values[at])
    return frequency * _GAIN / (frequency + scoring.norms[code])


@_compiled
def _add_scores(
    postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
) -> None:
    for at in query.sequence:
        number = query.numbers[at]
        if number < 0:
            continue
        weight = query.weights[at]
        for run in range(postings.term_runs[number], postings.term_runs[number + 1]):
            base = np.int64(postings.run_blocks[run]) * BLOCK
            for place in range(postings.run_starts[run], postings.run_starts[run + 1]):
                document = base + np.int64(postings.offsets[place])
                out[document] += weight * _saturation(postings, scoring, place, document)


@_compiled
def _lower(offsets: NDArray[np.uint16], low: int, high: int, offset: int) -> int:
    """The first place from ``low`` on whose offset is not below ``offset``; ``high`` if none."""
    step = 1
    end = low
    while end < high and offsets[end] < offset:
        low = end + 1
        end += step
        step *= 2
    end = min(end, high)
    while low < end:
        middle = (low + end) >> 1
        if offsets[middle] < offset:
            low = middle + 1
        else:
            end = middle
    return low


@_compiled
def _push(heap: NDArray[np.float64], size: NDArray[np.int64], value: float) -> None:
    """Keep the highest values in a heap whose first is the least."""
    count = size[0]
    if count < len(heap):
        place = count
        size[0] = count + 1
        while place > 0:
            parent = (place - 1) >> 1
            if heap[parent] <= value:
                break
            heap[place] = heap[parent]
            place = parent
        heap[place] = value
        return
    if value <= heap[0]:
        return
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@_compiled
def _may_find(choice: Filter, document: int) -> bool:
    if len(choice.live) and not choice.live[document]:
        return False
    return len(choice.allowed) == 0 or choice.allowed[choice.collections[document]]


@_compiled
def _run_of(postings: Postings, number: int, block: int) -> int:
    """The run of a term in a block; -1 for none."""
    low = np.int64(postings.term_runs[number])
    high = np.int64(postings.term_runs[number + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if postings.run_blocks[middle] < block:
            low = middle + 1
        else:
            high = middle
    return low if low < end and postings.run_blocks[low] == block else -1


@_compiled
def _exact(postings: Postings, scoring: Scoring, query: Query, document: int) -> float:
    """The score of one passage, summed in the order of the query."""
    block = document // BLOCK
    offset = document - block * BLOCK
    parts = np.zeros(len(query.numbers), dtype=np.float64)
    for at in range(len(query.numbers)):
        if query.numbers[at] < 0:
            continue
        run = _run_of(postings, query.numbers[at], block)
        if run < 0:
            continue
        end = np.int64(postings.run_starts[run + 1])
        place = _lower(postings.offsets, np.int64(postings.run_starts[run]), end, offset)
        if place < end and postings.offsets[place] == offset:
            parts[at] = query.weights[at] * _saturation(postings, scoring, place, document)
    score = 0.0
    for at in query.sequence:
        score += parts[at]
    return score


@_compiled
def _threshold(heap: NDArray[np.float64], size: NDArray[np.int64]) -> float:
    """A passage below this is not among the best; -1 as long as any passage is."""
    return heap[0] - SLACK if size[0] == len(heap) else -1.0


@_compiled
def _keep(
    found: NDArray[np.int64],
    values: NDArray[np.float64],
    count: int,
    theta: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Make room: most of what was found early is out by now."""
    kept = 0
    for at in range(count):
        if values[at] >= theta:
            found[kept] = found[at]
            values[kept] = values[at]
            kept += 1
    if 2 * kept > len(found):
        found = np.concatenate((found, np.zeros(len(found), dtype=np.int64)))
        values = np.concatenate((values, np.zeros(len(values), dtype=np.float64)))
    return found, values, kept


@_compiled
def _search(
    postings: Postings,
    scoring: Scoring,
    query: Query,
    choice: Filter,
    bound_factor: float,
    heap: NDArray[np.float64],
    size: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    offsets = postings.offsets
    blocks = (len(postings.lengths) + BLOCK - 1) // BLOCK
    found = np.zeros(256, dtype=np.int64)
    values = np.zeros(256, dtype=np.float64)
    count = 0

    # The terms that the segment has, from the lowest bound to the highest.
    terms = 0
    numbers = np.zeros(len(query.numbers), dtype=np.int64)
    weight = np.zeros(len(query.numbers), dtype=np.float64)
    bound = np.zeros(len(query.numbers), dtype=np.float64)
    for at in range(len(query.numbers)):
        number = query.numbers[at]
        if number < 0:
            continue
        highest = 0
        for run in range(postings.term_runs[number], postings.term_runs[number + 1]):
            highest = max(highest, np.int64(postings.run_bounds[run]))
        total = query.weights[at] * query.times[at]
        limit = total * (highest / BOUND_STEPS) * bound_factor
        place = terms
        while place > 0 and bound[place - 1] > limit:
            bound[place] = bound[place - 1]
            weight[place] = weight[place - 1]
            numbers[place] = numbers[place - 1]
            place -= 1
        bound[place] = limit
        weight[place] = total
        numbers[place] = number
        terms += 1
    below = np.zeros(terms + 1, dtype=np.float64)  # the bounds of the terms before, together
    for at in range(terms):
        below[at + 1] = below[at] + bound[at]

    cursor = np.zeros(terms, dtype=np.int64)
    stop = np.zeros(terms, dtype=np.int64)
    # One term after the other, from the rarest: passages in which it is the rarest of all.
    rest = terms
    while rest > 0:
        theta = _threshold(heap, size)
        if below[rest] < theta:
            break
        lead = rest - 1
        number = numbers[lead]
        share = weight[lead]
        under = below[lead]
        level = 0
        while level < LEVELS - 1 and (
            share * postings.levels[level] * bound_factor + under < theta
        ):
            level += 1
        first_run = np.int64(postings.term_runs[number])
        last_run = np.int64(postings.term_runs[number + 1])
        width = np.int64(postings.run_starts[last_run]) - np.int64(postings.run_starts[first_run])
        if width > _FEW and level < _SELECTIVE:
            break
        least = level << 4
        for run in range(first_run, last_run):
            block = np.int64(postings.run_blocks[run])
            base = block * BLOCK
            opened = False
            for at in range(postings.run_starts[run], postings.run_starts[run + 1]):
                if postings.frequencies[at] < least:
                    continue
                offset = np.int64(offsets[at])
                document = base + offset
                score = share * _saturation(postings, scoring, at, document)
                if score + under < theta or not _may_find(choice, document):
                    continue
                if not opened:
                    opened = True
                    for place in range(terms):
                        other = _run_of(postings, numbers[place], block)
                        cursor[place] = postings.run_starts[other] if other >= 0 else 0
                        stop[place] = postings.run_starts[other + 1] if other >= 0 else 0
                place = lead - 1
                while place >= 0:
                    if score + below[place + 1] < theta:
                        break
                    near = _lower(offsets, cursor[place], stop[place], offset)
                    cursor[place] = near
                    if near < stop[place] and offsets[near] == offset:
                        score += weight[place] * _saturation(postings, scoring, near, document)
                    place -= 1
                if place >= 0 or score < theta:
                    continue
                place = lead + 1
                while place < terms:  # one that was found by a rarer term
                    near = _lower(offsets, cursor[place], stop[place], offset)
                    cursor[place] = near
                    if near < stop[place] and offsets[near] == offset:
                        break
                    place += 1
                if place < terms:
                    continue
                _push(heap, size, score)
                theta = _threshold(heap, size)
                while level < LEVELS - 1 and (
                    share * postings.levels[level] * bound_factor + under < theta
                ):
                    level += 1
                least = level << 4
                if count == len(found):
                    found, values, count = _keep(found, values, count, theta)
                found[count] = document
                values[count] = score
                count += 1
        rest = lead

    # The terms that are left, together: window by window, sums of the lists that matter.
    if rest > 0 and below[rest] >= _threshold(heap, size):
        sums = np.full(_WINDOW, -1.0)
        touched = np.zeros(_WINDOW, dtype=np.int64)
        ready = np.zeros(terms, dtype=np.int64)
        for block in range(blocks):
            base = block * BLOCK
            for place in range(terms):
                run = _run_of(postings, numbers[place], block)
                cursor[place] = postings.run_starts[run] if run >= 0 else 0
                stop[place] = postings.run_starts[run + 1] if run >= 0 else 0
                ready[place] = -1
            first = 0
            while True:
                theta = _threshold(heap, size)
                while first < rest and below[first + 1] < theta:
                    first += 1
                lowest = BLOCK
                for place in range(first, rest):
                    if cursor[place] < stop[place] and offsets[cursor[place]] < lowest:
                        lowest = np.int64(offsets[cursor[place]])
                if lowest == BLOCK:
                    break
                window = (lowest >> _WINDOW_BITS) << _WINDOW_BITS
                limit = window + _WINDOW
                hits = 0
                for place in range(first, rest):
                    at = cursor[place]
                    end = stop[place]
                    share = weight[place]
                    while at < end and offsets[at] < limit:
                        slot = np.int64(offsets[at]) - window
                        value = share * _saturation(postings, scoring, at, base + window + slot)
                        if sums[slot] < 0.0:
                            sums[slot] = value
                            touched[hits] = slot
                            hits += 1
                        else:
                            sums[slot] += value
                        at += 1
                    cursor[place] = at
                under = below[first]
                for hit in range(hits):
                    slot = touched[hit]
                    score = sums[slot]
                    sums[slot] = -1.0
                    if score + under < theta:
                        continue
                    offset = window + slot
                    document = base + offset
                    if not _may_find(choice, document):
                        continue
                    place = first - 1
                    while place >= 0:
                        if score + below[place + 1] < theta:
                            break
                        if ready[place] != window:
                            ready[place] = window
                            cursor[place] = _lower(offsets, cursor[place], stop[place], window)
                        near = _lower(offsets, cursor[place], stop[place], offset)
                        if near < stop[place] and offsets[near] == offset:
                            score += weight[place] * _saturation(postings, scoring, near, document)
                        place -= 1
                    if place >= 0 or score < theta:
                        continue
                    place = rest
                    while place < terms:  # one that was found by a rarer term
                        if ready[place] != window:
                            ready[place] = window
                            cursor[place] = _lower(offsets, cursor[place], stop[place], window)
                        near = _lower(offsets, cursor[place], stop[place], offset)
                        if near < stop[place] and offsets[near] == offset:
                            break
                        place += 1
                    if place < terms:
                        continue
                    _push(heap, size, score)
                    theta = _threshold(heap, size)
                    if count == len(found):
                        found, values, count = _keep(found, values, count, theta)
                    found[count] = document
                    values[count] = score
                    count += 1

    theta = _threshold(heap, size)
    kept = 0
    for at in range(count):
        if values[at] >= theta:
            found[kept] = found[at]
            values[kept] = _exact(postings, scoring, query, found[at])
            kept += 1
    return found[:kept], values[:kept]


@_compiled
def _count_deleted(
    postings: Postings, gone: NDArray[np.bool_], numbers: NDArray[np.int64]
) -> NDArray[np.int64]:
    counts = np.zeros(len(postings.term_runs) - 1, dtype=np.int64)
    blocks = (len(gone) + BLOCK - 1) // BLOCK
    starts = np.zeros(blocks + 1, dtype=np.int64)  # of each block, in numbers
    for number in numbers:
        starts[number // BLOCK + 1] += 1
    for block in range(blocks):
        starts[block + 1] += starts[block]
    for term in range(len(counts)):
        for run in range(postings.term_runs[term], postings.term_runs[term + 1]):
            block = np.int64(postings.run_blocks[run])
            first, last = starts[block], starts[block + 1]
            if first == last:
                continue
            place = np.int64(postings.run_starts[run])
            end = np.int64(postings.run_starts[run + 1])
            base = block * BLOCK
            if (end - place) < 16 * (last - first):
                for at in range(place, end):
                    counts[term] += gone[base + np.int64(postings.offsets[at])]
            else:
                for at in range(first, last):
                    offset = numbers[at] - base
                    place = _lower(postings.offsets, place, end, offset)
                    if place == end:
                        break
                    counts[term] += postings.offsets[place] == offset
    return counts
