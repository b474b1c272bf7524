"""Digests of data and models, by which others are told apart from them.

Weights have two: :func:`digest_of_weights_file` needs nothing loaded and is for models on disk;
:func:`digest_of_weights` is of a network in memory, however it was stored. What a model on disk
computes depends on :func:`digest_of_settings_files` too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reader.checkpoint import weights_file
from reader.errors import CheckpointError
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


def digest_of_weights_file(folder: Path) -> str:
    """SHA-256 over the file that holds the weights of a reader or a ranker, hexadecimal.

    It takes about a second for 1.5 GB. The same weights stored otherwise, in half precision say,
    have another one.

    Raises:
        CheckpointError: the folder holds no weights, or they cannot be read.
    """
    return _digest_of_file(weights_file(folder))


def digest_of_settings_files(folder: Path) -> str:
    """SHA-256, hexadecimal, over what else a reader or a ranker is read from.

    Those are its configuration and its tokenizer: as they are stored, so that a number in another
    form makes another digest. How a ranker pools is not in a file, see :mod:`reader.ranker`.

    Raises:
        CheckpointError: a file cannot be read.
    """
    vocabulary = "tokenizer.json" if (folder / "tokenizer.json").is_file() else "vocab.txt"
    whole = hashlib.sha256()
    for name in ("config.json", "tokenizer_config.json", vocabulary):
        if (folder / name).is_file():
            whole.update(f"{name} {_digest_of_file(folder / name)}\n".encode())
    return whole.hexdigest()


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def digest_of_digests(digests: Iterable[str]) -> str:
    """SHA-256, hexadecimal, of several such digests in their order."""
    whole = hashlib.sha256()
    for one in digests:
        whole.update(bytes.fromhex(one))
    return whole.hexdigest()
