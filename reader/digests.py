"""Short names for what a training run is made of, by which another is told apart from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reader.groups import Group

if TYPE_CHECKING:
    import torch


def digest_of_groups(files: Sequence[Sequence[Group]]) -> str:
    """SHA-256, hexadecimal, of all that the files' groups hold, in their order."""
    whole = hashlib.sha256()
    for groups in files:
        for group in groups:
            passages = [(p.text, p.answers, p.context) for p in group.passages]
            whole.update(json.dumps([group.question, passages]).encode() + b"\n")
        whole.update(b"\n")
    return whole.hexdigest()


def digest_of_weights(model: torch.nn.Module) -> str:
    """SHA-256, hexadecimal, of the names, the shapes and the values of a network's weights."""
    import torch

    whole = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        values = value.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        whole.update(values.numpy().data)
    return whole.hexdigest()
