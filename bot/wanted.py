"""What kind of answer a question wants, and which sentences are of that kind.

No document says "yes" to "can I bring my dog?"; it says that dogs are allowed, or that they must
stay at home. What decides is a sentence with a word of permission, duty or denial. "How long" and
"how many" want a number. Words are enough to tell most of it: over the questions of
``bench/questions``, 73 % of the sentences that answer yes or no hold a deciding word, of the others
in the same documents 33 %; 88 % of those that tell how much hold a number, of the others 22 %.
"""

from __future__ import annotations

import re

_BRIEF = 5

#: Where a clause begins: behind the match.
CLAUSE = re.compile(r"(?:^|[.,;:!?()]|\s[-–—]\s|\b(?:and|but|so|then|hi|hello|hey|also|or)\b)\s*")
#: Patterns of the words that questions begin with, for ``re.IGNORECASE``.
WH_WORD = r"(?:what|which|who|whom|whose|when|where|why|how)\b"
AUXILIARY = (
    r"(?:can|could|may|might|must|shall|should|will|would|do|does|did|is|isn['’]t|are|aren['’]t|am|"
    r"was|were|has|have|don['’]t|doesn['’]t|can['’]t)\b"
)

_WH = re.compile(WH_WORD, re.IGNORECASE)
_ASKS = re.compile(rf"{AUXILIARY}|(?:any|allowed|ok(?:ay)?)\b", re.IGNORECASE)
_DECIDES = re.compile(
    r"\b(?:can|cannot|may|must|should|shall|need|needs|needed|required?|requires|mandatory|optional|"
    r"allowed|allows?|permitted|forbidden|prohibited|banned|eligible|entitled|encouraged|welcome|"
    r"acceptable|exempt|free|not|no|never|none|nobody|only|unless|always|except|without|instead)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_BREAK = re.compile(r"[;:–—]|,(?=\s+(?:and|but|or|so|yet|while|whereas|although)\b)|\s-\s")
_ASKS_AMOUNT = re.compile(
    r"\bhow\s+(?:much|many|long|often|far|big|large|old|soon|late|early|fast|quick(?:ly)?)\b"
    r"|\b(?:max|maximum|minimum|percentage|number\s+of|deadline)\b"
    r"|\bwhat\s+(?:time|day|date|age|size|percent)\b"
    r"|(?:^|[.,;:!?]\s*)when\b|\bwhen\s+(?:is|are|do|does|did|will|can|should|was|were)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|"
    r"forty|fifty|sixty|ninety|hundred|once|twice|half|quarter|daily|weekly|monthly|annual(?:ly)?|"
    r"yearly|every|noon|midnight|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|"
    r"april|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)


def text_features(question: str, sentence: str, span: str) -> dict[str, float]:
    """What the words alone say of an answer; see :class:`bot.confidence.Features`."""
    return {
        "brief": float(is_brief(sentence)),
        "decisive": _fit(wants_decision(question), decides(sentence)),
        "amount": _fit(wants_amount(question), holds_amount(span)),
    }


def is_brief(text: str) -> bool:
    """Five words or fewer: seldom all of an answer, but a label, a link, a row's first cell."""
    return len(text.split()) <= _BRIEF


def _fit(wanted: bool, held: bool) -> float:
    """1 for what is wanted and held, -1 for what is wanted alone."""
    return (1.0 if held else -1.0) if wanted else 0.0


def wants_decision(question: str) -> bool:
    """A question that yes or no could answer.

    A situation may stand before it ("I lost my badge, do I pay?"); the first clause that begins as
    a question does decides.
    """
    for clause in CLAUSE.finditer(question):
        if _WH.match(question, clause.end()):
            return False
        if _ASKS.match(question, clause.end()):
            return True
    return False


def decides(text: str) -> bool:
    """A word of permission, duty or denial is in the text."""
    return _DECIDES.search(text) is not None


def wants_amount(question: str) -> bool:
    """A question for a number, a date or a time."""
    return _ASKS_AMOUNT.search(question) is not None


def holds_amount(text: str) -> bool:
    """A number, a date or a time is in the text."""
    return _AMOUNT.search(text) is not None


def deciding_clause(sentence: str, start: int, end: int) -> tuple[int, int]:
    """What of a sentence answers yes or no: ``sentence[start:end]`` or the clauses around it.

    A span that holds no deciding word grows to its clauses if they hold one, else it stays.
    """
    if decides(sentence[start:end]):
        return start, end
    begin, stop = 0, len(sentence)
    for found in _BREAK.finditer(sentence):
        if found.end() <= start:
            begin = found.end()
        elif found.start() >= end:
            stop = found.start()
            break
    clause = sentence[begin:stop]
    if not decides(clause):
        return start, end
    return begin + len(clause) - len(clause.lstrip()), begin + len(clause.rstrip(" .!"))
