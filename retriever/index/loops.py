# To numba, Python's and numpy's integers are the same; to a type checker they are not.
# mypy: disable-error-code="arg-type,assignment,no-any-return,return-value"
"""Loops over postings that numba compiles: looking up, adding up, counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import K1
from retriever.index.kernel import Query, Scoring
from retriever.index.segment import BLOCK, LARGE, Postings

_F = TypeVar("_F", bound=Callable[..., object])
_GAIN = K1 + 1


def compiled(function: _F) -> _F:
    """Compiled by numba, with the machine code kept on disk."""
    return cast(_F, numba.njit(cache=True, nogil=True)(function))


def inlined(function: _F) -> _F:
    """Compiled as part of its callers: a call would copy every array of its arguments."""
    return cast(_F, numba.njit(inline="always", nogil=True)(function))


@compiled
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


@compiled
def find(
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


@compiled
def large(
    large_places: NDArray[np.uint32],
    large_values: NDArray[np.uint32],
    place: int,
    norm: float,
) -> float:
    """The saturation of a posting whose frequency stands in the list of large ones."""
    frequency = float(large_values[np.searchsorted(large_places, place)])
    return frequency * _GAIN / (frequency + norm)


@compiled
def add_scores(
    postings: Postings, scoring: Scoring, query: Query, out: NDArray[np.float64]
) -> None:
    # By name, not as parts of a tuple: numba would count references at every use.
    offsets, codes, lengths = postings.offsets, postings.codes, postings.lengths
    large_places, large_values = postings.large_places, postings.large_values
    saturations, norms = scoring.saturations, scoring.norms
    for at in query.sequence:
        number = query.numbers[at]
        if number < 0:
            continue
        weight = query.weights[at]
        for run in range(postings.term_runs[number], postings.term_runs[number + 1]):
            base = np.int64(postings.run_blocks[run]) * BLOCK
            for place in range(postings.run_starts[run], postings.run_starts[run + 1]):
                document = base + np.int64(offsets[place])
                tf = codes[place] & LARGE
                if tf < LARGE:
                    saturation = saturations[tf, lengths[document]]
                else:
                    norm = norms[lengths[document]]
                    saturation = large(large_places, large_values, place, norm)
                out[document] += weight * saturation


@compiled
def lower(offsets: NDArray[np.uint16], low: int, high: int, offset: int) -> int:
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


@inlined
def place_of(offsets: NDArray[np.uint16], low: int, high: int, offset: int) -> int:
    """Where an offset stands from ``low`` on and before ``high``; -1 for nowhere."""
    place = low
    count = high - low
    while count > 1:  # without a branch that could be foretold wrongly
        half = count >> 1
        place += half if offsets[place + half - 1] < offset else 0
        count -= half
    return place if count == 1 and offsets[place] == offset else -1


@compiled
def run_of(
    term_runs: NDArray[np.uint32], run_blocks: NDArray[np.uint16], number: int, block: int
) -> int:
    """The run of a term in a block; -1 for none, or for no term."""
    if number < 0:
        return -1
    low = np.int64(term_runs[number])
    high = np.int64(term_runs[number + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if run_blocks[middle] < block:
            low = middle + 1
        else:
            high = middle
    return low if low < end and run_blocks[low] == block else -1


@compiled
def count_deleted(
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
                    place = lower(postings.offsets, place, end, offset)
                    if place == end:
                        break
                    counts[term] += postings.offsets[place] == offset
    return counts
