"""Real documents of every format, a store to take them in, and what holds of every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from docx import Document as WordDocument
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import select

from retriever.analysis import Analyzer
from retriever.indexing import IndexKeeper
from retriever.ingest import Ingestor
from retriever.ranking import Encoder
from retriever.records import Hit
from retriever.search import Retriever
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.models import AnchorRow, Document, PassageRow
from tests.parsing_files import draw_lines, draw_pdf

TRAVEL_MD = """\
# Travel

Trips are booked by the travel desk.

## Meals

Breakfast abroad is refunded up to 14 euros. Receipts are not needed for it.

## Trains & planes

First class is allowed on trains of more than three hours.
"""

LEAVE_HTML = """\
<!doctype html>
<html><head><title>Leave</title></head><body>
<h1 id="leave">Leave</h1>
<p>Everybody has thirty days of leave.</p>
<h2 id="carry-over">Carrying over</h2>
<p>Unused holidays lapse at the end of March.</p>
<h2>Sabbatical</h2>
<p>Sabbaticals begin after five years in the company.</p>
</body></html>
"""

GLOSSARY_TXT = """\
Glossary

Heron is the code name of the billing service.

Linnet
======

Linnet is the code name of the online shop.
"""

SAFETY_PAGES = (
    ["Fire drills take place every quarter.", "The assembly point is the bicycle shed."],
    ["Defibrillators hang next to the lifts.", "They are checked every spring."],
)


@dataclass(frozen=True)
class Fact:
    """A sentence of the handbook, a question that finds it, and the place it stands in."""

    document: str
    question: str
    sentence: str
    section: str | None
    page: int | None
    fragment: str | None


#: At least one of every format, and of headings with and without a name to link to.
FACTS = (
    Fact(
        "food/travel.md",
        "What is refunded for breakfast?",
        "Breakfast abroad is refunded up to 14 euros.",
        "Meals",
        None,
        "meals",
    ),
    Fact(
        "food/travel.md",
        "first class on trains",
        "First class is allowed on trains of more than three hours.",
        "Trains & planes",
        None,
        "trains--planes",
    ),
    Fact(
        "leave.html",
        "When do unused holidays lapse?",
        "Unused holidays lapse at the end of March.",
        "Carrying over",
        None,
        "carry-over",
    ),
    Fact(
        "leave.html",
        "sabbaticals",
        "Sabbaticals begin after five years in the company.",
        "Sabbatical",
        None,
        None,
    ),
    Fact(
        "glossary.txt",
        "What is Linnet?",
        "Linnet is the code name of the online shop.",
        None,  # the document's title is not repeated
        None,
        None,
    ),
    Fact(
        "safety.pdf",
        "Where is the assembly point?",
        "The assembly point is the bicycle shed.",
        None,
        1,
        "page=1",
    ),
    Fact(
        "safety.pdf",
        "Where do the defibrillators hang?",
        "Defibrillators hang next to the lifts.",
        "First aid",
        2,
        "page=2",
    ),
    Fact(
        "onboarding.docx",
        "Who hands over the laptop?",
        "The laptop is handed over on the first morning.",
        "First week",
        None,
        None,
    ),
)


def make_pdf(
    pages: Sequence[Sequence[str]],
    *,
    headings: Sequence[str | None] = (),
    title: str | None = None,
    password: str | None = None,
) -> bytes:
    """A PDF of so many pages of lines; ``headings`` stand above them and in the outline."""

    def draw(canvas: Canvas) -> None:
        for lines, heading in zip_longest(pages, headings):
            if heading is not None:
                draw_lines(canvas, [heading], top=800, size=18, font="Helvetica-Bold")
                canvas.bookmarkPage(heading)
                canvas.addOutlineEntry(heading, heading, 0)
            draw_lines(canvas, list(lines), top=760)
            canvas.showPage()

    return draw_pdf(draw, title=title, password=password)


def write_docx(path: Path, parts: Sequence[tuple[int, str]]) -> None:
    """A Word document of headings (level 1 and more) and paragraphs (level 0)."""
    document = WordDocument()
    for level, text in parts:
        if level:
            document.add_heading(text, level)
        else:
            document.add_paragraph(text)
    document.save(str(path))


def write_handbook(folder: Path) -> Path:
    """A folder with a document of every format, and files that are none."""
    (folder / "food").mkdir(parents=True)
    (folder / "food" / "travel.md").write_text(TRAVEL_MD, encoding="utf-8")
    (folder / "leave.html").write_text(LEAVE_HTML, encoding="utf-8")
    (folder / "glossary.txt").write_text(GLOSSARY_TXT, encoding="utf-8")
    (folder / "safety.pdf").write_bytes(
        make_pdf(SAFETY_PAGES, headings=[None, "First aid"], title="Safety")
    )
    write_docx(
        folder / "onboarding.docx",
        [
            (1, "Onboarding"),
            (0, "Welcome to everybody who is new."),
            (2, "First week"),
            (0, "The laptop is handed over on the first morning."),
        ],
    )
    (folder / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / ".hidden.md").write_text("A hidden note.", encoding="utf-8")
    return folder


#: Three documents of a sentence each, by their files.
NOTES = {
    "wifi.md": "# Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
    "lunch.md": "# Lunch\n\nLunch is served at noon in the canteen.\n",
    "parking.md": "# Parking\n\nThe garage opens at seven in the morning.\n",
}


def write_pages(folder: Path, texts: dict[str, str]) -> Path:
    """A folder of text files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Store:
    """A database with its index and uploads folder, and what works on them."""

    home: Path
    database: Database
    keeper: IndexKeeper
    ingestor: Ingestor
    retriever: Retriever

    def found(self, question: str, collections: Sequence[str] | None = None) -> list[str]:
        """The documents that a question finds, best first."""
        hits = self.retriever.search(question, collections=collections)
        return list(dict.fromkeys(hit.document for hit in hits))

    def best(self, question: str) -> Hit:
        """The first passage that a question finds."""
        return self.retriever.search(question)[0]

    def document_ids(self) -> dict[str, int]:
        """Ids of the documents by URI."""
        with self.database.read() as session:
            return {
                uri: number for number, uri in session.execute(select(Document.id, Document.uri))
            }

    def errors(self) -> dict[str, str]:
        """What is wrong with documents, by URI."""
        with self.database.read() as session:
            listed = documents.list_documents(session)
        return {found.uri: found.error for found in listed if found.error is not None}

    def passage_ids(self) -> set[int]:
        with self.database.read() as session:
            return set(session.scalars(select(PassageRow.id)))

    def text(self, uri: str) -> str:
        """The stored text of a document."""
        with self.database.read() as session:
            return session.scalars(select(Document.text).where(Document.uri == uri)).one()


