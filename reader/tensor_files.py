"""Reading files of tensors: safetensors, and torch's pickles with their code refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: What torch says of a function or class that a pickle would have it call.
_CODE = re.compile(r"\bGLOBAL (\S+)")


class UnreadableError(Exception):
    """Why a file of tensors is not read, in words that follow its name: ``is damaged``.

    ``code`` says that it holds code, so that no copy of it will be better.
    """

    def __init__(self, why: str, *, code: bool = False) -> None:
        super().__init__(why)
        self.code = code


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by their names, on the CPU.

    Raises:
        UnreadableError: it is missing, may not be read, or is cut off or damaged.
    """
    from safetensors.torch import load_file

    size = _size(path)
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises kinds of its own, and Python's
        raise _damaged(size) from error


def load_pickle(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU; nothing that the file holds is run.

    Raises:
        UnreadableError: it is missing, may not be read, is cut off or damaged, or holds code.
    """
    import torch

    size = _size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch refuses right afterwards
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's text advises to run the code
        found = _CODE.search(str(error))
        if found is None:
            raise UnreadableError(
                f"is damaged, or no file that torch.save writes, and is refused ({size:,} bytes)"
            ) from error
        raise UnreadableError(f"holds code ({found[1]}) and is refused", code=True) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise _damaged(size) from error


def _damaged(size: int) -> UnreadableError:
    return UnreadableError(f"is cut off or damaged ({size:,} bytes)")


def _size(path: Path) -> int:
    """The size in bytes of a file that can be read."""
    try:
        with path.open("rb") as file:
            return file.seek(0, 2)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
