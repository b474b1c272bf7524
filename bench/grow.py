"""A reader grown to twice its width and twice its layers that answers as it did.

    python -m bench.grow --out FOLDER [--model FOLDER]

Of the embedded reader (6 x 384) this makes one of BERT base's size (12 x 768): what a reader of
that size costs can then be measured together with answers that mean something, where no trained
one is at hand. Its answers are no better than the small one's, and it is of no other use.

Width (Chen et al. 2016, "Net2Net", section 2.3): every unit is there twice, and what reads both
copies has half of each weight. Depth: each layer becomes two. The first keeps the attention, and
its feed-forward part takes back the scale ``g`` and shift ``b`` of the normalisation before it,
with ``gelu(d) - gelu(-d) == d`` for ``d = c * (x - b) / g - x``: its second normalisation meets
what is normalised already, times a constant ``c``, and takes away only that. The second layer's
attention adds nothing, its first normalisation brings ``g`` and ``b`` back, and the rest is the
old layer's.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.arguments import foreseen
from reader import checkpoint
from reader.errors import CheckpointError
from reader.output import make_folder, writing

_LAYER = "bert.encoder.layer"
_WEIGHTS = "model.safetensors"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


def grow(model: Path, target: Path) -> None:
    """Write the grown model, in float32, with the tokenizer of the old one.

    Raises:
        CheckpointError: the model cannot be read or grown (:func:`grown`).
        OutputError: the target cannot be written.
    """
    from safetensors.torch import save_file

    stored = checkpoint.read(model)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    weights = grown(stored.weights, layers=stored.shape.layers, heads=stored.shape.heads)
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers"):
        config[name] *= 2
    make_folder(target)
    with writing(target):
        for name in _TOKENIZER:
            if (model / name).is_file():
                shutil.copyfile(model / name, target / name)
        text = json.dumps(config, indent=2) + "\n"
        (target / "config.json").write_text(text, encoding="utf-8")
        save_file(weights, target / _WEIGHTS, metadata={"format": "pt"})


def grown(weights: Mapping[str, Tensor], *, layers: int, heads: int) -> dict[str, Tensor]:
    """The weights of the grown model, float32; names as in a BERT question-answering checkpoint.

    Raises:
        CheckpointError: a normalisation after attention scales by 0, which nothing takes back, or
            the feed-forward part is not a whole number of times as wide as the rest.
    """
    old = {name: tensor.float() for name, tensor in weights.items()}
    new: dict[str, Tensor] = {}
    for name, tensor in old.items():
        if name.startswith(f"{_LAYER}."):
            continue
        if name.startswith("qa_outputs."):
            new[name] = _halves(tensor) if tensor.dim() == 2 else tensor
        else:  # of the embeddings: what goes into the first layer is there twice
            new[name] = torch.cat([tensor, tensor], dim=-1)
    for number in range(layers):
        own = _within(old, f"{_LAYER}.{number}.")
        for place, made in enumerate((_attending(own, heads), _feeding(own, heads))):
            prefix = f"{_LAYER}.{2 * number + place}."
            new |= {prefix + name: tensor for name, tensor in made.items()}
    return {name: tensor.contiguous() for name, tensor in new.items()}


def _within(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }


def _attending(own: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The layer that attends and then takes back its first normalisation's scale and shift."""
    scale, shift = (own[f"attention.output.LayerNorm.{part}"] for part in ("weight", "bias"))
    if not bool((scale != 0).all()):
        raise CheckpointError("a normalisation after attention scales by 0; take another model")
    # Rows of the feed-forward part: d and -d of each unit, as often as there is room for.
    # The second normalisation divides by any common factor; this one keeps them small.
    common = scale.abs().median()
    taken = torch.diag(common / scale - 1)
    back = torch.cat([taken, -taken])
    offsets = -shift * common / scale
    times, rest = divmod(2 * len(own["intermediate.dense.weight"]), len(back))
    if rest:
        raise CheckpointError(
            f"the feed-forward part is no multiple of {len(scale)} wide; take another model"
        )
    unit = torch.eye(len(scale)) / times
    return {
        **_self_attention(own, heads),
        "attention.output.dense.weight": _rows_twice(
            _heads_twice(own["attention.output.dense.weight"], heads, dim=1) / 2
        ),
        "attention.output.dense.bias": _rows_twice(own["attention.output.dense.bias"]),
        "attention.output.LayerNorm.weight": _rows_twice(scale),
        "attention.output.LayerNorm.bias": _rows_twice(shift),
        "intermediate.dense.weight": _halves(back).repeat(times, 1),
        "intermediate.dense.bias": torch.cat([offsets, -offsets]).repeat(times),
        "output.dense.weight": _rows_twice(torch.cat([unit, -unit], dim=1).repeat(1, times)),
        "output.dense.bias": torch.zeros(2 * len(scale)),
        "output.LayerNorm.weight": torch.ones(2 * len(scale)),
        "output.LayerNorm.bias": torch.zeros(2 * len(scale)),
    }


def _feeding(own: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The layer whose attention adds nothing, with the old feed-forward part."""
    width = 2 * len(own["output.dense.bias"])
    return {
        **_self_attention(own, heads),
        "attention.output.dense.weight": torch.zeros(width, width),
        "attention.output.dense.bias": torch.zeros(width),
        "attention.output.LayerNorm.weight": _rows_twice(own["attention.output.LayerNorm.weight"]),
        "attention.output.LayerNorm.bias": _rows_twice(own["attention.output.LayerNorm.bias"]),
        "intermediate.dense.weight": _rows_twice(_halves(own["intermediate.dense.weight"])),
        "intermediate.dense.bias": _rows_twice(own["intermediate.dense.bias"]),
        "output.dense.weight": _rows_twice(_halves(own["output.dense.weight"])),
        "output.dense.bias": _rows_twice(own["output.dense.bias"]),
        "output.LayerNorm.weight": _rows_twice(own["output.LayerNorm.weight"]),
        "output.LayerNorm.bias": _rows_twice(own["output.LayerNorm.bias"]),
    }


def _self_attention(own: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """Query, key and value, each head twice as wide.

    The products of queries and keys are twice as large then, and the square root of the width that
    they are divided by only ``sqrt(2)`` times; the queries are smaller by as much.
    """
    made = {}
    for part in ("query", "key", "value"):
        smaller = math.sqrt(0.5) if part == "query" else 1.0
        weight, bias = (own[f"attention.self.{part}.{kind}"] for kind in ("weight", "bias"))
        made[f"attention.self.{part}.weight"] = _heads_twice(_halves(weight), heads, 0) * smaller
        made[f"attention.self.{part}.bias"] = _heads_twice(bias, heads, 0) * smaller
    return made


def _rows_twice(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor])


def _halves(weight: Tensor) -> Tensor:
    """Half of each weight for either copy of an input; shape (outputs, 2 * inputs)."""
    return torch.cat([weight, weight], dim=1) / 2


def _heads_twice(tensor: Tensor, heads: int, dim: int) -> Tensor:
    """Each head's share of a dimension twice, one after the other."""
    shares = tensor.chunk(heads, dim=dim)
    return torch.cat([part for share in shares for part in (share, share)], dim=dim)


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=checkpoint.EMBEDDED, help="its folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the grown one")
    chosen: Any = parser.parse_args(given)
    grow(chosen.model, chosen.out)


if __name__ == "__main__":
    main()
