"""The reader around the network: passages in, spans with document offsets out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reader.errors import ReaderError
from reader.features import Window
from reader.reader import Ceiling, Passage, Reader, ReaderOptions, Span
from tests.reader_models import HandPlaced, tokenizer

TOKENS = tokenizer()
HANDBOOK = "The code is valid for 12 hours. A token is valid for 90 days. Ask the desk."


def reader(
    passages: Sequence[Passage],
    marks: dict[str, tuple[float, float]],
    options: ReaderOptions | None = None,
) -> Reader:
    placed = HandPlaced([passage.text for passage in passages], marks)
    return Reader(TOKENS, placed, options=options)


def test_a_span_has_the_offsets_of_its_document() -> None:
    passages = [Passage("handbook", 32, HANDBOOK[32:])]
    (best, *_) = reader(passages, {"90 days": (6.0, 5.0)}).read("how many days?", passages)
    assert best.text == "90 days" == HANDBOOK[best.start : best.end]
    assert (best.document, best.passage, best.score) == ("handbook", 0, 11.0)
    assert 0.9 < best.probability <= 1.0


def test_spans_of_all_passages_compete_by_raw_logits() -> None:
    passages = [Passage("a", 0, "valid for 12 hours"), Passage("b", 0, "valid for 90 days")]
    spans = reader(passages, {"12 hours": (4.0, 4.0), "90 days": (5.0, 5.0)}).read("?", passages)
    assert [span.text for span in spans[:2]] == ["90 days", "12 hours"]
    assert spans[0].probability > spans[1].probability
    assert sum(span.probability for span in spans) <= 1.0 + 1e-9


def test_the_prior_of_a_passage_is_added_to_its_spans() -> None:
    passages = [Passage("a", 0, "valid for 12 hours", 3.0), Passage("b", 0, "valid for 90 days")]
    (best, *_) = reader(passages, {"12 hours": (4.0, 4.0), "90 days": (5.0, 5.0)}).read(
        "?", passages
    )
    assert (best.text, best.score) == ("12 hours", 11.0)


def test_an_answer_that_two_overlapping_passages_hold_comes_once() -> None:
    passages = [Passage("h", 0, HANDBOOK[:61]), Passage("h", 32, HANDBOOK[32:])]
    spans = reader(passages, {"90 days": (6.0, 6.0)}).read("?", passages, top_k=5)
    assert [span.text for span in spans].count("90 days") == 1
    taken: list[tuple[int, int]] = []
    for span in spans:
        assert all(span.end <= start or end <= span.start for start, end in taken)
        taken.append((span.start, span.end))


def test_a_long_passage_is_read_in_windows() -> None:
    text = "ask who " * 60 + "12 hours " + "ask who " * 60
    passages = [Passage("h", 100, text)]
    options = ReaderOptions(max_length=64, overlap=16)
    (best, *_) = reader(passages, {"12 hours": (6.0, 6.0)}, options).read("how?", passages)
    assert text[best.start - 100 : best.end - 100] == "12 hours"


def test_a_span_is_at_most_max_answer_pieces_long() -> None:
    passages = [Passage("h", 0, "the code is valid for hours")]
    chosen = reader(
        passages,
        {"the code is valid for hours": (9.0, 9.0), "code is": (4.0, 4.0)},
        ReaderOptions(max_answer_pieces=2),
    ).read("?", passages)
    assert "code is" in [span.text for span in chosen]
    assert max(len(span.text.split()) for span in chosen) == 2


def test_many_questions_at_once_get_what_each_gets_alone() -> None:
    passages = [Passage("a", 0, HANDBOOK), Passage("b", 0, "the vpn token")]
    one = reader(passages, {"90 days": (6.0, 5.0), "vpn": (3.0, 3.0)})
    alone = [one.read(question, passages) for question in ("who?", "how many days?")]
    together = one.read_batch([("who?", passages), ("how many days?", passages)])
    assert alone == together


def test_batches_are_bounded_by_their_padded_pieces() -> None:
    passages = [Passage(str(i), 0, "the code is valid " * 4) for i in range(20)]
    placed = HandPlaced([passage.text for passage in passages], {})
    Reader(TOKENS, placed, options=ReaderOptions(batch_pieces=100)).read("who", passages)
    assert placed.batches == [5] * 4  # of 20 pieces each


def test_headings_are_read_but_never_answer() -> None:
    text = "valid for hours\n\nask for 90 days"
    passages = [Passage("a", 0, text, context="the vpn token", skip=((0, 15),))]
    marks = {"valid for": (9.0, 9.0), "hours": (8.0, 0.0), "90 days": (3.0, 3.0)}
    spans = reader(passages, marks).read("who?", passages, top_k=5)
    assert spans[0].text == "90 days"
    assert all(span.start >= 15 for span in spans)
    everything = Passage("a", 0, text, skip=((0, len(text)),))
    assert reader([everything], marks).read("who?", [everything]) == []
    # Nor do they have a share in what others answer.
    both = [everything, Passage("b", 0, "ask for 12 hours")]
    (best, *_) = reader(both, {**marks, "12 hours": (9.0, 9.0)}).read("who?", both)
    (alone, *_) = reader(both[1:], {**marks, "12 hours": (9.0, 9.0)}).read("who?", both[1:])
    assert best.text == alone.text == "12 hours"
    assert best.probability == pytest.approx(alone.probability)


def test_no_answer_reaches_over_a_heading_and_both_sides_of_it_answer() -> None:
    above, heading, below = "the code is valid", "vpn token", "ask for 90 days"
    text = f"who\n\n{above}\n\n{heading}\n\n{below}"
    skip = tuple((text.index(part), text.index(part) + len(part)) for part in ("who", heading))
    passage = Passage("a", 0, text, skip=skip)
    across = f"code is valid\n\n{heading}\n\nask for"
    spans = reader([passage], {across: (9.0, 9.0)}).read("?", [passage])
    assert {part: any(span.text in part for span in spans) for part in (above, below)} == {
        above: True,
        below: True,
    }
    assert all(span.text in above or span.text in below for span in spans)
    # What the reader makes of a heading takes nothing from an answer.
    marks = {above: (9.0, 9.0)}
    (best, *_) = reader([passage], marks).read("?", [passage])
    marks[heading] = (9.0, 9.0)
    assert reader([passage], marks).read("?", [passage])[0] == best


def test_nothing_to_read_gives_nothing() -> None:
    assert reader([], {}).read("who?", []) == []
    assert reader([Passage("a", 0, "")], {}).read("who?", [Passage("a", 0, "")]) == []


@pytest.mark.parametrize("wrong", [0, 1])
def test_logits_that_are_not_numbers_are_refused(wrong: int) -> None:
    def broken(batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        starts, ends = np.zeros((2, len(batch), max(map(len, batch))), dtype=np.float32)
        (starts, ends)[wrong][:] = np.nan
        return starts, ends

    with pytest.raises(ReaderError, match="not numbers"):
        Reader(TOKENS, broken, name="bad").read("who?", [Passage("a", 0, "the code")])


PROMISING = [
    Passage("a", 0, "valid for 12 hours", prior=0.0),
    Passage("b", 0, "valid for 90 days", prior=-1.0),
    Passage("c", 0, "ask the desk", prior=-3.0),
    Passage("d", 0, "the vpn token", prior=-9.0),
]


def test_reading_stops_when_no_unread_span_can_be_better() -> None:
    one = reader(PROMISING, {"12 hours": (4.0, 3.5), "90 days": (5.0, 5.0), "desk": (5.0, 5.0)})
    found = one.read_until("?", PROMISING, Ceiling(10.0), round_size=1)
    assert found.read == 2  # 9.0 is not beaten by 10.0 - 3.0
    assert found.spans[0] == replace(
        one.read("?", PROMISING)[0], probability=found.spans[0].probability
    )
    assert one.read_until("?", PROMISING, Ceiling(11.0), round_size=2).read == 2
    assert one.read_until("?", PROMISING, Ceiling(12.0), round_size=2).read == 2  # 9.0 at most
    assert one.read_until("?", PROMISING, Ceiling(13.0), round_size=2).read == 4
    # Nothing is no best span, whatever may come.
    empty = [Passage("e", 0, ""), *PROMISING]
    two = reader(empty, {"12 hours": (4.0, 3.5)})
    assert two.read_until("?", empty, Ceiling(-100.0), round_size=1).read == 2


def test_reading_to_the_end_gives_what_reading_at_once_gives() -> None:
    one = reader(PROMISING, {"12 hours": (4.0, 3.5), "90 days": (5.0, 5.0), "vpn": (2.0, 2.0)})
    seen: list[tuple[int, int]] = []

    def never(spans: Sequence[Span], unread: Sequence[Passage]) -> bool:
        seen.append((len(spans), len(unread)))
        return False

    for size in (1, 3, 9):
        found = one.read_until("?", PROMISING, never, top_k=5, round_size=size)
        assert found.read == 4
        at_once = one.read("?", PROMISING, top_k=5)
        assert [replace(s, probability=0.0) for s in found.spans] == [
            replace(s, probability=0.0) for s in at_once
        ]
        for ours, theirs in zip(found.spans, at_once, strict=True):
            assert ours.probability == pytest.approx(theirs.probability)
    assert [unread for _, unread in seen] == [3, 2, 1, 1]
    assert one.read_until("?", [], never).spans == []
    with pytest.raises(ValueError, match="round_size is 0"):
        one.read_until("?", PROMISING, never, round_size=0)
