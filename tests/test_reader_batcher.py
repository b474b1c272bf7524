"""Many threads and one reader: the embedded one where answers count, logits by hand elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reader.batcher import Batcher
from reader.errors import BusyError, ReaderError
from reader.reader import Passage, Reader, load_reader
from tests.reader_models import Gate, tokenizer

FACTS = {
    "How long is the code valid?": "The guest code is valid for 12 hours on three devices.",
    "Who approves a business trip?": "A business trip is approved by your team lead, in writing.",
    "When is lunch served?": "In the canteen lunch is served from half past eleven to two.",
    "How many days may I carry over?": "Up to six days may be carried into the next year.",
}
PASSAGES = [Passage(str(n), 0, text) for n, text in enumerate(FACTS.values())]
TOKENS = tokenizer()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate(bad="vpn")
    yield made
    made.open.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.005)
    assert condition()  # type: ignore[operator]


def test_every_thread_gets_the_answer_to_its_own_question(pool: ThreadPoolExecutor) -> None:
    reader = load_reader(device="cpu")
    asked = [*FACTS] * 3
    with Batcher(reader, together=4) as batcher:
        assert batcher.name == "embedded"
        found = list(pool.map(lambda question: batcher.read(question, PASSAGES), asked))
    for question, spans in zip(asked, found, strict=True):
        alone = reader.read(question, PASSAGES)
        assert PASSAGES[spans[0].passage].text == FACTS[question]
        assert (spans[0].text, spans[0].passage) == (alone[0].text, alone[0].passage)
        assert spans[0].score == pytest.approx(alone[0].score, abs=1e-3)


def ask_behind_one(batcher: Batcher, gate: Gate, pool: ThreadPoolExecutor) -> None:
    """Five questions while another is being read; all are answered."""
    one = [Passage("a", 0, "the code")]
    first = pool.submit(batcher.read, "who?", one)
    assert gate.entered.acquire(timeout=30)
    others = [pool.submit(batcher.read, "how many?", one) for _ in range(5)]
    until(lambda: len(batcher._queue) == 5)
    gate.open.set()
    assert all(future.result(30) for future in [first, *others])


def test_questions_that_wait_are_read_in_one_batch(gate: Gate, pool: ThreadPoolExecutor) -> None:
    with Batcher(Reader(TOKENS, gate), together=3) as batcher:
        ask_behind_one(batcher, gate, pool)
    assert gate.sizes == [1, 3, 2]


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [1, 2, 2, 1]), ("cuda", [1, 5])])
def test_so_many_are_read_at_once_as_suits_the_device(
    gate: Gate, pool: ThreadPoolExecutor, device: str, sizes: list[int]
) -> None:
    with Batcher(Reader(TOKENS, gate, device=device)) as batcher:
        ask_behind_one(batcher, gate, pool)
    assert gate.sizes == sizes


def test_an_error_goes_to_the_question_that_caused_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    one = [Passage("a", 0, "the code")]
    with Batcher(Reader(TOKENS, gate), together=4) as batcher:
        first = pool.submit(batcher.read, "who?", one)
        assert gate.entered.acquire(timeout=30)
        good = [pool.submit(batcher.read, "how many?", one) for _ in range(2)]
        bad = pool.submit(batcher.read, "the vpn?", one)
        until(lambda: len(batcher._queue) == 3)
        gate.open.set()
        assert first.result(30)
        assert all(future.result(30) for future in good)
        with pytest.raises(ReaderError, match="not numbers"):
            bad.result(30)
        assert batcher.read("who?", one)  # the thread goes on


def test_closing_loses_no_question(gate: Gate, pool: ThreadPoolExecutor) -> None:
    one = [Passage("a", 0, "the code")]
    batcher = Batcher(Reader(TOKENS, gate), together=2)
    asked = [pool.submit(batcher.read, "who?", one) for _ in range(5)]
    assert gate.entered.acquire(timeout=30)
    until(lambda: len(batcher._queue) >= 3)
    closing = pool.submit(batcher.close)
    until(lambda: batcher._closed)
    with pytest.raises(BusyError, match="is closed"):
        batcher.read("who?", one)
    assert not closing.done()
    gate.open.set()
    closing.result(30)
    assert all(future.result(30) for future in asked)
    assert not batcher._thread.is_alive()


def test_a_full_queue_makes_askers_wait_and_then_give_up(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    one = [Passage("a", 0, "the code")]
    with Batcher(Reader(TOKENS, gate), together=1, waiting=1, limit=0.3) as batcher:
        first = pool.submit(batcher.read, "who?", one)
        assert gate.entered.acquire(timeout=30)
        second = pool.submit(batcher.read, "who?", one)
        until(lambda: len(batcher._queue) == 1)
        with pytest.raises(BusyError, match=r"no answer in time, \d+ questions"):
            batcher.read("who?", one)
        for future in (first, second):
            with pytest.raises(BusyError, match="ask again later"):
                future.result(30)
        gate.open.set()
        batcher._limit = 30.0
        assert batcher.read("who?", one)
    assert gate.sizes == [1, 1]  # the second had given up and was not read


def test_who_waits_for_a_place_is_answered_when_there_is_one(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    one = [Passage("a", 0, "the code")]
    with Batcher(Reader(TOKENS, gate), together=1, waiting=1) as batcher:
        asked = [pool.submit(batcher.read, "who?", one)]
        assert gate.entered.acquire(timeout=30)
        asked.append(pool.submit(batcher.read, "who?", one))
        until(lambda: len(batcher._queue) == 1)
        asked.append(pool.submit(batcher.read, "who?", one))
        waiting = batcher._changed._waiters  # type: ignore[attr-defined]
        until(lambda: waiting or asked[-1].done())
        assert len(batcher._queue) == 1
        gate.open.set()
        assert all(future.result(30) for future in asked)


def test_an_asker_may_have_less_patience_than_the_batcher(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    one = [Passage("a", 0, "the code")]
    with Batcher(Reader(TOKENS, gate), together=1, waiting=1, limit=3600.0) as batcher:
        first = pool.submit(batcher.read, "who?", one)
        assert gate.entered.acquire(timeout=30)
        with pytest.raises(BusyError, match="no answer in time"):
            batcher.read("who?", one, until=time.monotonic() + 0.05)
        second = pool.submit(batcher.read, "who?", one)
        until(lambda: len(batcher._queue) == 1)
        with pytest.raises(BusyError, match="no answer in time"):  # not even a place to wait
            batcher.read("who?", one, until=time.monotonic())
        gate.open.set()
        assert first.result(30)
        assert second.result(30)
    assert gate.sizes == [1, 1]


def test_limits_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="together is 0"):
        Batcher(Reader(TOKENS, Gate()), together=0)
    with pytest.raises(ValueError, match="waiting 0"):
        Batcher(Reader(TOKENS, Gate()), waiting=0)
