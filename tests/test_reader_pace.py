"""A GPU works on the next passages while the host looks at the spans of those before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from reader import spans as span_math
from reader.features import Window
from reader.pace import CPU, GPU, Fetch, Pace, ahead
from reader.reader import Passage, Reader
from reader.spans import Scored
from tests.reader_models import HandPlaced, tokenizer

TOKENS = tokenizer()


class Device(HandPlaced):
    """Hand-placed logits that are launched first and fetched later; ``log`` says when."""

    def __init__(self, passages: Sequence[Passage], log: list[str]) -> None:
        marks = {"12 hours": (4.0, 4.0), "90 days": (5.0, 3.0), "vpn": (2.0, 2.5)}
        super().__init__([passage.text for passage in passages], marks)
        self._log = log
        self._launched = 0

    def launch(self, batch: Sequence[Window]) -> Fetch:
        number = self._launched
        self._launched += 1
        self._log.append(f"launch {number}")

        def fetch() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            self._log.append(f"fetch {number}")
            return self(batch)

        return fetch


def passages(count: int) -> list[Passage]:
    texts = ["valid for 12 hours", "the token is valid for 90 days", "ask the vpn who"]
    return [Passage(str(n), 0, texts[n % 3] + " the code" * (n % 5)) for n in range(count)]


def test_what_is_made_ahead_is_given_in_order() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number

    for count, expected in ((0, [1, 2, 3, 4]), (2, [3, 4, 4, 4]), (9, [4, 4, 4, 4])):
        made.clear()
        seen = []
        for place, number in enumerate(ahead(numbers(), count)):
            assert number == place
            seen.append(len(made))
        assert seen == expected


def test_parts_are_launched_before_the_first_one_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    merge = span_math.merge_overlapping

    def noted(spans: Sequence[Scored], top_k: int) -> list[Scored]:
        log.append("merge")
        return merge(spans, top_k)

    monkeypatch.setattr(span_math, "merge_overlapping", noted)
    read = passages(int(GPU.passages) // 2)
    asked = [(question, read) for question in ("who?", "how many?", "the code?") * 2] + [("?", [])]
    found = Reader(TOKENS, Device(read, log), device="cuda").read_batch(asked)
    first = ["launch 0", "launch 1", "launch 2", "fetch 0", "merge", "merge"]
    assert log == [*first, "fetch 1", "merge", "merge", "fetch 2", "merge", "merge", "merge"]
    log.clear()
    assert found == Reader(TOKENS, Device(read, log), device="cpu").read_batch(asked)
    assert log == ["launch 0", "fetch 0", *["merge"] * 7]


def test_a_question_alone_is_read_whatever_its_passages() -> None:
    read = passages(3 * int(GPU.passages))
    log: list[str] = []
    found = Reader(TOKENS, Device(read, log), device="cuda").read("who?", read, top_k=5)
    assert found == Reader(TOKENS, Device(read, []), device="cpu").read("who?", read, top_k=5)
    assert log == ["launch 0", "fetch 0"]


def test_a_gpu_gets_larger_batches() -> None:
    read = [Passage(str(n), 0, "the code is valid " * 25) for n in range(400)]
    sizes = {}
    for device in ("cpu", "cuda:1"):
        network = HandPlaced([passage.text for passage in read], {})
        Reader(TOKENS, network, device=device).read("who?", read)
        sizes[device] = network.batches
        pieces = 104 * max(network.batches)
        assert 0.9 * Pace.of(device).batch_pieces < pieces <= Pace.of(device).batch_pieces
    assert sum(sizes["cpu"]) == sum(sizes["cuda:1"]) == 400
    assert (Pace.of("cpu"), Pace.of("cuda:1")) == (CPU, GPU)
