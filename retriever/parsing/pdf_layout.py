"""Pieces of text on a page to headings, paragraphs, list items and tables.

A PDF says where each piece of text stands and nothing else. Here pieces that stand on one line and
close together are a ``Segment``. Segments above each other with gutters between them are a table;
the others are lines, joined to paragraphs where one line ended for want of room.

All lengths are in points, the vertical ones upwards.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from retriever.parsing.tables import is_header, label, row_lines

HYPHEN = "\x02"
"""Stands for a hyphen at the end of a line, which may be one of the word's own or not."""

_BULLET = "•◦▪‣●○■□▸►➢✓∙·*–—-"
_MARKER = re.compile(rf"(?P<mark>[{_BULLET}]|\(?(?:\d{{1,3}}|[a-z]|[ivx]{{1,4}})[.)])(?:\s+|$)")
_LEADERS = re.compile(r"\s*(?:\.\s?){4,}\s*(?=\S+$)")
_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|part)\s+)?[\divxlc]+(?:\.\d+)*[.:)]?\s+", re.IGNORECASE
)
_ROMAN = re.compile(r"^[ivxl]{1,7}$")
_SECTION = re.compile(r"\d+(?:\.\d+)+\.?")
_SENTENCE_END = (".", "!", "?", ":", ";", '."', ".”", ".)")


@dataclass(frozen=True, slots=True)
class Segment:
    """Text on one line without a gap in it."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    bold: bool = False
    fixed: bool = False
    """Whether all letters are equally wide, as in program code."""

    @property
    def height(self) -> float:
        return max(self.top - self.bottom, 0.1)

    def beside(self, other: Segment) -> bool:
        """Whether the two stand on the same line."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        return shared >= 0.5 * min(self.height, other.height)


@dataclass(slots=True)
class Block:
    """A block of text on a page.

    Attributes:
        heading: for a heading, its place in the page's list of headings.
        continues: whether its first line may go on with the last block of the page before.
        group: blocks with the same number belong to one list or table.
    """

    kind: Literal["heading", "paragraph", "item", "row"]
    text: str
    indent: int = 0
    heading: int | None = None
    continues: bool = False
    group: int | None = None
    height: float = 0.0


@dataclass(slots=True)
class _Entry:
    """A paragraph or item in the making."""

    lines: list[Segment]
    kind: Literal["heading", "paragraph", "item"]
    breaks: set[int] = field(default_factory=set)
    heading: int | None = None


# --- what is on every page ---------------------------------------------------------------------


