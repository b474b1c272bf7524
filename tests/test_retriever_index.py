"""The index on disk, with rank_bm25 as the judge of its scores."""

from __future__ import annotations

import errno
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.crash import crash_rounds, read_while_writing
from retriever.errors import SearchIndexError
from retriever.index import files, folder
from retriever.index.build import IndexedPassage, segment_of
from retriever.index.files import DamagedError
from retriever.index.kernel import Kernel
from retriever.index.merge import FAN_IN, Size, choose, merge
from retriever.index.segment import Marks, Segment, read_segment
from retriever.index.statistics import EMPTY
from retriever.okapi import OkapiIndex
from retriever.ranking import CANDIDATES, WEIGHT, upper_bound
from tests.index_parts import (
    KERNELS,
    Mirror,
    random_passages,
    random_query,
)

kernels = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)

PASSAGES = [
    IndexedPassage(11, 1, ["vpn", "token", "reset"]),
    IndexedPassage(12, 1, ["leav", "day"]),
    IndexedPassage(13, 2, ["vpn", "client", "instal"]),
    IndexedPassage(14, 2, ["lunch"]),
    IndexedPassage(15, 2, []),
]


def found(mirror: Mirror, *terms: str) -> list[int]:
    return [hit.passage_id for hit in mirror.index().search(terms, 10)]


# -- scores -----------------------------------------------------------------------------------


@kernels
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_rank_bm25(tmp_path: Path, kernel: Kernel, seed: int) -> None:
    source = random.Random(seed)
    mirror = Mirror(tmp_path / "index", kernel)
    mirror.change(random_passages(source, 150))
    mirror.check(random_query(source) for _ in range(30))


