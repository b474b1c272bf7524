"""Where sentences begin and end, as character offsets.

The canonical text of a document has one paragraph, list item, heading or table row a line, so a
line break always ends a sentence. Inside a line a sentence ends at ``.``, ``!``, ``?`` or ``…``
with the closing marks after it, when white space and something that can begin a sentence follow,
and the word before a full stop is no abbreviation, initial or list number. The full stops of
Chinese and Japanese need no space. What is in brackets is not cut.

The marker of a list item ("- ", "1. ") is in no sentence; what may be a word or a sign ("c. 1900",
"- 5 degrees") is a marker only beside others. The "A: " of an answer is in none either. A row of a
table is one sentence.
"""

from __future__ import annotations

import re

from retriever.faq import after_answer_label
from retriever.markers import after_marker
from retriever.months import MONTHS, SHORT_MONTH, SHORT_MONTHS
from retriever.parsing.tables import is_row

_CLOSING = "\"'”’“‘»›)\\]"
_OPENING = "\"'“‘„«‹(\\[¿¡"
# A run of marks is tried once, from its first: trying each of them takes quadratic time.
_END = re.compile(
    # A number of a footnote may stand behind the marks.
    rf"(?<![.!?…])[.!?…]++[{_CLOSING}]*+(?:\[\d{{1,3}}\]|[¹²³⁴-⁹†])*+"
    rf"(?=\s++[{_OPENING}]*+[#@$€£/]?+[^\W_])"
    rf"|[。！？｡]++[{_CLOSING}」』）】]*+"
)
_NEXT = re.compile(rf"\s++[{_OPENING}]*+([#@$€£/]?+)([^\W_][\w’']*+)")
_WORD = re.compile(r"[^\W_]")
_BRACKETS = re.compile(r"\([^()]{1,200}\)")

_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_ZONES = frozenset("et est edt ct cst cdt mt mst mdt pt pst pdt utc gmt bst cet cest".split())
_ZONES |= {"eastern", "central", "mountain", "pacific"}

