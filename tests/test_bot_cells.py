"""Which cell of a row is set in bold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bot.cells import Said, in_asked_cell, in_asked_row, within_row
from retriever.analysis import Analyzer

GYM = "Benefit: Gym subsidy; Full-time: 30 euros a month; Part-time: 15 euros a month"
BARE = "Maintenance; Amsterdam: Sundays 22:00; Porto: Mondays 05:00."
GATEWAYS = "Amsterdam: vpn-ams.kestrel.example; Porto: vpn-opo.kestrel.example"


HOTELS = (
    "Limits a night.\n"
    "City: Lisbon; Limit: 120 euros; Booked by: travel desk\n"
    "City: Oslo; Limit: 190 euros; Booked by: the traveller.\n"
    "City: Zurich; Limit: 210 euros; Booked by: travel desk\n"
    "City: Bern; Limit: by agreement\n"
    "Room: Oslo; Seats: 8"
)


def shown(
    text: str,
    question: str,
    span: str,
    move: Callable[[str, int, int, Said], tuple[int, int]] = in_asked_cell,
) -> str:
    analyzer = Analyzer()
    wanted = set(analyzer.terms(question))

    def said(texts: Sequence[str]) -> list[float]:
        return [len(wanted & set(analyzer.terms(text))) / len(wanted) for text in texts]

    at = text.index(span)
    start, end = move(text, at, at + len(span), said)
    return text[start:end]


@pytest.mark.parametrize(
    ("text", "question", "span", "expected"),
    [
        (GYM, "what is the gym subsidy for part-time staff?", "30 euros", "15 euros a month"),
        (GYM, "gym money if i work part time", "30 euros", "15 euros a month"),
        (GYM, "gym subsidy, full time", "30 euros", "30 euros"),
        # The column is named, but what stands in it is what is asked about.
        (GYM, "is the gym subsidy a benefit?", "30 euros", "30 euros"),
        (GYM, "how much for the gym?", "30 euros", "30 euros"),
        (BARE, "when is maintenance in Porto?", "Sundays 22:00", "Mondays 05:00"),
        (BARE, "when is maintenance in Amsterdam?", "Sundays 22:00; Porto: Mon", "Sundays 22:00"),
        # The first column says what the row is about, whatever its name.
        ("Meeting: Standup; Length: 15 minutes", "how long is the coffee meeting", "15", "15"),
        # No column is named: the cell with most of the span.
        (BARE, "when do you do maintenance?", "22:00; Porto: Mondays 05:00", "Mondays 05:00"),
        (GATEWAYS, "where is the Porto gateway?", "vpn-ams.kestrel.example; Porto: vpn-opo",
         "vpn-opo.kestrel.example"),
    ],
)  # fmt: skip
def test_the_cell_that_is_asked_for_is_marked(
    text: str, question: str, span: str, expected: str
) -> None:
    assert shown(text, question, span) == expected


@pytest.mark.parametrize(
    ("question", "span", "expected"),
    [
        ("hotel limit in Oslo?", "120 euros", "190 euros"),
        ("who books hotels in Oslo", "travel desk", "the traveller"),
        ("hotel limit in Oslo?", "190 euros", "190 euros"),
        ("hotel limit in Lisbon", "210", "120 euros"),
        # Its row leaves an empty cell out.
        ("any hotel in Bern", "the traveller", "by agreement"),
        ("hotel limit in Zurich", "by agreement", "210 euros"),
        # No row is named, or two, or what is said stands in another cell as well.
        ("hotel limit", "120 euros", "120 euros"),
        ("hotel limit in Oslo or Zurich", "120 euros", "120 euros"),
        ("what does the travel desk book in oslo", "120 euros", "120 euros"),
        # Another table is not looked at, and prose is no row.
        ("seats of Zurich", "8", "8"),
        ("limits in Oslo a night", "Limits", "Limits"),
    ],
)
def test_the_row_that_is_asked_for_answers(question: str, span: str, expected: str) -> None:
    assert shown(HOTELS, question, span, in_asked_row) == expected


def test_other_lines_stay_as_they_are() -> None:
    prose = "Part-time staff get 15 euros: less than the 30 of the others."
    assert shown(prose, "gym for full-time staff", "15 euros") == "15 euros"
    rows = f"{GYM}\nBenefit: Bike; Full-time: 50 euros; Part-time: 25 euros"
    assert shown(rows, "bike part-time", "50 euros") == "25 euros"
    over = rows[rows.index("15 euros") : rows.index("; Full-time: 50")]
    assert shown(rows, "bike", over) == over


ROWS = """\
Prices:

Plan: Basic; Price: 1.90
Plan: Premium; Price: 4.60
Seats; Basic: 5; Premium: 20

Ask."""


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        ("Price: 1.90\nPlan: Premium; Price: 4", "Plan: Premium; Price: 4"),
        ("Basic; Price: 1.90\nPlan: Prem", "Basic; Price: 1.90"),
        ("1.90\nPlan", "1.90"),
        ("1.90\nPlan: Premium; Price: 4.60\nSeats", "Plan: Premium; Price: 4.60"),
        ("4.60\nSeats; Basic: 5", "Seats; Basic: 5"),
        # What lies in one row, or goes on from or in other text, stays.
        ("Basic; Price", "Basic; Price"),
        ("Prices:\n\nPlan: Basic", "Prices:\n\nPlan: Basic"),
        ("20\n\nAsk", "20\n\nAsk"),
    ],
)
def test_a_span_does_not_reach_over_rows_of_a_table(span: str, shown: str) -> None:
    at = ROWS.index(span)
    start, end = within_row(ROWS, at, at + len(span))
    assert ROWS[start:end] == shown


def test_a_span_over_lines_stays_unless_each_begins_as_a_row() -> None:
    text = "Address: Mill Lane 4\nKelverton\nPhone: 300"
    assert within_row(text, 9, len(text)) == (9, len(text))
    assert within_row(text, text.index("Kel"), len(text)) == (text.index("Kel"), len(text))
    pairs = "  Fax: 30\n  Room: 12"
    assert within_row(pairs, 2, len(pairs)) == (12, len(pairs))
