"""Questions that the documents ask: their answers are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.asked import beyond_question


def moved(text: str, mark: str, headings: tuple[tuple[int, int], ...] = ()) -> str:
    at = text.index(mark)
    start, end = beyond_question(text, at, at + len(mark), headings)
    return text[start:end]


@pytest.mark.parametrize(
    ("text", "mark", "answer"),
    [
        ("Q: How long is it valid?\nA: It is valid for ten days. Ask.", "How long", None),
        ("Q: How long is it valid? A: It is valid for ten days. Ask.", "How long", None),
        ("Q. How long is it valid?\n\nA. It is valid for ten days.", "valid", None),
        ("Q: The days it is valid\nA: It is valid for ten days.", "The days", None),
        ("Q: I have one. How long?\nIt is valid for ten days.", "I have", None),
        ("- Q: How long?\n- A: It is valid for ten days.\n- Q: Why?", "long", None),
        ("How long is it valid?\n\nIt is valid for ten days.", "How long", None),
        ("How long? Or short?\nIt is valid for ten days. Ask.", "How long", None),
        ("Guests ask: how long? It is valid for ten days.", "how long", None),
        ("1. How long? It is valid for ten days.\n2. Why?", "How long", None),
        # A brief answer is shown with the next sentence, if that is beside it.
        (
            "Is it valid? Yes. It is valid for ten days. Ask.",
            "Is",
            "Yes. It is valid for ten days.",
        ),
        ("Is it valid?\nA: Yes.\n\nAsk us all.", "Is it", "Yes."),
        ("Is it? It is for ten days. Ask. Go.", "Is", "It is for ten days. Ask."),
        # A span that reaches into the answer keeps what lies there.
        ("How long? It is valid for ten days.", "long? It is valid", "It is valid"),
    ],
)
def test_a_span_in_a_question_moves_to_its_answer(text: str, mark: str, answer: str | None) -> None:
    assert moved(text, mark) == (answer or "It is valid for ten days.")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("Q: How long?\nA: It is valid for ten days. Ask.", "ten days"),
        ("Q: Long? A: For ten days. Is it enough? Yes, it is for us.", "ten days"),
        ("How long is it?", "How long"),
        ("It is short. How long is it?\n\nThe desk is open.", "How long"),
        ("Check:\n\n- Is it long?\n- Is it short?\n\nThen go.", "Is it short"),
        ("What do I need?\n\n- A badge\n- A pass", "need"),
        ("What does it cost?\n\nPlan: Basic; Price: 1.90", "cost"),
        ("Q: How long?\n\nQ: Why so?\nA: For all.", "How long"),
        ("He asked “How long?” Then he left us all.", "How long"),
        ('config.on = ENV["ON"].present?\nconfig.text = 1', "config.on"),
        ("Field: text: a; What does it do? It holds the text.", "Field"),
    ],
)
def test_a_span_stays_where_no_answer_follows(text: str, mark: str) -> None:
    assert moved(text, mark) == mark


def test_a_heading_answers_nothing() -> None:
    text = "How long is it?\n\nWifi\n\nThe code."
    assert moved(text, "How long") == "Wifi"
    assert moved(text, "How long", ((text.index("Wifi"), text.index("Wifi") + 4),)) == "How long"


@given(st.text(alphabet="aQA:.? \n-;", max_size=60), st.integers(0, 60), st.integers(1, 60))
def test_a_span_stays_in_the_text(text: str, start: int, length: int) -> None:
    start = min(start, len(text))
    end = min(start + length, len(text))
    first, last = beyond_question(text, start, end)
    assert start <= first <= last <= len(text)
    assert first < last or start == end
