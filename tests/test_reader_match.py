"""The match feature: found by hand, trained, stored, and fed to the network when it reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from reader import checkpoint as checkpoints
from reader.bert import pack
from reader.errors import CheckpointError, TrainingError
from reader.features import Window, pad, windows
from reader.finetune import finetune
from reader.groups import Group, GroupPassage
from reader.matching import Matcher
from reader.network import Network
from reader.pipeline import pipeline
from reader.reader import Passage, Reader, load_reader, reader_of
from reader.recipes import FinetuneConfig
from tests.reader_models import checkpoint, tokenizer

CPU = torch.device("cpu")
TYPES = "bert.embeddings.token_type_embeddings.weight"
TOKENS = tokenizer()


def marked(question: str, text: str) -> list[str]:
    offsets = TOKENS.pieces(text).offsets
    flags = Matcher(question).pieces(text, offsets)
    assert len(flags) == len(offsets)
    return [text[start:end] for (start, end), flag in zip(offsets, flags, strict=True) if flag]


def test_words_match_by_their_stem_whatever_their_case_and_pieces() -> None:
    text = "Resetting the token: ask. Tokens reset"
    assert "".join(marked("reset TOKENS?", text)) == "ResettingtokenTokensreset"
    assert marked("who?", text) == []
    assert marked("", text) == []


def test_windows_carry_the_marks_at_the_pieces_they_hold() -> None:
    text = "the code is valid for hours " * 4
    question, passage = TOKENS.pieces("valid code"), TOKENS.pieces(text)
    marks = Matcher("valid code").pieces(text, passage.offsets)
    found = list(
        windows(
            question,
            [passage],
            TOKENS,
            max_length=14,
            overlap=2,
            contexts=[TOKENS.pieces("vpn")],
            matched=[marks],
        )
    )
    assert len(found) > 2
    for window in found:
        words = [
            text[slice(*window.offsets[place - window.first])].strip() for place in window.matched
        ]
        assert set(words) == {"code", "valid"}
        inside = [text[start:end] for start, end in window.offsets]
        assert len(words) == inside.count("code") + inside.count("valid")
    rows = pad(found, TOKENS.pad_id).token_type_ids
    packed = pack(
        [w.ids for w in found], [w.second for w in found], CPU, [w.matched for w in found]
    )
    flat = [int(n) for row, w in zip(rows, found, strict=True) for n in row[: len(w)]]
    assert packed.types.tolist() == flat
    assert flat.count(2) == sum(len(w.matched) for w in found)


def test_a_checkpoint_gets_a_third_row_that_changes_nothing_at_first(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    plain = checkpoints.load(start, device=CPU)
    added = checkpoints.load(start, device=CPU, match=True)
    assert (plain.match, added.match) == (False, True)
    rows = added.model.state_dict()[TYPES]
    assert torch.equal(rows[:2], plain.model.state_dict()[TYPES])
    assert torch.equal(rows[2], rows[1])
    passages = [Passage("a", 0, "the code is valid for hours")]
    assert reader_of(added).read("valid code?", passages) == reader_of(plain).read(
        "valid code?", passages
    )
    checkpoints.save(added, tmp_path / "added")
    settings = json.loads((tmp_path / "added" / "config.json").read_text())
    assert (settings["match_feature"], settings["type_vocab_size"]) == (True, 3)
    again = checkpoints.load(tmp_path / "added", device=CPU, match=True)
    assert again.model.state_dict()[TYPES].shape == (3, 32)
    settings["type_vocab_size"] = 2
    (tmp_path / "added" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="match_feature needs 3 token types"):
        load_reader(tmp_path / "added", device="cpu")


def test_a_reader_feeds_it_only_to_a_checkpoint_that_has_it(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    added = checkpoints.load(start, device=CPU, match=True)
    with torch.no_grad():  # as if it had been trained
        added.model.bert.embeddings.token_type_embeddings.weight[2] += 1.0
    checkpoints.save(added, tmp_path / "added")
    seen: list[Any] = []

    def read(folder: Path, question: str) -> list[Any]:
        reader = load_reader(folder, device="cpu", precision="fp32")
        inner = Network.of(checkpoints.read(folder), CPU)

        def noted(batch: Sequence[Window]) -> tuple[Any, Any]:
            seen.extend(batch)
            return inner(batch)

        reader = Reader(reader.tokenizer, noted, match=reader.match)
        return reader.read(question, [Passage("a", 0, "the code is valid for hours")])

    read(start, "valid code?")
    assert [window.matched for window in seen] == [()]
    with_words = read(tmp_path / "added", "valid code?")
    assert [len(window.matched) for window in seen] == [0, 2]
    arrays = pad(seen[1:], 0)
    with torch.inference_mode():
        theirs = checkpoints.load(tmp_path / "added", device=CPU).model(
            input_ids=torch.from_numpy(arrays.input_ids),
            token_type_ids=torch.from_numpy(arrays.token_type_ids),
        )
    ours = Network.of(checkpoints.read(tmp_path / "added"), CPU)(seen[1:])[0]
    place = seen[1].first
    assert ours[0, place] == pytest.approx(float(theirs.start_logits[0, place]), abs=1e-5)
    assert with_words


def test_without_the_stemmer_it_is_told_which_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = checkpoint(tmp_path / "start")
    checkpoints.save(checkpoints.load(start, device=CPU, match=True), tmp_path / "added")
    monkeypatch.setitem(sys.modules, "Stemmer", None)  # as where it is not installed
    told = "needs pystemmer, which is not installed; run: pip install pystemmer"
    with pytest.raises(CheckpointError, match=f"^the match feature of {tmp_path}/added {told}$"):
        load_reader(tmp_path / "added", device="cpu")
    with pytest.raises(CheckpointError, match=f"^the match feature {told}$"):
        checkpoints.load(start, device=CPU, match=True)
    assert load_reader(start, device="cpu").read("who?", [Passage("a", 0, "the code")])


def test_it_is_trained_and_stays_with_the_checkpoint(tmp_path: Path) -> None:
    """Only the match tells which of two words of one kind is asked about."""
    start = checkpoint(tmp_path / "start", head=False)
    text = "vpn 12 hours, token 90 days"
    groups = [
        Group("vpn?", (GroupPassage(text, ((4, 12),)),)),
        Group("token?", (GroupPassage(text, ((20, 27),)),)),
    ]
    config = FinetuneConfig(epochs=30, learning_rate=3e-3, batch_pieces=80, match=True)
    first = finetune(start, groups, tmp_path / "first", config, device=CPU)
    trained = checkpoints.load(first, device=CPU)
    rows = trained.model.state_dict()[TYPES]
    assert trained.match
    assert not torch.equal(rows[1], rows[2])
    second = finetune(first, groups, tmp_path / "second", FinetuneConfig(), device=CPU)
    assert checkpoints.read(second).match
    with pytest.raises(TrainingError, match="another configuration"):
        finetune(start, groups, tmp_path / "first", FinetuneConfig(epochs=30), device=CPU)
    with pytest.raises(CheckpointError, match="trained with the match feature"):
        pipeline("question-answering", model=str(first), device=-1)
