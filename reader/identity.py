"""Telling one model's weights from another's without loading them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reader.errors import CheckpointError

# In the order in which a checkpoint's weights are looked for.
_FILES = ("model.safetensors", "pytorch_model.bin")


def weights_digest(folder: Path) -> str:
    """SHA-256 over the file that holds the weights of a reader or a ranker, hexadecimal.

    It takes about a second for 1.5 GB. The same weights stored otherwise, in half precision say,
    have another one.

    Raises:
        CheckpointError: the folder holds no weights, or they cannot be read.
    """
    for name in _FILES:
        try:
            with (folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CheckpointError(
                f"cannot read {folder / name}: {error.strerror or error}"
            ) from error
    raise CheckpointError(f"{folder} holds no {' and no '.join(_FILES)}; give a model's folder")
