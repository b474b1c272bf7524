from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retriever.errors import ParseError
from retriever.records import ParsedDocument
from tests.parsing_files import draw_lines, draw_pdf, headings, pages, parse_file, section


def pdf(folder: Path, draw: Any, **options: Any) -> ParsedDocument:
    return parse_file(folder, "a.pdf", draw_pdf(draw, **options))


PROSE = [
    "The interval is set to ten minutes when a device leaves the works. Without",
    "a connection the readings are stored in the device and sent later, the oldest",
    "first.",
]


def draw_prose(canvas: Any) -> None:
    draw_lines(canvas, PROSE)
    canvas.showPage()


def test_lines_are_joined_and_wider_space_parts_paragraphs(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        top = draw_lines(canvas, PROSE)
        draw_lines(canvas, ["The battery lasts five years."], top=top - 8)
        canvas.showPage()

    document = pdf(tmp_path, draw)
    assert document.text == " ".join(PROSE) + "\n\nThe battery lasts five years."
    assert [(a.page, a.start, a.end) for a in pages(document)] == [(1, 0, len(document.text))]


def test_lines_that_were_broken_on_purpose_stay_apart(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        top = draw_lines(canvas, PROSE)
        draw_lines(canvas, ["Orrindale Instruments", "Mill Lane 4", "Kelverton"], top=top - 10)
        canvas.showPage()

    assert pdf(tmp_path, draw).text.endswith(
        "first.\n\nOrrindale Instruments\nMill Lane 4\nKelverton"
    )


def test_divided_words_are_joined_and_compounds_keep_their_hyphen(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        lines = [
            "A long-term plan for informa-",
            "tion security. It is a long-",
            "term plan for the self-",
            "service portal and the I-",
            "Series of devices.",
        ]
        draw_lines(canvas, lines)
        canvas.showPage()

    assert pdf(tmp_path, draw).text == (
        "A long-term plan for information security. It is a long-term plan for the self-service "
        "portal and the I-Series of devices."
    )


def test_lists_keep_their_marks_and_levels(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        draw_lines(canvas, ["Handling:"], top=800)
        draw_lines(canvas, ["•"], top=784, size=12)
        draw_lines(
            canvas,
            ["Confidential data may be sent after an agreement, and only", "through the portal."],
            top=784,
            left=76,
        )
        draw_lines(canvas, ["o"], top=760, left=76, font="Courier")
        draw_lines(canvas, ["• Internal data"], top=748, left=90)
        draw_lines(canvas, ["1. Report it.", "2. Wait."], top=720)
        canvas.showPage()

    assert pdf(tmp_path, draw).text.startswith(
        "Handling:\n\n- Confidential data may be sent after an agreement, and only through the "
        "portal."
    )


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        draw_lines(canvas, ["The first column of the page", "goes on in the next one if"], left=60)
        draw_lines(canvas, ["there is no more room for", "its text."], left=320)
        canvas.showPage()

    assert pdf(tmp_path, draw).text == (
        "The first column of the page goes on in the next one if there is no more room for its "
        "text."
    )


def test_tables_get_their_headers_into_each_row(tmp_path: Path) -> None:
    rows = [
        ("Place", "Limit per night", "Allowance"),
        ("Capital cities", "170 pounds", "44 pounds"),
        ("Rest of Europe", "140 pounds", "39 pounds"),
    ]

    def draw(canvas: Any) -> None:
        draw_lines(canvas, ["The limits below are for one night:"], top=800)
        for at, row in enumerate(rows):
            font = "Helvetica" if at else "Helvetica-Bold"
            for column, cell in enumerate(row):
                # The first cell of the last row has two lines.
                words = cell.split(" of ") if at == 2 else [cell]
                draw_lines(canvas, words, top=770 - 24 * at, left=60 + 150 * column, font=font)
        draw_lines(canvas, PROSE, top=680)
        canvas.showPage()

    assert pdf(tmp_path, draw).text == (
        "The limits below are for one night:\n\n"
        "Place: Capital cities; Limit per night: 170 pounds; Allowance: 44 pounds\n"
        "Place: Rest Europe; Limit per night: 140 pounds; Allowance: 39 pounds\n\n"
        + " ".join(PROSE)
    )


def test_running_heads_and_feet_are_dropped_and_pages_share_the_text(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        for page in range(1, 5):
            draw_lines(canvas, ["Orrindale Handbook"], top=810, size=8)
            draw_lines(canvas, [f"Page {page} of 4"], top=30, size=8)
            # A line at the same height on every page that says something else each time.
            draw_lines(
                canvas, [f"Topic {'abcd'[page - 1] * 4} is described on this page."], top=780
            )
            canvas.showPage()

    document = pdf(tmp_path, draw)
    assert document.text.split("\n\n") == [
        f"Topic {letter * 4} is described on this page." for letter in "abcd"
    ]
    assert [a.page for a in pages(document)] == [1, 2, 3, 4]
    assert document.text[pages(document)[2].start :].startswith("Topic cccc")


def test_a_sentence_goes_on_across_pages(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        draw_lines(canvas, ["The backup battery of a Heron lasts nine hours if the net-"])
        canvas.showPage()
        canvas.showPage()
        draw_lines(canvas, ["work fails at night.", "", "New paragraph here."])
        canvas.showPage()

    document = pdf(tmp_path, draw)
    assert document.text.startswith("The backup battery of a Heron lasts nine hours if the network")
    assert [a.page for a in pages(document)] == [1, 3]
    assert document.text[pages(document)[1].start :].startswith("work fails")


def test_the_outline_gives_headings_where_their_titles_stand(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        for key, title, level in [
            ("a", "Radio", 0),
            ("b", "Range and power", 1),
            ("c", "Figures", 0),
        ]:
            if key == "c":
                draw_lines(canvas, ["Radio"], size=16, font="Helvetica-Bold")
                draw_lines(canvas, ["It works at 868 MHz."], top=750)
                draw_lines(canvas, ["2.1 Range and", "power"], size=13, top=700)
                draw_lines(canvas, ["About 600 metres."], top=650)
                canvas.showPage()
                draw_lines(canvas, ["A page whose title is a picture."])
            canvas.bookmarkPage(key)
            canvas.addOutlineEntry(title, key, level)
        canvas.showPage()

    document = pdf(tmp_path, draw, title="Radio facts")
    assert headings(document) == [
        ("Radio", 1, None),
        ("Range and power", 2, None),
        ("Figures", 1, None),
    ]
    assert section(document, "Radio") == "It works at 868 MHz."
    assert section(document, "Range and power").endswith("About 600 metres.")
    assert section(document, "Figures") == "A page whose title is a picture."
    assert document.anchors[1].kind == "page"
    assert document.title == "Radio facts"


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ("Expenses and travel", "Expenses and travel"),
        ("Microsoft Word - final_v3.docx", "The large line"),
        ("untitled", "The large line"),
        (None, "The large line"),
    ],
)
def test_the_title_comes_from_metadata_that_says_something(
    tmp_path: Path, metadata: str | None, title: str
) -> None:
    def draw(canvas: Any) -> None:
        draw_lines(canvas, ["The large line"], size=22)
        draw_lines(canvas, PROSE, top=700)
        canvas.showPage()

    assert pdf(tmp_path, draw, title=metadata).title == title


def test_ligatures_are_letters(tmp_path: Path) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    def draw(canvas: Any) -> None:
        pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
        draw_lines(canvas, ["The of\ufb01ce \uf0b7 of\xa0Ms\u00a0Finch"], font="Vera")
        canvas.showPage()

    assert "of Ms Finch" in pdf(tmp_path, draw).text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Dear all,\nthis is a letter.", r"is not a PDF"),
        (b"%PDF-1.7\n" + b"\x00garbage" * 50 + b"\n%%EOF\n", r"is damaged"),
    ],
)
def test_what_is_no_pdf_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_file(tmp_path, "a.pdf", content)


def test_a_truncated_pdf_is_refused(tmp_path: Path) -> None:
    content = draw_pdf(draw_prose)
    with pytest.raises(ParseError, match=r"^a\.pdf is truncated \(its end is missing\)"):
        parse_file(tmp_path, "a.pdf", content[: len(content) // 2])


def test_an_encrypted_pdf_is_refused(tmp_path: Path) -> None:
    content = draw_pdf(draw_prose, password="secret")
    with pytest.raises(ParseError, match=r"^a\.pdf is encrypted; remove the password and add it"):
        parse_file(tmp_path, "a.pdf", content)


def test_a_scanned_pdf_is_refused(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        canvas.rect(60, 60, 300, 400, fill=1)
        canvas.showPage()

    with pytest.raises(ParseError, match=r"^a\.pdf has no text layer \(scanned\?\); run OCR first"):
        pdf(tmp_path, draw)
