"""Which cell of a table's row is set in bold.

A reader has seen few tables: of "Benefit: gym; Full-time: 30 euros; Part-time: 15 euros" it often
marks the first amount, whatever is asked. What the column is called tells better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retriever.parsing.tables import Cell, cells_of, is_row

#: How much of a question each of some texts says, 0 to 1.
Said = Callable[[Sequence[str]], Sequence[float]]


def in_asked_cell(text: str, start: int, end: int, said: Said) -> tuple[int, int]:
    """``text[start:end]``, or if that lies in a row of a table, what answers in the row.

    That is the value of the cell whose name says most of the question, unless the value says as
    much itself: then it is what is asked about, as that of the first cell is. Without such a cell,
    or with several, the span stays in the cell with most of it.

    Args:
        said: of the question that is asked.
    """
    line = text.rfind("\n", 0, start) + 1
    newline = text.find("\n", line)
    stop = len(text) if newline < 0 else newline
    if end > stop or not is_row(text, line, stop):
        return start, end
    cells = cells_of(text, line, stop)
    chosen = _asked(text, cells, said)
    if chosen is None:
        shares = [_share(cell, start, end) for cell in cells]
        chosen = shares.index(max(shares))
    begin, behind = cells[chosen].value
    if begin <= start and end <= behind:
        return start, end
    while behind > begin + 1 and text[behind - 1] in ".; ":
        behind -= 1
    return (begin, behind) if begin < behind else (start, end)


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