@kernels
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_scores_after_random_adds_deletes_and_merges(
    tmp_path_factory: pytest.TempPathFactory, kernel: Kernel, data: st.DataObject
) -> None:
    source = random.Random(data.draw(st.integers(0, 2**32), label="seed"))
    mirror = Mirror(tmp_path_factory.mktemp("index") / "index", kernel)
    first = 1
    for step in data.draw(
        st.lists(st.sampled_from(["add", "delete", "replace", "merge"]), max_size=12), label="steps"
    ):
        ids = sorted(mirror.passages)
        gone = source.sample(ids, len(ids) // 3) if step in {"delete", "replace"} else []
        new = []
        if step in {"add", "replace"}:
            new = random_passages(source, source.randint(1, 25), first=first, vocabulary=25)
            first += len(new)
        if step == "merge":
            mirror.folder.merge()
        else:
            mirror.change(new, gone)
    if mirror.version:
        mirror.check(random_query(source, 25) for _ in range(6))


@kernels
def test_merged_segments_score_as_before(tmp_path: Path, kernel: Kernel) -> None:
    source = random.Random(7)
    mirror = Mirror(tmp_path / "index", kernel)
    for number in range(FAN_IN):
        mirror.change(random_passages(source, 40, first=1 + 40 * number), [40 * number - 3])
    queries = [random_query(source) for _ in range(20)]
    before = [mirror.index().search_bm25(query, 10) for query in queries]
    assert len(mirror.index().segments) == FAN_IN
    assert mirror.folder.merge()
    assert [len(segment) for segment, _ in mirror.index().segments] == [len(mirror.passages)]
    assert [mirror.index().search_bm25(query, 10) for query in queries] == before
    assert not mirror.folder.merge()
    mirror.check(queries)


@kernels
def test_more_than_one_block_of_passages(tmp_path: Path, kernel: Kernel) -> None:
    source = random.Random(3)
    terms = [f"t{number}" for number in range(40)]
    weights = [1 / (rank + 1) ** 1.5 for rank in range(40)]
    passages = [
        IndexedPassage(n, 1 + n % 3, source.choices(terms, weights, k=1 + n % 5))
        for n in range(70_000)
    ]
    mirror = Mirror(tmp_path / "index", kernel)
    index = mirror.change(passages, [])
    deleted = set(range(0, 70_000, 7))
    index = mirror.change((), deleted)
    for query in (["t1"], ["t39", "t3"], ["t5", "t0", "t12", "t5"], ["t30", "t31", "t38"]):
        scores = index.scores(query)
        for allowed in (None, frozenset({2})):
            candidates = np.flatnonzero(
                (scores != 0) & (True if allowed is None else index.passages % 3 == 1)
            )
            best = candidates[np.lexsort((index.passages[candidates], -scores[candidates]))][:10]
            assert [
                (hit.passage_id, hit.bm25) for hit in index.search_bm25(query, 10, allowed)
            ] == [(int(index.passages[at]), float(scores[at])) for at in best]
    check_idf(mirror)


def check_idf(mirror: Mirror) -> None:
    """The statistics that were kept are those of the live passages."""
    counts: dict[str, int] = {}
    for passage in mirror.passages.values():
        for term in set(passage.terms):
            counts[term] = counts.get(term, 0) + 1
    frequencies = np.array(list(counts.values()), dtype=np.int64)
    expected = EMPTY.changed(
        len(mirror.passages),
        sum(len(passage.terms) for passage in mirror.passages.values()),
        np.zeros_like(frequencies),
        frequencies,
    )
    assert mirror.index().manifest.statistics == expected


@kernels
def test_a_term_that_stands_very_often_in_a_passage(tmp_path: Path, kernel: Kernel) -> None:
    mirror = Mirror(tmp_path / "index", kernel)
    often = [14, 15, 16, 254, 255, 256, 70_000]
    mirror.change(
        [IndexedPassage(n, 1, ["rare"] * count) for n, count in enumerate(often)]
        + [IndexedPassage(100 + n, 1, ["other", "words"]) for n in range(20)]
    )
    mirror.check([["rare"], ["rare", "other"]])
    mirror.change((), [0, 105])
    mirror.change([IndexedPassage(200, 1, ["rare"] * 300)])
    merged = merge(mirror.index().segments)
    assert merged.postings.large_values.tolist() == [15, 16, 254, 255, 256, 70_000, 300]


def test_a_term_in_most_passages_has_the_floor_of_rank_bm25(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    passages = [["common", "rare"], ["common"], ["common", "other"]]
    mirror.change([IndexedPassage(n, 1, terms) for n, terms in enumerate(passages)])
    mirror.check([["common"], ["rare"], ["common", "rare"]])
    assert mirror.index().idf("nowhere") == 0.0


def test_rank_bm25_as_the_index_finds_the_same(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    index = mirror.change(PASSAGES)
    okapi = OkapiIndex(PASSAGES, encoder=None, content_version=1)
    for query in (["vpn"], ["vpn", "token", "token"], ["day", "lunch"], ["nowhere"], []):
        np.testing.assert_allclose(index.scores(query), okapi.scores(query), rtol=0, atol=1e-9)
        assert index.search(query, 5, frozenset({1})) == okapi.search(query, 5, frozenset({1}))
    assert OkapiIndex([], encoder=None, content_version=1).search(["vpn"], 5) == []


# -- what is asked ----------------------------------------------------------------------------


@kernels
def test_queries_that_nobody_should_ask(tmp_path: Path, kernel: Kernel) -> None:
    source = random.Random(11)
    mirror = Mirror(tmp_path / "index", kernel)
    assert mirror.folder.open() is None
    empty = mirror.change()
    assert (len(empty), empty.search(["vpn"], 5), empty.weights(["vpn"])) == (0, [], [0.0])
    mirror.change(random_passages(source, 80, vocabulary=300))
    many = [f"t{source.randrange(400)}" for _ in range(10_000)]
    mirror.check([[], ["\x00", "\x1b[2J", "\udcff"], many])
    assert mirror.index().search_bm25(["t1"], 0) == []


def test_the_terms_of_questions_are_not_remembered_without_end(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    index = mirror.change(PASSAGES)
    tracemalloc.start()
    try:
        for number in range(60):
            assert index.idf(f"{number}{'x' * 1_000_000}") == 0
        long, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            assert index.weights([f"t{number}-{n}" for n in range(1000)])
        many, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(long, many) < 20 << 20


def test_vectors_find_what_no_word_finds(tmp_path: Path) -> None:
    directions = np.eye(5, dtype=np.float32)
    passages = [
        IndexedPassage(p.passage_id, p.collection_id, p.terms, vector)
        for p, vector in zip(PASSAGES, directions, strict=True)
    ]
    place = folder.IndexFolder(tmp_path)
    index = place.update(None, new=segment_of(passages), content_version=1, encoder="test")
    first, second, *_ = index.search(["vpn"], 5, vector=directions[3])
    assert (first.passage_id, first.bm25) == (14, 0.0)
    assert first.score == pytest.approx(1.0)
    bound = upper_bound(index.weights(["vpn"]))
    assert second.passage_id in {11, 13}
    assert second.score == pytest.approx(WEIGHT * second.bm25 / bound)
    within = index.search(["vpn"], 5, frozenset({1}), directions[3])
    assert [hit.passage_id for hit in within] == [11, 12]


def test_a_large_index_ranks_by_vectors_what_bm25_found(tmp_path: Path) -> None:
    source = random.Random(5)
    chance = np.random.default_rng(5)
    vectors = chance.normal(size=(500, 8)).astype(np.float16).astype(np.float32)
    passages = [
        IndexedPassage(p.passage_id, p.collection_id, p.terms, vector)
        for p, vector in zip(random_passages(source, 500), vectors, strict=True)
    ]
    place = folder.IndexFolder(tmp_path)
    index = place.update(None, new=segment_of(passages[:300]), content_version=1, encoder="test")
    index = place.update(
        index,
        new=segment_of(passages[300:]),
        gone=np.arange(1, 500, 7),
        content_version=2,
        encoder="test",
    )
    question, terms = vectors[17], ["t9", "t40"]
    for allowed in (None, frozenset({2})):
        everything = index.search(terms, 500, allowed, question)
        by_words = [hit for hit in everything if hit.bm25 > 0]
        assert 10 < len(by_words) < min(len(everything), CANDIDATES)
        # All that hold a word are candidates here; the others are left out.
        few = index.search(terms, 10, allowed, question, exhaustive=100)
        assert [hit.passage_id for hit in few] == [hit.passage_id for hit in by_words[:10]]
        assert [hit.score for hit in few] == pytest.approx([hit.score for hit in by_words[:10]])
        # With too few of them all are ranked.
        assert index.search(terms, 400, allowed, question, exhaustive=100) == everything[:400]


# -- what is on disk --------------------------------------------------------------------------


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES)
    assert (mirror.index().content_version, len(mirror.index())) == (1, 5)
    assert found(mirror, "vpn", "token") == [11, 13]
    mirror.change((), [11])
    assert found(mirror, "vpn") == [13]
    mirror.change((), [12, 13, 14, 15, 99])
    assert (len(mirror.index()), mirror.index().segments) == (0, ())
    assert {file.name for file in (tmp_path / "index").iterdir()} == {"MANIFEST", "write.lock"}


def test_ids_that_are_elsewhere_delete_nobody_here(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    here = [10_000 * n for n in range(1, 31)]
    elsewhere = [n + more for n in here for more in (1, 2, 3)]
    mirror.change([IndexedPassage(n, 1, [f"t{n}", "all"]) for n in here])
    mirror.change([IndexedPassage(n, 1, [f"t{n}", "all"]) for n in elsewhere])
    mirror.change((), elsewhere[:60])
    assert mirror.index().passages.tolist() == here + elsewhere[60:]
    mirror.check([["t20000"], ["t300001", "all"]])


def test_a_reader_keeps_its_generation(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES)
    old, stamp = mirror.index(), mirror.folder.stamp()
    mirror.change((), [13, 14])
    assert mirror.folder.stamp() != stamp
    assert [hit.passage_id for hit in old.search(["client"], 5)] == [13]
    assert mirror.index().search(["client"], 5) == []


@pytest.mark.parametrize("name", ["MANIFEST", "segment-*", "marks-*"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "garbage"])
def test_damage_is_noticed(tmp_path: Path, name: str, damage: str) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES)
    mirror.change((), [12])
    (file,) = (tmp_path / "index").glob(name)
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        file.write_bytes(content[:-80] + bytes([content[-80] ^ 1]) + content[-79:])
    else:
        file.write_bytes(b"\x00\xff garbage")
    if name == "MANIFEST" and damage == "missing":
        assert mirror.folder.open() is None
    else:
        with pytest.raises(DamagedError, match=file.name):
            mirror.folder.open()


def test_a_missing_file_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES[:2])
    index = mirror.change(PASSAGES[2:])
    whole, lost = (entry.file.name for entry in index.manifest.segments)
    (tmp_path / "index" / lost).unlink()
    read = watch_reading(monkeypatch)
    with pytest.raises(DamagedError, match=f"{lost} is missing"):
        mirror.folder.open()
    assert read == [whole, lost]


def test_a_file_that_a_newer_generation_did_without_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES[:2])

    def begin_anew() -> None:
        mirror.folder.update(None, new=segment_of(PASSAGES[2:]), content_version=2)

    read = watch_reading(monkeypatch, before_first=begin_anew)
    assert mirror.index().passages.tolist() == [13, 14, 15]
    assert len(read) == 3  # the old one, in vain; the new one when it was written, and here


def watch_reading(
    monkeypatch: pytest.MonkeyPatch, before_first: Callable[[], object] = lambda: None
) -> list[str]:
    """The names of the segments that are read from now on."""
    read: list[str] = []

    def watched(path: Path, entry: files.FileEntry) -> Segment:
        read.append(entry.name)
        if len(read) == 1:
            before_first()
        return read_segment(path, entry)

    monkeypatch.setattr(folder, "read_segment", watched)
    return read


@pytest.mark.parametrize("during", ["write_segment", "write_marks", "write_manifest"])
def test_a_full_disk_leaves_the_current_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES)
    before = sorted(file.name for file in (tmp_path / "index").iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, during, full)
    with pytest.raises(SearchIndexError, match="the disk is full"):
        mirror.change([IndexedPassage(20, 1, ["new"])], [11])
    assert sorted(file.name for file in (tmp_path / "index").iterdir()) == before
    assert found(mirror, "vpn") == [11, 13]


