"""What of a passage is shown around an answer: its sentence, and the list that it introduces.

A long row of a table is shown with each of its cells on a line of its own.
"""

from __future__ import annotations

import re

from retriever.markers import after_marker, box_before
from retriever.parsing.tables import NEXT_CELL, is_row
from retriever.sentences import sentence_spans

#: A list of up to so many characters is shown with the sentence before it.
_LIST = 800
#: A row of a table has room on one line up to so many characters.
_ONE_LINE = 80

_LINE = re.compile(r"[^\n]*\S[^\n]*")


def quote_around(text: str, start: int, end: int) -> tuple[int, int]:
    """What is quoted of ``text`` for ``text[start:end]``, as offsets that hold it.

    It is the sentence, or the neighbouring sentences, around it. "To get access:" alone answers
    nobody, and its first step alone misleads: what ends in a colon goes on with the list below, all
    of it or, of a long one, nothing more. A task is quoted with the box that says if it is done.
    """
    touching = [
        (begin, stop) for begin, stop in sentence_spans(text) if begin < end and start < stop
    ]
    if not touching:
        return start, end
    begin, stop = min(start, box_before(text, touching[0][0])), max(end, touching[-1][1])
    introduced = [place for _, place in touching if text[place - 1] == ":"]
    return begin, max(stop, _end_of_list(text, introduced[0])) if introduced else stop


def _end_of_list(text: str, start: int) -> int:
    """Where the list ends that begins in the line after ``start``."""
    end = start
    for line in _LINE.finditer(text, start):
        if not _is_item(text, *line.span()):
            break
        end = line.end()
        if end - start > _LIST:
            return start
    return len(text[:end].rstrip())


def _is_item(text: str, start: int, end: int) -> bool:
    """A line that begins with a marker."""
    return bool(text[start : after_marker(text, start, end)].strip())


def on_lines(text: str) -> str:
    """``text`` with line breaks for the spaces between a row's cells, if it is long and a row.

    It stays as long as it is, so offsets into it hold.
    """
    if len(text) <= _ONE_LINE or not is_row(text, 0, len(text)):
        return text
    return NEXT_CELL.sub(";\n", text)
