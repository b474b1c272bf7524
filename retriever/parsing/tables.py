"""Table rows as lines that can be read and quoted on their own.

A row becomes "Header: value; Header: value", so that a value keeps its meaning outside its table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_NOTHING = {"", "-", "–", "—"}
_LONG_HEADER = 40
_LABEL = r"[^:;.!?\n]{1,40}\??: "
# The first column may have no header.
_FIRST_CELLS = re.compile(rf"(?P<bare>[^:;.!?\n]{{1,40}}; )?{_LABEL}")
_NAMED = re.compile(_LABEL)
#: Between a cell of a row and the next that has a header.
NEXT_CELL = re.compile(rf"; (?={_LABEL})")
_LONGEST_ROW = 500
#: A name of more characters is not repeated with each of its values: it would make more text of
#: a document than there is.
LONGEST_NAME = 200


@dataclass(slots=True)
class MarkedRow:
    """A row of a table whose cells are marked as headers, or as bold, or not.

    Attributes:
        wide: whether a cell is empty because the one in front of it, a value, is as wide as both.
        in_head: whether it stands in the part of the table that is marked as its header.
        lone: whether one header cell, as wide as the table or not, or one value as wide as the
            table is all that it has.
    """

    cells: list[str] = field(default_factory=list)
    heads: list[bool] = field(default_factory=list)
    bold: list[bool] = field(default_factory=list)
    wide: list[bool] = field(default_factory=list)
    in_head: bool = False
    lone: bool = False

    def widened(self, width: int) -> MarkedRow:
        """The row with ``width`` cells."""
        wide = (self.wide + [False] * width)[:width]
        return MarkedRow(
            (self.cells + [""] * width)[:width],
            (self.heads + [False] * width)[:width],
            (self.bold + [False] * width)[:width],
            wide,
            self.in_head,
            width > 1 and (self.lone or all(wide[1:])),
        )

    def names(self) -> list[str]:
        """What it calls each column, if it is a header: a cell all those that it is as wide as."""
        names: list[str] = []
        for cell, wide in zip(self.cells, self.wide, strict=True):
            names.append(names[-1] if wide and names else cell)
        return names


def table_lines(
    rows: Sequence[MarkedRow], *, guess_header: bool = False
) -> tuple[list[str], list[str]]:
    """What stands above a table as its caption, and one line for each row that has a value.

    A header cell of more than ``LONGEST_NAME`` characters names no column, but is a caption.

    Args:
        rows: those of its head may be empty: they say that the columns have no names.
        guess_header: whether the first row may be the header without being marked as one.
    """
    named = all(any(row.cells) for row in rows)
    rows = [row for row in rows if any(row.cells)]
    width = max((len(row.cells) for row in rows if not (row.lone or all(row.wide[1:]))), default=0)
    width = width or max((len(row.cells) for row in rows), default=0)
    rows = [row.widened(width) for row in rows]
    captions: list[str] = []
    if not all(row.lone for row in rows):  # a value above the header names the table
        while rows[0].lone and not rows[0].in_head and not rows[0].heads[0]:
            captions.append(rows.pop(0).cells[0])
    heads, lone = 0, True
    for row in rows:
        # A lone cell below the header names the rows below it.
        if not row.in_head and (not _all_heads(row) or (row.lone and not lone)):
            break
        heads, lone = heads + 1, lone and row.lone
    if heads and lone:  # they name the table, not its columns
        captions += [row.cells[0] for row in rows[:heads]]
        rows, heads = rows[heads:], 0
    if heads == len(rows):  # nothing but headers: the first row names, the others are read
        heads = min(heads, 1) if len(rows) > 1 else 0
    if heads == 1 and _is_pairs_below_head(rows):
        rows[0].heads, heads = [False, False], 0
    if heads == 0 and guess_header and rows:
        heads = 1 if _may_be_header(rows) else 0
    if heads:
        header, heads = _header(rows[:heads])
        captions += dict.fromkeys(
            cell for row in rows[:heads] for cell in row.cells if not _is_name(cell)
        )
        return captions, _lines(rows[heads:], header)
    body = rows
    paired = width > 1 and (
        all(_is_pair(row) for row in body if not row.lone)
        or (not named and width == 2 and all(_is_short(row.cells[0]) for row in body))
    )
    return captions, _lines(body, None, names=1 if paired else 0)


def _header(heads: Sequence[MarkedRow]) -> tuple[list[str], int]:
    """What each column is called, and how many of ``heads``, one row or more, say so.

    The rows of a header are joined while the names stay short; those left are read as rows.
    """
    names: list[list[str]] = [[] for _ in heads[0].cells]
    for count, row in enumerate(heads):
        longer = [
            [*name, cell] if cell and _is_name(cell) and cell not in name else name
            for name, cell in zip(names, row.names(), strict=True)
        ]
        if not all(_is_name(" ".join(name)) for name in longer):
            return [" ".join(name) for name in names], count
        names = longer
    return [" ".join(name) for name in names], len(heads)


def _may_be_header(rows: Sequence[MarkedRow]) -> bool:
    """Whether the first row may be the header, by the cells that it has."""
    own = [column for column, wide in enumerate(rows[0].wide) if not wide]
    first, *rest = ([row.cells[column] for column in own] for row in rows)
    return is_header(first, rest, [[row.bold[column] for column in own] for row in rows])


def _is_name(text: str) -> bool:
    """Whether a text is short enough to stand in front of each of its values."""
    return len(text) <= LONGEST_NAME


def _lines(rows: Sequence[MarkedRow], header: Sequence[str] | None, *, names: int = 0) -> list[str]:
    """One line for each row.

    Args:
        names: so many cells name each row, where there is no header.
    """
    lines = []
    for row in rows:
        count = names or (_names(row) if header is None else 0)
        if row.lone:
            lines.append(row.cells[0])
        elif count:
            name = ", ".join(dict.fromkeys(filter(None, row.cells[:count])))
            if values := [cell for cell in row.cells[count:] if cell]:
                lines.append(label(name, "; ".join(values)))
        else:
            own = _over(header, row) if header is not None and any(row.wide) else header
            lines += row_lines([row.cells], own)
    return lines


def _over(header: Sequence[str], row: MarkedRow) -> list[str]:
    """What the columns of a row are called: where one value stands in several, by all their names.

    That is as long as they may be in front of a value; otherwise it is by the first.
    """
    names, start = list(header), 0
    for end, wide in enumerate([*row.wide[1:], False], 1):
        if not wide:
            own = dict.fromkeys(name for name in header[start:end] if name not in _NOTHING)
            if end - start > 1 and _is_name(joined := ", ".join(own)):
                names[start] = joined
            start = end
    return names


def _names(row: MarkedRow) -> int:
    """How many header cells stand in front of a row; 0 if there are others, or nothing else."""
    count = row.heads.index(False) if False in row.heads else 0
    return count if any(row.cells[:count]) and not any(row.heads[count:]) else 0


def _all_heads(row: MarkedRow) -> bool:
    """Whether all that a row has are headers; one in front of empty cells names the row."""
    if not row.lone and len(row.cells) > 1 and not any(row.heads[1:]):
        return False
    return all(head for cell, head in zip(row.cells, row.heads, strict=True) if cell)


def _is_pair(row: MarkedRow) -> bool:
    """Whether the row is a name in bold or as a header cell, and what belongs to it."""
    named = bool(row.cells[0]) and (row.heads[0] or row.bold[0])
    return named and not any(row.heads[1:]) and not all(row.bold[1:])


def _is_pairs_below_head(rows: Sequence[MarkedRow]) -> bool:
    """Whether the first of a table's pairs was made its header, since Markdown demands one.

    Then the first column is bold from the first row on, and the other is not.
    """
    first, *below = rows
    return (
        len(first.cells) == 2
        and first.bold == [True, False]
        and all(first.cells)
        and bool(below)
        and all(row.bold == [True, False] for row in below)
    )


def _is_short(name: str) -> bool:
    return 0 < len(name) <= _LONG_HEADER


def row_lines(rows: Sequence[Sequence[str]], header: Sequence[str] | None) -> list[str]:
    """One line for each row that has a value.

    Args:
        rows: the cells of each row, header row excluded.
        header: what each column is called; "" for a column without a name. A name of more than
            ``LONGEST_NAME`` characters is a line of its own in front.
    """
    lines = [name for name in dict.fromkeys(header or ()) if not _is_name(name)]
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            if cell in _NOTHING:
                continue
            name = header[column] if header is not None and column < len(header) else ""
            named = name not in _NOTHING and _is_name(name)
            cells.append(label(name, cell) if named else cell)
        if cells:
            lines.append("; ".join(cells))
    return lines


def label(name: str, value: str) -> str:
    """``value`` with its name in front, as in "Seats: 8"."""
    separator = " " if name.endswith((":", "?")) else ": "
    return f"{name}{separator}{value}"


def is_row(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]``, a line, is a row of several cells with their headers.

    A row of more than 500 characters is not taken for one: it is too long to quote. Prose with two
    colons is none: what goes on behind its semicolon has a small letter, where headers have capital
    ones or all have small ones, and its sentences do not wait for the last of two cells.
    """
    if end - start > _LONGEST_ROW:
        return False
    first = _FIRST_CELLS.match(text, start, end)
    if first is None:
        return False
    small = text[start].islower()
    further = [
        cell
        for cell in NEXT_CELL.finditer(text, first.end(), end)
        if small or not text[cell.end()].islower()
    ]
    if len(further) > 1 or (further and first["bare"]):
        return True
    return bool(further) and ". " not in text[first.end() : further[0].start()]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row's line: where its name and its value stand; no name has no characters."""

    name: tuple[int, int]
    value: tuple[int, int]


