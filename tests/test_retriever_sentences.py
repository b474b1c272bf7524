from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Ask Dr. Lund about it. She knows.", ["Ask Dr. Lund about it.", "She knows."]),
        ("Use tools, e.g. Ruff. Then commit.", ["Use tools, e.g. Ruff.", "Then commit."]),
        ("It costs 3.50 EUR. Pay later.", ["It costs 3.50 EUR.", "Pay later."]),
        ("See No. 7 on the list. Done.", ["See No. 7 on the list.", "Done."]),
        ("The answer is no. Then we go.", ["The answer is no.", "Then we go."]),
        ("We close at 5 pm. The alarm is set.", ["We close at 5 pm.", "The alarm is set."]),
        ("1. Open the app\n2. Sign in", ["1. Open the app", "2. Sign in"]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ("Call J. Smith. He knows.", ["Call J. Smith.", "He knows."]),
        ("wait... what is it", ["wait... what is it"]),
        ("Größe zählt. Ärger auch.", ["Größe zählt.", "Ärger auch."]),
        ("A line\n\nanother line", ["A line", "another line"]),
        ("  \n ", []),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize("part", [".", "!", "…", "Dr. ", '."', ". ("], ids=repr)
def test_long_runs_of_marks_take_linear_time(part: str) -> None:
    # In quadratic time this would take minutes, with every other thread standing still.
    text = part * 200_000
    spans = sentence_spans(text)
    assert spans[0][0] == 0
    assert text[spans[-1][1] :].strip() == ""


@given(st.text(alphabet="aB.!? \n\"'1ß", max_size=80), st.integers(0, 20), st.integers(0, 90))
def test_sentences_lie_in_order_inside_and_hold_every_word(text: str, start: int, end: int) -> None:
    end = min(end, len(text))
    spans = sentence_spans(text, start, end)
    assert all(start <= begin < stop <= end for begin, stop in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    inside = "".join(text[begin:stop] for begin, stop in spans)
    assert "".join(inside.split()) == "".join(text[start:end].split())