# Abbreviations with which no sentence ends.
_NEVER = frozenset(
    "vs e.g i.e eg ie ex cf viz ca approx incl excl bzw ggf inkl exkl z.b d.h".split()
)
_TITLES = frozenset("Mr Mrs Ms Mx Dr Prof Messrs Mme".split())
# Those that end one where what follows is how a sentence begins and a name does not.
_SOMETIMES = frozenset("al dept govt ph.d m.sc b.sc".split())
_IN_NAMES = frozenset(
    "Inc Ltd Co Corp Jr Sr Bros St Mt Ft Ave Blvd Rd Dept Univ Assn Gen Col Capt Lt Sgt Maj Sen "
    "Rep Gov Rev Hon Pres".split()
)
_BEFORE_NUMBERS = SHORT_MONTHS | frozenset(
    "no nos nr fig figs ch sec vol ext tel max min p pp art par para eq ed est ver pt rm bldg "
    "abs".split()
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_NUMBERING = re.compile(r"\d+(?:\.\d+)*|[ivx]{2,4}|[^\W\d_]")
_NUMBERED = frozenset(
    "step part phase stage section chapter rule question option note article appendix figure "
    "table day week level tier case".split()
)
_BEGINNERS = frozenset(
    "the this that these those there here it its a an we our you your they their he she his her i "
    "my if when while where who what which why how at as by for from in on of to with without "
    "after before since until once during under also and but or so then however please note all "
    "any each every some most many no not only see use is are do does can should will must "
    "everybody everyone nobody anyone".split()
)

_DATE = re.compile(rf"\.\s+{SHORT_MONTH}")
_LONGEST_NUMBERED = 12


def sentence_spans(
    text: str, start: int = 0, end: int | None = None, *, markers: bool = False
) -> list[tuple[int, int]]:
    """The sentences of ``text[start:end]``: offsets into ``text``, without surrounding space.

    Args:
        markers: let the first sentence of a list item begin at the item's marker, and that of an
            answer at its label.
    """
    stop = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    line_start = start
    while line_start < stop:
        newline = text.find("\n", line_start, stop)
        line_end = stop if newline < 0 else newline
        begin = after_marker(text, line_start, line_end)
        found = _in_line(text, begin, line_end, labels=markers)
        if markers and found and begin > line_start:
            found[0] = stripped(text, line_start, found[0][1])
        spans.extend(found)
        line_start = line_end + 1
    return spans


def _in_line(text: str, start: int, end: int, *, labels: bool) -> list[tuple[int, int]]:
    if is_row(text, start, end):
        return [stripped(text, start, end)]
    spans: list[tuple[int, int]] = []
    brackets = _BRACKETS.finditer(text, start, end)
    bracket = next(brackets, None)
    begin, seen, worded = start, start, False
    for match in _END.finditer(text, start, end):
        worded = worded or _WORD.search(text, seen, match.start()) is not None
        seen = match.end()
        while bracket is not None and bracket.end() <= match.start():
            bracket = next(brackets, None)
        inside = (
            bracket is not None and bracket.start() < match.start() < match.end() < bracket.end()
        )
        if not worded or inside or not _is_end(text, begin, match, end):
            continue
        spans.append(stripped(text, begin, match.end()))
        begin, worded = match.end(), False
    last = stripped(text, begin, end)
    if last[0] < last[1]:
        spans.append(last)
    return spans if labels else [(after_answer_label(text, *span), span[1]) for span in spans]


def _is_end(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether a sentence that began at ``begin`` ends with these marks."""
    marks = match.group()
    if marks[0] in "。！？｡":
        return True
    following = _NEXT.match(text, match.end(), end)
    if following is None:
        return False
    sign, word = following.groups()
    # "iPhone" and "gitRef" begin a sentence as they are.
    if not sign and word[0].islower() and word.islower():
        return False
    if marks.startswith(
        ("...", "…")
    ):  # apart from the word before, they stand for what is left out
        before = text[match.start() - 1]
        return not (before.isspace() or before in _OPENING)
    return marks[0] != "." or not _is_abbreviated(text, begin, match.start(), sign, word)


def _is_abbreviated(text: str, begin: int, full_stop: int, sign: str, following: str) -> bool:
    """Whether the full stop belongs to the word before it.

    Args:
        sign: of money, a channel or the like, in front of the word that follows; may be empty.
    """
    start = full_stop
    while start > begin and not (text[start - 1].isspace() or text[start - 1] in _OPENING):
        start -= 1
    written = text[start:full_stop]
    word, after = written.lower(), following.lower()
    if word in _NEVER or written in _TITLES:
        return True
    if _NUMBERING.fullmatch(word) and _is_numbering(text, begin, start):
        return True
    if word in ("a.m", "p.m"):
        return after in _ZONES or after in _DAYS or after in MONTHS
    if word.isdigit():  # "on 3. Oktober"
        return len(word) <= 2 and (after in MONTHS or bool(_DATE.match(text, full_stop)))
    if word in _BEFORE_NUMBERS and following[0].isdigit():
        return True
    if word in _SOMETIMES or written in _IN_NAMES or (word != "i" and _INITIALS.fullmatch(word)):
        return bool(sign) or after not in _BEGINNERS
    return False


def _is_numbering(text: str, begin: int, start: int) -> bool:
    """Whether what is at ``start`` numbers what follows: "1." or "Step 1."."""
    before = text[max(begin, start - _LONGEST_NUMBERED) : start].strip().lower()
    return not before or (start - begin <= _LONGEST_NUMBERED and before in _NUMBERED)


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """``text[start:end]`` without white space at its ends, as offsets."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def line_at(text: str, place: int) -> tuple[int, int]:
    """Where the line around ``place`` begins and ends."""
    end = text.find("\n", place)
    return text.rfind("\n", 0, place) + 1, len(text) if end < 0 else end
