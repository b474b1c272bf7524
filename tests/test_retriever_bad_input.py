"""What nobody should ask and what should not happen, from the database to the passages found."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest

from retriever.analysis import STOP_WORDS, Analyzer
from retriever.index import files
from retriever.index.merge import FAN_IN
from retriever.indexing import IndexKeeper
from retriever.search import Retriever
from retriever.store.database import Database
from retriever.store.sources import ensure_collection
from tests.test_retriever_indexing import Synonyms, database, found, keeper, put

__all__ = ["database"]  # a fixture

ODD_QUESTIONS = {
    "nothing": "",
    "stop words": " ".join(sorted(STOP_WORDS)),
    "control characters": "\x00\x01\x1b[2J\x7f\r\n\u202e\ufeff",
    "half a character": "\udcff\ud800",
}


@pytest.mark.parametrize("question", ODD_QUESTIONS.values(), ids=ODD_QUESTIONS)
def test_a_question_without_words_finds_nothing_by_words(
    database: Database, tmp_path: Path, question: str
) -> None:
    put(database, "a", "The VPN needs a token.")
    _, words = keeper(database, tmp_path / "words")
    assert found(words, question) == []
    assert words.coverage(question, ["The VPN needs a token."]) == [0.0]
    # By meaning something is always nearest, and it is no error; but not to nothing at all.
    _, meaning = keeper(database, tmp_path / "meaning", Synonyms())
    letters = any(character.isalnum() for character in question)
    assert found(meaning, question) == (["a"] if letters else [])


def test_control_characters_do_not_hide_words(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "\x00vpn\x1b[0m\x07") == ["a"]


def test_a_question_of_ten_thousand_words(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    put(database, "b", "Lunch is at noon.")
    put(database, "c", "The office is closed.")
    _, retriever = keeper(database, tmp_path / "index")
    long = " ".join([*(f"word{number}" for number in range(9_999)), "lunch"])
    assert found(retriever, long) == ["b"]
    assert found(retriever, "lunch " * 10_000) == ["b"]


def test_an_empty_collection(database: Database, tmp_path: Path) -> None:
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "vpn") == []
    put(database, "a", "The VPN needs a token.")
    with database.write() as session:
        ensure_collection(session, "empty")
    assert retriever.search("vpn", collections=["empty"]) == []
    assert [hit.document for hit in retriever.search("vpn")] == ["a"]


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_segment_comes_back_from_the_database(
    database: Database, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(database, "a", "The VPN needs a token.")
    built, _ = keeper(database, tmp_path / "index")
    built.rebuild()
    built.close()
    (segment,) = (tmp_path / "index").glob("segment-*")
    content = segment.read_bytes()
    if damage == "cut":
        segment.write_bytes(content[: len(content) // 3])
    elif damage == "changed":
        segment.write_bytes(content[:-70] + bytes([content[-70] ^ 4]) + content[-69:])
    else:
        segment.unlink()
    with caplog.at_level(logging.WARNING):
        _, retriever = keeper(database, tmp_path / "index")
        assert found(retriever, "vpn") == ["a"]
    (record,) = caplog.records
    assert "is built again from the database" in record.message
    assert segment.name in record.message
    caplog.clear()
    _, after = keeper(database, tmp_path / "index")
    assert found(after, "vpn") == ["a"]
    assert caplog.records == []


def test_a_disk_that_fills_while_segments_are_merged(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "index"
    names = [f"d{number}" for number in range(FAN_IN)]
    write = files.write_arrays

    def fills(path: Path, *arguments: object) -> object:
        if path.name.startswith("merging-"):
            path.write_bytes(b"what still found its place")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments)  # type: ignore[arg-type]

    made = IndexKeeper(database, folder, Analyzer())
    retriever = Retriever(database, made)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr("retriever.index.segment.write_arrays", fills)
        for number, name in enumerate(names):
            put(database, name, f"The VPN of office {number} needs a token.")
            assert set(found(retriever, "vpn")) == set(names[: number + 1])
        made.close()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "segments of the search index were not merged"
    ]
    assert "the disk is full" in caplog.text
    assert len(list(folder.glob("segment-*"))) == FAN_IN
    assert list(folder.glob("merging-*")) == []
    # With space again, the next change merges them.
    put(database, "last", "A VPN is a tunnel.")
    assert set(found(retriever, "vpn")) == {*names, "last"}
    made.close()
    assert len(list(folder.glob("segment-*"))) == 1
    assert set(found(retriever, "vpn")) == {*names, "last"}
