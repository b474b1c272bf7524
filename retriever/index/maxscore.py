# To numba, Python's and numpy's integers are the same; to a type checker they are not.
# mypy: disable-error-code="arg-type,assignment,no-any-return,return-value"
"""The best passages of a segment by MaxScore (Turtle and Flood 1995), over blocks of passages.

In a block, terms are ordered by the most that one of their postings there can add to a score. The
lowest of them together may be less than what the k-th best passage has; then no passage with these
terms alone can be among the best, and only the lists of the others, the essential ones, are walked.
What is found there is looked up in the rest, highest first, until it is decided.

Sums are made in whatever order the lists are walked, and passages that come within ``SLACK`` of the
k-th best are kept; in the end these are scored anew in the order of the query, which gives the very
float64 that ``rank_bm25`` computes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.index.kernel import Filter, Query, Scoring
from retriever.index.loops import compiled, exact, lower, run_of, saturation
from retriever.index.segment import BLOCK, BOUND_STEPS, LEVELS, Postings

#: More than the rounding of a sum, less than any difference that matters.
SLACK = 1e-9
_WINDOW = 4096
_WINDOW_BITS = 12
#: A list of so many postings is walked by itself, a longer one only from this level on.
_FEW = 1024
_SELECTIVE = 8
#: With so many postings a window on average, all of its passages are looked at in one sweep.
_DENSE = 256


@compiled
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


@compiled
def _may_find(choice: Filter, document: int) -> bool:
    if len(choice.live) and not choice.live[document]:
        return False
    return len(choice.allowed) == 0 or choice.allowed[choice.collections[document]]


@compiled
def _threshold(heap: NDArray[np.float64], size: NDArray[np.int64]) -> float:
    """A passage below this is not among the best; -1 as long as any passage is."""
    return heap[0] - SLACK if size[0] == len(heap) else -1.0


@compiled
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


@compiled
def search(
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
                score = share * saturation(postings, scoring, at, document)
                if score + under < theta or not _may_find(choice, document):
                    continue
                if not opened:
                    opened = True
                    for place in range(terms):
                        other = run_of(postings, numbers[place], block)
                        cursor[place] = postings.run_starts[other] if other >= 0 else 0
                        stop[place] = postings.run_starts[other + 1] if other >= 0 else 0
                place = lead - 1
                while place >= 0:
                    if score + below[place + 1] < theta:
                        break
                    near = lower(offsets, cursor[place], stop[place], offset)
                    cursor[place] = near
                    if near < stop[place] and offsets[near] == offset:
                        score += weight[place] * saturation(postings, scoring, near, document)
                    place -= 1
                if place >= 0 or score < theta:
                    continue
                place = lead + 1
                while place < terms:  # one that was found by a rarer term
                    near = lower(offsets, cursor[place], stop[place], offset)
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
        swept = np.zeros(_WINDOW, dtype=np.float64)
        touched = np.zeros(_WINDOW, dtype=np.int64)
        ready = np.zeros(terms, dtype=np.int64)
        for block in range(blocks):
            base = block * BLOCK
            for place in range(terms):
                run = run_of(postings, numbers[place], block)
                cursor[place] = postings.run_starts[run] if run >= 0 else 0
                stop[place] = postings.run_starts[run + 1] if run >= 0 else 0
                ready[place] = -1
            first = 0
            many = 0
            for place in range(rest):
                many += stop[place] - cursor[place]
                if weight[place] <= 0.0:  # then a sum does not tell whether there is a posting
                    many = -len(postings.offsets)
            dense = many >= _DENSE * (BLOCK // _WINDOW)
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
                under = below[first]
                for place in range(first, rest if dense else first):
                    at = cursor[place]
                    end = stop[place]
                    share = weight[place]
                    while at < end and offsets[at] < limit:
                        slot = np.int64(offsets[at]) - window
                        swept[slot] += share * saturation(
                            postings, scoring, at, base + window + slot
                        )
                        at += 1
                    cursor[place] = at
                if dense:
                    least = max(theta - under, 5e-324)
                    for slot in range(_WINDOW):
                        if swept[slot] >= least:
                            sums[slot] = swept[slot]
                            touched[hits] = slot
                            hits += 1
                    swept[:] = 0.0
                for place in range(first, first if dense else rest):
                    at = cursor[place]
                    end = stop[place]
                    share = weight[place]
                    while at < end and offsets[at] < limit:
                        slot = np.int64(offsets[at]) - window
                        value = share * saturation(postings, scoring, at, base + window + slot)
                        if sums[slot] < 0.0:
                            sums[slot] = value
                            touched[hits] = slot
                            hits += 1
                        else:
                            sums[slot] += value
                        at += 1
                    cursor[place] = at
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
                            cursor[place] = lower(offsets, cursor[place], stop[place], window)
                        near = lower(offsets, cursor[place], stop[place], offset)
                        if near < stop[place] and offsets[near] == offset:
                            score += weight[place] * saturation(postings, scoring, near, document)
                        place -= 1
                    if place >= 0 or score < theta:
                        continue
                    place = rest
                    while place < terms:  # one that was found by a rarer term
                        if ready[place] != window:
                            ready[place] = window
                            cursor[place] = lower(offsets, cursor[place], stop[place], window)
                        near = lower(offsets, cursor[place], stop[place], offset)
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
            values[kept] = exact(postings, scoring, query, found[at])
            kept += 1
    return found[:kept], values[:kept]
