"""What of a passage is shown around an answer: its sentence, and the list that it introduces."""

from __future__ import annotations

import re

from retriever.sentences import sentence_spans

#: A list is shown with the sentence before it up to so many characters.
_LIST = 400

_ITEM = re.compile(r"\n+[ \t]*(?:[-*•–]|\d{1,2}[.)])[ \t]+\S[^\n]*")


def quote_around(text: str, start: int, end: int) -> tuple[int, int]:
    """What is quoted of ``text`` for ``text[start:end]``, as offsets that hold it.

    It is the sentence, or the neighbouring sentences, around it. "To get access:" alone answers
    nobody: what ends in a colon goes on with the items of the list below, as far as they are short.
    """
    touching = [
        (begin, stop) for begin, stop in sentence_spans(text) if begin < end and start < stop
    ]
    if not touching:
        return start, end
    begin, stop = min(start, touching[0][0]), max(end, touching[-1][1])
    return begin, _end_of_list(text, stop) if text[begin:stop].endswith(":") else stop


def _end_of_list(text: str, start: int) -> int:
    end = start
    while (item := _ITEM.match(text, end)) and item.end() - start <= _LIST:
        end = item.end()
    return len(text[:end].rstrip())
