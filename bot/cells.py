"""Which row of a table answers, and which cell of it is set in bold.

A reader has seen few tables: of "City: Lisbon; Limit: 120 euros" and the like it often marks the
first amount, whatever is asked. What the rows are about and the columns are called tells better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retriever.parsing.tables import Cell, begins_as_row, cells_of, is_row
from retriever.sentences import line_at, stripped

#: How much of a question each of some texts says, 0 to 1.
Said = Callable[[Sequence[str]], Sequence[float]]


def within_row(text: str, start: int, end: int) -> tuple[int, int]:
    """Of ``text[start:end]``, if it reaches over rows of a table, what lies in one of them.

    It is the row with most of it, of equals the first.
    """
    shares: list[tuple[int, int]] = []
    place, _ = line_at(text, start)
    while place < end:
        line, stop = line_at(text, place)
        if not begins_as_row(text, line, stop):
            return start, end
        shares.append((max(start, line), min(end, stop)))
        place = stop + 1
    return stripped(text, *max(shares, key=lambda share: share[1] - share[0]))


def in_asked_row(text: str, start: int, end: int, said: Said) -> tuple[int, int]:
    """``text[start:end]``, or if that lies in a row and the question names another, the cell there.

    It names the one row of the table whose first cell, and which as a whole, says more of the
    question than any other. The cell is that of the same column, or behind the first.

    Args:
        said: of the question that is asked.
    """
    row = _row_of(text, start, end)
    if row is None:
        return start, end
    rows = _table_around(text, *row)
    if len(rows) == 1:
        return start, end
    cells = [cells_of(text, *each) for each in rows]
    firsts = said([text[slice(*each[0].value)] for each in cells])
    wholes = said([text[slice(*each)] for each in rows])
    best = max(range(len(rows)), key=firsts.__getitem__)
    own = rows.index(row)
    others = [n for n in range(len(rows)) if n != best]
    if best == own or any(firsts[n] >= firsts[best] or wholes[n] >= wholes[best] for n in others):
        return start, end
    marked = max(cells[own], key=lambda cell: _share(cell, start, end))
    column = text[slice(*marked.name)]
    there = [cell for cell in cells[best] if text[slice(*cell.name)] == column]
    return _trimmed(text, *(there or cells[best][1:])[0].value)


def in_asked_cell(text: str, start: int, end: int, said: Said) -> tuple[int, int]:
    """``text[start:end]``, or if that lies in a row of a table, what answers in the row.

    That is the value of the cell whose name says most of the question, unless the value says as
    much itself: then it is what is asked about, as that of the first cell is. Without such a cell,
    or with several, the span stays in the cell with most of it.

    Args:
        said: of the question that is asked.
    """
    row = _row_of(text, start, end)
    if row is None:
        return start, end
    cells = cells_of(text, *row)
    chosen = _asked(text, cells, said)
    if chosen is None:
        shares = [_share(cell, start, end) for cell in cells]
        chosen = shares.index(max(shares))
    begin, behind = cells[chosen].value
    return (start, end) if begin <= start and end <= behind else _trimmed(text, begin, behind)


def _row_of(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The row that ``text[start:end]`` lies in; None if that is no row, or several lines."""
    line = line_at(text, start)
    return line if end <= line[1] and is_row(text, *line) else None


def _table_around(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The rows of the table of which ``text[start:end]`` is a row.

    Rows leave empty cells out; the first name, and one more, they have in common.
    """
    first, *further = _names(text, start, end)

    def belongs(row: tuple[int, int]) -> bool:
        if not is_row(text, *row):
            return False
        other, *more = _names(text, *row)
        return other == first and not set(further).isdisjoint(more)

    rows = [(start, end)]
    while rows[0][0] and belongs(above := line_at(text, rows[0][0] - 1)):
        rows.insert(0, above)
    while rows[-1][1] < len(text) and belongs(below := line_at(text, rows[-1][1] + 1)):
        rows.append(below)
    return rows


def _names(text: str, start: int, end: int) -> list[str]:
    return [text[slice(*cell.name)] for cell in cells_of(text, start, end)]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A value without the full stop of its row."""
    while end > start + 1 and text[end - 1] in ".; ":
        end -= 1
    return start, end


def _share(cell: Cell, start: int, end: int) -> int:
    """How many characters of ``[start:end]`` lie in the cell's value."""
    return max(0, min(end, cell.value[1]) - max(start, cell.value[0]))


def _asked(text: str, cells: Sequence[Cell], said: Said) -> int | None:
    """The one cell that the question names and does not tell; None for none or several."""
    names = said([text[slice(*cell.name)] for cell in cells])
    values = said([text[slice(*cell.value)] for cell in cells])
    named = {
        number: name
        for number, (name, value) in enumerate(zip(names, values, strict=True))
        if number and name > value
    }
    best = [number for number, name in named.items() if name == max(named.values())]
    return best[0] if len(best) == 1 else None
