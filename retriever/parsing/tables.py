"""Table rows as lines that can be read and quoted on their own.

A row becomes "Header: value; Header: value", so that a value keeps its meaning outside its table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOTHING = {"", "-", "–", "—"}
_LONG_HEADER = 40
_LABEL = r"[^:;.!?\n]{1,40}\??: "
# The first column may have no header.
_FIRST_CELLS = re.compile(rf"(?P<bare>[^:;.!?\n]{{1,40}}; )?{_LABEL}")
#: Between a cell of a row and the next that has a header.
NEXT_CELL = re.compile(rf"; (?={_LABEL})")
_LONGEST_ROW = 500


def row_lines(rows: Sequence[Sequence[str]], header: Sequence[str] | None) -> list[str]:
    """One line for each row that has a value.

    Args:
        rows: the cells of each row, header row excluded.
        header: what each column is called; "" for a column without a name.
    """
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            if cell in _NOTHING:
                continue
            name = header[column] if header is not None and column < len(header) else ""
            cells.append(label(name, cell) if name not in _NOTHING else cell)
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