def cells_of(text: str, start: int, end: int) -> list[Cell]:
    """The cells of ``text[start:end]``, a line that :func:`is_row` takes for a row."""
    small = text[start].islower()
    cells = []
    begin = start
    cuts = [
        (cut.start(), cut.end())
        for cut in NEXT_CELL.finditer(text, start, end)
        if small or not text[cut.end()].islower()
    ]
    for stop, following in [*cuts, (end, end)]:
        named = _NAMED.match(text, begin, stop)
        value = named.end() if named else begin
        cells.append(Cell((begin, max(begin, value - len(": "))), (value, stop)))
        begin = following
    return cells


def begins_as_row(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]``, a line, begins as a row does, with a cell and its header.

    Of two such lines in a row neither goes on in the other.
    """
    return _FIRST_CELLS.match(text, start, end) is not None


def is_header(
    first: Sequence[str], rest: Sequence[Sequence[str]], bold: Sequence[Sequence[bool]]
) -> bool:
    """Whether the first row of a table without marked headers is one.

    It is when it alone is bold. Without bold type it is when the table has three columns or more
    and each cell of the row has a short text of its own without digits: in a table of two columns
    such a row is as likely the first of many pairs.

    Args:
        bold: for each row, the first one included, whether the type of each cell is bold.
    """
    named = [cell for cell in first if cell not in _NOTHING]
    if not rest or len(first) < 2 or len(named) < len(first) - 1:
        return False
    if any(len(cell) > _LONG_HEADER for cell in named):
        return False
    if _all_bold(first, bold[0]):
        return not all(_all_bold(row, flags) for row, flags in zip(rest, bold[1:], strict=True))
    distinct = len({cell.casefold() for cell in named}) == len(first)
    return len(first) >= 3 and distinct and not any(re.search(r"\d", cell) for cell in named)


def _all_bold(row: Sequence[str], flags: Sequence[bool]) -> bool:
    return all(flag for cell, flag in zip(row, flags, strict=True) if cell)
