from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from reader.errors import CheckpointError
from reader.tokenization import PieceTokenizer
from tests.reader_models import SPECIALS, checkpoint, tokenizer, vocabulary


def test_offsets_point_into_the_text() -> None:
    text = "The VPN token — größe 12"
    pieces = tokenizer().pieces(text)
    assert [text[s:e] for s, e in pieces.offsets][:3] == ["The", "VPN", "token"]
    assert len(pieces.ids) == len(pieces.offsets)


@pytest.mark.parametrize("cased", [True, False])
def test_a_lone_vocabulary_tells_by_itself_whether_it_is_cased(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cased: bool
) -> None:
    words = vocabulary(cased=cased) + (["Everest"] if cased else ["everest"])
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    with caplog.at_level(logging.WARNING):
        tokens = PieceTokenizer.from_folder(tmp_path)
    assert len(tokens.pieces("Everest")) == 1
    assert tokens.max_length == 512
    assert "does not say whether the model is cased" in caplog.text


def test_what_the_tokenizer_files_say_goes_before_the_vocabulary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*vocabulary(cased=True), "everest"]))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "model_max_length": 1e30})
    )
    tokens = PieceTokenizer.from_folder(tmp_path)
    assert len(tokens.pieces("EVEREST")) == 1
    assert tokens.max_length == 512
    assert not caplog.text


def test_the_names_of_special_pieces_are_one_piece_in_a_lone_vocabulary(tmp_path: Path) -> None:
    tokens = PieceTokenizer.from_folder(checkpoint(tmp_path / "m"))
    assert tokens.pieces("the [SEP] code").ids[1] == tokens.sep_id
    assert tokens.vocabulary_size == len(vocabulary())


def test_a_piece_that_holds_a_line_separator_moves_no_id(tmp_path: Path) -> None:
    words = [*SPECIALS, "\u2028", "a\u2029b", "\u0085", "code"]
    for end in ("\n", "\r\n"):
        (tmp_path / "vocab.txt").write_bytes((end.join(words) + end).encode())
        tokens = PieceTokenizer.from_folder(tmp_path)
        assert tokens.vocabulary() == words
        assert tokens.pieces("code").ids == (8,)


def test_a_saved_tokenizer_gives_the_same_pieces(tmp_path: Path) -> None:
    first = PieceTokenizer.from_folder(checkpoint(tmp_path / "a", cased=True))
    (tmp_path / "b").mkdir()
    first.save(tmp_path / "b")
    again = PieceTokenizer.from_folder(tmp_path / "b")
    assert again.pieces("The VPN Token") == first.pieces("The VPN Token")
    assert again.max_length == first.max_length == 128


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no tokenizer.json and no vocab.txt"),
        ({"vocab.txt": "a\nb\n"}, r"no \[CLS\] token"),
        ({"tokenizer.json": "{"}, "tokenizer.json cannot be read"),
        ({"vocab.txt": "a", "tokenizer_config.json": "{"}, "tokenizer_config.json cannot be read"),
    ],
)
def test_a_folder_that_is_no_tokenizer(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        PieceTokenizer.from_folder(tmp_path)
