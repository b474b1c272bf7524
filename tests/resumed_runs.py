"""Trainings that are cut off and go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from reader import checkpoint as checkpoints
from reader.finetune import Progress, finetune
from reader.groups import Group
from reader.recipes import FinetuneConfig


class CutError(Exception):
    """The run is cut off here."""


def resumed_as_whole(
    start: Path, groups: Sequence[Group], folder: Path, config: FinetuneConfig, *, cut_at: int
) -> Path:
    """Cut a run off in ``folder/cut`` and let it go on; it ends as one that was not cut off.

    Returns:
        The folder of its model.
    """
    cpu = torch.device("cpu")
    whole = finetune(start, groups, folder / "whole", config, device=cpu)

    def cut(progress: Progress) -> None:
        if progress.step == cut_at:
            raise CutError

    with pytest.raises(CutError):
        finetune(start, groups, folder / "cut", config, device=cpu, progress=cut)
    resumed = finetune(start, groups, folder / "cut", config, device=cpu)
    one, other = (checkpoints.load(m, device=cpu).model.state_dict() for m in (whole, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)
    return resumed
