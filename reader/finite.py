"""Whether a network's weights are numbers that can be computed with."""

from __future__ import annotations

import torch


def unusable(model: torch.nn.Module) -> str | None:
    """The first of a network's tensors that is damaged or diverged, and what it holds.

    That is one whose squares do not add up to a finite float32: it holds what is no number, or
    numbers so large (from about 1e19 on) that what the network computes of them is none.

    Returns:
        Words like ``bert.pooler.dense.bias holds nan``; None where every tensor is usable.
    """
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        flat = value.reshape(-1).float()
        if not torch.dot(flat, flat).isfinite():
            return f"{name} holds {float(flat.abs().max()):g}"
    return None
