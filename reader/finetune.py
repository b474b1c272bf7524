"""Fine-tuning a BERT for extractive question answering.

The objective is in :mod:`reader.losses`, the data in :mod:`reader.groups`, the settings in
:mod:`reader.recipes`. Batches hold questions whose windows are of like length up to a budget of
pieces, which wastes little on padding; the learning rate warms up linearly and falls linearly. An
encoder that ranks passages, by the mean of its last layer, can be made to keep doing so
(:mod:`reader.contrast_loss`): the same network then reads and ranks.

A run is a folder: ``checkpoint.pt`` (written atomically, the state to resume from),
``history.json`` (what :mod:`reader.curve` draws), and the finished model in ``model/``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reader import checkpoint as checkpoints
from reader.contrast_loss import batch_loss, contrasts
from reader.digests import digest_of_groups, digest_of_weights
from reader.distill import Teacher, distillation_loss
from reader.errors import TrainingError
from reader.features import pad
from reader.groups import Group
from reader.interrupt import interrupted, until_stopped
from reader.losses import no_answer_loss, shared_loss
from reader.memory import in_parts
from reader.ranker import MAX_LENGTH
from reader.recipes import NO_ANSWER, FinetuneConfig
from reader.training import History, Training, check_start
from reader.training_data import TrainingGroup, batches, training_groups
from reader.transfer import attended, sent

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run reports after each step."""

    step: int
    steps: int
    loss: float
    pieces_per_second: float


