"""A reader of four times the size with the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from bench import grow
from reader.checkpoint import EMBEDDED
from reader.reader import Passage, load_reader
from tests.reader_models import checkpoint

PASSAGES = [
    Passage("a", 0, "The code for the guest wifi is valid for 12 hours on up to three devices."),
    Passage("b", 0, "Ask the reception on the ground floor for a new one, from 8 to 18."),
]
QUESTION = "How long is the code valid?"


def test_the_embedded_reader_grows_to_the_size_of_bert_base(tmp_path: Path) -> None:
    grow.main(["--out", str(tmp_path / "grown")])
    config = json.loads((tmp_path / "grown" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (12, 768)
    assert (config["num_attention_heads"], config["intermediate_size"]) == (12, 3072)
    small = load_reader(EMBEDDED, precision="fp32").read(QUESTION, PASSAGES)
    large = load_reader(tmp_path / "grown", precision="fp32").read(QUESTION, PASSAGES)
    assert small[0].text == "12 hours"
    assert [span.text for span in large] == [span.text for span in small]
    assert [span.score for span in large] == pytest.approx([s.score for s in small], abs=1e-3)
    nulls = [span.null_score for span in small]
    assert [span.null_score for span in large] == pytest.approx(nulls, abs=1e-3)


def test_negative_scales_are_taken_back_too(tmp_path: Path) -> None:
    folder = uneven(
        tmp_path / "small", "bert.encoder.layer.0.attention.output.LayerNorm.weight", -2
    )
    grow.grow(folder, tmp_path / "grown")
    small = load_reader(folder, precision="fp32").read(QUESTION, PASSAGES)
    large = load_reader(tmp_path / "grown", precision="fp32").read(QUESTION, PASSAGES)
    assert small
    assert [span.text for span in large] == [span.text for span in small]
    assert [span.score for span in large] == pytest.approx([s.score for s in small], abs=1e-4)


def test_a_scale_of_zero_cannot_be_taken_back(tmp_path: Path) -> None:
    folder = uneven(tmp_path / "small", "bert.encoder.layer.1.attention.output.LayerNorm.weight", 0)
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