@pytest.mark.parametrize("at", ["sync_folder", "unlink"])
def test_an_error_after_the_manifest_is_in_place_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    mirror = Mirror(tmp_path / "index")
    mirror.change(PASSAGES[:2])
    if at == "unlink":
        (tmp_path / "index" / "segment-that-is-a-folder").mkdir()
        mirror.change(PASSAGES[2:])
    else:
        rename = Path.replace

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "input/output error")

        def replaced(self: Path, target: Path) -> Path:
            done = rename(self, target)
            monkeypatch.setattr(files, "sync_folder", fail)
            return done

        monkeypatch.setattr(Path, "replace", replaced)
        with pytest.raises(SearchIndexError):
            mirror.change(PASSAGES[2:])
        monkeypatch.undo()
    assert len(mirror.index()) == len(PASSAGES)


def test_a_disk_that_fills_during_a_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror(tmp_path / "index")
    source = random.Random(5)
    for number in range(FAN_IN):
        mirror.change(random_passages(source, 30, first=1 + 30 * number))
    queries = [random_query(source) for _ in range(5)]
    original = files._parts

    def fills(*arguments: object) -> object:
        yield next(original(*arguments))  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_parts", fills)
        with pytest.raises(SearchIndexError, match="the disk is full"):
            mirror.folder.merge()
    assert not list((tmp_path / "index").glob("merging-*"))
    mirror.check(queries)
    assert mirror.folder.merge()
    mirror.check(queries)


