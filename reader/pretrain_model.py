"""What is pre-trained: an encoder, and beside it the heads that guess what is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reader.boundary import IGNORED, BoundaryHead, PieceHead
from reader.checkpoint import Checkpoint
from reader.errors import CheckpointError, reason_of
from reader.masking import MaskingConfig
from reader.output import replacing_folder, writing
from reader.pretrain_batches import HostBatch
from reader.tensor_files import UnreadableError, load_tensors

_HEADS = "pretraining_heads.safetensors"


class Pretrainer(nn.Module):
    """The encoder with its heads; ``boundary`` is None for the plain baseline."""

    def __init__(self, bert: Any, pieces: PieceHead, boundary: BoundaryHead | None) -> None:
        super().__init__()
        self.bert = bert
        self.pieces = pieces
        self.boundary = boundary

    @property
    def embeddings(self) -> Tensor:
        """The input embeddings (vocabulary, hidden), which are both heads' output weights."""
        weight: Tensor = self.bert.embeddings.word_embeddings.weight
        return weight

    def forward(self, batch: HostBatch) -> Tensor:
        """Sums of the cross entropies of the masked-piece and the boundary head. Shape (2,)."""
        # Made ready for attention here: transformers would wait for the device to look at it.
        mask = None if batch.inside is None else batch.inside[:, None, None, :]
        states = self.bert(input_ids=batch.ids, attention_mask=mask).last_hidden_state
        states = states.flatten(0, 1)  # (rows, length, hidden) to (rows * length, hidden)
        logits = self.pieces(states[batch.positions], self.embeddings)  # (targets, vocabulary)
        masked = _summed(logits, batch.labels)
        if self.boundary is None:
            return torch.stack([masked, torch.zeros_like(masked)])
        logits = self.boundary(
            states[batch.left], states[batch.right], batch.offsets, self.embeddings
        )
        return torch.stack([masked, _summed(logits, batch.boundary_labels)])


def _summed(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")


def build(chosen: Checkpoint, folder: Path, masking: MaskingConfig) -> Pretrainer:
    """The encoder of a checkpoint with the heads for a masking: those in its folder, or new ones.

    Raises:
        CheckpointError: the heads in the folder are not this encoder's.
    """
    bert: Any = chosen.model.bert
    sizes = (bert.config.hidden_size, bert.config.vocab_size)
    model = Pretrainer(
        bert, PieceHead(*sizes), BoundaryHead(*sizes) if masking.kind == "spans" else None
    )
    path = folder / _HEADS
    if path.is_file():
        try:
            wanted = model.state_dict().keys()
            state = {key: value for key, value in load_tensors(path).items() if key in wanted}
            model.load_state_dict(state, strict=False)  # an earlier run may have had one head
        except UnreadableError as error:
            raise CheckpointError(f"{path} {error}; remove it to start with new heads") from error
        except RuntimeError as error:
            raise CheckpointError(
                f"{path} does not fit this encoder ({reason_of(error)}); remove it to start with "
                "new heads"
            ) from error
    return model.to(chosen.device)


def save(chosen: Checkpoint, model: Pretrainer, folder: Path) -> None:
    """Write the encoder, a checkpoint to fine-tune, with its tokenizer and the heads beside it.

    The folder is replaced as :func:`reader.checkpoint.save` does.

    Raises:
        OutputError: they cannot be written.
    """
    from safetensors.torch import save_file

    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    encoder = {
        key.removeprefix("bert."): value for key, value in state.items() if key.startswith("bert.")
    }
    heads = {key: value for key, value in state.items() if not key.startswith("bert.")}
    # The encoder alone: a span head that was never trained would pass for one that was.
    model.bert.config.architectures = ["BertModel"]
    with replacing_folder(folder) as part:
        with writing(folder):
            model.bert.config.save_pretrained(part)
            save_file(encoder, part / "model.safetensors", metadata={"format": "pt"})
            save_file(heads, part / _HEADS)
        chosen.tokenizer.save(part)