@cache
def _empty_database() -> bytes:
    """A new database's file: making the tables takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spanbot.db"
        with closing(Database(f"sqlite:///{path}")) as database:
            database.upgrade()
            database.backup(path.with_name("copy.db"))
        return path.with_name("copy.db").read_bytes()


@contextmanager
def open_store(
    home: Path,
    *,
    encoder: Callable[[], Encoder] | None = None,
    backend: Literal["bm25", "rank_bm25"] = "bm25",
) -> Iterator[Store]:
    """The store of a home folder, made when there is none; BM25 alone without an encoder."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "spanbot.db"
    if not path.exists():
        path.write_bytes(_empty_database())
    with closing(Database(f"sqlite:///{path}")) as database:
        keeper = IndexKeeper(database, home / "index", Analyzer(), encoder=encoder, backend=backend)
        with closing(keeper):
            yield Store(
                home,
                database,
                keeper,
                Ingestor(database, keeper, home / "uploads"),
                Retriever(database, keeper),
            )


def check_store(store: Store) -> None:
    """What holds of every stored document, passage and anchor."""
    with store.database.read() as session:
        texts = {d.id: d.text for d in session.scalars(select(Document))}
        for document in session.scalars(select(Document)):
            assert (document.version > 0) == bool(document.text)
            assert (document.state == "ready") == bool(document.text)
            assert document.error is not None or document.state == "ready"
        passages = list(session.scalars(select(PassageRow)))
        for passage in passages:
            text = texts[passage.document_id]
            assert 0 <= passage.start < passage.end <= len(text)
            assert text[passage.start : passage.end].strip()
        assert {p.document_id for p in passages} == {n for n, text in texts.items() if text}
        for anchor in session.scalars(select(AnchorRow)):
            assert 0 <= anchor.start < anchor.end <= len(texts[anchor.document_id])
    assert len(store.keeper.current()) == len(passages)


def check_hits(store: Store, hits: Sequence[Hit]) -> None:
    """What holds of every search: ranks, the order, and texts that stand where they say."""
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.passage_id for hit in hits}) == len(hits)
    with store.database.read() as session:
        texts = {d.id: (d.uri, d.title, d.text) for d in session.scalars(select(Document))}
    for hit in hits:
        uri, title, text = texts[hit.document_id]
        assert (hit.document, hit.title) == (uri, title)
        assert hit.text == text[hit.start : hit.end]
