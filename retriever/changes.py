"""What the database has that an index lacks, and the other way round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.index.generation import PassageIndex
from retriever.store.passages import PassageRanges


@dataclass(frozen=True, slots=True)
class Changes:
    """What the database has and an index lacks, and the other way round.

    Attributes:
        new: ids of passages, int64 of shape (new,); ``signatures`` is of the same shape.
        documents: the ids of the documents that these are of; None for all.
        gone: ids of passages, int64.
        total: how many passages the database has.
    """

    new: NDArray[np.int64]
    signatures: NDArray[np.int64]
    documents: list[int] | None
    gone: NDArray[np.int64]
    total: int


def compare(ranges: PassageRanges, index: PassageIndex | None) -> Changes:
    """A passage is known if its id, its signature and its collection are."""
    order = np.argsort(ranges.passages, kind="stable")
    passages = ranges.passages[order]
    signatures = ranges.signatures[order]
    collections = ranges.collections[order]
    owners = ranges.documents[order]
    if index is None:
        nobody = np.zeros(0, dtype=np.int64)
        return Changes(passages, signatures, None, nobody, len(passages))
    known = np.zeros(len(passages), dtype=np.bool_)
    gone: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for segment, marks in index.segments:
        live = marks.live_of(segment)
        places = np.searchsorted(passages, segment.passages)
        inside = np.minimum(places, max(len(passages) - 1, 0))
        same = live & (places < len(passages))
        if len(passages):
            same &= passages[inside] == segment.passages
            same &= signatures[inside] == segment.signatures
            same &= collections[inside] == segment.collection_ids
            known[inside[same]] = True
        gone.append(segment.passages[live & ~same])
    return Changes(
        passages[~known],
        signatures[~known],
        np.unique(owners[~known]).tolist(),
        np.concatenate(gone),
        len(passages),
    )
