"""Training a ranker: the vector of a question close to that of the text that answers it.

    python -m reader.contrast GROUPS.jsonl ... --start FOLDER --run RUN

The objective is in :mod:`reader.contrast_loss`, the data in :mod:`reader.groups`. Neighbouring
questions of a file come into one batch, so that a file ordered by document gives negatives of the
same document, which are the hard ones.

A run is a folder as in :mod:`reader.finetune`: ``checkpoint.pt``, ``history.json``, ``model/``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reader import checkpoint as checkpoints
from reader.arguments import rate, told
from reader.contrast_loss import SCALE, Contrast, batch_loss, contrasts
from reader.digests import digest_of_groups, digest_of_weights
from reader.errors import ReaderError, TrainingError
from reader.groups import Group, load_training
from reader.memory import in_parts
from reader.output import writing
from reader.training import History, Training

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ContrastConfig:
    """One training run.

    A batch holds ``batch_questions`` questions, in blocks of ``block`` neighbours of one file.
    Texts are cut to ``max_length`` pieces; similarities are multiplied by ``scale``. ``clip_norm``
    bounds the norm of a step's gradients; 0 bounds nothing.
    """

    learning_rate: float = 3e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    batch_questions: int = 64
    block: int = 8
    max_length: int = 192
    scale: float = SCALE
    seed: int = 13
    save_every: int = 100


def batches(
    files: Sequence[Sequence[Contrast]], config: ContrastConfig, generator: np.random.Generator
) -> list[list[Contrast]]:
    """Every question of every file once; a batch is of one file."""
    plan: list[list[Contrast]] = []
    for items in files:
        blocks = [items[n : n + config.block] for n in range(0, len(items), config.block)]
        mixed = [item for n in generator.permutation(len(blocks)) for item in blocks[n]]
        size = config.batch_questions
        plan += [mixed[n : n + size] for n in range(0, len(mixed), size)]
    return [plan[n] for n in generator.permutation(len(plan))]


def train(
    start: Path,
    files: Sequence[Sequence[Group]],
    run: Path,
    config: ContrastConfig,
    *,
    device: torch.device | None = None,
    progress: Callable[[int, int, float, float], None] | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Path:
    """Train, and write the encoder to ``run/model``; an interrupted run goes on where it stopped.

    Args:
        start: folder of a BERT sentence encoder.
        progress: gets the step, the steps, the loss, and the seconds of the step.
        notify: is told of memory that is short.

    Raises:
        CheckpointError: see :func:`reader.checkpoint.read`.
        TrainingError: nothing to train on, a run folder of another configuration, other groups or
            other start weights, a loss that is not a number, or too little memory on the device
            for a single text.
    """
    torch.manual_seed(config.seed)
    stored = checkpoints.load(start, device=device, head_required=False, dropout=0.0, ranking=False)
    model: Any = stored.model.bert
    tokenizer = stored.tokenizer
    plan = batches(
        [contrasts(groups) for groups in files], config, np.random.default_rng(config.seed)
    )
    if not plan:
        raise TrainingError("no question has a text that answers it; check the data")
    history = History(
        config=asdict(config),
        steps=len(plan),
        data=digest_of_groups(files),
        start=digest_of_weights(model),
    )
    training = Training(run, model, config, history)
    done = training.resume()
    model.train()
    for step, batch in enumerate(plan[done:], done + 1):
        began = time.perf_counter()
        loss, parts = _train_step(stored, batch, config, training.parts)
        training.note_parts(parts, step, notify)
        training.step()
        value = float(loss)  # waits for the device, which has the step's work by now
        training.check(value, step)
        history.losses.append((step, value))
        if progress is not None:
            progress(step, len(plan), value, time.perf_counter() - began)
        if step == len(plan) or step % config.save_every == 0:
            training.save(step)
    with writing(run / "model"):
        model.save_pretrained(run / "model")
    tokenizer.save(run / "model")
    return run / "model"


def _train_step(
    stored: checkpoints.Checkpoint, batch: Sequence[Contrast], config: ContrastConfig, parts: int
) -> tuple[Tensor, int]:
    """Gradients of a batch in so many parts, or in more where memory is short.

    Returns:
        The loss, detached, and the number of parts.
    """
    model: Any = stored.model.bert

    def compute(parts: int) -> Tensor:
        loss = batch_loss(
            model,
            stored.tokenizer,
            batch,
            max_length=config.max_length,
            scale=config.scale,
            parts=parts,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    return in_parts(
        compute,
        model,
        stored.device,
        parts=parts,
        most=max(len(batch), sum(len(item.right) + len(item.wrong) for item in batch)),
        too_large=lambda: (
            f"a batch of {len(batch)} questions, a text at a time, does not fit into the memory of "
            f"{stored.device}; free some, give shorter texts, or use another device"
        ),
    )


def _every_nth(value: str) -> tuple[Path, int]:
    """``GROUPS[:N]``: a file, and the N of "every Nth question"."""
    path, _, one_in = value.partition(":")
    if one_in and not (one_in.isdecimal() and int(one_in)):
        raise argparse.ArgumentTypeError(
            f'"{value}" is not of the form GROUPS:N; give a whole number from 1 on in the place '
            f'of "{one_in}"'
        )
    return Path(path), int(one_in or 1)


@told(ReaderError)
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "groups", nargs="+", type=_every_nth, metavar="GROUPS[:N]", help="N: only every Nth"
    )
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--learning-rate", type=rate, default=ContrastConfig().learning_rate)
    chosen: Any = parser.parse_args(arguments)

    def show(step: int, steps: int, loss: float, seconds: float) -> None:
        sys.stderr.write(f"\rstep {step} of {steps}, loss {loss:.3f}, {seconds:.1f} s a step ")

    train(
        chosen.start,
        [load_training(path)[::one_in] for path, one_in in chosen.groups],
        chosen.run,
        ContrastConfig(learning_rate=chosen.learning_rate),
        progress=show,
    )
    sys.stderr.write("\n")


if __name__ == "__main__":
    main()
