from __future__ import annotations

from pathlib import Path

import pytest

from tests.parsing_files import headings, parse_file, section


def text(folder: Path, content: str) -> str:
    return parse_file(folder, "a.txt", content).text


def test_wrapped_lines_are_joined_and_others_are_not(tmp_path: Path) -> None:
    content = """\
Book rooms in the calendar, as a guest of the meeting. The tablet at the
door shows the same. The name of the meeting is visible to everyone unless
you mark it as private.

Contact: Solveig Marsh, extension 200
Status: January 2026

Mill Lane 4
Kelverton
"""
    assert text(tmp_path, content) == (
        "Book rooms in the calendar, as a guest of the meeting. The tablet at the door shows the "
        "same. The name of the meeting is visible to everyone unless you mark it as private.\n\n"
        "Contact: Solveig Marsh, extension 200\nStatus: January 2026\n\nMill Lane 4\nKelverton"
    )


WIDE = """\
This paragraph tells at which column the lines of the whole file are broken by
those who wrote it, which is behind the last word that has room, so that it is
clear that the lines below had room for more of them, and were to end earlier.
"""


def test_lines_that_had_room_for_a_word_are_joined_in_prose(tmp_path: Path) -> None:
    content = """\
The badge is ordered by the people team, who send it with the post to
your home, and it opens the doors of the depot in Kelverton and in
Low Marsh from the first day on. If it does not come, ask them.

The room is booked in the calendar as long as nobody else has a
Monday meeting.
"""
    shown = text(tmp_path, f"{WIDE}\n{content}").split("\n\n")[1:]
    assert shown == [" ".join(block.split("\n")).strip() for block in content.split("\n\n")]


@pytest.mark.parametrize(
    "content",
    [
        # Notes, one a line.
        "Solveig orders the badges for the depot until the end of May\n"
        "Rashid asks the vendor what the new plan would cost us a year\n"
        "Phones for the drivers come back from the workshop in June\n"
        "Ingrid books the room at the depot for the meeting with Otto\n",
        # An address below a line that is long.
        "Send everything that has to do with wages and with pensions\n"
        "Kelverton Instruments\nMill Lane 4\nKelverton\n",
        # Comments in a configuration.
        "# The mail server that takes in what the printers scan for a\n"
        "# colleague or for all\n"
        "server = mail\n",
        # Sentences, one a line.
        "The badge is ordered by the people team in the first week.\n"
        "Nobody opens the depot without one, not even a director.\n"
        "The doors of the depot are open from eight to six o'clock.\n",
    ],
)
def test_lines_of_their_own_stay_apart(tmp_path: Path, content: str) -> None:
    assert text(tmp_path, f"{WIDE}\n{content}").split("\n\n")[1] == content.strip()


def test_a_line_that_was_broken_does_not_join_those_around_it(tmp_path: Path) -> None:
    notes = (
        "Solveig orders the badges for the depot until the end of May\n"
        "Rashid asks the vendor what the new plan would cost\n"
        "us in its first year, and in the second, and for how many\n"
        "Ingrid books the room at the depot for the meeting with Otto\n"
        "The phones for all drivers come back from the workshop in June\n"
    )
    shown = text(tmp_path, f"{WIDE}\n{notes}").split("\n\n")[1]
    assert shown == notes.replace("cost\nus", "cost us").strip()


def test_long_lines_are_paragraphs_of_their_own(tmp_path: Path) -> None:
    first = "This line was never wrapped, since its editor does so on the screen only. " * 3
    second = "Neither was this one, which stands directly below and is another paragraph. " * 3
    assert text(tmp_path, f"{first}\n{second}\n") == f"{first.strip()}\n{second.strip()}"


def test_items_are_joined_with_their_lines_and_indented_by_level(tmp_path: Path) -> None:
    content = """\
What it covers:

  * courses, in a room or online, and everything else that has been agreed
    with the lead
      - also abroad
  * conferences

a) Press the green button on the table, once, and wait until the bird is on
   the screen.
b) Call IT.
"""
    assert text(tmp_path, content) == (
        "What it covers:\n\n"
        "- courses, in a room or online, and everything else that has been agreed with the lead\n"
        "  - also abroad\n- conferences\n\n"
        "a) Press the green button on the table, once, and wait until the bird is on the screen.\n"
        "b) Call IT."
    )


