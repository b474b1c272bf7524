from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from reader import average as averages
from reader.average import average
from reader.errors import CheckpointError
from tests.reader_models import checkpoint


def test_the_mean_lies_where_it_was_asked_for_in_the_number_format_of_the_second(
    tmp_path: Path,
) -> None:
    for name, value, kind in (("a", 1.0, torch.float32), ("b", 2.0, torch.float16)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
        tensors = {"w": torch.full((2, 2), value, dtype=kind), "n": torch.tensor([int(value)])}
        if name == "a":
            tensors["unused"] = torch.zeros(1)
        save_file(tensors, tmp_path / name / "model.safetensors")
    out = tmp_path / "out"
    averages.main([str(tmp_path / "a"), str(tmp_path / "b"), "--share", "0.75", "--out", str(out)])
    mean = load_file(out / "model.safetensors")
    assert torch.equal(mean["w"], torch.full((2, 2), 1.75, dtype=torch.float16))
    assert mean["n"].tolist() == [2]
    assert set(mean) == {"w", "n"}
    assert (out / "config.json").read_text() == "b"


def test_what_cannot_be_averaged_is_refused(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one")
    other = checkpoint(tmp_path / "other", head=False)
    with pytest.raises(CheckpointError, match="is not the same in both"):
        average(other, one, tmp_path / "out", share=0.5)
    with pytest.raises(CheckpointError, match=r"1\.5 is not between 0 and 1"):
        average(one, one, tmp_path / "out", share=1.5)
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: No such f"):
        average(one, tmp_path / "nowhere", tmp_path / "out", share=0.5)
    assert not (tmp_path / "out").exists()
