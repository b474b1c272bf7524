"""The mean of two checkpoints of one architecture.

    python -m reader.average BEFORE AFTER --share 0.85 --out FOLDER

Weights between those of before and after a fine-tuning often keep most of what the first could and
most of what the second learnt (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
``--share`` is the second's. Everything but the weights is the second's too.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reader.arguments import told
from reader.errors import CheckpointError, ReaderError
from reader.output import make_folder, writing
from reader.tensor_files import UnreadableError, load_tensors

if TYPE_CHECKING:
    import torch

_WEIGHTS = "model.safetensors"


def average(before: Path, after: Path, target: Path, *, share: float) -> None:
    """Write ``(1 - share) * before + share * after`` in the number format of ``after``.

    Raises:
        CheckpointError: a file is missing or damaged, ``before`` lacks weights of ``after``, or
            ``share`` is not between 0 and 1.
        OutputError: it cannot be written.
    """
    from safetensors.torch import save_file

    if not 0 <= share <= 1:
        raise CheckpointError(f"the share {share} is not between 0 and 1")
    one, other = (_weights(folder / _WEIGHTS) for folder in (before, after))
    for name, value in other.items():  # the first may hold more, such as an unused pooling layer
        if name not in one or one[name].shape != value.shape:
            raise CheckpointError(
                f"{before} and {after} cannot be averaged: {name} is not the same in both"
            )
    mean = {
        name: ((1 - share) * one[name].float() + share * value.float()).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in other.items()
    }
    make_folder(target)
    with writing(target):
        for path in after.iterdir():
            if path.is_file() and path.name != _WEIGHTS:
                shutil.copyfile(path, target / path.name)
        save_file(mean, target / _WEIGHTS, metadata={"format": "pt"})


def _weights(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(file)
    except UnreadableError as error:
        raise CheckpointError(f"{file} {error}; copy it again or name another folder") from error


@told(ReaderError)
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen: Any = parser.parse_args(arguments)
    average(chosen.before, chosen.after, chosen.out, share=chosen.share)


if __name__ == "__main__":
    main()