def test_tables_get_their_headers_into_each_row(tmp_path: Path) -> None:
    content = """\
  Room        Floor    Seats   Equipment
  Indigo      ground   6       screen
  The Vat     cellar           whiteboard only,
                               no reception

Ingrid Vasko     director     100
Rashid Omondi    IT           300

Monday      closed
Tuesday     open from eight
"""
    assert text(tmp_path, content) == (
        "Room: Indigo; Floor: ground; Seats: 6; Equipment: screen\n"
        "Room: The Vat; Floor: cellar; Equipment: whiteboard only, no reception\n\n"
        "Ingrid Vasko; director; 100\nRashid Omondi; IT; 300\n\n"
        "Monday: closed\nTuesday: open from eight"
    )


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (
            "| Room | Seats |\n|------|:-----:|\n| Indigo | 6 |\n| The Vat | - |\n",
            "Room: Indigo; Seats: 6\nRoom: The Vat",
        ),
        (
            "+------+-------+\n| Room | Seats |\n+======+=======+\n| Blue | 6     |\n"
            "| Nile |       |\n+------+-------+\n| Vat  | 8     |\n+------+-------+\n",
            "Room: Blue Nile; Seats: 6\nRoom: Vat; Seats: 8",
        ),
        (  # several rows between two rules, and one of sums
            "+------+-------+\n| Room | Seats |\n+------+-------+\n| Blue | 6     |\n"
            "| Vat  | 8     |\n| Nile | 2     |\n| Hall |       |\n+------+-------+\n"
            "| All  | 16    |\n+------+-------+\n",
            "Room: Blue; Seats: 6\nRoom: Vat; Seats: 8\nRoom: Nile Hall; Seats: 2\n"
            "Room: All; Seats: 16",
        ),
        (  # a header of two lines
            "+-------+-------+\n| Name  | Seats |\n| of it | in it |\n+-------+-------+\n"
            "| Blue  | 6     |\n+-------+-------+\n| Vat   | 8     |\n+-------+-------+\n",
            "Name of it: Blue; Seats in it: 6\nName of it: Vat; Seats in it: 8",
        ),
        ("┌───┬───┐\n│ A │ B │\n├───┼───┤\n│ x │ 2 │\n└───┴───┘\n", "A: x; B: 2"),
        (
            "| Room | Seats | Floor |\n| Indigo | 6 | ground |\n",
            "Room: Indigo; Seats: 6; Floor: ground",
        ),
        ("| Indigo | 6 |\n| The Vat | 8 |\n", "Indigo; 6\nThe Vat; 8"),
        (  # a header that is too long to be repeated in each row
            f"| Room | {'seats ' * 40}|\n|------|-----|\n| Blue | 6 |\n| Vat | 8 |\n",
            f"{'seats ' * 39}seats\nRoom: Blue; 6\nRoom: Vat; 8",
        ),
        # These are no tables, or say too little of their columns.
        ("| a | b |\n| c |\n", "| a | b |\n| c |"),
        ("| alone | here |\n", "| alone | here |"),
        ("| a note |\n| in a box |\n", "| a note |\n| in a box |"),
    ],
)
def test_tables_drawn_with_bars_are_rows_too(tmp_path: Path, content: str, rows: str) -> None:
    assert text(tmp_path, f"Above.\n\n{content}\nBelow.\n") == f"Above.\n\n{rows}\n\nBelow."


