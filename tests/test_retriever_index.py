from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retriever.bm25 import Bm25, build_postings
from retriever.errors import SearchIndexError
from retriever.index import (
    IndexedPassage,
    PassageIndex,
    current_generation,
    open_index,
    write_index,
)
from retriever.okapi import OkapiScorer
from retriever.ranking import WEIGHT, upper_bound


def found(index: PassageIndex, *terms: str) -> list[int]:
    return [place.passage_id for place in index.search(terms, 10)]


PASSAGES = [
    IndexedPassage(11, 1, ["vpn", "token", "reset"]),
    IndexedPassage(12, 1, ["leav", "day"]),
    IndexedPassage(13, 2, ["vpn", "client", "instal"]),
    IndexedPassage(14, 2, ["lunch"]),
    IndexedPassage(15, 2, []),
]


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    write_index(tmp_path, PASSAGES, content_version=3)
    generation = current_generation(tmp_path)
    assert generation is not None
    index = open_index(tmp_path, generation)
    assert index is not None
    assert (index.content_version, len(index)) == (3, 5)
    assert found(index, "vpn", "token") == [11, 13]
    assert [p.passage_id for p in index.search(["vpn"], 10, frozenset({2}))] == [13]
    assert index.search(["vpn"], 10, frozenset()) == []
    assert index.search(["nowhere"], 10) == []


def test_both_scorers_score_alike() -> None:
    corpus = [passage.terms for passage in PASSAGES]
    ours, theirs = Bm25(build_postings(corpus)), OkapiScorer(corpus)
    for query in (["vpn"], ["vpn", "token", "token"], ["day", "lunch"], ["nowhere"], []):
        np.testing.assert_allclose(ours.scores(query), theirs.scores(query), rtol=0, atol=1e-9)
    assert OkapiScorer([]).scores(["vpn"]).shape == (0,)
    assert OkapiScorer([[], []]).scores(["vpn"]).tolist() == [0.0, 0.0]


def test_vectors_find_what_no_word_finds(tmp_path: Path) -> None:
    directions = np.eye(5, dtype=np.float32)
    passages = [replace(p, vector=v) for p, v in zip(PASSAGES, directions, strict=True)]
    write_index(tmp_path, passages, content_version=1, encoder="test")
    index = open_index(tmp_path, current_generation(tmp_path) or "")
    assert index is not None
    assert index.encoder == "test"
    first, second, *_ = index.search(["vpn"], 5, vector=directions[3])
    assert first.passage_id == 14
    assert first.score == pytest.approx(1.0)
    assert first.bm25 == 0.0
    bound = upper_bound(index.weights(["vpn"]))
    assert second.passage_id in {11, 13}
    assert second.score == pytest.approx(WEIGHT * second.bm25 / bound)
    assert [p.passage_id for p in index.search(["vpn"], 5, frozenset({1}), directions[3])] == [
        11,
        12,
    ]
    assert sorted(index.known_vectors("test")) == [11, 12, 13, 14, 15]
    assert index.known_vectors("other") == {}


def test_a_reader_keeps_its_generation_while_another_is_written(tmp_path: Path) -> None:
    write_index(tmp_path, PASSAGES, content_version=1)
    old = open_index(tmp_path, current_generation(tmp_path) or "")
    write_index(tmp_path, PASSAGES[:2], content_version=2)
    new = open_index(tmp_path, current_generation(tmp_path) or "")
    assert old is not None
    assert new is not None
    assert found(old, "client") == [13]
    assert new.search(["client"], 5) == []
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 1


@pytest.mark.parametrize("name", ["meta.json", "terms.txt", "documents.npy", "passages.npy"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
def test_a_damaged_generation_is_not_opened(tmp_path: Path, name: str, damage: str) -> None:
    write_index(tmp_path, PASSAGES, content_version=1)
    generation = current_generation(tmp_path) or ""
    file = tmp_path / generation / name
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_bytes(b"\x00\xff garbage")
    assert open_index(tmp_path, generation) is None


def test_a_full_disk_leaves_the_current_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index(tmp_path, PASSAGES, content_version=1)
    before = current_generation(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("retriever.index.np.save", full)
    with pytest.raises(SearchIndexError, match="the disk is full"):
        write_index(tmp_path, PASSAGES[:1], content_version=2)
    assert current_generation(tmp_path) == before
    assert open_index(tmp_path, before or "") is not None


def test_no_index_has_no_generation(tmp_path: Path) -> None:
    assert current_generation(tmp_path / "nowhere") is None
