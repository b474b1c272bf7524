"""What fine-tuning and pre-training share: the optimizer and the checkpoints to resume from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from reader.errors import TrainingError


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only, as usual for BERT."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def linear_schedule(
    optimizer: torch.optim.Optimizer, steps: int, *, warmup: float, final: float = 0.0
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up over a share of the steps, then linear fall to a share of the peak."""
    rising = max(1, round(warmup * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / rising,
            final + (1 - final) * (steps - step) / max(1, steps - rising),
        ),
    )


def write_checkpoint(run: Path, state: Mapping[str, Any], history: Mapping[str, Any]) -> None:
    """Write ``checkpoint.pt`` and ``history.json`` into the run's folder, each atomically."""
    temporary = run / "checkpoint.pt.part"
    torch.save(dict(state), temporary)
    temporary.replace(run / "checkpoint.pt")
    record = run / "history.json.part"
    record.write_text(json.dumps(dict(history)) + "\n", encoding="utf-8")
    record.replace(run / "history.json")


def read_checkpoint(run: Path) -> dict[str, Any] | None:
    """The state to resume from; None for a run that has none yet.

    Raises:
        TrainingError: the file is damaged.
    """
    path = run / "checkpoint.pt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise TrainingError(
            f"{path} cannot be read ({error}); remove it to start the run anew"
        ) from error
    return state
