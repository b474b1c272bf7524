"""Builds the PDF and DOCX documents of the sample handbook from their text.

The text of each document lies in ``text/``, in a small subset of Markdown: a head of
``key: value`` lines, then blocks separated by blank lines. A block is a heading (``#`` to
``###``), a table (lines beginning with ``|``, the first one its head), a bulleted list
(``- ``), a numbered list (``1. ``) or a paragraph, which stands on one line.

Run it from anywhere::

    python tests/sample_handbook/build.py

The same text gives the same bytes, whatever the day and the machine's clock say.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from docx import Document
from docx.document import Document as DocxDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from docx.text.paragraph import Paragraph as DocxParagraph
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    ListFlowable,
    ListItem,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

TEXT = Path(__file__).resolve().parent / "text"
HANDBOOK = Path(__file__).resolve().parents[2] / "bot" / "sample" / "handbook"
COMPANY = "Orrindale Instruments"
ZIP_DATE = (2026, 1, 1, 0, 0, 0)

Kind = Literal["heading", "paragraph", "bullets", "numbers", "table"]


@dataclass(frozen=True)
class Block:
    """One block of a document: ``lines`` holds its text, ``rows`` a table's cells."""

    kind: Kind
    lines: tuple[str, ...] = ()
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Source:
    """The text of one document, and what its head says about it."""

    title: str
    author: str
    subject: str
    date: date
    output: str
    blocks: tuple[Block, ...] = field(default=())


def parse_block(text: str) -> Block:
    lines = [line.strip() for line in text.splitlines()]
    heading = re.fullmatch(r"(#{1,3}) (.+)", lines[0])
    if heading:
        if len(lines) > 1:
            raise ValueError(f"text directly below the heading {lines[0]!r}")
        return Block("heading", (heading[2],), level=len(heading[1]))
    if all(line.startswith("|") for line in lines):
        rows = tuple(tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines)
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"rows of different lengths in the table at {lines[0]!r}")
        return Block("table", rows=rows)
    if all(line.startswith("- ") for line in lines):
        return Block("bullets", tuple(line[2:] for line in lines))
    numbered = [re.fullmatch(r"\d+\. (.+)", line) for line in lines]
    if all(numbered):
        return Block("numbers", tuple(match[1] for match in numbered if match))
    if len(lines) != 1:
        raise ValueError(f"a paragraph stands on one line: {lines[0]!r}")
    return Block("paragraph", (lines[0],))


def read_source(path: Path) -> Source:
    head, *blocks = re.split(r"\n{2,}", path.read_text(encoding="utf-8").strip())
    keys = dict(line.split(": ", 1) for line in head.splitlines())
    return Source(
        title=keys["title"],
        author=keys["author"],
        subject=keys["subject"],
        date=date.fromisoformat(keys["date"]),
        output=keys["output"],
        blocks=tuple(parse_block(block) for block in blocks),
    )


# --- PDF ---------------------------------------------------------------------------------

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=6)
CELL = ParagraphStyle("cell", parent=BODY, fontSize=9, leading=12, spaceAfter=0)
CELL_HEAD = ParagraphStyle("cell-head", parent=CELL, fontName="Helvetica-Bold")
TITLE = ParagraphStyle(
    "title", parent=BODY, fontName="Helvetica-Bold", fontSize=20, leading=26, spaceAfter=4
)
SUBTITLE = ParagraphStyle("subtitle", parent=BODY, textColor=colors.grey, spaceAfter=14)
HEADINGS = {
    1: ParagraphStyle(
        "h1", parent=BODY, fontName="Helvetica-Bold", fontSize=15, leading=19, spaceBefore=14,
        keepWithNext=1,
    ),
    2: ParagraphStyle(
        "h2", parent=BODY, fontName="Helvetica-Bold", fontSize=12, leading=16, spaceBefore=8,
        keepWithNext=1,
    ),
    3: ParagraphStyle(
        "h3", parent=BODY, fontName="Helvetica-BoldOblique", spaceBefore=6, keepWithNext=1
    ),
}  # fmt: skip


class Heading(Paragraph):  # type: ignore[misc]
    """A heading that makes an entry in the PDF's outline when it is placed."""

    def __init__(self, text: str, level: int, number: int) -> None:
        super().__init__(escape(text), HEADINGS[level])
        self.outline = (text, f"section-{number}", level - 1)


class Handbook(BaseDocTemplate):  # type: ignore[misc]
    """The page layout: a head with the company, a foot with title, date and page."""

    def __init__(self, target: io.BytesIO, source: Source) -> None:
        super().__init__(
            target,
            pagesize=A4,
            leftMargin=2.4 * cm,
            rightMargin=2.4 * cm,
            topMargin=2.6 * cm,
            bottomMargin=2.4 * cm,
            title=source.title,
            author=source.author,
            subject=source.subject,
            creator=COMPANY,
            lang="en-GB",
            invariant=1,
        )
        self.source = source
        frame = Frame(self.leftMargin, self.bottomMargin, self.width, self.height, id="text")
        self.addPageTemplates([PageTemplate("page", [frame], onPage=self.furniture)])

    def furniture(self, canvas: Canvas, _document: BaseDocTemplate) -> None:
        width, height = A4
        left, right = self.leftMargin, width - self.rightMargin
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(colors.grey)
        canvas.drawString(left, height - 1.5 * cm, f"{COMPANY} Handbook")
        canvas.drawRightString(right, height - 1.5 * cm, "Internal")
        canvas.line(left, height - 1.7 * cm, right, height - 1.7 * cm)
        canvas.drawString(left, 1.3 * cm, f"{self.source.title}, {self.source.date:%d.%m.%Y}")
        canvas.drawRightString(right, 1.3 * cm, f"Page {canvas.getPageNumber()}")
        canvas.restoreState()

    def afterFlowable(self, flowable: Flowable) -> None:  # reportlab's name
        if isinstance(flowable, Heading):
            text, key, level = flowable.outline
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(text, key, level=level, closed=False)


