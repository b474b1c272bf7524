"""How a reader is fine-tuned: the settings of a run, and two proven sets of them.

``base`` is what SpanBERT's repository gives for SQuAD 1.1 and a network of 12 layers of 768, in
batches of 32 windows; it suits larger ones too. ``small`` suits networks like the embedded
reader's, which take a higher rate and, in a single pass, no dropout. SpanBERT's script begins a
paragraph's next window 128 pieces after the one before; here windows share 128 pieces, which makes
fewer windows of the few paragraphs that are longer than one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reader.errors import TrainingError

#: The fewest pieces that a window may have.
_SHORTEST = 8

_ABOVE_0 = ("epochs", "learning_rate", "batch_pieces", "accumulate", "save_every", "temperature")
_AT_LEAST_0 = ("weight_decay", "clip_norm", "overlap", "no_answer", "distill", "ranking", "seed")


@dataclass(frozen=True, slots=True)
class FinetuneConfig:
    """One training run; the defaults are those of the recipe ``small``. Lengths in word pieces.

    ``batch_pieces`` bounds the padded pieces of a batch; 5,632 are 32 windows of SQuAD in the mean.
    ``accumulate`` batches make one step, with the gradients of one batch of all their questions.
    ``dropout`` 0 is right for a single epoch and lets the CPU take its fast attention path.
    The learning rate rises in the share ``warmup`` of the steps and then falls to ``final_rate``, a
    share of its peak, at the end of the run. ``clip_norm`` bounds the norm of a step's gradients; 0
    bounds nothing.
    ``no_answer`` weighs the loss that teaches the ``[CLS]`` logits to say "not in this passage".
    ``match`` gives the network the match feature (:mod:`reader.matching`); one that has it keeps
    it. Windows have at most ``max_length`` pieces, or as many as the network reads where that is
    fewer. ``teacher`` is the folder or hub id of a reader to learn from too, with the weight
    ``distill`` at the ``temperature`` (:mod:`reader.distill`). ``ranking`` weighs the contrastive
    loss of the batch's questions and passages; above 0 the model is marked as one that ranks.

    Raises:
        TrainingError: a value that no run can have; the message names it.
    """

    epochs: int = 1
    learning_rate: float = 2e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    batch_pieces: int = 5120
    accumulate: int = 1
    max_length: int = 384
    overlap: int = 128
    dropout: float = 0.0
    bf16: bool = False
    no_answer: float = 0.0
    final_rate: float = 0.0
    seed: int = 13
    save_every: int = 200
    match: bool = False
    teacher: str | None = None
    distill: float = 1.0
    temperature: float = 2.0
    ranking: float = 0.0

    def __post_init__(self) -> None:
        for name in _ABOVE_0:
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise TrainingError(f"{name} is {value}; it must be above 0")
        for name in _AT_LEAST_0:
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise TrainingError(f"{name} is {value}; it must be at least 0")
        for name in ("warmup", "final_rate"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise TrainingError(f"{name} is {value}; it must be from 0 to 1")
        if not 0 <= self.dropout < 1:
            raise TrainingError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.max_length < _SHORTEST:
            raise TrainingError(
                f"max_length is {self.max_length}; a window needs at least {_SHORTEST} pieces"
            )


BASE, SMALL = "base", "small"

RECIPES: Mapping[str, FinetuneConfig] = {
    BASE: FinetuneConfig(
        epochs=4,
        learning_rate=2e-5,
        warmup=0.1,
        weight_decay=0.01,
        clip_norm=1.0,
        batch_pieces=5632,  # 32 windows of SQuAD, 29 in the mean with 5,120
        max_length=512,
        overlap=128,
        dropout=0.1,
    ),
    SMALL: FinetuneConfig(),
}

#: The weight of learning where no answer is, for data that has questions without one.
NO_ANSWER = 0.3

#: The hidden size from which on a network is one for ``base``.
BASE_HIDDEN = 768


def recipe_for(hidden: int) -> str:
    """The name of the recipe that suits a network of this hidden size."""
    return BASE if hidden >= BASE_HIDDEN else SMALL
