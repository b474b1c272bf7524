"""Where the bold part of a quote begins and ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.marking import balanced, without_marker

FAR = "x " * 40


@pytest.mark.parametrize(
    ("sentence", "span", "shown"),
    [
        # It grows to the end that is near.
        ("Leave is two weeks (80 hours) a year.", "two weeks (80 hours", "two weeks (80 hours)"),
        ("Leave is two weeks (80 hours) a year.", "weeks (80", "weeks (80 hours)"),
        ("Say “we are closed today” to all.", "Say “we are", "Say “we are closed today”"),
        ('Press "Add to list" twice.', 'Press "Add', 'Press "Add to list"'),
        ("Click the 'Add item' button.", "Click the 'Add", "Click the 'Add item'"),
        ("Er sagt „wir sind zu“ und geht.", "sagt „wir", "sagt „wir sind zu“"),
        ("Ask (in the shop) or call.", "shop) or call", "(in the shop) or call"),
        ("Pay £5 (£4 (net) for two) now.", "£5 (£4 (net", "£5 (£4 (net) for two)"),
        ("Read [the (long) page] first.", "[the (long", "the (long)"),
        # A bracket at its edge goes.
        ("Leave is two weeks (80 hours) a year.", "(80 hours", "80 hours"),
        ("Leave is two weeks (80 hours) a year.", "80 hours)", "80 hours"),
        ("Leave is two weeks (80 hours) a year.", "two weeks (", "two weeks"),
        ("Leave is two weeks (80 hours) a year.", ") a year", "a year"),
        # It stops before one whose end is far, or begins behind it.
        (f"Leave is long ({FAR}) here.", "long (x x", "long"),
        (f"Leave is ({FAR}eighty hours) here.", "eighty hours) here", "eighty hours"),
        # Nothing is to be done.
        ("Leave is two weeks (80 hours) a year.", "two weeks (80 hours)", "two weeks (80 hours)"),
        ("Leave is two weeks (80 hours) a year.", "80 hours", "80 hours"),
        ("It’s the users’ own, isn’t it?", "the users’ own", "the users’ own"),
        ("It's the users' own, isn't it?", "It's the users'", "It's the users'"),
        ("Take step a) first.", "step a) first", "step a) first"),
        ("Two weeks (80 hours", "Two weeks (80", "Two weeks (80"),
        ('A 5" nail and no more.', '5" nail', '5" nail'),
        ("Leave (it) here.", "(", "("),
    ],
)
def test_what_is_shown_has_both_ends_of_a_bracket_or_none(
    sentence: str, span: str, shown: str
) -> None:
    at = sentence.index(span)
    start, end = balanced(sentence, at, at + len(span))
    assert sentence[start:end] == shown


@pytest.mark.parametrize(
    ("before", "after"),
    [("(", ""), ("", "("), ("(", ")"), ("(a", "a)"), ("“", "„")],
)
def test_long_runs_of_marks_take_linear_time(before: str, after: str) -> None:
    # In quadratic time this would take minutes.
    sentence = f"{before * 100_000} code is 1234 {after * 100_000}"
    at = sentence.index("is 1234")
    for start, end in ((at, at + 7), (at, len(sentence)), (1, at + 7)):
        first, last = balanced(sentence, start, end)
        assert 0 <= first <= at
        assert at + 7 <= last <= len(sentence)


@given(st.text(alphabet="a (“”)[]\"'’‘„", max_size=40), st.integers(0, 40), st.integers(1, 40))
def test_a_span_stays_within_its_sentence(sentence: str, start: int, length: int) -> None:
    start = min(start, len(sentence))
    end = min(start + length, len(sentence))
    first, last = balanced(sentence, start, end)
    assert 0 <= first <= last <= len(sentence)
    assert first < last or start == end
    if "a" in sentence[start:end]:
        assert "a" in sentence[first:last]


@pytest.mark.parametrize(
    ("text", "span", "shown"),
    [
        ("Steps:\n1. Open the app\n2. Sign in", "1. Open the app", "Open the app"),
        ("Steps:\n1. Open the app\n2. Sign in", ". Open the app", "Open the app"),
        ("Steps:\n  - Open the app", "- Open", "Open"),
        ("Steps:\n  - Open the app", "Open", "Open"),
        ("Steps:\n1. Open the app\n2. Sign in", "Open the app\n2. Sign", "Open the app\n2. Sign"),
        ("Steps:\n1. Open the app", "1.", "1."),
        ("The price is 1. It stays", "1. It stays", "1. It stays"),
        ("24. December is free", "24. December", "24. December"),
        ("24. Dez. ist frei", "24. Dez.", "24. Dez."),
        ("c. 1900 people came", "c. 1900 people", "c. 1900 people"),
        ("v. 2 is out", "v. 2", "v. 2"),
        ("Outside:\n- 5", "- 5", "- 5"),
        ("- 5 days\n- 3 weeks", "- 5 days", "5 days"),
        ("- ☐ 5 days\n- ☑ 3 weeks", "☐ 5 days", "5 days"),
        # A number and one word may be a name together.
        ("3. Stock", "3. Stock", "3. Stock"),
        ("Floors:\n1. Stock\n2. Stock", "1. Stock", "1. Stock"),
        ("- 3. Stock", "- 3. Stock", "3. Stock"),
        ("3. Stock, links", "3. Stock, links", "Stock, links"),
        # Nor does it end with that of the next item.
        ("- ☐ Translate it\n- ☑ Book", "Translate it\n- ☑", "Translate it"),
        ("- Translate it\n  - Book", "- Translate it\n  -", "Translate it"),
        ("1. Wait\n2. Go", "Wait\n2", "Wait"),
        ("1. Wait\n2. Go", "Wait\n2. Go", "Wait\n2. Go"),
        ("Wait\n2", "Wait\n2", "Wait\n2"),
        # Nor with the label of an answer.
        ("Q: How long?\nA: Ten days.", "A: Ten days", "Ten days"),
        ("Q: How long?\nA: Ten days.", ": Ten days", "Ten days"),
        ("How long? Answer: Ten days.", "Answer: Ten", "Ten"),
        ("Q: Size?\n- A: Ten days.", "- A: Ten", "Ten"),
        ("Sizes:\nA: Ten days.", "A: Ten", "A: Ten"),
        ("How long is step A: Ten days.", "A: Ten", "A: Ten"),
    ],
)
def test_a_span_does_not_begin_with_a_marker_or_label(text: str, span: str, shown: str) -> None:
    at = text.index(span)
    start, end = without_marker(text, at, at + len(span))
    assert text[start:end] == shown
