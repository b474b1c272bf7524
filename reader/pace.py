"""How a device is kept at work: what it gets at once, and how far ahead of the host.

A GPU computes by itself once work is launched. While it does, the host cuts the next passages into
word pieces and looks at the spans of those before. A CPU does one thing after the other.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from reader.features import Window

T = TypeVar("T")

#: Waits for start and end logits, each float32 of shape (windows, longest window).
Fetch = Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]


@runtime_checkable
class Launching(Protocol):
    """A network that can compute while the host does something else."""

    def launch(self, batch: Sequence[Window]) -> Fetch:
        """Begin to compute; what comes back waits for the logits."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """What suits a device.

    Attributes:
        batch_pieces: padded pieces a batch at most.
        passages: passages, of whole questions, that are cut into pieces and launched at once.
        ahead: how many such parts are with the device while the spans of another are looked at.
    """

    batch_pieces: int
    passages: float
    ahead: int

    @classmethod
    def of(cls, device: str) -> Pace:
        """What suits torch's device of that name."""
        return CPU if device == "cpu" else GPU


#: Nothing is gained by parts.
CPU = Pace(batch_pieces=8192, passages=math.inf, ahead=0)

#: A part is a batch of 10,000 to 30,000 pieces as a rule: a large GPU is full with it for longer
#: than its launches take, and two make up what the batcher reads at once, so that host and device
#: work at the same time. The largest batch takes a BERT base in bf16 less than 1 GB of memory.
GPU = Pace(batch_pieces=32_768, passages=80, ahead=2)


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The items in order; when one is given, the ``count`` behind it have been made."""
    made: deque[T] = deque()
    for item in items:
        made.append(item)
        if len(made) > count:
            yield made.popleft()
    while made:
        yield made.popleft()
