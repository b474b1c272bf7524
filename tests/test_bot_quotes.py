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


def test_a_quote_that_reaches_into_the_list_goes_on_to_its_end() -> None:
    whole = "To reset it:\n\n1. Open the portal.\n2. Press Reset. Wait."
    assert quoted(STEPS, "reset it:\n\n1. Open") == whole
    assert quoted(STEPS, "portal.\n2. Press") == "Open the portal.\n2. Press Reset."
    text = "At:\n- seven\n- eight\n\nFor: all\n- no"
    assert quoted(text, "At:\n- seven") == "At:\n- seven\n- eight"


def test_what_introduces_no_list_stays_a_sentence() -> None:
    assert quoted(STEPS, "Read") == "Read this."
    assert quoted(STEPS, "Press Reset") == "Press Reset."
    assert quoted("Note:\nThe portal is down.", "Note") == "Note:"
    assert quoted("The code:", "code") == "The code:"
    assert quoted("Seen at 10:\n\n-5 degrees", "Seen") == "Seen at 10:"


def test_a_list_is_quoted_whole_or_not_at_all() -> None:
    items = [f"- item {number} {'x' * 90}" for number in range(9)]
    short, long = "All of these:\n" + "\n".join(items[:8]), "All of these:\n" + "\n".join(items)
    assert quoted(short, "All") == short
    assert quoted(long, "All") == "All of these:"


@pytest.mark.parametrize("marker", ["-", "*", "•", "◦", "a)", "(2)", "12."])
def test_a_list_item_is_what_sentences_take_for_one(marker: str) -> None:
    text = f"You need:\n\n{marker} Badges\n   {marker} Passes\n\nNothing else."
    assert quoted(text, "You") == f"You need:\n\n{marker} Badges\n   {marker} Passes"


@pytest.mark.parametrize("box", ["☐", "☑", "[ ]", "[x]"])
def test_a_task_is_quoted_with_its_box(box: str) -> None:
    text = f"To do:\n- {box} Order the laptop. Soon.\n- ☐ Ask"
    assert quoted(text, "laptop") == f"{box} Order the laptop."
    assert quoted(text, "Soon") == "Soon."
    assert quoted(f"Tick {box} here.", "here") == f"Tick {box} here."