def pdf_table(rows: Sequence[Sequence[str]], width: float) -> Table:
    cells = [
        [Paragraph(escape(cell), CELL_HEAD if at == 0 else CELL) for cell in row]
        for at, row in enumerate(rows)
    ]
    table = Table(
        cells, colWidths=[width / len(rows[0])] * len(rows[0]), repeatRows=1, spaceAfter=10
    )
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.lightgrey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def pdf_list(block: Block) -> ListFlowable:
    items = [ListItem(Paragraph(escape(line), BODY)) for line in block.lines]
    if block.kind == "bullets":
        return ListFlowable(items, bulletType="bullet", start="•", leftIndent=16)
    return ListFlowable(items, bulletType="1", bulletFormat="%s.", leftIndent=18)


def build_pdf(source: Source) -> bytes:
    target = io.BytesIO()
    document = Handbook(target, source)
    story: list[Flowable] = [
        Paragraph(escape(source.title), TITLE),
        Paragraph(escape(f"{source.author}, {source.date:%d %B %Y}"), SUBTITLE),
    ]
    for number, block in enumerate(source.blocks):
        if block.kind == "heading":
            story.append(Heading(block.lines[0], block.level, number))
        elif block.kind == "table":
            story.append(pdf_table(block.rows, document.width))
        elif block.kind == "paragraph":
            story.append(Paragraph(escape(block.lines[0]), BODY))
        else:
            story += [pdf_list(block), Spacer(1, 4)]
    document.build(story)
    return target.getvalue()


# --- DOCX --------------------------------------------------------------------------------


def add_page_number(paragraph: DocxParagraph) -> None:
    run = paragraph.add_run()
    for kind, text in (("begin", ""), ("", "PAGE"), ("end", "")):
        element: Any
        if kind:
            element = OxmlElement("w:fldChar")
            element.set(qn("w:fldCharType"), kind)
        else:
            element = OxmlElement("w:instrText")
            element.text = text
        run._r.append(element)


def add_numbering(document: DocxDocument, paragraphs: Sequence[DocxParagraph]) -> None:
    """Lets a numbered list begin at one: each list gets a numbering of its own."""
    numbering: Any = document.part.numbering_part.element
    style: Any = document.styles["List Number"].element
    of_style = style.pPr.numPr.numId.val
    abstract = numbering.num_having_numId(of_style).abstractNumId.val
    num = numbering.add_num(abstract)
    num.add_lvlOverride(ilvl=0).add_startOverride(1)
    for paragraph in paragraphs:
        properties: Any = paragraph._p.get_or_add_pPr()
        numbers = properties.get_or_add_numPr()
        numbers.get_or_add_ilvl().val = 0
        numbers.get_or_add_numId().val = num.numId


def add_docx_table(document: DocxDocument, rows: Sequence[Sequence[str]]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
    head: Any = table.rows[0]._tr.get_or_add_trPr()
    head.append(OxmlElement("w:tblHeader"))
    for at, row in enumerate(rows):
        for cell, text in zip(table.rows[at].cells, row, strict=True):
            run = cell.paragraphs[0].add_run(text)
            run.bold = at == 0 or None
    document.add_paragraph()


def fix_zip_dates(data: bytes) -> bytes:
    """The same archive with one date on all members: the writer puts in the clock's."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            member = zipfile.ZipInfo(name, ZIP_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            new.writestr(member, old.read(name))
    return target.getvalue()


def build_docx(source: Source) -> bytes:
    document = Document()
    moment = datetime.combine(source.date, time(9, 0), tzinfo=UTC)
    properties = document.core_properties
    properties.title = source.title
    properties.author = source.author
    properties.last_modified_by = source.author
    properties.subject = source.subject
    properties.comments = ""
    properties.language = "en-GB"
    properties.created = properties.modified = properties.last_printed = moment
    properties.revision = 1

    section = document.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.4)
    normal: Any = document.styles["Normal"]
    normal.font.size = Pt(11)
    section.header.paragraphs[0].text = f"{COMPANY} Handbook\tInternal"
    footer = section.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    footer.add_run("Page ")
    add_page_number(footer)

    document.add_paragraph(source.title, style="Title")
    document.add_paragraph(f"{source.author}, {source.date:%d %B %Y}", style="Subtitle")
    for block in source.blocks:
        if block.kind == "heading":
            document.add_heading(block.lines[0], level=block.level)
        elif block.kind == "table":
            add_docx_table(document, block.rows)
        elif block.kind == "paragraph":
            document.add_paragraph(block.lines[0])
        elif block.kind == "bullets":
            for line in block.lines:
                document.add_paragraph(line, style="List Bullet")
        else:
            items = [document.add_paragraph(line, style="List Number") for line in block.lines]
            add_numbering(document, items)
    target = io.BytesIO()
    document.save(target)
    return fix_zip_dates(target.getvalue())


def build_all(target: Path = HANDBOOK) -> list[Path]:
    """Writes every document with a text in ``text/`` below ``target``; the paths written."""
    written = []
    for path in sorted(TEXT.glob("*.txt")):
        source = read_source(path)
        output = target / source.output
        data = build_pdf(source) if output.suffix == ".pdf" else build_docx(source)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(data)
        written.append(output)
    return written


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the sample handbook's PDF and DOCX files.")
    parser.add_argument("--target", type=Path, default=HANDBOOK, help="the handbook's folder")
    arguments = parser.parse_args(argv)
    for path in build_all(arguments.target):
        sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
