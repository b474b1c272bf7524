"""The ranker: texts to vectors whose dot product says how well a passage fits a question.

A BERT sentence encoder: the mean of the last layer over the text's pieces, scaled to length one
(Reimers and Gurevych 2019, "Sentence-BERT"). The embedded one was trained by
:mod:`reader.contrast` from all-MiniLM-L6-v2. Each row of its matrices is stored in 8 bits with a
scale of its own, which keeps the file small and leaves the vectors all but unchanged; it computes
in float32. A reader that was trained to rank too (:mod:`reader.finetune`) is a ranker as it stands.

    python -m reader.ranker SOURCE TARGET      store a sentence encoder's folder in that form
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reader.arguments import told
from reader.digests import digest_of_digests, digest_of_settings_files, digest_of_weights_file
from reader.errors import CheckpointError, ReaderError
from reader.output import make_folder, write_text, writing
from reader.tensor_files import UnreadableError, load_tensors
from reader.tokenization import PieceTokenizer

if TYPE_CHECKING:
    import torch

    from reader.bert import Bert, Shape

#: The encoder that comes with this package.
EMBEDDED = Path(__file__).parent / "ranker"

#: What all-MiniLM-L6-v2 was trained to read, in pieces; longer texts are cut.
MAX_LENGTH = 256

#: The key of ``config.json`` that holds the name of a ranker that :func:`store` wrote.
_NAME = "ranker_name"

_SCALE = ".scale"
_BATCH_PIECES = 4096


def inputs_of(
    texts: Sequence[str], tokenizer: PieceTokenizer, max_length: int
) -> list[tuple[int, ...]]:
    """What the encoder reads of each text: its pieces between [CLS] and [SEP], cut to a length."""
    return [
        (tokenizer.cls_id, *pieces.ids[: max_length - 2], tokenizer.sep_id)
        for pieces in tokenizer.pieces_batch(texts)
    ]


def by_length(inputs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The numbers of the inputs in batches, longest first: those of like length go together."""
    order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
    begin = 0
    while begin < len(order):
        chosen = order[begin : begin + max(1, _BATCH_PIECES // len(inputs[order[begin]]))]
        yield chosen
        begin += len(chosen)


def pooled(hidden: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """The vectors, of length one, of texts that stand one after the other.

    Args:
        hidden: the last layer, shape (pieces, dimensions).
        lengths: how many pieces each text has.
    """
    import torch

    means = [part.mean(0) for part in torch.split(hidden, list(lengths))]
    return torch.nn.functional.normalize(torch.stack(means), dim=1)


class Ranker:
    """Encodes questions and passages.

    ``name`` changes with all that changes the vectors, so that stored ones of another ranker are
    noticed.
    """

    def __init__(
        self,
        model: Bert,
        tokenizer: PieceTokenizer,
        *,
        name: str,
        max_length: int = MAX_LENGTH,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._max_length = min(max_length, model.shape.positions)
        self.name = name
        self.dimensions = model.shape.hidden
        self.device = str(model.device)

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Vectors of length one, float32 of shape (texts, dimensions).

        Texts are cut to the encoder's longest input. ``progress`` gets the texts done.

        Raises:
            ReaderError: the network gave vectors that are not numbers, or there is no memory for
                a single text.
        """
        inputs = inputs_of(texts, self._tokenizer, self._max_length)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for chosen in by_length(inputs):
            found = self._encode_batch([inputs[index] for index in chosen])
            if not np.isfinite(found).all():
                raise ReaderError(
                    f"the ranker {self.name} gave vectors that are not numbers; its weights are "
                    "damaged"
                )
            vectors[chosen] = found
            if progress is not None:
                progress(len(chosen))
        return vectors

    def _encode_batch(self, batch: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        """The vectors of some texts; fewer at once where memory is short."""
        import torch

        from reader.network import release

        try:
            return self._forward(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ReaderError(
                    f"{self._model.device} has no memory left for a text of "
                    f"{len(batch[0]) - 2} pieces; free some, or use another device"
                ) from error
        release(self._model.device)
        middle = len(batch) // 2
        return np.concatenate(
            [self._encode_batch(batch[:middle]), self._encode_batch(batch[middle:])]
        )

    def _forward(self, batch: Sequence[tuple[int, ...]]) -> NDArray[np.float32]:
        import torch

        from reader.bert import pack

        packed = pack(batch, [len(text) for text in batch], self._model.device)
        with torch.inference_mode():
            vectors = pooled(self._model(packed).float(), packed.lengths)
        result: NDArray[np.float32] = vectors.cpu().numpy()
        return result


@dataclass(frozen=True, slots=True)
class _Encoder:
    """What a ranker is made of; the weights are float32, named as :class:`Bert` takes them."""

    name: str
    shape: Shape
    weights: Mapping[str, torch.Tensor]
    tokenizer: PieceTokenizer
    max_length: int = MAX_LENGTH


def load_ranker(
    folder: Path | None = None, *, device: str = "auto", precision: str = "auto"
) -> Ranker:
    """Load a ranker that :func:`store` wrote, or a reader trained to rank too; None: the embedded.

    Args:
        precision: see :data:`reader.linear.Precision`; ``auto`` is bf16 where that is the faster
            one, where vectors have a cosine of 0.9999 to those of fp32; else fp32.

    Raises:
        CheckpointError: files are missing or damaged, or it is a reader that cannot rank.
        DeviceError: see :func:`reader.checkpoint.choose_device` and
            :func:`reader.linear.choose_precision`.
    """
    from reader.bert import Bert
    from reader.checkpoint import choose_device
    from reader.linear import choose_precision
    from reader.throughput import prefers_bf16

    place = folder or EMBEDDED
    chosen = choose_device(device)
    if precision == "auto":
        precision = "bf16" if prefers_bf16(chosen) else "fp32"
    computed = choose_precision(precision, chosen)
    try:
        settings = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the ranker in {place} cannot be loaded: {error}") from error
    if isinstance(settings, dict) and _NAME in settings:
        encoder = _of_stored(place, settings)
    else:
        encoder = _of_reader(place)
    model = Bert(encoder.shape, encoder.weights, device=chosen, precision=computed)
    return Ranker(model, encoder.tokenizer, name=encoder.name, max_length=encoder.max_length)


def _of_stored(place: Path, settings: Mapping[str, Any]) -> _Encoder:
    from reader.bert import shape_of, tensor_shapes

    file = place / "model.safetensors"
    try:
        stored = load_tensors(file)
    except UnreadableError as error:
        raise CheckpointError(f"{file} {error}; copy or download it again") from error
    weights = {
        name: value.float() * stored[name + _SCALE][:, None] if name + _SCALE in stored else value
        for name, value in stored.items()
        if not name.endswith(_SCALE)
    }
    try:
        shape = shape_of(settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{place / 'config.json'} is not a BERT's: {error}") from error
    if {name: tuple(value.shape) for name, value in weights.items()} != tensor_shapes(shape):
        raise CheckpointError(f"the ranker in {place} does not hold a BERT's weights")
    floats = {name: value.float() for name, value in weights.items()}
    tokenizer = PieceTokenizer.from_folder(place)
    tokenizer.check_fits(shape.vocabulary, str(place))
    name = str(settings[_NAME])
    # The embedded one's changes with it, see its test: no upgrade makes vectors anew for nothing.
    return _Encoder(name if place == EMBEDDED else _named(place, name), shape, floats, tokenizer)


def _of_reader(place: Path) -> _Encoder:
    from reader.checkpoint import RANKING, ranks, read

    if not ranks(place):
        raise CheckpointError(
            f'{place} does not rank: its config.json has neither "{RANKING}" nor "{_NAME}"; train '
            "a reader with spanbot reader finetune --ranking 1, or store a sentence encoder with "
            "python -m reader.ranker"
        )
    found = read(place)
    weights = {
        name.removeprefix("bert."): value
        for name, value in found.weights.items()
        if name.startswith("bert.")
    }
    return _Encoder(
        _named(place, "reader"),
        found.shape,
        weights,
        found.tokenizer,
        min(MAX_LENGTH, found.max_length),
    )


def _named(place: Path, name: str) -> str:
    """A name with what tells this folder's weights, configuration and tokenizer from others."""
    files = (digest_of_weights_file(place), digest_of_settings_files(place))
    return f"{name}-{digest_of_digests(files)[:12]}"


def store(source: Path, target: Path, *, name: str) -> None:
    """Write a BERT sentence encoder's folder with its matrices in 8 bits a number.

    Raises:
        CheckpointError: see :func:`reader.checkpoint.read`.
        OutputError: it cannot be written.
    """
    import torch
    from safetensors.torch import save_file

    from reader.checkpoint import read

    read_in = read(source, head_required=False)
    settings = read_in.config
    tensors: dict[str, torch.Tensor] = {}
    for name_there, value in read_in.weights.items():
        if not name_there.startswith("bert."):
            continue
        key = name_there.removeprefix("bert.")
        if value.ndim == 2:
            scale = value.abs().amax(dim=1).clamp(min=1e-8) / 127
            tensors[key] = (value / scale[:, None]).round().to(torch.int8).contiguous()
            tensors[key + _SCALE] = scale.contiguous()
        else:
            tensors[key] = value.to(torch.float16).contiguous()
    make_folder(target)
    with writing(target):
        save_file(tensors, target / "model.safetensors")
    keys = (
        "hidden_size num_hidden_layers num_attention_heads intermediate_size vocab_size hidden_act "
        "max_position_embeddings type_vocab_size layer_norm_eps"
    ).split()
    kept = {key: settings[key] for key in keys if key in settings}
    write_text(target / "config.json", json.dumps({**kept, _NAME: name}, indent=2) + "\n")
    read_in.tokenizer.save(target)


@told(ReaderError)
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Store a sentence encoder with 8 bits a number.")
    parser.add_argument("source", type=Path, help="folder of a BERT sentence encoder")
    parser.add_argument("target", type=Path, help="folder to write; its name is the ranker's")
    chosen: Any = parser.parse_args(arguments)
    store(chosen.source, chosen.target, name=chosen.target.name)


if __name__ == "__main__":
    main()
