"""Where sentences begin and end, as character offsets.

The canonical text of a document has one paragraph, list item, heading or table row a line, so a
line break always ends a sentence. Inside a line a sentence ends at ``.``, ``!``, ``?`` or ``…``
with the closing marks after it, when white space and something that can begin a sentence follow,
and the word before a full stop is no abbreviation, initial or list number.
"""

from __future__ import annotations

import re

# A run of marks is tried once, from its first: trying each of them takes quadratic time.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s++[\"'“‘(\[]*+[^\W_a-zß-öø-ÿ])")
_OPENING = frozenset("([\"'“‘")
_ABBREVIATIONS = frozenset("mr mrs ms dr prof st vs e.g i.e eg ie cf al viz ca approx".split())
_BEFORE_NUMBERS = frozenset("no nos fig figs ch sec vol ext tel max min p pp art par".split())


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """The sentences of ``text[start:end]``: offsets into ``text``, without surrounding space."""
    stop = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    line_start = start
    while line_start < stop:
        newline = text.find("\n", line_start, stop)
        line_end = stop if newline < 0 else newline
        spans.extend(_in_line(text, line_start, line_end))
        line_start = line_end + 1
    return spans


def _in_line(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, end):
        if match.group().startswith(".") and _is_abbreviated(text, begin, match.start()):
            continue
        _append(spans, text, begin, match.end())
        begin = match.end()
    _append(spans, text, begin, end)
    return spans


def _is_abbreviated(text: str, begin: int, full_stop: int) -> bool:
    start = full_stop
    while start > begin and not (text[start - 1].isspace() or text[start - 1] in _OPENING):
        start -= 1
    word = text[start:full_stop].lower()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
        return True
    if word in _BEFORE_NUMBERS:
        return text[full_stop + 1 : full_stop + 8].lstrip()[:1].isdigit()
    # "1. Open the app": the number of a list item, not a sentence of its own.
    return word.isdigit() and not text[begin:start].strip()


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))
