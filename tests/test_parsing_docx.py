from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from docx.document import Document as DocxDocument
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn

from retriever.errors import ParseError
from retriever.records import ParsedDocument
from tests.parsing_files import headings, parse_file, section

SAMPLE = Path(__file__).parents[1] / "bot" / "sample" / "handbook" / "people" / "benefits.docx"

_CHECKBOX = f"""\
<w:sdt {nsdecls("w")} xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml">
  <w:sdtPr><w14:checkbox><w14:checked w14:val="{{checked}}"/></w14:checkbox></w:sdtPr>
  <w:sdtContent><w:r><w:t>☐</w:t></w:r></w:sdtContent>
</w:sdt>"""


def build(fill: Callable[[DocxDocument], None], title: str = "") -> bytes:
    document = Document()
    document.core_properties.title = title
    fill(document)
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def docx(folder: Path, fill: Callable[[DocxDocument], None], title: str = "") -> ParsedDocument:
    return parse_file(folder, "a.docx", build(fill, title))


def table(document: DocxDocument, rows: list[list[str]], *, bold: bool = False) -> None:
    made = document.add_table(len(rows), len(rows[0]))
    for at, row in enumerate(rows):
        for cell, words in zip(made.rows[at].cells, row, strict=True):
            cell.paragraphs[0].add_run(words).bold = (bold and at == 0) or None


