"""Passages, and an index beside what rank_bm25 makes of the same passages."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from retriever.index.build import IndexedPassage, segment_of
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex
from retriever.index.kernel import Kernel, is_compiled, load

#: The kernels that this machine has.
KERNELS: list[Kernel] = [load(compiled=False)]
if is_compiled():
    KERNELS.append(load(compiled=True))


def random_passages(
    source: random.Random, count: int, *, first: int = 1, vocabulary: int = 60
) -> list[IndexedPassage]:
    """Passages of 0 to 40 terms, frequent ones and rare ones, in collections 1 to 3."""
    names = [f"t{number}" for number in range(vocabulary)]
    weights = [1 / (rank + 1) for rank in range(vocabulary)]
    return [
        IndexedPassage(
            first + number,
            source.randint(1, 3),
            source.choices(names, weights, k=source.randint(0, 40)),
        )
        for number in range(count)
    ]


def random_query(source: random.Random, vocabulary: int = 60) -> list[str]:
    return [f"t{source.randrange(vocabulary + 5)}" for _ in range(source.randint(1, 7))]


class Mirror:
    """An index on disk, and the passages that should be in it."""

    def __init__(self, path: Path, kernel: Kernel | None = None) -> None:
        self.folder = IndexFolder(path, kernel=kernel)
        self.passages: dict[int, IndexedPassage] = {}
        self.version = 0

    def change(self, new: Sequence[IndexedPassage] = (), gone: Iterable[int] = ()) -> PassageIndex:
        """Delete and add, in the index and here."""
        self.version += 1
        ids = list(gone)
        with self.folder.writer():
            index = self.folder.update(
                self.folder.open(),
                new=segment_of(new) if new else None,
                gone=np.array(ids, dtype=np.int64),
                content_version=self.version,
            )
        for number in ids:
            self.passages.pop(number, None)
        self.passages.update({passage.passage_id: passage for passage in new})
        return index

    def index(self) -> PassageIndex:
        """As another process would open it."""
        index = self.folder.open()
        assert index is not None
        return index

    def check(self, queries: Iterable[Sequence[str]]) -> None:
        check_against_rank_bm25(self.index(), list(self.passages.values()), queries)


def check_against_rank_bm25(
    index: PassageIndex, passages: Sequence[IndexedPassage], queries: Iterable[Sequence[str]]
) -> None:
    """The same scores, and the same ranked lists within all collections and within some."""
    ordered = sorted(passages, key=lambda passage: passage.passage_id)
    ids = [passage.passage_id for passage in ordered]
    assert len(index) == len(ids)
    assert sorted(index.passages.tolist()) == ids
    corpus = [list(passage.terms) for passage in ordered]
    if not any(corpus):
        assert all(index.search_bm25(query, 10) == [] for query in queries)
        return
    okapi = BM25Okapi(corpus)
    place = {number: at for at, number in enumerate(index.passages.tolist())}
    for query in queries:
        expected = okapi.get_scores(list(query))
        ours = index.scores(query)[[place[number] for number in ids]]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)
        for allowed in (None, frozenset({1}), frozenset({2, 3}), frozenset[int]()):
            candidates = [
                (-float(score), passage.passage_id)
                for score, passage in zip(ours, ordered, strict=True)
                if not set(query).isdisjoint(passage.terms)
                and (allowed is None or passage.collection_id in allowed)
            ]
            found = index.search_bm25(query, 5, allowed)
            assert [(-hit.bm25, hit.passage_id) for hit in found] == sorted(candidates)[:5]
            assert [hit.score for hit in found] == pytest.approx(
                [float(expected[ids.index(hit.passage_id)]) for hit in found], abs=1e-9
            )
