"""The batches of a pre-training run: rows of text with hidden pieces, made ahead of the device.

Every batch has the same shapes and comes from a background thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from reader.boundary import IGNORED, Targets, targets_of
from reader.corpus import Rows
from reader.masking import MaskingConfig, Vocabulary, mask_row, piece_budget

_AHEAD = 4  # steps that the background thread may be ahead


class BatchConfig(Protocol):
    """What a run says of its batches; see :class:`reader.pretrain.PretrainConfig`."""

    @property
    def rows(self) -> int: ...
    @property
    def accumulate(self) -> int: ...
    @property
    def masking(self) -> MaskingConfig: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class HostBatch:
    """One batch before it goes to the device: ``ids`` of shape (rows, length), and its targets."""

    ids: Tensor
    positions: Tensor
    labels: Tensor
    left: Tensor
    right: Tensor
    offsets: Tensor
    boundary_labels: Tensor

    def on_device(self, device: torch.device) -> HostBatch:
        """The same where it is computed on."""
        return HostBatch(
            **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class Step:
    """The batches of one step, and how many pieces each head guesses in all of them."""

    batches: tuple[HostBatch, ...]
    masked: int
    boundary: int


def make_step(
    number: int, rows: Rows, vocabulary: Vocabulary, config: BatchConfig, *, pin: bool
) -> Step:
    """The batches of step ``number`` (from 0), the same in every run of the configuration."""
    generator = np.random.default_rng([config.seed, 1, number])
    size = config.rows * piece_budget(rows.length, config.masking.budget)
    batches, masked, boundary = [], 0, 0
    for part in range(config.accumulate):
        first = (number * config.accumulate + part) * config.rows
        taken = [rows[first + index] for index in range(config.rows)]
        hidden = [
            mask_row(
                row.ids,
                vocabulary,
                config.masking,
                generator,
                next_continues=bool(vocabulary.continues[row.next_id]),
            )
            for row in taken
        ]
        targets = targets_of(np.stack([row.ids for row in taken]), hidden, size)
        batches.append(_host_batch(np.stack([row.ids for row in hidden]), targets, pin))
        masked += int((targets.labels != IGNORED).sum())
        boundary += int((targets.boundary_labels != IGNORED).sum())
    return Step(tuple(batches), masked, boundary)


def _host_batch(ids: np.ndarray[Any, np.dtype[np.int64]], targets: Targets, pin: bool) -> HostBatch:
    tensors = {"ids": torch.from_numpy(ids)}
    tensors |= {f.name: torch.from_numpy(getattr(targets, f.name)) for f in fields(targets)}
    return HostBatch(**{k: v.pin_memory() if pin else v for k, v in tensors.items()})


@contextmanager
def in_background(make: Callable[[int], Step], numbers: range) -> Iterator[Iterator[Step]]:
    """What ``make`` gives for each number, made in a thread that is a few steps ahead.

    An error in the thread is raised where the step would have been taken.
    """
    ready: queue.Queue[Step | BaseException] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(item: Step | BaseException) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for number in numbers:
                if stopped.is_set():
                    return
                put(make(number))
        except BaseException as error:  # noqa: BLE001  (raised again by the consumer)
            put(error)

    def taken() -> Iterator[Step]:
        for _ in numbers:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="pretraining-data", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join()
