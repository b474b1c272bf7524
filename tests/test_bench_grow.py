"""A reader of four times the size with the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from bench import grow
from reader.checkpoint import EMBEDDED, read
from reader.reader import Passage, load_reader
from tests.reader_models import checkpoint

PASSAGES = [
    Passage("a", 0, "The code for the guest wifi is valid for 12 hours on up to three devices."),
    Passage("b", 0, "Ask the reception on the ground floor for a new one, from 8 to 18."),
]
SCALES = "bert.encoder.layer.{}.attention.output.LayerNorm.weight"
QUESTION = "How long is the code valid?"


def test_a_reader_grows_to_four_times_the_size_with_the_same_answers(tmp_path: Path) -> None:
    small, target = uneven(tmp_path / "small", SCALES.format(0), -2), tmp_path / "grown"
    grow.main(["--model", str(small), "--out", str(target)])
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (small, target))
    sizes = ("num_hidden_layers", "hidden_size", "intermediate_size")
    assert [after[name] for name in sizes] == [2 * before[name] for name in sizes]
    assert after["num_attention_heads"] == before["num_attention_heads"]
    one, other = (load_reader(folder, precision="fp32") for folder in (small, target))
    few, many = one.read(QUESTION, PASSAGES), other.read(QUESTION, PASSAGES)
    assert few
    assert [span.text for span in many] == [span.text for span in few]
    assert [span.score for span in many] == pytest.approx([s.score for s in few], abs=1e-4)
    assert [span.null_score for span in many] == pytest.approx(
        [span.null_score for span in few], abs=1e-4
    )


def test_the_embedded_reader_can_be_grown() -> None:
    stored = read(EMBEDDED)
    weights = grow.grown(stored.weights, layers=stored.shape.layers, heads=stored.shape.heads)
    assert weights["bert.encoder.layer.11.intermediate.dense.weight"].shape == (3072, 768)


def test_a_scale_of_zero_cannot_be_taken_back(tmp_path: Path) -> None:
    folder = uneven(tmp_path / "small", SCALES.format(1), 0)
    with pytest.raises(SystemExit, match="scales by 0; take another model"):
        grow.main(["--model", str(folder), "--out", str(tmp_path / "grown")])
    assert not (tmp_path / "grown").exists()


def uneven(folder: Path, name: str, value: float) -> Path:
    """A random checkpoint with scales and shifts as training leaves them, one scale ``value``."""
    import torch

    checkpoint(folder)
    weights = load_file(folder / "model.safetensors")
    for key, tensor in weights.items():
        if "LayerNorm" in key:
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)))
    weights[name][1] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
