"""PDF files. Not thread-safe, and run in a process of its own: see ``isolate``."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium_c  # type: ignore[import-untyped]

from retriever.errors import ParseError
from retriever.parsing.builder import TextBuilder, one_line
from retriever.parsing.pdf_layout import (
    HYPHEN,
    Block,
    Segment,
    page_blocks,
    without_furniture,
)
from retriever.parsing.titles import first_title, heading_title, name_title, says_something
from retriever.records import ParsedDocument

# Bullets of the symbol fonts that word processors use, as those fonts number them.
_SYMBOLS = {0xF0B7: "•", 0xF0A7: "▪", 0xF0A8: "•", 0xF0D8: "➢", 0xF0FC: "✓", 0xF02D: "-"}
_LIGATURES = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\ufb05": "st", "\ufb06": "st",
}  # fmt: skip
_FIXED = re.compile(r"(?i)courier|mono|consol|typewriter|cmtt|menlo")
_BOLD = re.compile(r"(?i)bold|black|heavy|demi")
# First parts that English writes with a hyphen and hardly ever divides a word after.
_PREFIXES = frozenset(["self", "well", "half"])
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class _Bookmark:
    """An entry of the outline. ``page`` counts from 0, ``level`` from 1."""

    title: str
    page: int
    level: int


def parse_pdf(data: bytes, name: str) -> ParsedDocument:
    """Read a PDF file. Raises: ParseError."""
    document = _open(data, name)
    try:
        bookmarks = _outline(document)
        height = document.get_page_size(0)[1] if len(document) else 0.0
        metadata = one_line(str(document.get_metadata_dict().get("Title", "")))
        pages = [list(_segments(document, number, name)) for number in range(len(document))]
    except pdfium.PdfiumError as error:
        raise ParseError(f"{name} is damaged ({error}); export it anew") from error
    finally:
        document.close()
    if not any(pages):
        raise ParseError(f"{name} has no text layer (scanned?); run OCR first")
    largest = _largest_line(pages)
    builder = _build(without_furniture(pages, height), bookmarks)
    if not builder.length:  # every line is on every page
        builder = _build(pages, bookmarks)
    title = first_title(
        [
            metadata if says_something(metadata) else "",
            largest,
            heading_title(builder.headings),
            name_title(name),
        ]
    )
    return builder.build(title=title, media_type="application/pdf")


def _open(data: bytes, name: str) -> pdfium.PdfDocument:
    if b"%PDF-" not in data[:1024]:
        raise ParseError(f"{name} is not a PDF; name it by what it is")
    if b"%%EOF" not in data[-65536:]:
        raise ParseError(f"{name} is truncated (its end is missing); copy it again")
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
            raise ParseError(
                f"{name} is encrypted; remove the password and add it again"
            ) from error
        raise ParseError(f"{name} is damaged ({error}); export it anew") from error


def _outline(document: pdfium.PdfDocument) -> list[_Bookmark]:
    bookmarks = []
    for entry in document.get_toc():
        title = one_line(entry.get_title())
        target = entry.get_dest()
        page = target.get_index() if target is not None else None
        if title and page is not None and 0 <= page < len(document):
            bookmarks.append(_Bookmark(title, page, min(entry.level + 1, 6)))
    return bookmarks


# --- text with places --------------------------------------------------------------------------


class _Characters:
    """The characters of a page with their boxes."""

    def __init__(self, page: pdfium.PdfTextPage) -> None:
        self._page = page.raw
        self.codes = [
            pdfium_c.FPDFText_GetUnicode(self._page, at) for at in range(page.count_chars())
        ]
        self._box = pdfium_c.FS_RECTF()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self._styles: dict[str, tuple[bool, bool]] = {}

    def box(self, at: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the place that the font keeps for a character."""
        pdfium_c.FPDFText_GetLooseCharBox(self._page, at, self._box)
        return self._box.left, self._box.right, self._box.bottom, self._box.top

    def style(self, at: int) -> tuple[bool, bool]:
        """Whether a character is bold, and whether its font has one width for all."""
        pdfium_c.FPDFText_GetFontInfo(self._page, at, self._name, 128, self._flags)
        name = self._name.value.decode("utf-8", "replace")
        known = self._styles.get(name)
        if known is None:
            known = _BOLD.search(name) is not None, _FIXED.search(name) is not None
            self._styles[name] = known
        bold = known[0] or pdfium_c.FPDFText_GetFontWeight(self._page, at) >= 600
        return bold, known[1] or bool(self._flags.value & 1)


def _segments(document: pdfium.PdfDocument, number: int, name: str) -> Iterator[Segment]:
    """The page's text in the order of the file, split where a line ends or a wide gap begins."""
    try:
        page = document[number]
        text_page = page.get_textpage()
    except pdfium.PdfiumError as error:
        raise ParseError(f"{name}: page {number + 1} is damaged; export the file anew") from error
    characters = _Characters(text_page)
    words: list[Segment] = []
    for word in _words(characters):
        if words and (words[-1].text.endswith(HYPHEN) or not _adjoins(words[-1], word)):
            yield _joined(words)
            words = []
        words.append(word)
    if words:
        yield _joined(words)
    text_page.close()
    page.close()


