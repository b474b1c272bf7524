"""Blocks to the canonical text of a document, and its anchors.

The text's form is the same whatever the file was: blocks apart by one blank line, lines without
trailing spaces, and no characters that cannot be seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from retriever.records import Anchor, ParsedDocument

# Zero-width joiners (U+200C, U+200D) stay: words in Persian and Hindi and many emoji need them.
_INVISIBLE = dict.fromkeys([0x00AD, 0x180E, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFFC])
_SPACES = dict.fromkeys([0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_BREAKS = dict.fromkeys([0x0B, 0x0C, 0x85, 0x2028, 0x2029], "\n")
_CONTROLS = dict.fromkeys(
    code for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in {9, 10, 0x0B, 0x0C, 0x85}
)
_CHARACTERS: dict[int, str | None] = {**_CONTROLS, **_INVISIBLE, **_SPACES, **_BREAKS}
# Private characters are the glyphs of icon fonts; those of template tags end here too.
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t]+")


def clean(text: str) -> str:
    """``text`` with plain spaces and line ends, and without invisible characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CHARACTERS)
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _PRIVATE.sub("", text)


def one_line(text: str) -> str:
    """``text`` cleaned and on one line, with single spaces."""
    return " ".join(clean(text).split())


@dataclass(frozen=True, slots=True)
class _Heading:
    start: int
    text: str
    level: int
    slug: str | None


class TextBuilder:
    """Collects blocks, headings and page starts in the order of reading."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._group: int | None = None
        self._headings: list[_Heading] = []
        self._pages: list[tuple[int, int]] = []
        self._page: int | None = None

    @property
    def headings(self) -> list[tuple[str, int]]:
        """Text and level of every heading so far."""
        return [(heading.text, heading.level) for heading in self._headings]

    @property
    def length(self) -> int:
        return self._length

    def add(
        self, text: str, *, indent: str = "", group: int | None = None, glue: str | None = None
    ) -> int | None:
        """Add a block of prose; runs of spaces become one, its line breaks stay.

        Args:
            indent: put before each line.
            group: blocks that follow each other with the same group have no blank line between
                them (list items, table rows).
            glue: continue the last paragraph, with this between the two.

        Returns:
            The block's offset in the text, or None if there was nothing to add.
        """
        lines = (_BLANKS.sub(" ", line).strip() for line in clean(text).split("\n"))
        return self._put("\n".join(indent + line for line in lines if line), group, glue)

    def add_verbatim(self, text: str) -> int | None:
        """Add a block whose spaces mean something, such as code."""
        lines = [line.rstrip() for line in clean(text).split("\n")]
        kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
        return self._put("\n".join(kept).strip("\n"), None, None)

    def add_heading(self, text: str, level: int, slug: str | None) -> int | None:
        """Add a heading on a line of its own. ``level``: 1 to 6."""
        title = one_line(text)
        start = self._put(title, None, None)
        if start is not None:
            self._headings.append(_Heading(start, title, level, slug or None))
        return start

    def mark_heading(self, start: int, text: str, level: int) -> None:
        """Let a heading begin at ``start``, an offset in text that is there already."""
        if title := one_line(text):
            self._headings.append(_Heading(start, title, level, None))

    def begin_page(self, number: int) -> None:
        """Let the text that comes next belong to page ``number``, from 1."""
        self._page = number

    def _put(self, text: str, group: int | None, glue: str | None) -> int | None:
        if not text:
            return None
        if self._parts:
            tight = group is not None and group == self._group
            separator = glue if glue is not None else "\n" if tight else "\n\n"
            self._parts.append(separator)
            self._length += len(separator)
        start = self._length
        if self._page is not None:
            # The first page reaches back to the beginning, so that the pages share out all text.
            self._pages.append((start, self._page))
            self._page = None
        self._parts.append(text)
        self._length += len(text)
        self._group = group
        return start

    def build(self, *, title: str, media_type: str) -> ParsedDocument:
        """The document of all that was added."""
        anchors = self._heading_anchors() + self._page_anchors()
        anchors.sort(key=lambda anchor: (anchor.start, anchor.kind))
        return ParsedDocument(
            text="".join(self._parts),
            title=one_line(title),
            media_type=media_type,
            anchors=tuple(anchors),
        )

    def _heading_anchors(self) -> list[Anchor]:
        headings = sorted(self._headings, key=lambda heading: heading.start)
        bounds = [*(heading.start for heading in headings), self._length]
        above: list[_Heading] = []
        anchors = []
        for heading, end in zip(headings, bounds[1:], strict=True):
            while above and above[-1].level >= heading.level:
                above.pop()
            above.append(heading)
            if end > heading.start:
                path = tuple(part.text for part in above)
                anchors.append(
                    Anchor("heading", heading.start, end, path, heading.slug, heading.level)
                )
        return anchors

    def _page_anchors(self) -> list[Anchor]:
        bounds = [*(start for start, _ in self._pages), self._length]
        return [
            Anchor("page", start, end, page=page)
            for (start, page), end in zip(self._pages, bounds[1:], strict=True)
        ]
