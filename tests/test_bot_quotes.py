"""What of a passage is quoted around an answer."""

from __future__ import annotations

import pytest

from bot.quotes import quote_around


def quoted(text: str, mark: str) -> str:
    start = text.index(mark)
    begin, stop = quote_around(text, start, start + len(mark))
    assert begin <= start
    assert start + len(mark) <= stop
    return text[begin:stop]


@pytest.mark.parametrize(
    ("mark", "wanted"),
    [
        ("two", "One, two."),
        ("Three", "Three four."),
        ("two. Three", "One, two. Three four."),
        ("five", "five"),
    ],
)
def test_the_sentence_around_a_span(mark: str, wanted: str) -> None:
    assert quoted("One, two. Three four.\nfive\n\n", mark) == wanted


STEPS = "Read this. To reset it:\n\n1. Open the portal.\n2. Press Reset. Wait.\n\nThen sign in."


def test_a_sentence_that_introduces_a_list_is_quoted_with_it() -> None:
    whole = "To reset it:\n\n1. Open the portal.\n2. Press Reset. Wait."
    assert quoted(STEPS, "reset it") == whole
    assert quoted("You need:\n- a badge\n  * or a pass\nNo more.", "need") == (
        "You need:\n- a badge\n  * or a pass"
    )


def test_what_introduces_no_list_stays_a_sentence() -> None:
    assert quoted(STEPS, "Read") == "Read this."
    assert quoted(STEPS, "Press Reset") == "Press Reset."
    assert quoted("Note:\nThe portal is down.", "Note") == "Note:"
    assert quoted("The code:", "code") == "The code:"
    assert quoted("Seen at 10:\n\n-5 degrees", "Seen") == "Seen at 10:"


def test_a_long_list_is_cut_between_items() -> None:
    items = [f"- item {number} {'x' * 90}" for number in range(9)]
    assert quoted("All of these:\n" + "\n".join(items), "All") == (
        "All of these:\n" + "\n".join(items[:4])
    )
