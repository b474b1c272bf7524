"""What stands beside a file: a question, or a word about the file."""

from __future__ import annotations

import pytest

from bot.slack.remarks import is_question


@pytest.mark.parametrize(
    "text",
    [
        "How long is parental leave?",
        "how long is parental leave",
        "New rules. Does this change how long parental leave is?",
        "Please add this. What does it say about dogs?",
        "parental leave?",
        "hi, can I bring my dog",
        "@ada and when does the office open",
        "育児休暇は何週間ですか？",
        "help",
        "Help!",
    ],
)
def test_questions(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "please add this",
        "Can you add this?",
        "hi, could you please take these in?",
        "Here are the new rules, thanks!",
        "the leave policy, which replaces the old one",
        "Replace the old one with this, ok?",
        "adding this for Mira",
    ],
)
def test_words_about_the_file(text: str) -> None:
    assert not is_question(text)