def without_furniture(pages: Sequence[Sequence[Segment]], height: float) -> list[list[Segment]]:
    """The pages without their running heads and feet.

    Those are lines among the three topmost or lowest that say the same, digits aside, on at least
    half of the pages, when there are three or more. Lines that differ from chapter to chapter
    count as well where half of the pages have a line at that height. On two pages the lines must
    also stand at the same height in the margin.

    Args:
        height: the height of the pages.
    """
    edges = [_edge(page) for page in pages]
    if len(pages) < 2:
        return [list(page) for page in pages]
    texts = Counter(place for edge in edges for place in {p.anywhere for p in edge.values()})
    places = Counter(place for edge in edges for place in set(edge.values()))
    levels = Counter(level for edge in edges for level in {p.level for p in edge.values()})
    half = max(2.0, len(pages) / 2)

    def is_furniture(place: _Place) -> bool:
        if len(pages) == 2:
            margin = 0.12 * height
            return places[place] == 2 and not margin < place.bottom < height - margin
        chapter = places[place] >= 2 and levels[place.level] >= half and place.outermost
        return texts[place.anywhere] >= half or chapter

    return [
        [segment for at, segment in enumerate(page) if at not in edge or not is_furniture(edge[at])]
        for page, edge in zip(pages, edges, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands near the edge of a page: text without digits, in which size, how high."""

    upper: bool
    text: str
    size: int
    bottom: int
    outermost: bool

    @property
    def anywhere(self) -> tuple[bool, str, int]:
        return self.upper, self.text, self.size

    @property
    def level(self) -> tuple[bool, int]:
        return self.upper, self.bottom


def _edge(page: Sequence[Segment]) -> dict[int, _Place]:
    """The places of the segments in the three topmost and three lowest lines, by index."""
    lines: list[list[int]] = []
    for at in sorted(range(len(page)), key=lambda at: -page[at].bottom):
        if lines and page[at].beside(page[lines[-1][0]]):
            lines[-1].append(at)
        else:
            lines.append([at])
    found: dict[int, _Place] = {}
    for upper, ends in ((True, lines[:3]), (False, lines[:-4:-1])):
        for depth, line in enumerate(ends):
            for at in line:
                segment = page[at]
                text = _ROMAN.sub("0", re.sub(r"\d+", "0", segment.text).casefold())
                place = _Place(
                    upper, text, round(segment.height), round(segment.bottom), depth == 0
                )
                found.setdefault(at, place)
    return found


# --- blocks ------------------------------------------------------------------------------------


def page_blocks(
    segments: Sequence[Segment], headings: Sequence[str], join: Callable[[str, str], str]
) -> list[Block]:
    """The blocks of a page in the order of its text.

    Args:
        headings: titles that the outline places on this page.
        join: puts together a text that ends with ``HYPHEN`` and the text below it.
    """
    segments = _with_markers(segments)
    blocks: list[Block] = []
    lines: list[Segment] = []
    groups = iter(range(1, len(segments) + 2))
    at = 0
    wanted = dict(enumerate(headings))

    def flush() -> None:
        blocks.extend(_flow(lines, wanted, join, groups))
        lines.clear()

    while at < len(segments):
        rows, used = _table(segments[at:], join)
        if rows:
            flush()
            group = next(groups)
            blocks += [Block("row", row, group=group) for row in rows]
            at += used
            continue
        segment = segments[at]
        if lines and segment.beside(lines[-1]) and segment.left >= lines[-1].right:
            lines[-1] = _side_by_side(lines[-1], segment)
        else:
            lines.append(segment)
        at += 1
    flush()
    if blocks:
        blocks[0].continues = blocks[0].kind == "paragraph" and blocks[0].text[0].islower()
    return blocks


def _side_by_side(one: Segment, other: Segment) -> Segment:
    """Both on one line, which is as high as the longer of them: bullets come in all sizes."""
    longer = one if len(one.text) > len(other.text) else other
    return replace(
        longer,
        text=f"{one.text} {other.text}",
        left=one.left,
        right=other.right,
        bold=one.bold and other.bold,
        fixed=one.fixed and other.fixed,
    )


def _with_markers(segments: Sequence[Segment]) -> list[Segment]:
    """The segments with the bullets and numbers of lists put in front of their items."""
    joined: list[Segment] = []
    for segment in segments:
        before = joined[-1] if joined else None
        if (
            before is not None
            and segment.beside(before)
            and 0 <= segment.left - before.right < 5 * segment.height
            and (_MARKER.fullmatch(before.text) or _SECTION.fullmatch(before.text))
            and not (len(joined) > 1 and joined[-2].beside(before))
        ):
            joined[-1] = _side_by_side(before, segment)
        else:
            joined.append(segment)
    return joined


def _flow(
    lines: Sequence[Segment],
    wanted: dict[int, str],
    join: Callable[[str, str], str],
    groups: Iterable[int],
) -> list[Block]:
    """Lines below each other as headings, paragraphs and items."""
    entries: list[_Entry] = []
    usual = _usual_gap(lines)
    right = max((line.right for line in lines), default=0.0)
    at = 0
    while at < len(lines):
        found = _heading_at(lines, at, wanted)
        if found is not None:
            number, used = found
            del wanted[number]
            entries.append(_Entry(list(lines[at : at + used]), "heading", heading=number))
            at += used
            continue
        line = lines[at]
        at += 1
        last = entries[-1] if entries and entries[-1].kind != "heading" else None
        if _MARKER.match(line.text) and not (last and _continues_number(last, line, right)):
            entries.append(_Entry([line], "item"))
        elif last is None or _is_apart(last, line, usual):
            entries.append(_Entry([line], "paragraph"))
        else:
            if _was_broken(last.lines[-1], line, right):
                last.breaks.add(len(last.lines))
            last.lines.append(line)
    return _finished(entries, join, groups)


def _finished(
    entries: Sequence[_Entry], join: Callable[[str, str], str], groups: Iterable[int]
) -> list[Block]:
    blocks = []
    numbers = iter(groups)
    group: int | None = None
    lefts: list[float] = []
    for entry in entries:
        text = ""
        for number, line in enumerate(entry.lines):
            text = f"{text}\n{line.text}" if number in entry.breaks else join(text, line.text)
        text = "\n".join(_LEADERS.sub(" ", line) for line in text.split("\n"))
        if entry.kind == "item":
            if group is None:
                group, lefts = next(numbers), []
            left = entry.lines[0].left
            while lefts and lefts[-1] > left + 3:
                lefts.pop()
            if not lefts or left > lefts[-1] + 3:
                lefts.append(left)
            match = _MARKER.match(text)
            mark = match["mark"] if match else "-"
            rest = text[match.end() :] if match else text
            text = f"{'-' if mark in _BULLET else mark} {rest}".rstrip()
            blocks.append(Block("item", text, indent=len(lefts) - 1, group=group))
        else:
            group = None
            blocks.append(Block(entry.kind, text, heading=entry.heading))
        blocks[-1].height = entry.lines[0].height
    return [block for block in blocks if block.text.strip()]


def _usual_gap(lines: Sequence[Segment]) -> float:
    """The space between the lines of a paragraph, in heights of a line."""
    gaps = [
        (above.bottom - below.top) / below.height
        for above, below in pairwise(lines)
        if 0.88 < above.height / below.height < 1.14 and above.bottom > below.bottom
    ]
    # The lower quartile: on pages of short paragraphs most gaps are those between paragraphs.
    return sorted(gaps)[len(gaps) // 4] if gaps else 0.0


def _is_apart(entry: _Entry, line: Segment, usual: float) -> bool:
    """Whether a line begins something new below an entry."""
    above = entry.lines[-1]
    if not 0.88 < above.height / line.height < 1.14 or above.bold != line.bold:
        return True
    if line.bottom >= above.bottom - 0.3 * line.height:  # further up: the next column
        return above.text.endswith(_SENTENCE_END) or not line.text[0].islower()
    gap = (above.bottom - line.top) / line.height
    if gap > usual + 0.3:
        return True
    first = entry.lines[0]
    if entry.kind == "item":
        # Below an item that hangs, a line at or before the marker's place is outside it.
        return line.left < first.left - 2 or (
            line.left <= first.left + 2
            and len(entry.lines) > 1
            and entry.lines[1].left > first.left + 4
        )
    indented = line.left > above.left + 0.8 * line.height
    return indented and above.text.endswith(_SENTENCE_END) and len(entry.lines) > 1


def _continues_number(entry: _Entry, line: Segment, right: float) -> bool:
    """Whether what looks like a marker is a number or dash in the middle of a sentence."""
    above = entry.lines[-1]
    return (
        (line.text[0].isalnum() or line.text[0] in "–—-(")
        and abs(line.left - above.left) < 1
        and (entry.kind == "paragraph" or len(entry.lines) > 1)
        and above.right > right - 0.15 * (right - above.left)
        and not above.text.endswith(_SENTENCE_END)
    )


def _was_broken(above: Segment, line: Segment, right: float) -> bool:
    """Whether a line ended though the next word had room on it."""
    if above.fixed and line.fixed:
        return True
    if above.text.endswith(HYPHEN):
        return False
    if _LEADERS.search(above.text):
        return True
    if line.text[0].islower():
        return False
    word = line.text.split()[0]
    width = (line.right - line.left) * len(word) / max(len(line.text), 1)
    return above.right + width + 0.5 * line.height < right - 0.02 * (right - above.left)


# --- headings ----------------------------------------------------------------------------------


def plain(text: str) -> str:
    """What is compared of a heading: its letters and digits."""
    return re.sub(r"[\W_]+", "", text).casefold()


def _heading_at(
    lines: Sequence[Segment], at: int, wanted: dict[int, str]
) -> tuple[int, int] | None:
    """The wanted heading that begins at a line, and how many lines it has."""
    text = ""
    for used in range(1, min(4, len(lines) - at + 1)):
        text = f"{text} {lines[at + used - 1].text}"
        for number, title in wanted.items():
            forms = {plain(title), plain(_NUMBERING.sub("", title))} - {""}
            if {plain(text), plain(_NUMBERING.sub("", text.strip()))} & forms:
                return number, used
    return None


# --- tables ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    """Segments beside each other, and their places in the order of the page's text."""

    segments: list[Segment]
    order: list[int]

    @property
    def bottom(self) -> float:
        return min(segment.bottom for segment in self.segments)

    @property
    def top(self) -> float:
        return max(segment.top for segment in self.segments)


@dataclass(slots=True)
class _Column:
    left: float
    right: float


def _table(segments: Sequence[Segment], join: Callable[[str, str], str]) -> tuple[list[str], int]:
    """The lines of a table at the head of ``segments``, and how many segments it takes."""
    if len(segments) < 4 or segments[0].fixed:
        return [], 0
    lines = _visual_lines(segments)
    if len(lines) < 2 or len(lines[0].segments) < 2:
        return [], 0
    count, columns = _columns(lines)
    while count > 1:
        order = sorted(at for line in lines[:count] for at in line.order)
        if order == list(range(len(order))):
            break
        count -= 1  # a cell of a line left out comes before one of a line kept
    if count < 2 or sum(len(line.segments) > 1 for line in lines[:count]) < 2 or len(columns) < 2:
        return [], 0
    columns.sort(key=lambda column: column.left)
    rows = _table_rows(lines[:count], columns)
    if len(rows) < 2 or any(max(above.order) > min(below.order) for above, below in pairwise(rows)):
        return [], 0  # one column of the page after the other, not one row
    texts = [["" for _ in columns] for _ in rows]
    bold = [[True for _ in columns] for _ in rows]
    for at, row in enumerate(rows):
        for segment in row.segments:
            column = _column_of(segment, columns)
            texts[at][column] = join(texts[at][column], _LEADERS.sub(" ", segment.text))
            bold[at][column] = bold[at][column] and segment.bold
    used = sum(len(line.order) for line in lines[:count])
    if is_header(texts[0], texts[1:], bold):
        return row_lines(texts[1:], texts[0]), used
    if len(columns) == 2 and all(
        row[0] and flags[0] for row, flags in zip(texts, bold, strict=True)
    ):
        return [label(name, value) if value else name for name, value in texts], used
    return row_lines(texts, None), used


def _visual_lines(segments: Sequence[Segment]) -> list[_Row]:
    """Segments that may be a table's, by the line they stand on.

    The lines of a cell may come one after the other before those of the cell beside it.
    """
    lines: list[_Row] = []
    for at, segment in enumerate(segments[:2000]):
        for line in reversed(lines[-8:]):
            last = line.segments[-1]
            if segment.beside(last) and segment.left >= last.right:
                line.segments.append(segment)
                line.order.append(at)
                break
        else:
            if lines:
                gap = min(line.bottom for line in lines) - segment.top
                if not -0.5 * segment.height <= gap <= 1.6 * segment.height:
                    break
            lines.append(_Row([segment], [at]))
        if len(lines) == 3 and all(len(line.segments) == 1 for line in lines):
            break
    return lines


def _columns(lines: Sequence[_Row]) -> tuple[int, list[_Column]]:
    """How many lines agree on columns with gutters between them, and the columns."""
    columns: list[_Column] = []
    for count, line in enumerate(lines):
        grown = [_Column(column.left, column.right) for column in columns]
        taken: set[int] = set()
        for segment in line.segments:
            over = [
                at
                for at, column in enumerate(grown)
                if segment.left < column.right and column.left < segment.right
            ]
            if len(over) > 1 or (over and over[0] in taken):
                return count, columns
            if not over:
                if len(line.segments) == 1:
                    return count, columns
                grown.append(_Column(segment.left, segment.right))
                taken.add(len(grown) - 1)
            else:
                taken.add(over[0])
                column = grown[over[0]]
                column.left = min(column.left, segment.left)
                column.right = max(column.right, segment.right)
        ordered = sorted(grown, key=lambda column: column.left)
        if any(a.right > b.left for a, b in pairwise(ordered)):
            return count, columns
        if len(line.segments) == 1 and _begins_text(lines, count):
            return count, columns
        columns = grown
    return len(lines), columns


def _begins_text(lines: Sequence[_Row], at: int) -> bool:
    """Whether a line with one segment is not a table's any more: it looks different."""
    line, above = lines[at].segments[0], lines[at - 1].segments[0]
    if not 0.88 < above.height / line.height < 1.14:
        return True
    gaps = [one.bottom - two.top for one, two in pairwise(lines[: at + 1])]
    return len(gaps) > 1 and gaps[-1] > max(gaps[:-1]) + 0.3 * line.height


def _column_of(segment: Segment, columns: Sequence[_Column]) -> int:
    middle = (segment.left + segment.right) / 2
    return min(
        range(len(columns)),
        key=lambda at: max(columns[at].left - middle, middle - columns[at].right, 0.0),
    )


def _table_rows(lines: Sequence[_Row], columns: Sequence[_Column]) -> list[_Row]:
    """Lines put together to rows: the space between rows is wider than that within a cell."""
    gaps = [above.bottom - below.top for above, below in pairwise(lines)]
    height = statistics.median(segment.height for line in lines for segment in line.segments)
    padded = max(gaps) - min(gaps) > 0.25 * height
    limit = (max(gaps) + min(gaps)) / 2
    rows = [_Row(list(lines[0].segments), list(lines[0].order))]
    for line, gap in zip(lines[1:], gaps, strict=True):
        first = line.segments[0]
        if padded:
            same = gap < limit
        elif _column_of(first, columns) > 0:
            same = True
        else:
            same = len(line.segments) == 1 and first.text[0].islower()
        if same:
            rows[-1].segments += line.segments
            rows[-1].order += line.order
        else:
            rows.append(_Row(list(line.segments), list(line.order)))
    return rows
