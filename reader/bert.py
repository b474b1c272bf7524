"""BERT's encoder for inference (Devlin et al. 2019), on packed texts.

Texts of any lengths lie one after the other in one row of pieces; only attention tells them apart.
Nothing is padded but attention on a GPU, where one call for all texts costs less than padding them
(:func:`_padded`).
The weights have the names of transformers' ``BertModel``, whose outputs these are
(``tests/test_reader_bert.py``). Training uses transformers' own class: there gradients and dropout
count, here that nothing is computed twice and that transformers, which takes seconds to import,
is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reader.linear import Linear, Precision, linear
from reader.ranges import begins_of, counted
from reader.transfer import sent

#: ``hidden_act`` of a configuration, and what it means.
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a configuration says of a network; see :func:`shape_of`."""

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    activation: str


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a BERT's ``config.json`` gives; what it leaves out is as in BERT base.

    Raises:
        ValueError: a number or an activation that no BERT has.
    """
    shape = Shape(
        layers=int(config.get("num_hidden_layers", 12)),
        hidden=int(config.get("hidden_size", 768)),
        heads=int(config.get("num_attention_heads", 12)),
        inner=int(config.get("intermediate_size", 3072)),
        vocabulary=int(config.get("vocab_size", 30522)),
        positions=int(config.get("max_position_embeddings", 512)),
        types=int(config.get("type_vocab_size", 2)),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=str(config.get("hidden_act", "gelu")),
    )
    if shape.activation not in ACTIVATIONS:
        raise ValueError(
            f'hidden_act is "{shape.activation}"; known are {", ".join(sorted(ACTIVATIONS))}'
        )
    if min(shape.layers, shape.hidden, shape.heads) < 1 or shape.hidden % shape.heads:
        raise ValueError(f"hidden_size {shape.hidden} does not part into {shape.heads} heads")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise ValueError(f'position_embedding_type is "{config["position_embedding_type"]}"')
    return shape


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the encoder's weights."""
    hidden, inner = shape.hidden, shape.inner
    norm = {"LayerNorm.weight": (hidden,), "LayerNorm.bias": (hidden,)}
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (shape.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (shape.positions, hidden),
        "embeddings.token_type_embeddings.weight": (shape.types, hidden),
        **{f"embeddings.{name}": size for name, size in norm.items()},
    }
    for layer in range(shape.layers):
        place = f"encoder.layer.{layer}."
        for name, size in (
            *((f"attention.self.{part}", (hidden, hidden)) for part in ("query", "key", "value")),
            ("attention.output.dense", (hidden, hidden)),
            ("intermediate.dense", (inner, hidden)),
            ("output.dense", (hidden, inner)),
        ):
            found[f"{place}{name}.weight"] = size
            found[f"{place}{name}.bias"] = size[:1]
        for name in ("attention.output", "output"):
            found.update({f"{place}{name}.{part}": size for part, size in norm.items()})
    return found


@dataclass(frozen=True, slots=True)
class Packed:
    """Texts one after the other: int64 tensors of shape (pieces,), and each text's length."""

    ids: Tensor
    types: Tensor
    positions: Tensor
    lengths: tuple[int, ...]


