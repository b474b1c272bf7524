"""Questions in documents, and the labels that they and their answers may have: "Q: ", "A: "."""

from __future__ import annotations

import re

from retriever.markers import after_marker

# Signs in its last word are those of code: "ENV["X"].nil?".
_ASKED = re.compile(r"(?<!\S)[^\s\[\]=_\"?？]*+[?？!]*[?？]\s*\Z|？\s*\Z")
_QUESTION = re.compile(r"(?:Q|Question)(?: ?\d{1,3})?[:.][ \t]+(?=\S)")
_LABEL = r"\b(?:A|Ans|Answer)(?: ?\d{1,3})?(?P<mark>[:.])[ \t]+"
_ANSWER = re.compile(rf"{_LABEL}(?=\S)")
_LABEL_BEFORE = re.compile(rf"(?:^|\s){_LABEL}\Z")
_QUESTION_BELOW = re.compile(rf"^[ \t]*{_QUESTION.pattern}", re.MULTILINE)
_CHOICE_BELOW = re.compile(r"\s+(?:[-•*] +)?B[:.] ")
_BULLETS = "-–—•*+"
#: The end of a question, and the ends of a line, are looked for within so many characters.
_SIGN, _LINE = 60, 1000


def is_question(text: str, start: int, end: int) -> bool:
    """Whether the sentence ``text[start:end]`` asks something, not just quotes what does."""
    return _ASKED.search(text, max(start, end - _SIGN), end) is not None


def is_labelled_question(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]``, from the beginning of a line on, has "Q: " or the like there."""
    return _QUESTION.match(text, after_marker(text, start, end), end) is not None


def after_answer_label(text: str, start: int, end: int) -> int:
    """Where the text of the sentence ``text[start:end]`` begins behind "A: " or the like.

    "A: " may be the name of anything. It is a label behind a question, in or below a line that
    begins with "Q: ", and at the beginning of a text where such a line comes below; not where "B: "
    does. "A. " is a label only with "Q. " or "Q: " above.
    """
    label = _ANSWER.match(text, start, end)
    if label is None:
        return start
    newline = text.find("\n", start, start + _LINE)
    if newline >= 0 and _CHOICE_BELOW.match(text, newline):
        return start
    behind = label.end()
    above = start
    while above and (text[above - 1].isspace() or text[above - 1] in _BULLETS):
        above -= 1
    if not above:
        return behind if label["mark"] == ":" and _QUESTION_BELOW.search(text, end) else start
    line = text.rfind("\n", max(0, above - _LINE), above) + 1
    if above - line <= _LINE and is_labelled_question(text, line, above):
        return behind
    return behind if label["mark"] == ":" and is_question(text, line, above) else start


def is_labelled_answer(text: str, start: int) -> bool:
    """Whether the sentence that begins at ``start`` has "A: " or the like in front of it."""
    return _LABEL_BEFORE.search(text, max(0, start - _SIGN), start) is not None
