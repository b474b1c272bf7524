# To numba, Python's and numpy's integers are the same; to a type checker they are not.
# mypy: disable-error-code="arg-type,assignment,no-any-return,return-value"
"""The best passages of a segment: bounds of sums for all, exact scores for the few that matter.

Passages are taken in blocks of 65,536. Every posting of a block adds the most that its code is
worth, as a small integer, to the 16 bits that its passage has in an array which fits into the
processor's cache; that costs less than a nanosecond. Nearly all passages then have less than the
k-th best, and are passed over 256 at a time. The others are scored exactly, in the order of the
query, which gives the very float64 that ``rank_bm25`` computes.

As in MaxScore (Turtle and Flood 1995), lists whose bounds together are less than what the k-th best
passage has are not walked: a passage with these terms alone cannot be among the best. They are
looked up for the passages that the other lists leave.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.index.kernel import CODES, Filter, Query, Scoring
from retriever.index.loops import compiled, inlined, large, place_of, run_of
from retriever.index.segment import BLOCK, BOUND_STEPS, LARGE, Postings

#: More than the rounding of a sum, less than any difference that matters.
SLACK = 1e-9
#: Sums stay below this, so that the 16th bit can tell which are high enough.
_HIGH = 1 << 15
#: Passages that are looked at together: so many words of two, in a loop that is made of vectors.
_GROUP = 256
_WORDS = _GROUP // 2
_TOPS = np.uint32(0x80008000)
#: Lists are not walked once all their bounds are less than this share of the k-th best score: up to
#: all of it would be right, but then too many passages have to be looked up in them.
_EASY = 0.25


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


@inlined
def _may_find(choice: Filter, document: int) -> bool:
    live = len(choice.live) == 0 or choice.live[document]
    return live and (len(choice.allowed) == 0 or choice.allowed[choice.collections[document]])


@compiled
def _room(
    found: NDArray[np.int64], values: NDArray[np.float64], count: int, theta: float
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
def _add_up(
    offsets: NDArray[np.uint16],
    codes: NDArray[np.uint8],
    start: int,
    stop: int,
    worth: NDArray[np.uint16],
    sums: NDArray[np.uint16],
) -> None:
    for posting in range(start, stop):
        sums[offsets[posting]] += worth[codes[posting]]


@inlined
def _missing(least: int) -> np.uint32:
    """What lifts both sums of a word to the 16th bit where they are ``least`` or more."""
    return np.uint32(np.uint32(_HIGH - least) * np.uint32(0x00010001))


@inlined
def _any_high(words: NDArray[np.uint32], group: int, missing: np.uint32) -> bool:
    """Whether one of a group's sums is lifted to the 16th bit."""
    found = np.uint32(0)
    for at in range(_WORDS):
        found |= np.uint32(words[group, at] + missing)
    return (found & _TOPS) != 0