def finetune(
    start: str | Path,
    groups: Sequence[Group],
    run: Path,
    config: FinetuneConfig,
    *,
    device: torch.device | None = None,
    evaluate: Callable[[checkpoints.Checkpoint], float] | None = None,
    evaluate_every: int = 0,
    progress: Callable[[Progress], None] | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Path:
    """Train, and write the model to ``run/model``; an interrupted run goes on where it was saved.

    Ctrl-C ends it behind the step that it is in, which is then saved (:mod:`reader.interrupt`).

    Args:
        start: folder or hub id of the weights to start from; a span head is made if missing.
        notify: is told of licences, of questions that nothing is learnt from, and of memory that is
            short.
        evaluate: gives the dev F1 of the current weights, every ``evaluate_every`` steps.

    Raises:
        CheckpointError: the start weights or the teacher cannot be loaded, or the former are
            damaged.
        TrainingError: nothing to train on, a run folder of another configuration, other groups or
            other start weights, a teacher that cannot read the passages, or a loss or weights that
            are not numbers.
    """
    torch.manual_seed(config.seed)
    chosen = checkpoints.load(
        start,
        device=device,
        head_required=False,
        dropout=config.dropout,
        match=config.match,
        ranking=config.ranking > 0,
        notify=notify,
    )
    model: Any = chosen.model
    check_start(model, start)
    items = training_groups(
        groups,
        chosen.tokenizer,
        max_length=min(config.max_length, chosen.max_length),
        overlap=config.overlap,
        match=chosen.match,
    )
    if not any(group.answerable for group in groups) or not items:
        raise TrainingError(
            f"none of the {len(groups)} questions has an answer to train on; check the data"
        )
    silent = sum(not group.answerable for group in groups)
    if silent and not config.no_answer:
        notify(
            f"{silent:,} of {len(groups):,} questions have no answer, and nothing is learnt from "
            f"them while the weight of no answer is 0; {NO_ANSWER} is one to give (--no-answer)"
        )
    teacher = (
        None
        if config.teacher is None
        else Teacher.load(config.teacher, chosen.device, bf16=config.bf16, notify=notify)
    )
    plan = _planned(items, config)
    history = History(
        config=asdict(config),
        steps=len(plan),
        data=digest_of_groups([groups]),
        start=digest_of_weights(model),
    )
    training = Training(run, model, config, history, final_rate=config.final_rate)
    done = training.resume()
    model.train()
    with until_stopped() as stopped:
        for number, step in enumerate(plan[done:], start=done + 1):
            began = time.perf_counter()
            (of_step, pieces), parts = _train_step(chosen, step, config, teacher, training.parts)
            training.note_parts(parts, number, notify)
            training.step()
            loss = float(of_step)  # waits for the device, which has the step's work by now
            training.check(loss, number)
            history.losses.append((number, loss))
            if progress is not None:
                speed = pieces / (time.perf_counter() - began)
                progress(Progress(number, len(plan), loss, speed))
            last = number == len(plan)
            if evaluate is not None and evaluate_every and (last or number % evaluate_every == 0):
                training.check_weights(number)  # the reader would blame its precision
                model.eval()
                history.evaluations.append((number, evaluate(chosen)))
                model.train()
            stop = stopped()
            if stop or last or number % config.save_every == 0:
                training.save(number)
            if stop and not last:
                raise interrupted(number, notify)
    model.eval()
    checkpoints.save(chosen, run / "model")
    return run / "model"


def _planned(
    items: Sequence[TrainingGroup], config: FinetuneConfig
) -> list[list[list[TrainingGroup]]]:
    """The batches of every step; no step is of two epochs."""
    plan = []
    for epoch in range(config.epochs):
        generator = np.random.default_rng([config.seed, epoch])
        found = batches(items, batch_pieces=config.batch_pieces, generator=generator)
        size = config.accumulate
        plan += [found[n : n + size] for n in range(0, len(found), size)]
    return plan


def _train_step(
    chosen: checkpoints.Checkpoint,
    step: Sequence[Sequence[TrainingGroup]],
    config: FinetuneConfig,
    teacher: Teacher | None,
    parts: int = 1,
) -> tuple[tuple[Tensor, int], int]:
    """Gradients of one step, each batch in so many parts, or in more where memory is short.

    The gradients are those of one batch of all their questions, but for dropout and rounding.
    Nothing here waits for a GPU but a teacher.

    Returns:
        The step's loss, detached, and the padded pieces that were read; and the number of parts.
    """
    model: Any = chosen.model
    questions = [group for batch in step for group in batch]
    whole = _counts(questions)

    def compute(parts: int) -> tuple[Tensor, int]:
        loss, pieces = torch.zeros((), dtype=torch.float64, device=chosen.device), 0
        for part in (part for batch in step for part in _cut(batch, parts)):
            share, read = _gradients(chosen, part, whole, config, teacher)
            loss, pieces = loss + share, pieces + read
        if config.ranking:
            loss = loss + _ranking_gradients(chosen, questions, config, parts * len(step))
        return loss, pieces

    def too_large() -> str:
        longest = max(questions, key=lambda group: group.longest * len(group.windows))
        return (
            f"a question with {len(longest.windows)} windows of up to {longest.longest} pieces "
            f"does not fit into the memory of {chosen.device}; give questions fewer or shorter "
            "passages, or use another device"
        )

    return in_parts(
        compute,
        model,
        chosen.device,
        parts=parts,
        most=max(map(len, step)),
        too_large=too_large,
    )


def _cut(batch: Sequence[TrainingGroup], parts: int) -> list[Sequence[TrainingGroup]]:
    """The batch in at most so many parts."""
    size = -(-len(batch) // parts)
    return [batch[n : n + size] for n in range(0, len(batch), size)]


def _counts(batch: Sequence[TrainingGroup]) -> tuple[int, int]:
    """Questions with an answer, and windows: what the means of the losses are over."""
    answerable = sum(any(item.answers for item in group.windows) for group in batch)
    return max(1, answerable), sum(len(group.windows) for group in batch)


def _ranking_gradients(
    chosen: checkpoints.Checkpoint,
    batch: Sequence[TrainingGroup],
    config: FinetuneConfig,
    parts: int,
) -> Tensor:
    """Adds the gradients of the ranking, whose negatives are of the whole batch; its loss."""
    items = contrasts([group.source for group in batch])
    if not items:
        return torch.zeros(())
    loss = config.ranking * batch_loss(
        chosen.model.bert,
        chosen.tokenizer,
        items,
        max_length=min(MAX_LENGTH, chosen.max_length),
        bf16=config.bf16,
        parts=parts,
    )
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _gradients(
    chosen: checkpoints.Checkpoint,
    batch: Sequence[TrainingGroup],
    whole: tuple[int, int],
    config: FinetuneConfig,
    teacher: Teacher | None,
) -> tuple[Tensor, int]:
    """Adds a part's gradients, and gives its share of the loss and its padded pieces."""
    model: Any = chosen.model
    device = chosen.device
    of_questions, of_windows = (
        own / every for own, every in zip(_counts(batch), whole, strict=True)
    )
    rows = [item for group in batch for item in group.windows]
    arrays = pad([item.window for item in rows], chosen.tokenizer.pad_id)
    owner = np.array([n for n, group in enumerate(batch) for _ in group.windows])
    answerable = sorted({n for n, item in zip(owner.tolist(), rows, strict=True) if item.answers})
    inside_here = np.zeros(arrays.input_ids.shape, dtype=np.bool_)
    gold_here = np.zeros((2, *arrays.input_ids.shape), dtype=np.bool_)
    for row, item in enumerate(rows):
        first = item.window.first
        inside_here[row, first : first + len(item.window.offsets)] = True
        for start, end in item.answers:
            gold_here[0, row, start] = gold_here[1, row, end] = True
    inside, gold = sent(inside_here, device), sent(gold_here, device)
    own = sent(owner == np.arange(len(batch))[:, None], device)  # (questions, windows)
    right = sent(np.array(answerable, dtype=np.int64), device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
        output = model(
            input_ids=sent(arrays.input_ids, device),
            token_type_ids=sent(arrays.token_type_ids, device),
            attention_mask=attended(arrays.attention_mask.astype(np.bool_), device),
        )
    target = (
        None
        if teacher is None
        else sent(teacher.targets(batch, temperature=config.temperature).numpy(), device)
    )
    loss = torch.zeros((), device=device)
    for side, logits in enumerate((output.start_logits.float(), output.end_logits.float())):
        loss = loss + of_questions * shared_loss(logits, inside, gold[side], own, right) / 2
        if config.no_answer:
            silent = no_answer_loss(logits, inside, gold[side])
            loss = loss + of_windows * config.no_answer * silent / 2
        if target is not None:
            apart = distillation_loss(logits, inside, target[side], temperature=config.temperature)
            loss = loss + of_windows * config.distill * apart / 2
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach(), int(arrays.input_ids.size)