def test_terms_and_their_descriptions_are_one_line(tmp_path: Path) -> None:
    content = """\
Linnet      Our logger for temperature and relative humidity, the size of a
            matchbox.

Linnet Cold
            The variant with a probe on a cable, for freezers and vaccine
            fridges.

Egg         The battery pack.

Nest        The climate chamber.
"""
    assert text(tmp_path, content).split("\n\n") == [
        "Linnet: Our logger for temperature and relative humidity, the size of a matchbox.",
        "Linnet Cold: The variant with a probe on a cable, for freezers and vaccine fridges.",
        "Egg: The battery pack.",
        "Nest: The climate chamber.",
    ]


def test_code_and_drawings_stay_as_they_are(tmp_path: Path) -> None:
    content = (
        "Run this and wait until it has ended, which takes a while on most machines:\n\n"
        "    for host in $HOSTS; do\n        ping $host\n    done\n\n"
        "+------+     +-----+\n| here | --> | hub |\n+------+     +-----+\n"
    )
    assert text(tmp_path, content).split("\n\n", 1)[1] == (
        "for host in $HOSTS; do\n    ping $host\ndone\n\n"
        "+------+     +-----+\n| here | --> | hub |\n+------+     +-----+"
    )


def test_headings_are_told_by_rules_below_and_above(tmp_path: Path) -> None:
    content = """\
=============
Meeting rooms
=============
Where they are and how to book them.

1. The rooms
------------

Two of them.

How to book
~~~~~~~~~~~
In the calendar.
"""
    document = parse_file(tmp_path, "a.txt", content)
    assert headings(document) == [
        ("Meeting rooms", 1, None),
        ("1. The rooms", 2, None),
        ("How to book", 3, None),
    ]
    assert document.title == "Meeting rooms"
    assert section(document, "How to book") == "In the calendar."


def test_headings_are_told_by_capitals_between_blank_lines(tmp_path: Path) -> None:
    content = """\
GLOSSARY
Kept by Tomas Brandt.

PRODUCTS AND PARTS

Linnets and Herons.

NASA AND ESA ARE
NOT CUSTOMERS.

DO NOT OPEN.

A 4711-0815

LATER
"""
    document = parse_file(tmp_path, "a.txt", content)
    assert [(title, level) for title, level, _ in headings(document)] == [
        ("GLOSSARY", 1),
        ("PRODUCTS AND PARTS", 2),
        ("LATER", 2),
    ]
    assert section(document, "GLOSSARY") == "Kept by Tomas Brandt."


def test_numbered_lines_are_headings_if_text_stands_below_each(tmp_path: Path) -> None:
    content = """\
1. Booking

Use the calendar.

1.1 Exceptions

There are none.

2. Leaving

Wipe the board.
"""
    document = parse_file(tmp_path, "a.txt", content)
    assert [(title, level) for title, level, _ in headings(document)] == [
        ("1. Booking", 1),
        ("1.1 Exceptions", 2),
        ("2. Leaving", 1),
    ]


def test_a_list_with_blank_lines_has_no_headings(tmp_path: Path) -> None:
    content = "The rules\n\n1. Wipe the board\n\n2. Close the door\n\n3. Go home\n"
    assert headings(parse_file(tmp_path, "a.txt", content)) == []


def test_short_lines_with_wide_space_above_are_headings(tmp_path: Path) -> None:
    content = "TRAINING\n\n\nBooks\n\nNo approval.\n\n\nLanguages\n\nFree of charge.\n"
    document = parse_file(tmp_path, "a.txt", content)
    assert [(title, level) for title, level, _ in headings(document)] == [
        ("TRAINING", 1),
        ("Books", 2),
        ("Languages", 2),
    ]


@pytest.mark.parametrize(
    "content", ["Total\n--\n12", "a line of text\n-----\nand more", "Name   Age\n------------\n"]
)
def test_a_rule_that_is_none_makes_no_heading(tmp_path: Path, content: str) -> None:
    assert headings(parse_file(tmp_path, "a.txt", content)) == []


def test_colours_of_a_terminal_and_page_breaks_vanish(tmp_path: Path) -> None:
    assert text(tmp_path, "\x1b[1mWarning\x1b[0m: hot.\n\x0c\nNext page.") == (
        "Warning: hot.\n\nNext page."
    )
