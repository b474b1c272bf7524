from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from reader import checkpoint as checkpoints
from reader.errors import CheckpointError, DeviceError, ReaderError
from reader.features import windows
from reader.network import Network
from reader.reader import Passage, load_reader
from reader.tokenization import PieceTokenizer
from tests.reader_models import checkpoint, tokenizer

#: The files of a model as SpanBERT's repositories hold it.
WHOLE = ("config.json", "pytorch_model.bin", "vocab.txt")


@pytest.mark.parametrize("layout", ["full", "spanbert"])
def test_both_layouts_load_and_read(tmp_path: Path, layout: str) -> None:
    folder = checkpoint(tmp_path / "model", cased=True, layout=layout)
    reader = load_reader(folder, device="cpu")
    text = "The Code is valid for 12 hours"
    spans = reader.read("how many hours?", [Passage("a", 0, text)])
    assert spans
    assert all(text[span.start : span.end] == span.text for span in spans)
    assert reader.options.max_length == 128


def test_a_hub_id_is_found_in_the_cache_of_its_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's own cache layout: what a download leaves behind."""
    cache = tmp_path / "hub"
    model = cache / "models--mrm8488--spanbert-finetuned-squadv1"
    checkpoint(model / "snapshots" / "abc123", cased=True, layout="spanbert")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    said: list[str] = []
    folder = checkpoints.resolve("mrm8488/spanbert-finetuned-squadv1", notify=said.append)
    assert folder == model / "snapshots" / "abc123"
    assert said == []


