"""Digests of weights, of real models on disk and in memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reader import checkpoint as checkpoints
from reader import ranker as rankers
from reader.digests import (
    digest_of_digests,
    digest_of_settings_files,
    digest_of_weights,
    digest_of_weights_file,
)
from reader.errors import CheckpointError
from reader.tokenization import PieceTokenizer
from tests.reader_models import checkpoint

ROOT = Path(__file__).parents[1]


def test_the_calibration_names_the_models_that_come_along() -> None:
    record = json.loads((ROOT / "bot" / "calibration.json").read_text(encoding="utf-8"))
    assert record["fitted_with"] == {
        "reader": digest_of_weights_file(checkpoints.EMBEDDED),
        "ranker": digest_of_weights_file(rankers.EMBEDDED),
        "reader_settings": digest_of_settings_files(checkpoints.EMBEDDED),
        "ranker_settings": digest_of_settings_files(rankers.EMBEDDED),
    }


def test_the_weights_on_disk_are_those_that_are_loaded(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    first, second = folder / "model.safetensors", folder / "pytorch_model.bin"

    def loaded() -> str:
        return digest_of_weights(checkpoints.load(folder, device=torch.device("cpu")).model)

    before = loaded()
    state = checkpoints.load(folder, device=torch.device("cpu")).model.state_dict()
    torch.save({name: value + 1 for name, value in state.items()}, second)
    assert digest_of_weights_file(folder) == hashlib.sha256(first.read_bytes()).hexdigest()
    assert loaded() == before
    first.unlink()
    assert digest_of_weights_file(folder) == hashlib.sha256(second.read_bytes()).hexdigest()
    assert loaded() != before
    second.unlink()
    for look in (digest_of_weights_file, checkpoints.read):
        with pytest.raises(CheckpointError, match=r"model holds no model\.safetensors and no pyt"):
            look(folder)
    first.mkdir()
    with pytest.raises(CheckpointError, match=r"cannot read .*model\.safetensors: Is a directory"):
        digest_of_weights_file(folder)


def test_what_a_model_is_read_from_beside_its_weights_is_told_apart(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    seen = [digest_of_settings_files(folder)]
    PieceTokenizer.from_folder(folder).save(folder)  # tokenizer.json, read before vocab.txt
    seen.append(digest_of_settings_files(folder))
    for name in ("README.md", "calibration.json", "vocab.txt"):  # of which nothing is read
        (folder / name).write_text("x")
        assert digest_of_settings_files(folder) == seen[-1]
    for name, old, new in (
        ("tokenizer.json", '"lowercase": true', '"lowercase": false'),
        ("config.json", '"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-05'),
        ("tokenizer_config.json", "128", "64"),
    ):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
        seen.append(digest_of_settings_files(folder))
    (folder / "tokenizer.json").unlink()
    seen.append(digest_of_settings_files(folder))
    (folder / "vocab.txt").write_text("y")
    seen.append(digest_of_settings_files(folder))
    assert len(set(seen)) == 7
    assert digest_of_weights_file(folder) == digest_of_weights_file(checkpoint(tmp_path / "other"))


def test_the_same_values_stored_otherwise_are_the_same_in_memory(tmp_path: Path) -> None:
    new, old = checkpoint(tmp_path / "new"), checkpoint(tmp_path / "old", layout="spanbert")
    assert digest_of_weights_file(new) != digest_of_weights_file(old)
    one, other = (checkpoints.load(path, device=torch.device("cpu")).model for path in (new, old))
    assert digest_of_weights(one) == digest_of_weights(other)
    with torch.no_grad():
        other.qa_outputs.bias[0] += 1
    assert digest_of_weights(one) != digest_of_weights(other)


def test_the_digest_of_several_is_of_their_bytes_in_order() -> None:
    one, other = "00" * 32, "ff" * 32
    both = hashlib.sha256(bytes(32) + b"\xff" * 32).hexdigest()
    assert digest_of_digests([one, other]) == both != digest_of_digests([other, one])


def test_weights_on_disk_are_told_apart_without_torch() -> None:
    code = (
        "import sys; from reader.checkpoint import EMBEDDED; "
        "from reader.digests import digest_of_weights_file; digest_of_weights_file(EMBEDDED); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
