"""Real files for the tests of the parser, and what they ask of every document."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from retriever.parsing import parse
from retriever.records import Anchor, ParsedDocument


def parse_file(folder: Path, name: str, content: str | bytes) -> ParsedDocument:
    """Write a file and parse it; every document is checked for what holds of all of them."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    document = parse(path)
    check(document)
    return document


def check(document: ParsedDocument) -> None:
    """What holds of every parsed document, whatever it was."""
    text = document.text
    assert text == text.strip("\n")
    assert text.strip()
    assert not re.search(r"\n\n\n|[ \t]\n|[ \t]$", text)
    assert not re.search("[\\x00-\\x08\\x0b-\\x1f\xa0\xad\u200b\u2060\ufeff\ue000-\uf8ff]", text)
    text.encode()  # no lone surrogates
    assert document.title
    assert document.title == " ".join(document.title.split())
    assert list(document.anchors) == sorted(document.anchors, key=lambda a: (a.start, a.kind))
    for kind in ("heading", "page"):
        anchors = [anchor for anchor in document.anchors if anchor.kind == kind]
        for anchor in anchors:
            assert 0 <= anchor.start < anchor.end <= len(text)
        for anchor, following in pairwise(anchors):
            assert anchor.end == following.start
        if anchors:
            assert anchors[-1].end == len(text)
    if document.media_type == "application/pdf":
        assert next(a for a in document.anchors if a.kind == "page").start == 0
    for anchor in document.anchors:
        if anchor.kind == "page":
            assert (anchor.path, anchor.slug, anchor.level) == ((), None, 0)
            assert anchor.page is not None
            continue
        assert anchor.page is None
        assert 1 <= anchor.level <= 6
        assert anchor.slug != ""
        if document.media_type != "application/pdf":
            assert text.startswith(anchor.path[-1], anchor.start)
            assert anchor.start == 0 or text[: anchor.start].endswith("\n\n")


def headings(document: ParsedDocument) -> list[tuple[str, int, str | None]]:
    """Title, level and slug of each heading."""
    return [(a.path[-1], a.level, a.slug) for a in document.anchors if a.kind == "heading"]


def section(document: ParsedDocument, title: str) -> str:
    """The text that a heading's anchor stands for, without the heading itself."""
    (anchor,) = [a for a in document.anchors if a.kind == "heading" and a.path[-1] == title]
    return document.text[anchor.start : anchor.end].removeprefix(title).strip("\n")


def pages(document: ParsedDocument) -> list[Anchor]:
    return [anchor for anchor in document.anchors if anchor.kind == "page"]


def draw_pdf(
    draw: Callable[[Canvas], None], *, title: str | None = None, password: str | None = None
) -> bytes:
    """A PDF made by ``draw``, which ends each page with ``showPage``."""
    target = io.BytesIO()
    encrypt = StandardEncryption(password) if password else None
    canvas = Canvas(target, pagesize=A4, encrypt=encrypt)
    if title is not None:
        canvas.setTitle(title)
    draw(canvas)
    canvas.save()
    return target.getvalue()


def draw_lines(
    canvas: Canvas,
    lines: list[str],
    *,
    top: float = 780,
    left: float = 60,
    size: float = 10,
    leading: float | None = None,
    font: str = "Helvetica",
) -> float:
    """Draw lines below each other; the height of the line that would come next."""
    for line in lines:
        canvas.setFont(font, size)
        canvas.drawString(left, top, line)
        top -= leading or 1.2 * size
    return top