def _words(characters: _Characters) -> Iterator[Segment]:
    codes = characters.codes
    start: int | None = None
    for at, code in enumerate([*codes, 0x20]):
        is_space = code in (0, 0x09, 0x0A, 0x0D, 0x20, 0xA0, 0xFFFE) or code == 0x3000
        if not is_space and start is None:
            start = at
        ends = is_space or code == 2
        if start is None or not ends:
            continue
        last = at if code == 2 else at - 1
        text = "".join(_SYMBOLS.get(c) or chr(c) for c in codes[start : last + 1])
        for ligature, letters in _LIGATURES.items():
            text = text.replace(ligature, letters)
        left, right, bottom, top = characters.box(start)
        end_left, end_right, end_bottom, end_top = characters.box(last)
        bold, fixed = characters.style(start)
        yield Segment(
            text, min(left, end_left), max(right, end_right), min(bottom, end_bottom),
            max(top, end_top), bold, fixed,
        )  # fmt: skip
        start = None


def _adjoins(one: Segment, other: Segment) -> bool:
    """Whether a word goes on with the one before it, on the same line and without a wide gap."""
    gap = other.left - one.right
    return one.beside(other) and -0.5 * one.height <= gap <= 0.95 * min(one.height, other.height)


def _joined(words: Sequence[Segment]) -> Segment:
    # A bullet or a raised figure in another size does not make the line another size.
    heights = sorted((word for word in words for _ in word.text), key=lambda word: word.height)
    typical = heights[len(heights) // 2]
    return Segment(
        " ".join(word.text for word in words),
        min(word.left for word in words),
        max(word.right for word in words),
        typical.bottom,
        typical.top,
        all(word.bold for word in words),
        all(word.fixed for word in words),
    )


# --- the document ------------------------------------------------------------------------------


class _Hyphens:
    """Joins words that were divided at the end of a line.

    The hyphen stays if the word is written with it elsewhere in the document, or if what follows
    cannot be the rest of a word; it goes otherwise.
    """

    def __init__(self, pages: Sequence[Sequence[Segment]]) -> None:
        self._known = Counter(
            word.casefold()
            for page in pages
            for segment in page
            for word in _WORD.findall(segment.text.replace(HYPHEN, " "))
        )

    def join(self, above: str, below: str) -> str:
        if not above.endswith(HYPHEN):
            return f"{above} {below}" if above else below
        above = above.rstrip(HYPHEN)
        left = re.search(r"[\w-]*$", above)
        right = re.match(r"\w*", below)
        one, two = (left[0] if left else "").casefold(), (right[0] if right else "").casefold()
        compound = self._known[f"{one}-{two}"] > self._known[one + two]
        whole = below[:1].islower() and one.replace("-", "").isalpha() and one not in _PREFIXES
        return f"{above}-{below}" if compound or not whole else above + below


def _build(pages: Sequence[Sequence[Segment]], bookmarks: Sequence[_Bookmark]) -> TextBuilder:
    hyphens = _Hyphens(pages)
    builder = TextBuilder()
    starts: dict[int, int] = {}  # bookmark: where its heading begins
    page_starts: list[int] = []
    glue: str | None = None
    own = [
        [at for at, bookmark in enumerate(bookmarks) if bookmark.page == number]
        for number in range(len(pages))
    ]
    blocks = [
        page_blocks(segments, [bookmarks[at].title for at in own[number]], hyphens.join)
        for number, segments in enumerate(pages)
    ]
    for number, page in enumerate(blocks):
        if page:
            builder.begin_page(number + 1)
        page_starts.append(builder.length)
        for at, block in enumerate(page):
            text = block.text
            follows: str | None = None
            if at == len(page) - 1:
                text, follows = _page_end(block, blocks[number + 1 :], hyphens)
            group = None if block.group is None else number * 10_000 + block.group
            start = builder.add(
                text.replace(HYPHEN, "-"), indent="  " * block.indent, group=group, glue=glue
            )
            glue = follows
            if start is not None:
                if at == 0:
                    page_starts[-1] = start
                if block.heading is not None:
                    starts[own[number][block.heading]] = start
    for at, bookmark in enumerate(bookmarks):
        start = starts.get(at, page_starts[bookmark.page])
        if start < builder.length:
            builder.mark_heading(start, bookmark.title, bookmark.level)
    return builder


def _page_end(
    last: Block, following: Sequence[Sequence[Block]], hyphens: _Hyphens
) -> tuple[str, str | None]:
    """The text of a page's last block, and what joins it to the next page's if it goes on there."""
    block = next((page[0] for page in following if page), None)
    if block is None or not _goes_on(last, block):
        return last.text, None
    if not re.search(rf"\w[-{HYPHEN}]$", last.text):
        return last.text, " "
    whole = hyphens.join(last.text[:-1] + HYPHEN, block.text)
    return whole[: len(whole) - len(block.text)], ""


def _goes_on(last: Block, block: Block) -> bool:
    """Whether a page begins in the middle of the sentence that ended the page before."""
    return (
        block.continues
        and last.kind in ("paragraph", "item")
        and 0.88 < last.height / max(block.height, 0.1) < 1.14
        and last.text[-1] not in ".!?:;"
    )


def _largest_line(pages: Sequence[Sequence[Segment]]) -> str:
    """The line in the largest type on the first page, if it is a title's size; "" otherwise."""
    first = pages[0]
    sizes = sorted(segment.height for segment in first for _ in segment.text)
    if not sizes:
        return ""
    largest = max(first, key=lambda segment: segment.height)
    lines = [segment for segment in first if segment.height > 0.97 * largest.height]
    text = one_line(" ".join(segment.text for segment in lines))
    fits = 3 <= len(text) <= 120 and any(character.isalpha() for character in text)
    return text if fits and largest.height > 1.25 * sizes[len(sizes) // 2] else ""
