"""What kind of answer a question wants; yes/no questions on a real store with the real models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.installation import Installation
from bot.settings import from_environment
from bot.wanted import (
    decides,
    deciding_clause,
    holds_amount,
    is_brief,
    text_features,
    wants_amount,
    wants_decision,
)
from tests.documents import write_pages


@pytest.mark.parametrize(
    "question",
    [
        "Can I bring my dog?",
        "is overtime paid",
        "I lost my badge yesterday, do I have to pay for a new one?",
        "hi! does the canteen take cards",
        "Working from Spain in May - am I still insured there?",
        "allowed to smoke on the balcony?",
        "don't we get the day off?",
        "ok to forward invoices from my phone?",
    ],
)
def test_a_question_of_yes_or_no(question: str) -> None:
    assert wants_decision(question)


@pytest.mark.parametrize(
    "question",
    [
        "Where can I park?",
        "who do I ask about my badge",
        "My badge is gone, how do I get a new one?",
        "which laptop is mine, the old or the new one, can you tell",
        "canteen opening hours",
        "",
    ],
)
def test_a_question_that_yes_would_not_answer(question: str) -> None:
    assert not wants_decision(question)


@pytest.mark.parametrize(
    "text",
    ["Dogs must stay outside.", "You don’t need a receipt.", "Only on Fridays.", "Cannot be done"],
)
def test_what_decides(text: str) -> None:
    assert decides(text)
    assert not decides("The canteen is next to the notary on the third floor.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is the code valid?", "twelve hours"),
        ("how much can i spend", "up to 60 euros"),
        ("when is payday", "on the 25th"),
        ("max file size?", "5 GB"),
        ("how often are passwords changed", "every quarter"),
    ],
)
def test_a_question_of_how_much(question: str, answer: str) -> None:
    assert wants_amount(question)
    assert holds_amount(answer)
    assert not holds_amount("at the front desk")
    assert not wants_amount("Who changes the passwords when I am away?")


def test_features_of_the_words() -> None:
    few = text_features("Can I bring my dog?", "Dogs are allowed.", "Dogs")
    assert few == {"brief": 1.0, "decisive": 1.0, "amount": 0.0}
    undecided = text_features(
        "Can I bring my dog?", "The dogs of the office are Rex and Ida.", "Rex"
    )
    assert undecided == {"brief": 0.0, "decisive": -1.0, "amount": 0.0}
    amount = text_features("How many dogs?", "There are two dogs in the office.", "two dogs")
    assert amount == {"brief": 0.0, "decisive": 0.0, "amount": 1.0}
    assert text_features("How many dogs?", "All the dogs of the office.", "dogs")["amount"] == -1.0


def test_five_words_are_brief_and_six_are_not() -> None:
    assert is_brief("It is for  ten days.")
    assert not is_brief("It is valid for ten days.")
    assert text_features("How long?", "It is for ten days.", "ten")["brief"] == 1.0
    assert text_features("How long?", "It is valid for ten days.", "ten")["brief"] == 0.0


@pytest.mark.parametrize(
    ("sentence", "span", "clause"),
    [
        ("Dogs are welcome on Fridays.", "on Fridays", "Dogs are welcome on Fridays"),
        ("Dogs are welcome on Fridays.", "Dogs are welcome", "Dogs are welcome"),
        (
            "Lunch is at noon; dogs must stay outside, but cats come in.",
            "outside",
            "dogs must stay outside",
        ),
        ("Lunch is at noon; dogs must stay outside.", "noon", "noon"),
        ("Rex is the office dog.", "Rex", "Rex"),
    ],
)
def test_the_clause_that_decides(sentence: str, span: str, clause: str) -> None:
    at = sentence.index(span)
    start, end = deciding_clause(sentence, at, at + len(span))
    assert sentence[start:end] == clause


# -- the whole bot ----------------------------------------------------------------------------

RULES = {
    "travel.md": """\
# Travel

The travel desk books trains, flights and hotels. It is open on weekdays.

## Trains

Trains are booked in second class. First class is allowed on rides of more than three hours.

## Flights

Flights within the country are not refunded. Alcohol on board is paid by yourself.

## Taxis

The city has two taxi companies, Blue and Swift. A taxi may be taken after ten in the evening or
with heavy luggage. Ask the driver for a receipt.
""",
    "office.md": """\
# Office

The office has three floors and a roof garden.

## Dogs

Ida, the dog of the reception, sleeps under the stairs. You can bring your own dog on Fridays if
your room agrees.

## Smoking

The balcony faces the river. Smoking is forbidden on it and everywhere else in the house.

## Bicycles

Bicycles stand in the cellar. They must not be taken up in the lift.

## Visitors

Visitors are fetched at the reception. They do not need a badge when they stay for less than a day.
""",
    "leave.md": """\
# Leave

Everybody has thirty days of leave, which are planned in January with the team.

## Carrying over

Up to five days can be carried over into the next year. The others lapse at the end of March.

## Illness

A cold is no holiday: days on which you are ill during a holiday are given back. A note from the
doctor is required from the fourth day.

## Unpaid leave

Unpaid leave is agreed with the head of the department. Trainees are not eligible for it.
""",
}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with the embedded reader and ranker that holds the rules."""
    home = tmp_path_factory.mktemp("office")
    settings = from_environment(
        {"SPANBOT_HOME": str(home), "SPANBOT_DEVICE": "cpu", "SPANBOT_PRECISION": "0"}
    )
    with Installation(settings) as installation:
        installation.ingestor.add([write_pages(Path(home) / "rules", RULES)])
        yield installation


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Can I take a taxi late in the evening?", "A taxi may be taken after ten in the evening"),
        ("may i go first class on the train", "First class is allowed on rides of more than"),
        ("are domestic flights refunded?", "Flights within the country are not refunded."),
        ("Can I bring my dog to the office?", "You can bring your own dog on Fridays"),
        ("is smoking ok on the balcony", "Smoking is forbidden on it"),
        ("Can I take my bike up in the lift?", "They must not be taken up in the lift."),
        ("do visitors need a badge", "They do not need a badge"),
        ("can i carry over leave into next year", "Up to five days can be carried over"),
        ("Do I need a doctor's note when I'm ill?", "A note from the doctor is required"),
        ("I'm a trainee, can I get unpaid leave?", "Trainees are not eligible for it."),
    ],
)
def test_a_question_of_yes_or_no_gets_the_sentence_that_decides(
    office: Installation, question: str, sentence: str
) -> None:
    first = office.answerer.ask(question, via="cli").answers[0]
    assert first.sentence.replace("\n", " ").startswith(sentence)
    assert decides(first.text)
    assert first.text in first.sentence
    assert wants_decision(question)