def test_what_is_deleted_while_segments_are_merged_stays_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(tmp_path / "index")
    source = random.Random(6)
    for number in range(FAN_IN):
        mirror.change(random_passages(source, 30, first=1 + 30 * number))

    def slow(parts: list[tuple[Segment, Marks]]) -> Segment:
        made = merge(parts)
        mirror.change(random_passages(source, 10, first=1000), [3, 40, 41])
        return made

    monkeypatch.setattr(folder, "merge", slow)
    assert mirror.folder.merge()
    assert len(mirror.index().segments) == 2
    mirror.check(random_query(source) for _ in range(10))
    check_idf(mirror)


def test_which_segments_are_merged() -> None:
    small = [Size(f"s{n}", 10, 10) for n in range(FAN_IN)]
    large = [Size(f"l{n}", 90_000, 90_000) for n in range(FAN_IN - 1)]
    assert choose([]) == []
    assert choose([*small[1:], *large]) == []
    assert choose([*large, *small]) == [size.name for size in small]
    assert choose([Size("a", 5000, 3000), Size("b", 100, 100)]) == ["a"]


# -- processes --------------------------------------------------------------------------------


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    result = crash_rounds(tmp_path / "index", rounds=3, seed=1)
    assert (result["rounds"], result["errors"]) == (3, [])


def test_processes_that_search_while_one_writes(tmp_path: Path) -> None:
    result = read_while_writing(tmp_path / "index", readers=2, seconds=1.5, seed=1)
    assert result["errors"] == []
    assert result["queries"] != 0
