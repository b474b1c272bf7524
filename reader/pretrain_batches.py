"""The steps of a pre-training run: rows of text with hidden pieces, made ahead of the device.

Rows are as long as their documents let them be (:mod:`reader.corpus`). As in the paper's program
a step takes rows of like length, as many as a bound on their padded pieces has room for, so that
little is padded and every step is about as much work; padding is hidden from attention.

Every step comes from a background thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reader.boundary import IGNORED, targets_of
from reader.corpus import Rows
from reader.masking import Masked, MaskingConfig, Vocabulary, mask_row

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
    """One batch before it goes to the device.

    Attributes:
        ids: (rows, length), padded.
        inside: (rows, length) bool, False for padding; None where nothing is padded, which leaves
            attention its fastest way.

    The rest are the :class:`reader.boundary.Targets`.
    """

    ids: Tensor
    inside: Tensor | None
    positions: Tensor
    labels: Tensor
    left: Tensor
    right: Tensor
    offsets: Tensor
    boundary_labels: Tensor

    def on_device(self, device: torch.device) -> HostBatch:
        """The same where it is computed on."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> HostBatch:
        """The same in memory from which a GPU copies while it computes."""
        return self._each(lambda tensor: tensor.pin_memory())

    def parted(self, parts: int) -> list[HostBatch]:
        """The same rows in so many batches, or in one for each row. On the host."""
        rows, length = self.ids.shape
        size = -(-rows // parts)
        owners = self.positions // length  # the row of each target
        found = []
        for first in range(0, rows, size):
            mine = (owners >= first) & (owners < first + size)
            base = first * length
            found.append(
                HostBatch(
                    ids=self.ids[first : first + size],
                    inside=None if self.inside is None else self.inside[first : first + size],
                    positions=self.positions[mine] - base,
                    labels=self.labels[mine],
                    left=self.left[mine] - base,
                    right=self.right[mine] - base,
                    offsets=self.offsets[mine],
                    boundary_labels=self.boundary_labels[mine],
                )
            )
        return found

    def _each(self, change: Callable[[Tensor], Tensor]) -> HostBatch:
        inside = None if self.inside is None else change(self.inside)
        rest = {f.name: change(getattr(self, f.name)) for f in fields(self) if f.name != "inside"}
        return HostBatch(inside=inside, **rest)


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        batches: what the device sees at once, one after the other.
        masked, boundary: how many pieces each head guesses in all of them.
        lengths: (rows,) pieces of the rows of all of them, without padding.
    """

    batches: tuple[HostBatch, ...]
    masked: int
    boundary: int
    lengths: NDArray[np.int64]


class Steps:
    """Makes the steps of a run, without end: one epoch after the other, each in a new order.

    An epoch puts the rows in order of their lengths, those of one length by chance, cuts steps of
    at most ``rows * accumulate`` full rows' pieces, and shuffles those; how many there are is not
    drawn. A step is the same in every run of its configuration, which is all that resuming needs,
    and is the same however it is parted into ``rows`` and ``accumulate``.

    Args:
        length: pieces of a full row.
        pin: whether a GPU will take the batches.

    Attributes:
        per_epoch: the number of steps that hold every row once.
    """

    def __init__(
        self,
        rows: Rows,
        vocabulary: Vocabulary,
        config: BatchConfig,
        *,
        length: int,
        pad_id: int,
        pin: bool,
    ) -> None:
        self._rows, self._vocabulary, self._config = rows, vocabulary, config
        self._batch_pieces = config.rows * length
        self._pad_id, self._pin = pad_id, pin
        longest_first = np.sort(rows.lengths)[::-1]
        self._cuts = _cuts(longest_first, config.accumulate * self._batch_pieces)
        self.per_epoch = len(self._cuts) - 1
        self._epoch = -1
        self._order = self._steps = np.zeros(0, dtype=np.int64)

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """The numbers of the rows of a step (from 0), the longest first. Shape (rows,)."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            generator = np.random.default_rng([self._config.seed, 0, epoch])
            chance = generator.permutation(len(self._rows))
            self._order = np.lexsort((chance, -self._rows.lengths))
            self._steps = generator.permutation(self.per_epoch)
            self._epoch = epoch
        step = self._steps[place]
        return self._order[self._cuts[step] : self._cuts[step + 1]]

    def __call__(self, number: int) -> Step:
        """The step of a number, from 0."""
        generator = np.random.default_rng([self._config.seed, 1, number])
        numbers = self.rows_of(number)
        rows = [self._rows[n] for n in numbers.tolist()]
        hidden = [
            mask_row(
                row.ids,
                self._vocabulary,
                self._config.masking,
                generator,
                next_continues=bool(self._vocabulary.continues[row.next_id]),
            )
            for row in rows
        ]
        lengths = self._rows.lengths[numbers]
        batches = [
            _batch([row.ids for row in rows[first:last]], hidden[first:last], self._pad_id)
            for first, last in pairwise(_cuts(lengths, self._batch_pieces))
        ]
        return Step(
            tuple(batch.pinned() if self._pin else batch for batch in batches),
            sum(len(batch.labels) for batch in batches),
            sum(int((batch.boundary_labels != IGNORED).sum()) for batch in batches),
            lengths,
        )


def _cuts(longest_first: NDArray[np.int64], pieces: int) -> list[int]:
    """Where to cut rows so that each part is within ``pieces`` when padded, or a single row."""
    cuts = [0]
    while cuts[-1] < len(longest_first):
        room = max(1, pieces // int(longest_first[cuts[-1]]))
        cuts.append(min(len(longest_first), cuts[-1] + room))
    return cuts


def _batch(rows: Sequence[NDArray[np.int64]], hidden: Sequence[Masked], pad_id: int) -> HostBatch:
    """Rows padded to the first and longest of them."""
    length = len(rows[0])
    ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    for place, row in zip(ids, hidden, strict=True):
        place[: len(row.ids)] = row.ids
    inside = np.arange(length) < np.array([len(row) for row in rows])[:, None]
    targets = targets_of(rows, hidden, length)
    return HostBatch(
        torch.from_numpy(ids),
        None if inside.all() else torch.from_numpy(inside),
        **{f.name: torch.from_numpy(getattr(targets, f.name)) for f in fields(targets)},
    )


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
