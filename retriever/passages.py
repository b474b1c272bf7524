"""Cutting a document into the passages that are searched and read.

A passage has about 100 words, ends where a sentence ends if it can, overlaps its neighbour by a
sentence or two, and never runs across a heading of the upper levels. A passage is always
``text[start:end]`` of its document.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from retriever.records import Anchor, ParsedDocument, PassageSpan
from retriever.sentences import sentence_spans

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class PassageOptions:
    """Sizes in words.

    Attributes:
        target: a passage is closed by the sentence that reaches it.
        longest: no passage is longer; a sentence that is gets cut between words.
        overlap: the next passage repeats whole sentences of at most so many words.
        boundary_level: headings of this level and above always begin a new passage.
    """

    target: int = 100
    longest: int = 140
    overlap: int = 30
    boundary_level: int = 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or a part of one that is too long."""

    start: int
    end: int
    words: int


def split_passages(
    document: ParsedDocument, options: PassageOptions | None = None
) -> list[PassageSpan]:
    """The passages of a document, in order. A document without words has none."""
    chosen = options or PassageOptions()
    headings = [anchor for anchor in document.anchors if anchor.kind == "heading"]
    starts = [heading.start for heading in headings]
    passages: list[PassageSpan] = []
    for start, end in _sections(headings, len(document.text), chosen.boundary_level):
        for begin, stop in _cut(_units(document.text, start, end, chosen.longest), chosen):
            above = bisect_right(starts, begin)
            heading = headings[above - 1].path if above else ()
            passages.append(PassageSpan(len(passages), begin, stop, heading))
    return passages


def _sections(
    headings: Sequence[Anchor], length: int, boundary_level: int
) -> list[tuple[int, int]]:
    """The text between headings of the upper levels; a heading without text joins the next."""
    starts = [0]
    previous: Anchor | None = None
    for heading in headings:
        if heading.level > boundary_level:
            previous = heading
            continue
        # "Leave" directly above "Annual leave": the upper heading alone is no passage.
        bare = (
            previous is not None
            and previous.start == starts[-1]
            and (previous.level < heading.level and _is_bare(previous, heading))
        )
        if bare:
            previous = heading
            continue
        if heading.start > starts[-1]:
            starts.append(heading.start)
        previous = heading
    return list(zip(starts, [*starts[1:], length], strict=True))


def _is_bare(heading: Anchor, following: Anchor) -> bool:
    """Nothing but the heading's own line (and blank lines) stands before the next heading."""
    return following.start - heading.start <= len(heading.path[-1]) + 4 if heading.path else False


def _units(text: str, start: int, end: int, longest: int) -> list[_Unit]:
    units: list[_Unit] = []
    for begin, stop in sentence_spans(text, start, end, markers=True):
        words = [match.span() for match in _WORD.finditer(text, begin, stop)]
        for first in range(0, len(words), longest):
            part = words[first : first + longest]
            units.append(_Unit(part[0][0], part[-1][1], len(part)))
    return units


def _cut(units: Sequence[_Unit], options: PassageOptions) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    first = 0
    while first < len(units):
        last, words = first, units[first].words
        while (
            words < options.target
            and last + 1 < len(units)
            and words + units[last + 1].words <= options.longest
        ):
            last += 1
            words += units[last].words
        # A remainder that fits is taken along: a passage of five words helps nobody.
        rest = sum(unit.words for unit in units[last + 1 : last + 1 + options.longest])
        if last + 1 < len(units) and words + rest <= options.longest:
            last = len(units) - 1
        spans.append((units[first].start, units[last].end))
        if last + 1 == len(units):
            break
        following, repeated = last + 1, 0
        while following - 1 > first and repeated + units[following - 1].words <= options.overlap:
            following -= 1
            repeated += units[following].words
        first = following
    return spans