@compiled
def _high(
    choice: Filter, base: int, sums: NDArray[np.uint16], groups: int, least: int, k: int
) -> NDArray[np.int64]:
    """The sums of a block that are ``least`` or more; with a ``k`` above 0, of the passages that
    may be found, the k highest of them.

    These sums are 0 afterwards, without a k all are.

    Returns:
        ``sum * BLOCK + offset`` of each, in no order.
    """
    words = sums.view(np.uint32).reshape(-1, _WORDS)
    found = np.zeros(k if k > 0 else _GROUP, dtype=np.int64)
    size = np.zeros(1, dtype=np.int64)
    missing = _missing(least)
    for group in range(groups):
        if not _any_high(words, group, missing):
            continue
        if k == 0 and size[0] + _GROUP > len(found):
            found = np.concatenate((found, np.zeros(len(found), dtype=np.int64)))
        for at in range(_WORDS):
            if np.uint32(words[group, at] + missing) & _TOPS == 0:
                continue
            for lane in range(2):
                offset = group * _GROUP + 2 * at + lane
                if sums[offset] < least:
                    continue
                candidate = np.int64(sums[offset]) * BLOCK + offset
                if k == 0:
                    found[size[0]] = candidate
                    size[0] += 1
                elif _may_find(choice, base + offset):
                    _push(found, size, candidate)
                    if size[0] == k:
                        least = max(least, found[0] // BLOCK)
                        missing = _missing(least)
    found = found[: size[0]]
    if k == 0:
        sums[: groups * _GROUP] = 0
    else:
        for candidate in found:
            sums[candidate % BLOCK] = 0
    return found


@compiled
def search(
    postings: Postings,
    scoring: Scoring,
    query: Query,
    choice: Filter,
    heap: NDArray[np.float64],
    size: NDArray[np.int64],
    sums: NDArray[np.uint16],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """See :meth:`retriever.index.kernel.Kernel.search`.

    Args:
        sums: uint16, shape (BLOCK,), all zero, which it is again afterwards.
    """
    # By name, not as parts of a tuple: numba would count references at every use.
    offsets, codes, lengths = postings.offsets, postings.codes, postings.lengths
    large_places, large_values = postings.large_places, postings.large_values
    saturations, norms, bounds = scoring.saturations, scoring.norms, scoring.bounds
    bound_factor = scoring.bound_factor
    weights, times, sequence = query.weights, query.times, query.sequence
    passages = len(lengths)
    found = np.zeros(256, dtype=np.int64)
    values = np.zeros(256, dtype=np.float64)
    count = 0

    # The terms that the segment has, from the lowest bound to the highest.
    asked = len(query.numbers)
    terms = 0
    order = np.zeros(asked, dtype=np.int64)
    bound = np.zeros(asked, dtype=np.float64)
    for at in range(asked):
        number = query.numbers[at]
        if number < 0:
            continue
        highest = 0
        for run in range(postings.term_runs[number], postings.term_runs[number + 1]):
            highest = max(highest, np.int64(postings.run_bounds[run]))
        most = weights[at] * times[at] * (highest / BOUND_STEPS) * bound_factor
        place = terms
        while place > 0 and bound[place - 1] > most:
            bound[place] = bound[place - 1]
            order[place] = order[place - 1]
            place -= 1
        bound[place] = most
        order[place] = at
        terms += 1
    below = np.zeros(terms + 1, dtype=np.float64)  # the bounds of the terms before, together
    for place in range(terms):
        below[place + 1] = below[place] + bound[place]

    # What a posting of each code is worth, in units of which all terms together make 15 bits.
    unit = max(below[terms], 1e-300) / (_HIGH - 1 - terms)
    worth = np.zeros((terms, CODES), dtype=np.uint16)
    for place in range(terms):
        share = np.float32(weights[order[place]] * times[order[place]] / unit * (1 + 1e-6))
        most = np.float32(bound[place] / unit)
        row = worth[place]
        for code in range(CODES):
            units = share * bounds[code]
            row[code] = np.uint16(np.uint32(units if units < most else most) + np.uint32(1))

    starts = np.zeros(asked, dtype=np.int64)
    stops = np.zeros(asked, dtype=np.int64)
    parts = np.zeros(asked, dtype=np.float64)
    theta = heap[0] - SLACK if size[0] == len(heap) else -1.0  # what is below is not among the best
    first = 0  # of the lists that are walked
    for block in range((passages + BLOCK - 1) // BLOCK):
        if terms == 0 or below[terms] < theta:
            break
        while first < terms - 1 and below[first + 1] < theta * _EASY:
            first += 1
        base = block * BLOCK
        many = 0
        reach = 0.0
        for place in range(terms):
            at = order[place]
            run = run_of(postings.term_runs, postings.run_blocks, query.numbers[at], block)
            starts[at] = postings.run_starts[run] if run >= 0 else 0
            stops[at] = postings.run_starts[run + 1] if run >= 0 else 0
            if run >= 0:
                share = weights[at] * times[at]
                reach += share * (postings.run_bounds[run] / BOUND_STEPS) * bound_factor
            if place >= first:
                many += stops[at] - starts[at]
        if many == 0 or reach < theta:
            continue
        for place in range(first, terms):
            at = order[place]
            _add_up(offsets, codes, starts[at], stops[at], worth[place], sums)

        groups = (min(BLOCK, passages - base) + _GROUP - 1) // _GROUP
        # Where there is no threshold yet, the highest sums make one for the others.
        for turn in range(0 if size[0] < len(heap) else 1, 2):
            least = max(1, np.int64((theta - below[first]) / unit)) if turn == 1 else 1
            k = len(heap) if turn == 0 else 0
            for candidate in _high(choice, base, sums, groups, least, k):
                offset = candidate % BLOCK
                document = base + offset
                if not _may_find(choice, document):
                    continue
                score = (candidate // BLOCK) * unit
                place = first - 1
                while place >= 0 and score + below[place + 1] >= theta:
                    at = order[place]
                    near = place_of(offsets, starts[at], stops[at], offset)
                    if near >= 0:
                        score += worth[place, codes[near]] * unit
                    place -= 1
                if score + below[place + 1] < theta:
                    continue
                code = lengths[document]
                for at in range(asked):
                    near = place_of(offsets, starts[at], stops[at], offset)
                    parts[at] = 0.0
                    if near >= 0:
                        tf = codes[near] & LARGE
                        if tf < LARGE:
                            parts[at] = weights[at] * saturations[tf, code]
                        else:
                            parts[at] = weights[at] * large(
                                large_places, large_values, near, norms[code]
                            )
                score = 0.0
                for at in sequence:
                    score += parts[at]
                if score < theta:
                    continue
                _push(heap, size, score)
                if size[0] == len(heap):
                    theta = heap[0] - SLACK
                if count == len(found):
                    found, values, count = _room(found, values, count, theta)
                found[count] = document
                values[count] = score
                count += 1

    kept = 0
    for at in range(count):
        if values[at] >= theta:
            found[kept] = found[at]
            values[kept] = values[at]
            kept += 1
    return found[:kept], values[:kept]
