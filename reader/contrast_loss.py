"""What a ranker is trained to make small; a reader that ranks too, beside its own loss.

A softmax over all texts of a batch, in which the texts that answer the question share the
probability (van den Oord et al. 2018, "Representation learning with contrastive predictive coding";
in-batch negatives as in Karpukhin et al. 2020, "Dense passage retrieval"). The texts are those of
:mod:`reader.groups`, under their headings: passages or sentences. A text that holds a question's
answer word for word is none of its negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.checkpoint import checkpoint

from reader.groups import Group, folded
from reader.ranker import by_length, inputs_of, pooled
from reader.tokenization import PieceTokenizer
from reader.transfer import attended, sent

#: What similarities are multiplied by; a cosine alone cannot make a softmax sure.
SCALE = 20.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """A question, the texts that answer it, and texts that do not."""

    question: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    answers: tuple[str, ...]


def contrasts(groups: Sequence[Group]) -> list[Contrast]:
    """The groups that have an answer, in their order."""
    found = []
    for group in groups:
        texts = [(f"{p.context}\n{p.text}" if p.context else p.text, p) for p in group.passages]
        right = tuple(text for text, passage in texts if passage.answers)
        if right:
            found.append(
                Contrast(
                    group.question,
                    right,
                    tuple(text for text, passage in texts if not passage.answers),
                    tuple(folded(p.text[s:e]) for p in group.passages for s, e in p.answers),
                )
            )
    return found


def labels(batch: Sequence[Contrast], texts: Sequence[str]) -> NDArray[np.int8]:
    """Of shape (questions, texts): 1 where the text answers, 0 where it does not, -1 unknown."""
    plain = [folded(text) for text in texts]
    found = np.zeros((len(batch), len(texts)), dtype=np.int8)
    for row, item in enumerate(batch):
        own, wrong = set(item.right), set(item.wrong)
        for column, text in enumerate(texts):
            if text in own:
                found[row, column] = 1
            elif text not in wrong and any(answer in plain[column] for answer in item.answers):
                found[row, column] = -1
    return found


def contrast_loss(similarity: torch.Tensor, label: torch.Tensor, scale: float) -> torch.Tensor:
    """Mean over questions of the negative log probability of the texts that answer.

    Args:
        similarity: cosines, shape (questions, texts).
        label: see :func:`labels`; texts of label -1 do not take part.
    """
    logits = (similarity * scale).masked_fill(label < 0, float("-inf"))
    right = logits.masked_fill(label != 1, float("-inf"))
    return (torch.logsumexp(logits, 1) - torch.logsumexp(right, 1)).mean()


def embed(
    model: Any, tokenizer: PieceTokenizer, texts: Sequence[str], max_length: int
) -> torch.Tensor:
    """Vectors of length one, shape (texts, dimensions), with gradients."""
    device = next(model.parameters()).device
    inputs = inputs_of(texts, tokenizer, max_length)
    parts: list[torch.Tensor] = []
    order: list[int] = []
    for chosen in by_length(inputs):
        lengths = [len(inputs[number]) for number in chosen]
        inside = np.arange(lengths[0]) < np.array(lengths)[:, None]  # (texts, longest)
        ids = np.full(inside.shape, tokenizer.pad_id)
        ids[inside] = [piece for number in chosen for piece in inputs[number]]
        output = model(input_ids=sent(ids, device), attention_mask=attended(inside, device))
        hidden = output.last_hidden_state.float().flatten(0, 1)
        places = sent(np.flatnonzero(inside), device)
        parts.append(pooled(hidden.index_select(0, places), lengths))
        order += chosen
    return torch.cat(parts).index_select(0, sent(np.argsort(order), device))


def batch_loss(
    model: Any,
    tokenizer: PieceTokenizer,
    batch: Sequence[Contrast],
    *,
    max_length: int,
    scale: float = SCALE,
    bf16: bool = False,
    parts: int = 1,
) -> torch.Tensor:
    """:func:`contrast_loss` of questions over all their texts, with gradients.

    Args:
        model: transformers' BERT encoder.
        batch: of at least one question.
        max_length: texts are cut to so many pieces.
        parts: more than 1 computes the questions, and the texts, in so many parts and, for the
            gradients, once more: in less memory, the same but for dropout and rounding.
    """
    device = next(model.parameters()).device

    def embedded(texts: Sequence[str]) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return embed(model, tokenizer, texts, max_length)

    def vectors(texts: Sequence[str]) -> torch.Tensor:
        if parts == 1:
            return embedded(texts)
        size = -(-len(texts) // parts)
        return torch.cat(
            [
                checkpoint(embedded, texts[n : n + size], use_reentrant=False)
                for n in range(0, len(texts), size)
            ]
        )

    texts = list(dict.fromkeys(text for item in batch for text in (*item.right, *item.wrong)))
    similarity = vectors([item.question for item in batch]) @ vectors(texts).T
    return contrast_loss(similarity, sent(labels(batch, texts), device), scale)
