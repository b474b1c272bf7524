"""Corpora: documents across files, pieces on disk, rows that end where documents do."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from reader.corpus import Corpus, Rows, documents, fingerprint, prepare
from reader.errors import CorpusError
from reader.tokenization import PieceTokenizer
from tests.reader_models import SPECIALS, tokenizer, vocabulary


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


def test_a_text_that_names_sep_does_not_end_there(tmp_path: Path) -> None:
    tokens = pieces_of_names()
    corpus = prepare(["the code [SEP] is valid", "[SEP]", "ask " * 20], tokens, tmp_path)
    assert tokens.sep_id in tokens.pieces("the code [SEP] is valid").ids
    assert np.flatnonzero(corpus.ids == tokens.sep_id).tolist() == [4, 25]
    assert corpus.documents == 2


def pieces_of_names() -> PieceTokenizer:
    """A tokenizer that takes "[SEP]" in a text for the piece, as those in folders do."""
    inner = Tokenizer(WordPiece({w: n for n, w in enumerate(vocabulary())}, unk_token="[UNK]"))
    inner.pre_tokenizer = BertPreTokenizer()
    inner.add_special_tokens(SPECIALS)
    return PieceTokenizer(inner)


CLS, SEP = 2, 3


def corpus_of(*sizes: int) -> Corpus:
    """Documents of so many pieces, the pieces numbered from 100 on through all of them."""
    ids: list[int] = []
    first = 100
    for size in sizes:
        ids += [*range(first, first + size), SEP]
        first += size
    return Corpus(np.array(ids, dtype=np.uint16), len(sizes), "")


def test_rows_are_contiguous_text_that_ends_where_the_document_does() -> None:
    rows = Rows(corpus_of(4, 13, 1, 10, 5), length=7, cls_id=CLS, sep_id=SEP)
    found = [rows[n] for n in range(len(rows))]
    assert [row.ids.tolist() for row in found] == [
        [CLS, 100, 101, 102, 103, SEP],
        [CLS, 104, 105, 106, 107, 108, SEP],
        [CLS, 109, 110, 111, 112, 113, SEP],
        [CLS, 114, 115, 116, SEP],
        [CLS, 117, SEP],
        [CLS, 118, 119, 120, 121, 122, SEP],
        [CLS, 123, 124, 125, 126, 127, SEP],
        [CLS, 128, 129, 130, 131, 132, SEP],
    ]
    assert rows.lengths.tolist() == [len(row.ids) for row in found]
    # What comes next is the rest of the document, or its end: never the next document.
    assert [row.next_id for row in found] == [SEP, 109, 114, SEP, SEP, 123, SEP, SEP]


def test_the_ends_of_documents_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(4, 13, 1, 10, 5)
    whole = Rows(corpus, length=7, cls_id=CLS, sep_id=SEP)
    monkeypatch.setattr("reader.corpus._SCANNED", 5)
    parts = Rows(corpus, length=7, cls_id=CLS, sep_id=SEP)
    assert parts.lengths.tolist() == whole.lengths.tolist()
    assert all((parts[n].ids == whole[n].ids).all() for n in range(len(whole)))


def test_rows_without_room_are_refused() -> None:
    with pytest.raises(CorpusError, match="rows of 2 pieces leave no room"):
        Rows(corpus_of(20), length=2, cls_id=CLS, sep_id=SEP)
