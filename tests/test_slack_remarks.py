"""What stands beside a file: a question, or a word about the file."""

from __future__ import annotations

import pytest

from bot.slack.remarks import wants_answer


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
        # A request to take the file is a clause of its own.
        "Please add this, and how long is parental leave?",
        "please add this and how long is parental leave",
        "Can you please add this file and tell me how long parental leave is?",
        "Please add this and tell me how long parental leave is",
        "Add this please, what's the limit for hotels?",
        "Can you also add this, and is overtime paid?",
        "Could you take this in? I lost my badge, do I pay for a new one",
        "How long is parental leave, and can you add this?",
        "Can you tell me how long parental leave is",
        # Without a question mark, a verb in front asks something of somebody.
        "is the office open on Fridays",
        "Working from Spain in May - am I still insured there",
        "My badge is gone, how do I get a new one",
        "can’t we carry days over",
    ],
)
def test_questions(text: str) -> None:
    assert wants_answer(text)


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
        "Was sent by HR yesterday",
        "May report",
        "Will's new document",
        "can be deleted later",
        "Can you also add this?",
        "Can you add this and the other one?",
        "Can you add this, so that it can be found?",
        "Can you add this, when you have time?",
        "Could you add this and replace the old one, please?",
        "Please add this, will you?",
        "Can you add this and let me know when it is in?",
        "Please add this, can you please?",
        "Please take in leave.md, which is the newest",
        "Have a look at this",
        "The leave policy and how we write it",
        "the new rules, and is the newest version",
    ],
)
def test_words_about_the_file(text: str) -> None:
    assert not wants_answer(text)