@pytest.mark.parametrize("lacking", [*WHOLE, "the blob of the weights"])
def test_a_download_that_was_broken_off_goes_on(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's own cache layout: links into a folder of blobs, which the last run did not fill."""
    whole = checkpoint(tmp_path / "whole", cased=True, layout="spanbert")
    cache = tmp_path / "hub" / "models--owner--name"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc123")
    snapshot = cache / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    for name in WHOLE:
        shutil.copyfile(whole / name, snapshot / name)
    if lacking in WHOLE:
        (snapshot / lacking).unlink()
    else:
        (snapshot / "pytorch_model.bin").unlink()
        (snapshot / "pytorch_model.bin").symlink_to(cache / "blobs" / "1234")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    real, asked = huggingface_hub.snapshot_download, []

    def hub(name: str, *, local_files_only: bool = False, **options: Any) -> str:
        """The hub's function, whose downloads come from the folder here."""
        asked.append(local_files_only)
        if not local_files_only:
            for each in WHOLE:
                shutil.copyfile(whole / each, tmp_path / "part")
                (tmp_path / "part").replace(snapshot / each)
        return str(real(name, local_files_only=True, **options))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    said: list[str] = []
    reader = load_reader("owner/name", device="cpu", notify=said.append)
    assert reader.read("who?", [Passage("a", 0, "the code")])
    assert asked == [True, False]
    assert said == ["owner/name: check the licence of the model before you use it."]
    load_reader("owner/name", device="cpu", notify=said.append)  # from the cache from now on
    assert asked == [True, False, True]
    assert len(said) == 1


def test_the_licence_is_told_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said: list[str] = []
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        checkpoints.resolve("mrm8488/spanbert-finetuned-squadv1", notify=said.append)
    assert "CC BY-NC 4.0" in said[0]


def test_a_batch_gives_each_window_what_it_gets_alone(tmp_path: Path) -> None:
    loaded = checkpoints.load(checkpoint(tmp_path / "m"), device=torch.device("cpu"))
    tokens = loaded.tokenizer
    found = list(
        windows(
            tokens.pieces("who?"),
            [tokens.pieces("the code is valid"), tokens.pieces("ask")],
            tokens,
            max_length=64,
            overlap=8,
        )
    )
    network = Network.of_model(loaded)
    starts, ends = network(found)
    for row, window in enumerate(found):
        start, end = network([window])
        assert torch.allclose(
            torch.tensor(starts[row, : len(window)]), torch.tensor(start[0]), atol=1e-5
        )
        assert torch.allclose(
            torch.tensor(ends[row, : len(window)]), torch.tensor(end[0]), atol=1e-5
        )


def test_a_saved_half_loads_in_float32_with_the_same_answers(tmp_path: Path) -> None:
    loaded = checkpoints.load(checkpoint(tmp_path / "m"), device=torch.device("cpu"))
    checkpoints.save(loaded, tmp_path / "half", half=True)
    again = checkpoints.load(tmp_path / "half", device=torch.device("cpu"))
    assert again.model.dtype == torch.float32
    for one, other in zip(loaded.model.parameters(), again.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_what_is_no_reader_is_refused(tmp_path: Path) -> None:
    good = checkpoint(tmp_path / "good")

    def broken(name: str) -> Path:
        return Path(shutil.copytree(good, tmp_path / name))

    truncated = broken("truncated")
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    other_words = broken("words")
    with (other_words / "vocab.txt").open("a") as file:
        file.write("\n".join(f"extra{i}" for i in range(50)))
    gap = broken("gap")  # few pieces, one with a number that the embeddings do not have
    lines = (gap / "vocab.txt").read_text().splitlines()
    (gap / "vocab.txt").write_text("\n".join([*lines[:9], *["code"] * 200]))
    three = broken("three")  # a head that tells three things of each piece
    tensors = load_file(three / "model.safetensors")
    tensors["qa_outputs.weight"] = torch.zeros(3, 32)
    save_file(tensors, three / "model.safetensors")
    no_config = broken("noconfig")
    (no_config / "config.json").unlink()
    bad_config = broken("badconfig")
    (bad_config / "config.json").write_text("[1")
    gpt = broken("gpt")
    (gpt / "config.json").write_text('{"model_type": "gpt2"}')
    plain_file = tmp_path / "file"
    plain_file.write_text("x")
    cases: list[tuple[Path, str]] = [
        (
            truncated,
            r"safetensors is cut off or damaged \(1,000 bytes\); copy or download it again$",
        ),
        (other_words, "the vocabulary belongs to another model"),
        (gap, "the vocabulary belongs to another model"),
        (three, r"qa_outputs\.weight has the shape \(3, 32\), by config.json it has \(2, 32\)"),
        (no_config, "holds no config.json"),
        (bad_config, "config.json cannot be read"),
        (gpt, 'model_type is "gpt2"'),
        (checkpoint(tmp_path / "nohead", head=False), "no question-answering head"),
        (tmp_path / "nowhere", "there is no model folder"),
        (plain_file, "is a file"),
    ]
    for folder, message in cases:
        with pytest.raises(CheckpointError, match=message):
            checkpoints.load(folder, device=torch.device("cpu"))


def words_of(folder: Path) -> list[str]:
    return (folder / "vocab.txt").read_text().splitlines()


def with_rows(folder: Path, rows: int) -> Path:
    """The checkpoint with so many rows of word embeddings; the further ones are of no piece."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": rows}))
    tensors = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    more = torch.zeros(rows - len(tensors[name]), tensors[name].shape[1])
    save_file({**tensors, name: torch.cat([tensors[name], more])}, folder / "model.safetensors")
    return folder


def test_a_vocabulary_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "cut")
    words = words_of(folder)
    (folder / "vocab.txt").write_text("\n".join(words[: len(words) // 2]) + "\n")
    message = (
        f"{folder}: the tokenizer has only {len(words) // 2} pieces, the network {len(words)}; "
    )
    for load in (checkpoints.load, load_reader):
        with pytest.raises(CheckpointError, match=message):
            load(folder)


def test_rows_that_padding_explains_are_no_fault(tmp_path: Path) -> None:
    words = len(words_of(checkpoint(tmp_path / "m")))
    padded = with_rows(checkpoint(tmp_path / "padded"), 128)
    assert words < 128
    assert load_reader(padded, device="cpu").read("who?", [Passage("a", 0, "the code")])
    with pytest.raises(CheckpointError, match=f"has only {words} pieces, the network 192;"):
        load_reader(with_rows(checkpoint(tmp_path / "many"), 192), device="cpu")


@pytest.mark.parametrize(
    ("rows", "fits"),
    [(97, False), (98, True), (128, True), (130, True), (131, False), (196, False)],
)
def test_how_many_rows_a_small_vocabulary_may_leave(rows: int, fits: bool) -> None:
    tokens = tokenizer()
    assert tokens.vocabulary_size == 98
    with nullcontext() if fits else pytest.raises(CheckpointError, match=f"m: .* {rows}; the voc"):
        tokens.check_fits(rows, "m")


@pytest.mark.parametrize(
    ("rows", "fits"), [(30521, False), (30522, True), (30592, True), (30778, True), (30779, False)]
)
def test_how_many_rows_a_vocabulary_may_leave(rows: int, fits: bool) -> None:
    tokens = PieceTokenizer.from_folder(checkpoints.EMBEDDED)
    with nullcontext() if fits else pytest.raises(CheckpointError, match="30522 pieces"):
        tokens.check_fits(rows, "embedded")


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    good = checkpoint(tmp_path / "good")

    def copy(name: str) -> Path:
        return Path(shutil.copytree(good, tmp_path / name))

    half = copy("half")  # a whole header, and half of what it announces
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    empty = copy("empty")
    (empty / "model.safetensors").write_bytes(b"")
    none = copy("none")
    (none / "model.safetensors").unlink()
    larger = copy("larger")  # the configuration promises more words than the weights have
    config = json.loads((larger / "config.json").read_text())
    (larger / "config.json").write_text(json.dumps({**config, "vocab_size": 500}))
    pickled = checkpoint(tmp_path / "pickled", layout="spanbert") / "pytorch_model.bin"
    pickled.write_bytes(pickled.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=f"{none} holds no model.safetensors and no pytorch"):
        checkpoints.load(none, device=torch.device("cpu"))
    with pytest.raises(CheckpointError, match=f"the weights in {larger} cannot be loaded: .+"):
        checkpoints.load(larger, device=torch.device("cpu"))
    for file, size in ((weights, ".+"), (empty / "model.safetensors", "0"), (pickled, "2,000")):
        told = rf"^{file} is cut off or damaged \({size} bytes\); copy or download it again$"
        with pytest.raises(CheckpointError, match=told):
            checkpoints.load(file.parent, device=torch.device("cpu"))


def test_weights_that_are_not_numbers_are_found_when_they_are_used(tmp_path: Path) -> None:
    loaded = checkpoints.load(checkpoint(tmp_path / "m"), device=torch.device("cpu"))
    with torch.no_grad():
        loaded.model.bert.embeddings.word_embeddings.weight[:] = float("nan")
    checkpoints.save(loaded, tmp_path / "broken")
    reader = load_reader(tmp_path / "broken", device="cpu")
    with pytest.raises(ReaderError, match=f"the model {tmp_path / 'broken'} gave logits that are"):
        reader.read("who?", [Passage("a", 0, "the code")])


class Trap:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self._target,)  # type: ignore[return-value]


def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", layout="spanbert")
    file, witness = folder / "pytorch_model.bin", tmp_path / "executed"
    written: list[tuple[Callable[[], object], str]] = [
        (lambda: torch.save({"x": Trap(witness)}, file), r"\S+"),
        (lambda: file.write_bytes(pickle.dumps({"x": Trap(witness)}, protocol=2)), r"\S+"),
        (lambda: file.write_bytes(pickle.dumps({"x": os.system}, protocol=2)), r"posix\.system"),
    ]
    for write, code in written:
        write()
        told = rf"^{file} holds code \({code}\) and is refused; take its model\.safetensors$"
        with pytest.raises(CheckpointError, match=told):
            checkpoints.load(folder, device=torch.device("cpu"))
    # Of a later protocol, of which torch reads nothing and warns.
    file.write_bytes(pickle.dumps({"x": Trap(witness)}, protocol=4))
    with pytest.raises(
        CheckpointError, match=rf"^{file} is damaged, or no file that torch.save wr"
    ):
        checkpoints.load(folder, device=torch.device("cpu"))
    assert not witness.exists()


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", layout="spanbert")
    torch.save([torch.zeros(2)], folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin holds a list, not tensors by"):
        checkpoints.load(folder, device=torch.device("cpu"))


def test_devices() -> None:
    assert checkpoints.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceError, match='unknown device "gpu5"'):
        checkpoints.choose_device("gpu5")
    if not torch.cuda.is_available():
        assert checkpoints.choose_device("auto") == torch.device("cpu")
        with pytest.raises(DeviceError, match="torch sees no CUDA"):
            checkpoints.choose_device("cuda")
