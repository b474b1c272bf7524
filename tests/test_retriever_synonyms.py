from __future__ import annotations

import logging
from pathlib import Path

import pytest

from retriever.analysis import AnalysisOptions
from retriever.errors import AnalysisError
from retriever.synonyms import AnalyzerFile, read_synonyms


def test_groups_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_bytes(b"\xef\xbb\xbf# ours\r\n\r\nholiday,  annual  leave , PTO\r\nlaptop,notebook")
    assert read_synonyms(file, AnalysisOptions()) == (
        ("holiday", "annual leave", "PTO"),
        ("laptop", "notebook"),
    )
    assert read_synonyms(tmp_path / "none.txt", AnalysisOptions()) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("laptop, notebook\nholiday", 'line 2: "holiday" is alone'),
        ("laptop,, notebook", "line 1: nothing stands between two commas"),
        ("# a\nlaptop, the", 'line 2: "the" has no word'),
        ("laptop, notebook\n\nLaptops, machine", 'line 3: "Laptops" is in line 1 too'),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(AnalysisError, match=f"synonyms.txt, {message}"):
        read_synonyms(file, AnalysisOptions())


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_bytes(b"caf\xe9, bar")
    with pytest.raises(AnalysisError, match="not UTF-8"):
        read_synonyms(file, AnalysisOptions())
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_synonyms(tmp_path, AnalysisOptions())


def test_a_changed_file_is_read_again_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "synonyms.txt"
    analyzer = AnalyzerFile(file)
    plain = analyzer()
    assert analyzer() is plain
    file.write_text("laptop, notebook", encoding="utf-8")
    changed = analyzer()
    assert changed.name != plain.name
    assert changed.terms("laptop") == changed.terms("notebook")
    file.write_text("laptop", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert analyzer() is analyzer() is changed
    assert caplog.text.count("the synonyms stay as they were") == 1
    file.unlink()
    assert analyzer().name == plain.name