def test_headings_paragraphs_and_lists(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        document.add_paragraph("Onboarding", style="Title")
        document.add_heading("Before", 1)
        paragraph = document.add_paragraph("Send the ")
        paragraph.add_run("form").bold = True
        paragraph.add_run("\u00a0back.\nNew line.")
        document.add_paragraph("laptop", style="List Bullet")
        document.add_paragraph("model", style="List Bullet 2")
        document.add_paragraph("headset", style="List Bullet")
        document.add_heading("Details", 9)
        document.add_paragraph("first", style="List Number")
        document.add_paragraph("second", style="List Number")

    document = docx(tmp_path, fill, title="Other")
    assert document.text == (
        "Onboarding\n\nBefore\n\nSend the form back.\nNew line.\n\n"
        "- laptop\n- model\n- headset\n\nDetails\n\n1. first\n2. second"
    )
    assert headings(document) == [
        ("Onboarding", 1, None),
        ("Before", 1, None),
        ("Details", 6, None),
    ]
    assert document.title == "Onboarding"


def test_tables_get_their_headers_into_each_row(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        table(document, [["Benefit", "From", "Payer"], ["Pension", "month 4", "both"]])
        document.add_paragraph("Pairs:")
        table(document, [["Phone", "Rashid"], ["Door", "Solveig"]])
        document.add_paragraph("Bold:")
        table(document, [["Day", "2026"], ["Monday", "closed"]], bold=True)
        document.add_paragraph("Figures:")
        table(document, [["1", "2", "3"], ["4", "", "6"]])

    assert docx(tmp_path, fill).text == (
        "Benefit: Pension; From: month 4; Payer: both\n\nPairs:\n\nPhone; Rashid\nDoor; Solveig"
        "\n\nBold:\n\nDay: Monday; 2026: closed\n\nFigures:\n\n1; 2; 3\n4; 6"
    )


def test_a_marked_header_row_is_believed(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        table(document, [["Year", "2026"], ["Days", "30"]])
        row: Any = document.tables[0].rows[0]._tr.get_or_add_trPr()
        row.append(OxmlElement("w:tblHeader"))

    assert docx(tmp_path, fill).text == "Year: Days; 2026: 30"


def test_merged_cells_keep_their_headers(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        def add(rows: list[list[str]], *merged: tuple[int, int, int, int]) -> None:
            table(document, rows, bold=True)
            made = document.tables[-1]
            for top, left, bottom, right in merged:
                made.cell(top, left).merge(made.cell(bottom, right))
            document.add_paragraph("And:")

        # A header and a value over two columns, a label over two rows, and a title over all.
        add([["Item", "Price", "", "Seats"], ["Dock", "90", "40", "2"]], (0, 1, 0, 2))
        add([["Desk", "North", "South"], ["A", "closed", ""]], (1, 1, 1, 2))
        add([["Desk", "Day", "Open"], ["A", "Mo", "9"], ["", "Tu", "8"]], (1, 0, 2, 0))
        add([["Prices", "", ""], ["Item", "New", "Used"], ["Dock", "90", "40"]], (0, 0, 0, 2))

    assert docx(tmp_path, fill).text.removesuffix("\n\nAnd:").split("\n\nAnd:\n\n") == [
        "Item: Dock; Price: 90; Price: 40; Seats: 2",
        "Desk: A; North, South: closed",
        "Desk: A; Day: Mo; Open: 9\nDesk: A; Day: Tu; Open: 8",
        "Prices\n\nItem: Dock; New: 90; Used: 40",
    ]


@pytest.mark.parametrize(
    ("rows", "bold", "expected"),
    [
        ([["", "North", "South"], ["A", "9", "8"]], True, "A; North: 9; South: 8"),
        ([["Desk", "North", "x" * 40], ["A", "9", ""]], False, "Desk: A; North: 9"),
        # A table of one row or one column, or with several columns without a name.
        ([["Desk", "North", "South"]], False, "Desk; North; South"),
        ([["Desk", "North"]], True, "Desk; North"),
        ([["Desks"], ["A"]], True, "Desks\nA"),
        ([["Desk", "", "–", "South"], ["A", "9", "8", "7"]], True, "Desk; South\nA; 9; 8; 7"),
        # What is too long for a name, is one twice or has digits in it.
        ([["Desk", "North", "x" * 41], ["A", "9", ""]], False, f"Desk; North; {'x' * 41}\nA; 9"),
        ([["Desk", "x" * 41], ["A", "9"]], True, f"Desk; {'x' * 41}\nA; 9"),
        ([["Desk", "North", "north"], ["A", "9", "8"]], False, "Desk; North; north\nA; 9; 8"),
        ([["Desk", "North", "Floor 2"], ["A", "9", "8"]], False, "Desk; North; Floor 2\nA; 9; 8"),
    ],
)
def test_a_first_row_that_is_not_marked_may_be_the_header(
    tmp_path: Path, rows: list[list[str]], bold: bool, expected: str
) -> None:
    assert docx(tmp_path, lambda document: table(document, rows, bold=bold)).text == expected


def test_bold_type_makes_a_header_only_where_not_all_rows_have_it(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        # A table with a bold sum, one all in bold, and one with a bold cell in its first row.
        for rows, bold in (
            ([["Desk", "Price"], ["A", "9"], ["Sum", "9"]], ["Desk", "Price", "Sum", "9"]),
            ([["Phone", "300"], ["Room", "12"]], ["Phone", "300", "Room", "12"]),
            ([["Phone", "300"], ["Room", "12"]], ["Phone"]),
        ):
            table(document, rows)
            for row in document.tables[-1].rows:
                for run in (run for cell in row.cells for run in cell.paragraphs[0].runs):
                    run.bold = (run.text in bold and row.cells[0].text != "A") or None
            document.add_paragraph("And:")

    assert docx(tmp_path, fill).text.removesuffix("\n\nAnd:").split("\n\nAnd:\n\n") == [
        "Desk: A; Price: 9\nDesk: Sum; Price: 9",
        "Phone; 300\nRoom; 12",
        "Phone; 300\nRoom; 12",
    ]


def test_a_first_row_with_merged_cells_may_be_the_header(tmp_path: Path) -> None:
    rows = [["Desk", "Open", "", "Closed", ""], ["A", "9", "17", "12", "13"]]

    def fill(document: DocxDocument) -> None:
        for bold in (True, False):
            table(document, rows, bold=bold)
            for left, right in ((1, 2), (3, 4)):
                document.tables[-1].cell(0, left).merge(document.tables[-1].cell(0, right))
            document.add_paragraph("And:")
        # Of two cells it is as likely the first of many rows.
        table(document, [["Rates", "", "low"], ["A", "9", "17"]])
        document.tables[-1].cell(0, 0).merge(document.tables[-1].cell(0, 1))

    headed = "Desk: A; Open: 9; Open: 17; Closed: 12; Closed: 13"
    assert docx(tmp_path, fill).text.split("\n\nAnd:\n\n") == [
        headed,
        headed,
        "Rates; low\nA; 9; 17",
    ]


def test_tracked_insertions_are_read_and_deletions_are_not(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        paragraph: Any = document.add_paragraph("Claims within ")._p
        for tag, inner, words in (("w:del", "w:delText", "30"), ("w:ins", "w:t", "45")):
            change, run, part = OxmlElement(tag), OxmlElement("w:r"), OxmlElement(inner)
            change.set(qn("w:id"), "1")
            change.set(qn("w:author"), "A")
            part.text = words
            run.append(part)
            change.append(run)
            paragraph.append(change)
        document.paragraphs[0].add_run(" days.")

    assert docx(tmp_path, fill).text == "Claims within 45 days."


def test_tasks_have_their_boxes(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        for checked, words in (("1", " Order the laptop"), ("0", " Badge")):
            paragraph: Any = document.add_paragraph(style="List Bullet")._p
            paragraph.append(parse_xml(_CHECKBOX.format(checked=checked)))
            document.paragraphs[-1].add_run(words)

    assert docx(tmp_path, fill).text == "- ☑ Order the laptop\n- ☐ Badge"


def note_mark(kind: str, number: int) -> Any:
    """A run with the number of a note, as Word writes it."""
    raised = '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr>'
    mark = f'<w:{kind}Reference w:id="{number}"/>'
    return parse_xml(f"<w:r {nsdecls('w')}>{raised}{mark}</w:r>")


def add_notes(document: DocxDocument, kind: str, notes: list[list[str]]) -> None:
    """The part with notes, each of which has paragraphs, numbered from 1."""

    def note(number: int, paragraphs: list[str]) -> str:
        inside = "".join(
            f"<w:p><w:r><w:{kind}Ref/></w:r><w:r><w:t> {words}</w:t></w:r></w:p>"
            for words in paragraphs
        )
        return f'<w:{kind} w:id="{number}">{inside}</w:{kind}>'

    line = f'<w:{kind} w:type="separator" w:id="0"><w:p><w:r><w:separator/></w:r></w:p></w:{kind}>'
    body = line + "".join(note(number, words) for number, words in enumerate(notes, 1))
    part = Part(
        PackURI(f"/word/{kind}s.xml"),
        f"application/vnd.openxmlformats-officedocument.wordprocessingml.{kind}s+xml",
        f"<w:{kind}s {nsdecls('w')}>{body}</w:{kind}s>".encode(),
        document.part.package,
    )
    document.part.relate_to(part, getattr(RELATIONSHIP_TYPE, f"{kind}s".upper()))


def test_a_note_stands_behind_what_refers_to_it(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        def add(paragraph: Any, kind: str, number: int) -> None:
            paragraph._p.append(note_mark(kind, number))

        add(document.add_heading("Costs", 1), "endnote", 1)
        paragraph = document.add_paragraph("Claim it")
        add(paragraph, "footnote", 1)
        paragraph.add_run(" soon.")
        add(document.add_paragraph("You need:"), "footnote", 2)
        add(document.add_paragraph("a badge", style="List Bullet"), "footnote", 3)
        table(document, [["Item", "Price"], ["Dock", "90"]], bold=True)
        add(document.tables[0].cell(0, 1).paragraphs[0], "footnote", 4)
        document.add_heading("Next", 1)
        document.add_paragraph("Wait.")
        add_notes(document, "footnote", [["A year.", "Or two."], ["Note b."], ["c."], ["Net."]])
        add_notes(document, "endnote", [["As of May."]])

    document = docx(tmp_path, fill)
    assert document.text == (
        "Costs\n\nAs of May.\n\nClaim it soon.\n\nA year.\n\nOr two.\n\n"
        "You need:\n\n- a badge\n\nNote b.\n\nc.\n\nItem: Dock; Price: 90\n\nNet.\n\n"
        "Next\n\nWait."
    )
    assert section(document, "Next") == "Wait."


def test_pictures_are_their_descriptions(tmp_path: Path) -> None:
    def fill(document: DocxDocument) -> None:
        # The smallest GIF: one pixel.
        pixel = bytes.fromhex(
            "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
        )
        document.add_picture(io.BytesIO(pixel))
        shape: Any = document.inline_shapes[0]._inline
        shape.docPr.set("descr", "The door of the cellar")
        document.add_paragraph("Text.")

    assert docx(tmp_path, fill).text == "The door of the cellar\n\nText."


@pytest.mark.parametrize(
    ("metadata", "title"),
    [("Travel &amp; more", "Travel &amp; more"), ("Word Document", "a"), ("Document1", "a")],
)
def test_the_title_may_come_from_the_properties(tmp_path: Path, metadata: str, title: str) -> None:
    def fill(document: DocxDocument) -> None:
        document.add_paragraph("Text without a heading.")

    assert docx(tmp_path, fill, title=metadata).title == title


def test_a_real_document_keeps_its_sections() -> None:
    from retriever.parsing import parse

    document = parse(SAMPLE)
    assert section(document, "Bicycle loan").startswith("The company lends up to 2,000 pounds")


def archive(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return target.getvalue()


TYPES = {"[Content_Types].xml": b"<Types/>"}
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Dear all", r"is not a Word document \(no zip archive\)"),
        (archive({"a.txt": b"a"}), r"is not a Word document \(no word/document\.xml"),
        (archive({**TYPES, "word/document.xml": b"<w:doc"}), r"could not be read|is damaged"),
        (SAMPLE.read_bytes()[:20_000], r"is truncated or damaged"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), r"is encrypted; remove the password and"),
        (OLE, r"is in the format of Word 97-2003; save it as \.docx"),
    ],
)
def test_what_is_no_word_document_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=r"^a\.docx " + message):
        parse_file(tmp_path, "a.docx", content)


@pytest.mark.parametrize(
    ("megabytes", "message"),
    [
        (201, r"^a\.docx expands to 201 MB; up to 200 MB are read"),
        (40, r"^a\.docx expands to \d+ times its size"),
    ],
)
def test_a_document_that_expands_too_far_is_refused(
    tmp_path: Path, megabytes: int, message: str
) -> None:
    content = archive({**TYPES, "word/document.xml": bytes(megabytes * 1024**2)})
    assert len(content) < 1024**2
    with pytest.raises(ParseError, match=message):
        parse_file(tmp_path, "a.docx", content)
