"""Corpora: documents across files, pieces on disk, rows without end."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from reader.corpus import Corpus, Rows, documents, fingerprint, prepare
from reader.errors import CorpusError
from tests.reader_models import tokenizer


def test_documents_are_parted_by_blank_lines_and_by_files(tmp_path: Path) -> None:
    one = tmp_path / "one.txt"
    one.write_bytes("\ufeffFirst\nline two\r\n\n \t\n\nSecond\n".encode())
    two = tmp_path / "two.txt.xz"
    two.write_bytes(lzma.compress("Drittes é\n\nFourth, without an end".encode()))
    found = list(documents([one, two]))
    assert found == ["First\nline two", "Second", "Drittes é", "Fourth, without an end"]


def test_reading_begins_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"good\n\n" * 50_000 + b"\xff\n")
    assert next(documents([path])) == "good"


def test_corpora_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def made(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    cases = [
        (tmp_path / "missing.txt", "cannot read the corpus .*missing.txt"),
        (tmp_path, "cannot read the corpus"),
        (made("empty.txt", b""), "empty.txt holds no text"),
        (made("blank.txt", b"\n \n\n"), "blank.txt holds no text"),
        (made("latin.txt", b"fine\n\ncaf\xe9\n"), "latin.txt, line 3: not UTF-8"),
        (made("binary.txt", b"a\0b\n"), "binary.txt, line 1: a zero byte"),
        (made("cut.xz", lzma.compress(b"text\n" * 999)[:-20]), "cut.xz is not a whole xz file"),
        (made("no.xz", b"plain text"), "no.xz is not a whole xz file"),
    ]
    for path, message in cases:
        with pytest.raises(CorpusError, match=message):
            list(documents([path]))
    with pytest.raises(CorpusError, match="cannot read the corpus"):
        fingerprint([tmp_path / "missing.txt"])
    with pytest.raises(CorpusError, match="has 3 pieces in 1 documents"):
        prepare(["the code", " "], tokenizer(), tmp_path / "pieces")


def test_pieces_are_every_documents_ids_closed_by_sep(tmp_path: Path) -> None:
    tokens = tokenizer()
    texts = ["the code is valid for 12 hours", "ask", "who is the token for? how many days"]
    corpus = prepare(texts, tokens, tmp_path)
    expected = [i for text in texts for i in (*tokens.pieces(text).ids, tokens.sep_id)]
    assert corpus.ids.tolist() == expected
    assert corpus.documents == 3


def test_prepared_pieces_are_taken_again_only_for_the_same_source(tmp_path: Path) -> None:
    tokens = tokenizer()
    first = prepare(["the code is valid for hours"] * 5, tokens, tmp_path, source="a")

    def never() -> list[str]:
        raise AssertionError

    again = prepare((text for _ in "x" for text in never()), tokens, tmp_path, source="a")
    assert again.ids.tolist() == first.ids.tolist()
    assert again.digest == first.digest
    other = prepare(["who is the token for"] * 5, tokens, tmp_path, source="b")
    assert other.digest != first.digest
    (tmp_path / "pieces.bin").write_bytes(b"\0\0")
    with pytest.raises(CorpusError, match="is damaged"):
        prepare([], tokens, tmp_path, source="b")


def test_an_error_while_preparing_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"the code is valid\n\n" * 9 + b"\xff\n")
    with pytest.raises(CorpusError, match="line 19"):
        prepare(documents([bad]), tokenizer(), tmp_path / "p", source="a")
    assert not (tmp_path / "p" / "pieces.json").exists()
    assert not (tmp_path / "p" / "pieces.bin").exists()


def test_an_epoch_holds_every_piece_once_and_the_next_in_another_order() -> None:
    ids = np.arange(100, 200, dtype=np.uint16)
    rows = Rows(Corpus(ids, 1, ""), length=12, cls_id=2, sep_id=3, seed=5)
    assert (rows.length, rows.per_epoch) == (12, 10)
    epochs = [[rows[e * 10 + n] for n in range(10)] for e in range(2)]
    for epoch in epochs:
        inside = [piece for row in epoch for piece in row.ids[1:-1].tolist()]
        assert sorted(inside) == ids.tolist()
        for row in epoch:
            assert (row.ids[0], row.ids[-1]) == (2, 3)
            assert row.next_id == (row.ids[-2] - 99) % 100 + 100  # the ring closes
    assert [r.ids.tolist() for r in epochs[0]] != [r.ids.tolist() for r in epochs[1]]
    other = Rows(Corpus(ids, 1, ""), length=12, cls_id=2, sep_id=3, seed=5)
    assert other[13].ids.tolist() == epochs[1][3].ids.tolist()


def test_little_text_makes_one_short_row() -> None:
    ids = np.arange(100, 120, dtype=np.uint16)
    rows = Rows(Corpus(ids, 1, ""), length=512, cls_id=2, sep_id=3, seed=5)
    assert (rows.length, rows.per_epoch) == (22, 1)
    assert sorted(rows[7].ids[1:-1].tolist()) == ids.tolist()
