"""Many passages at once: analysed in pieces, merged into one segment before anybody sees them."""

from __future__ import annotations

from collections.abc import Iterable

from retriever.index.build import IndexedPassage, SegmentBuilder
from retriever.index.merge import merge
from retriever.index.segment import NO_MARKS, Segment

#: So many passages are sorted at a time, which bounds the memory that it takes.
_PASSAGES = 1 << 16


def segment_of(passages: Iterable[IndexedPassage]) -> Segment | None:
    """One segment of passages in any order; None when there are none."""
    made: list[Segment] = []
    builder = SegmentBuilder()
    for passage in passages:
        builder.add(passage)
        if len(builder) == _PASSAGES:
            made.append(builder.segment())
            builder = SegmentBuilder()
    if len(builder):
        made.append(builder.segment())
    if len(made) > 1:
        return merge([(segment, NO_MARKS) for segment in made])
    return made[0] if made else None