def pack(
    texts: Sequence[Sequence[int]],
    seconds: Sequence[int],
    device: torch.device,
    matched: Sequence[Sequence[int]] = (),
) -> Packed:
    """Pack texts of piece ids; in each, token type 1 begins at its number of ``seconds``.

    ``matched``, if there are any, holds each text's places of token type 2.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ids = np.fromiter(chain.from_iterable(texts), np.int64, count=int(lengths.sum()))
    positions = counted(lengths)
    types = (positions >= np.repeat(seconds, lengths)).astype(np.int64)
    if any(matched):
        first = begins_of(lengths)
        types[[first[n] + place for n, places in enumerate(matched) for place in places]] = 2
    return Packed(
        sent(ids, device), sent(types, device), sent(positions, device), tuple(lengths.tolist())
    )


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, rows: Tensor) -> Tensor:
        return functional.layer_norm(rows, (rows.shape[-1],), self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_in: Linear  # query, key and value side by side
    attention_out: Linear
    attention_norm: _Norm
    inner: Linear
    outer: Linear
    norm: _Norm


class Bert:
    """A BERT encoder on ``device``. ``weights`` are float32, named as :func:`tensor_shapes` does.

    In ``bf16`` everything inside is bfloat16; in ``int8`` the matrices are, and the rest float32.
    """

    def __init__(
        self,
        shape: Shape,
        weights: Mapping[str, Tensor],
        *,
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.shape = shape
        self.device = device
        kind = torch.bfloat16 if precision == "bf16" else torch.float32

        def tensor(name: str) -> Tensor:
            return weights[name].to(device=device, dtype=kind)

        def norm(name: str) -> _Norm:
            return _Norm(
                tensor(f"{name}.LayerNorm.weight"), tensor(f"{name}.LayerNorm.bias"), shape.epsilon
            )

        def linear_of(*names: str) -> Linear:
            parts = [
                torch.cat([weights[f"{name}.{part}"].to(device) for name in names])
                for part in ("weight", "bias")
            ]
            return linear(parts[0], parts[1], precision)

        self._words = tensor("embeddings.word_embeddings.weight")
        self._positions = tensor("embeddings.position_embeddings.weight")
        self._types = tensor("embeddings.token_type_embeddings.weight")
        self._norm = norm("embeddings")
        self._layers = []
        for number in range(shape.layers):
            place = f"encoder.layer.{number}"
            heads = [f"{place}.attention.self.{part}" for part in ("query", "key", "value")]
            self._layers.append(
                _Layer(
                    attention_in=linear_of(*heads),
                    attention_out=linear_of(f"{place}.attention.output.dense"),
                    attention_norm=norm(f"{place}.attention.output"),
                    inner=linear_of(f"{place}.intermediate.dense"),
                    outer=linear_of(f"{place}.output.dense"),
                    norm=norm(f"{place}.output"),
                )
            )

    def __call__(self, packed: Packed, wanted: Tensor | None = None) -> Tensor:
        """The last layer, of shape (pieces, hidden); ``wanted`` picks pieces by their index.

        The last layer is computed for the wanted pieces only.
        """
        activation = ACTIVATIONS[self.shape.activation]
        with torch.inference_mode():
            attend = _each(packed) if self.device.type == "cpu" else _padded(packed)
            rows = (
                functional.embedding(packed.ids, self._words)
                + functional.embedding(packed.positions, self._positions)
                + functional.embedding(packed.types, self._types)
            )
            rows = self._norm(rows)  # (pieces, hidden)
            for layer in self._layers:
                mixed = layer.attention_in(rows).view(len(rows), 3, self.shape.heads, -1)
                seen = attend(mixed)
                if wanted is not None and layer is self._layers[-1]:
                    rows, seen = rows[wanted], seen[wanted]
                rows = layer.attention_norm(layer.attention_out(seen).add_(rows))
                inner = activation(layer.inner(rows))  # (pieces, inner)
                rows = layer.norm(layer.outer(inner).add_(rows))
            return rows


#: Query, key and value, (pieces, 3, heads, width), to what each piece takes in, (pieces, hidden).
_Attend = Callable[[Tensor], Tensor]


def _each(packed: Packed) -> _Attend:
    """Attention text by text: on a CPU one text is work enough to fill it."""
    lengths = list(packed.lengths)

    def attend(mixed: Tensor) -> Tensor:
        found = []
        for text in torch.split(mixed, lengths):
            query, key, value = text.permute(1, 2, 0, 3).unsqueeze(1)  # (1, heads, length, width)
            seen = functional.scaled_dot_product_attention(query, key, value)
            found.append(seen[0].transpose(0, 1).reshape(text.shape[0], -1))
        return found[0] if len(found) == 1 else torch.cat(found)

    return attend


def _padded(packed: Packed) -> _Attend:
    """Attention in one call, padded to the longest text: on a GPU calls cost more than padding."""
    count, longest = len(packed.lengths), max(packed.lengths)
    inside = np.arange(longest) < np.array(packed.lengths)[:, None]  # (texts, longest)
    device = packed.ids.device
    places = sent(np.flatnonzero(inside), device)
    uniform = count * longest == len(packed.ids)
    mask = None if uniform else sent(inside, device)[:, None, None, :]

    def attend(mixed: Tensor) -> Tensor:
        if not uniform:
            padded = mixed.new_zeros(count * longest, *mixed.shape[1:])
            mixed = padded.index_copy_(0, places, mixed)
        parts = mixed.view(count, longest, *mixed.shape[1:]).permute(2, 0, 3, 1, 4)
        query, key, value = parts  # each (texts, heads, longest, width)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = seen.transpose(1, 2).reshape(count * longest, -1)
        return seen if uniform else seen[places]

    return attend
