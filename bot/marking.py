"""Where the bold part of a quoted sentence begins and ends, so that it reads as a whole.

The reader's best span may end inside a bracket, or begin with the marker of a list item. What is
shown is mended here; what the reader itself gives stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from retriever.faq import after_answer_label
from retriever.markers import after_marker
from retriever.sentences import stripped

#: A span grows so many characters at most to the other end of a bracket or quotation.
_NEAR = 60
#: A sentence with more brackets to mend is no prose: trying them all takes quadratic time.
_MENDED = 20
#: With its indentation.
_LONGEST_MARKER = 40
_LONGEST_LABEL = 12

_ENDS = {")": "(", "]": "[", "}": "{", "”": "“", "»": "«", "’": "‘", '"': '"', "'": "'"}
_OPENING = "([{“«„‘\"'"
_WORD = re.compile(r"[^\W_]")
_NUMBER_AND_WORD = re.compile(r"(?:\W+\s)?(\(?\d{1,3}[.)]\s+\S+)\s*")


def without_marker(text: str, start: int, end: int) -> tuple[int, int]:
    """``text[start:end]`` without the marker of a list item, or the label of an answer, in front.

    Nor does it end with the marker of the next item. A number stays where one word alone follows:
    "3. Stock" is German for the third floor.
    """
    end = _before_next_marker(text, start, end)
    if floor := _NUMBER_AND_WORD.fullmatch(text, start, end):
        return floor.start(1), end
    line = text.rfind("\n", 0, start) + 1
    newline = text.find("\n", start, end)
    stop = end if newline < 0 else newline
    begin = start
    if start - line <= _LONGEST_MARKER:
        begin = max(begin, after_marker(text, line, stop))
    # It may begin within the label.
    for place in range(max(line, begin - _LONGEST_LABEL), begin + 1):
        begin = max(begin, after_answer_label(text, place, stop))
    return (begin, end) if begin < end else (start, end)


def _before_next_marker(text: str, start: int, end: int) -> int:
    """``end``, or that of the lines above if the last holds nothing but a part of its marker."""
    line = text.rfind("\n", start, end) + 1
    if not line or end - line > _LONGEST_MARKER or not text[start:line].strip():
        return end
    newline = text.find("\n", line)
    if after_marker(text, line, len(text) if newline < 0 else newline) < end:
        return end
    return start + len(text[start:line].rstrip())


def balanced(sentence: str, start: int, end: int) -> tuple[int, int]:
    """``sentence[start:end]`` with both ends of each bracket and quotation, or with neither.

    An end at its edge is left out, and it grows to one that is near; otherwise it stops before the
    bracket. It stays as it is where no word would be left or the sentence has one end alone. More
    than 20 of them are not mended.
    """
    pairs = list(_pairs(sentence))
    for _ in range(min(2 * len(pairs), _MENDED)):
        halved = next((pair for pair in pairs if _holds_one(pair, start, end)), None)
        if halved is None:
            break
        mended = _mended(sentence, start, end, *halved)
        if mended is None:
            pairs.remove(halved)
        else:
            start, end = mended
    return start, end


def _holds_one(pair: tuple[int, int], start: int, end: int) -> bool:
    return (start <= pair[0] < end) != (start <= pair[1] < end)


def _mended(
    sentence: str, start: int, end: int, opening: int, closing: int
) -> tuple[int, int] | None:
    """The span without half a pair; None if no word would be left of it."""
    inside = opening if opening >= start else closing
    if inside not in (start, end - 1):
        if opening < start and start - opening <= _NEAR:
            return opening, end
        if closing >= end and closing - end < _NEAR:
            return start, closing + 1
    for first, last in ((start, inside), (inside + 1, end)):
        first, last = stripped(sentence, first, last)
        if _WORD.search(sentence, first, last):
            return first, last
    return None


def _pairs(sentence: str) -> Iterator[tuple[int, int]]:
    """Where each bracket and quotation opens and closes; those without an end are left out."""
    opened: list[int] = []
    waiting: Counter[str] = Counter()  # what stands at the places in ``opened``
    for at, character in enumerate(sentence):
        if character not in _ENDS and character not in _OPENING:
            continue
        worded = (_is_word(sentence, at - 1), _is_word(sentence, at + 1))
        if character in "'’" and all(worded):
            continue  # an apostrophe
        ends = "„" if character == "“" and waiting["„"] else _ENDS.get(character, "")
        if ends and waiting[ends] and not (character in "'’" and worded[1]):
            while sentence[opened[-1]] != ends:
                waiting[sentence[opened.pop()]] -= 1
            waiting[ends] -= 1
            yield opened.pop(), at
        elif character in _OPENING and not (character in "'‘" and worded[0]):
            opened.append(at)
            waiting[character] += 1


def _is_word(sentence: str, at: int) -> bool:
    return 0 <= at < len(sentence) and _WORD.match(sentence, at) is not None
