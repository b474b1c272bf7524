"""The markers of list items: "- ", "1. ", "(b) ", "- ☑ ".

What may be a word or a sign ("c. 1900", "- 5 degrees") is a marker only beside others.
"""

from __future__ import annotations

import re

from retriever.months import MONTHS, SHORT_MONTH

_WORD = re.compile(r"[^\W_]")
_MARKER = re.compile(
    r"\s*(?:(?:(?P<dash>[-–—])|[•‣▪▫◦●○■□➢∙·]|[*+](?= +[^\W\d_]))[ \t]+)?"
    r"(?P<number>\(?(?:(?P<digits>\d{1,3})|(?P<letter>[a-z](?=\.))|[a-z]|[ivx]{2,4})[.)][ \t]++"
    # "z. B.", "3. Oktober" and "3. Okt." are words.
    rf"(?![^\W\d]\.|(?i:{'|'.join(sorted(MONTHS))})\b|{SHORT_MONTH}))?"
    r"(?P<box>(?:[☐☑☒]|(?<=[-–—•*.)] )\[[ xX]\])[ \t]++)?"
)
_DASHED = re.compile(r"\s*+([-–—])[ \t]")
# What a minus stands before is measured.
_AMOUNT = re.compile(r"\d[\d.,]*+ (?!(?:degree|percent|point|celsius|fahrenheit)s?\b)[^\W\d_]{3}")
_COUNTED = re.compile(r"\s*+(?:[-–—•*+][ \t]+)?\(?(\d{1,3})\.[ \t]++(?!\d)")
_LETTERED = re.compile(r"\s*+(?:[-–—•*+][ \t]+)?\(?([a-z]|[ivx]{2,4})\.[ \t]")


def after_marker(text: str, start: int, end: int) -> int:
    """Where the text of a line begins; a marker without text is text itself."""
    if start and text[start - 1] != "\n":
        return start
    marker = _MARKER.match(text, start, end)
    begin = _end_of_marker(text, marker, end) if marker is not None else start
    return begin if _WORD.search(text, begin, end) else start


def box_before(text: str, start: int) -> int:
    """Where the box of a task stands in front of its text at ``start``; that where there is none.

    A box tells whether the task is done, which its text does not.
    """
    line = text.rfind("\n", 0, start) + 1
    marker = _MARKER.match(text, line, start)
    return marker.start("box") if marker and marker["box"] and marker.end() == start else start


def _end_of_marker(text: str, marker: re.Match[str], end: int) -> int:
    """Where a marker ends; its beginning if it is a sign or a word of a line that ends at ``end``.

    A dash before a number may be a minus, a number before another a date, and a letter with a full
    stop an abbreviation. They are markers if the line above or below has what is alike or next. So
    are those of a list of one item, if a line with a colon introduces it.
    """
    begin, number = marker.end(), marker["number"]
    if marker["box"]:
        return begin
    before_digit = text[begin : begin + 1].isdigit()
    if number is None:
        if marker["dash"] and before_digit:
            around = _around(_DASHED, text, marker.start(), end)
            listed = marker["dash"] in around or _is_only(text, marker, end)
            return begin if listed else marker.start()
        return begin
    listed = True
    if marker["letter"]:
        listed = not before_digit and (
            _is_lettered(text, marker, end)
            or (marker["letter"] == "a" and _is_introduced(text, marker.start()))
        )
    elif before_digit and "." in number:
        listed = marker["digits"] is not None and (
            _is_counted(text, marker, end)
            or (marker["digits"] == "1" and _is_only(text, marker, end))
        )
    return begin if listed else marker.start("number")


def _is_only(text: str, marker: re.Match[str], end: int) -> bool:
    """Whether an item that begins with an amount of something is the one that is introduced."""
    amount = _AMOUNT.match(text, marker.end(), end)
    return amount is not None and _is_introduced(text, marker.start())


def _is_introduced(text: str, start: int) -> bool:
    """Whether the nearest line with text above ends in a colon."""
    while start and text[start - 1].isspace():
        start -= 1
    return start > 0 and text[start - 1] == ":"


def _is_counted(text: str, marker: re.Match[str], end: int) -> bool:
    """Whether the lines above or below go on with the numbers of a list."""
    number = int(marker["digits"])
    above, below = _around(_COUNTED, text, marker.start(), end)
    return above == str(number - 1) or below == str(number + 1)


def _is_lettered(text: str, marker: re.Match[str], end: int) -> bool:
    """Whether the lines above or below go on with the letters, or Roman numbers, of a list."""
    letter = marker["letter"]
    above, below = _around(_LETTERED, text, marker.start(), end)
    if letter in "ivx" and max(len(above), len(below)) > 1:
        return True
    return above == chr(ord(letter) - 1) or below == chr(ord(letter) + 1)


def _around(marker: re.Pattern[str], text: str, start: int, end: int) -> tuple[str, str]:
    """What ``marker`` finds in the nearest lines with text above and below; "" for none."""
    while start and text[start - 1].isspace():
        start -= 1
    above = marker.match(text, text.rfind("\n", 0, start) + 1)
    end = text.find("\n", end)
    below = marker.match(text, end) if end >= 0 else None
    return (above[1] if above and start else ""), (below[1] if below else "")
