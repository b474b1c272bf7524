"""The benchmark of the retriever: its passages, what it keeps, and what it shows."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from bench import retriever as bench
from bench.retriever_report import table

FIGURES = {
    "search_p50_ms": 0.1,
    "search_p95_ms": 0.2,
    "question_p50_ms": 0.2,
    "question_p95_ms": 0.4,
    "build_s": 10.0,
    "disk_mib": 5.0,
    "rss_mib": 150.0,
    "open_s": 0.2,
    "add_ms": 100.0,
    "delete_ms": 10.0,
}
PEER = {name: 3 * value for name, value in FIGURES.items()} | {"add_ms": None, "disk_mib": None}


def test_passages_are_of_a_hundred_words_and_of_one_document() -> None:
    words = [f"w{number}" for number in range(250)]
    lines = [" ".join(words[:90]), " ".join(words[90:]), "", "other document", ""]
    assert [passage.split() for passage in bench.passages_of(iter(lines))] == [
        words[:100],
        words[100:200],
        words[200:],
        ["other", "document"],
    ]


def test_the_table_shows_multiples_of_ours() -> None:
    shown = table({"sizes": {"100000": {"spanbot": FIGURES, "bm25s": PEER}}})
    assert "| 100,000 passages | spanbot | bm25s + numba |" in shown
    assert "| search, p50 | 0.1 ms | × 3 |" in shown
    assert "| add 1,000 passages | 100 ms | – |" in shown


def test_what_is_finished_is_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, results = tmp_path / "work", tmp_path / "results"
    (tmp_path / "corpus").mkdir()
    work.mkdir()
    text = "\n\n".join(f"passage number {number}" for number in range(1010))
    (tmp_path / "corpus" / "some.txt.xz").write_bytes(lzma.compress(text.encode()))
    asked = [
        {"id": str(number), "question": f"Which is number {number}?", "answers": []}
        for number in range(500)
    ]
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps({"data": [{"paragraphs": [{"context": "", "qas": asked}]}]}))
    (work / "spanbot-10.json").write_text(json.dumps(FIGURES))
    (work / "bm25s-10.json").write_text(json.dumps(PEER))
    given = ["--corpus", tmp_path / "corpus", "--questions", questions, "--work", work]
    given += ["--results", results, "--sizes", "10", "--engines", "spanbot", "bm25s", "tantivy"]
    bench.main([str(part) for part in given])
    record = json.loads((results / "retriever.json").read_text())
    assert record["sizes"] == {"10": {"spanbot": FIGURES, "bm25s": PEER}}
    assert record["questions"] == 300
    assert len((work / "passages-10.txt").read_text().splitlines()) == 1010
    assert (results / "retriever.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "retriever.md").read_text() == capsys.readouterr().out


def test_a_corpus_that_is_too_small_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="the corpus has 10 passages; 100 and 1000 more"):
        bench.choose_passages(tmp_path / "all.txt", 10, 100, tmp_path / "some.txt")
