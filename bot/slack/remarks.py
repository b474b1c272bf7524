"""What is written beside a file: a question of its own, or only a word about the file."""

from __future__ import annotations

import re

from bot.wanted import AUXILIARY, CLAUSE, WH_WORD

_SENTENCE_END = re.compile(r"(?<=[.!?？…])\s+")
_POLITE = re.compile(
    r"(?:(?:hi|hello|hey|thanks|and|but|also|so|then|or|ok(?:ay)?|please|pls|now|@\S+)\b"
    r"[\s,:–—-]*)*",
    re.IGNORECASE,
)
# "Can you add this?" asks for nothing that a document could answer.
_ADD = r"add|take|upload|index|import|include|replace|save"
_REQUEST = re.compile(
    rf"(?:(?:{_ADD}|have\s+an?)\b|(?:can|could|will|would)\s+(?:you|u|we)\s+"
    rf"(?:(?:please|pls|also|then|now|just)\s+)*(?:{_ADD}|read|keep|learn|store|update|use)\b)",
    re.IGNORECASE,
)
_PRONOUN = r"(?:i|you|u|we|they|he|she|it|there|(?:any|every|some)(?:one|body))\b"
_DETERMINER = (
    r"(?:the|an?|this|that|these|those|my|your|our|their|his|her|its|any|every|each|all|some|no)\b"
)
# "Was sent by HR", "May report" and "Will's new document" begin so too.
_AUXILIARY = re.compile(AUXILIARY, re.IGNORECASE)
_OF_SOMETHING = re.compile(rf"{AUXILIARY}\s+(?:{_PRONOUN}|{_DETERMINER})", re.IGNORECASE)
_OF_SOMEBODY = re.compile(rf"{AUXILIARY}\s+{_PRONOUN}", re.IGNORECASE)
_WH = re.compile(WH_WORD, re.IGNORECASE)
# In "how long is it" the verb comes before its subject; in "how we do it", "when you have time" and
# "which is newer" it does not.
_WH_TURNED = re.compile(
    rf"(?!(?:which|who|whom|whose)\s+{AUXILIARY}){WH_WORD}(?:['’]s\b|"
    rf"(?:\s+(?!{_PRONOUN}|{_DETERMINER})[^\s,.;:!?]+){{0,3}}?\s+{AUXILIARY})",
    re.IGNORECASE,
)
_TELL = re.compile(
    r"(?:(?:can|could|will|would)\s+(?:you|u)\s+)?(?:(?:please|pls|also)\s+)*"
    r"(?:(?:tell|show)\s+(?:me|us)|let\s+(?:me|us)\s+know|explain)\s+"
    r"(?:how|what|which|who|where|why)\b",
    re.IGNORECASE,
)
_TAG = re.compile(rf"{AUXILIARY}\s+{_PRONOUN}(?:\s+(?:please|pls))?\W*\Z", re.IGNORECASE)
_ASKED = ("?", "？")
_HELP = ("help", "help me")


def wants_answer(text: str) -> bool:
    """Whether ``text``, which came with a file, wants an answer: it asks, or it wants help.

    A sentence asks if it ends in a question mark or has a clause that begins as questions do. A
    request to take the file asks nothing, and to it belongs the question mark of its sentence,
    unless another clause can have it. Few words without either ("the new rules") are about the
    file.
    """
    if text.strip(" .!?").lower() in _HELP:
        return True
    return any(_asks(sentence) for sentence in _SENTENCE_END.split(text.strip()))


def _asks(sentence: str) -> bool:
    starts = _clauses(sentence)
    marked = sentence.endswith(_ASKED)
    requests = {start for start in starts if _REQUEST.match(sentence, start)}
    if marked and not requests:
        return True
    others = [start for start in starts if start not in requests]
    if any(_begins_as_question(sentence, at, first=at == starts[0]) for at in others):
        return True
    # Of all the clauses the last has the question mark.
    return marked and starts[-1] in others and _takes_question_mark(sentence, starts[-1])


def _clauses(sentence: str) -> list[int]:
    """Where the clauses of a sentence begin, greetings and the like left out."""
    starts: list[int] = []
    for clause in CLAUSE.finditer(sentence):
        if starts and clause.end() <= starts[-1]:
            continue  # within the courtesies of the last
        courtesies = _POLITE.match(sentence, clause.end())
        starts.append(courtesies.end() if courtesies else clause.end())
    return [start for start in starts if start < len(sentence)]


def _begins_as_question(sentence: str, start: int, *, first: bool) -> bool:
    """Whether a clause asks, question mark or not; what goes on asks in fewer forms."""
    if _TELL.match(sentence, start) or _WH_TURNED.match(sentence, start):
        return True
    if first:
        return bool(_WH.match(sentence, start) or _OF_SOMETHING.match(sentence, start))
    return _OF_SOMEBODY.match(sentence, start) is not None and not _TAG.match(sentence, start)


def _takes_question_mark(sentence: str, start: int) -> bool:
    return _AUXILIARY.match(sentence, start) is not None and not _TAG.match(sentence, start)
