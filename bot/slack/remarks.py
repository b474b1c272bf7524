"""What is written beside a file: a question of its own, or only a word about the file."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"(?<=[.!?？…])\s+")
_POLITE = r"(?:(?:hi|hello|hey|thanks|and|also|so|ok(?:ay)?|please|pls|now|@\S+)\b[\s,:–—-]*)*"
_ASKS = re.compile(
    _POLITE
    + r"(?:who|whom|whose|what|which|when|where|why|how|is|are|am|was|were|do|does|did|has|have|"
    r"can|could|may|must|shall|should|will|would|isn['’]t|aren['’]t|don['’]t|doesn['’]t|"
    r"can['’]t)\b",
    re.IGNORECASE,
)
# "Can you add this?" asks for nothing that a document could answer.
_ADD = r"add|take|upload|index|import|include|replace|save"
_TAKE_IT = re.compile(
    rf"{_POLITE}(?:(?:{_ADD})\b|(?:can|could|would|will)\s+(?:you|u|we)\s+"
    rf"(?:please\s+|pls\s+|also\s+)*(?:{_ADD}|read|keep|learn|store|update|use)\b)",
    re.IGNORECASE,
)
_HELP = ("help", "help me")


def is_question(text: str) -> bool:
    """Whether ``text``, which came with a file, wants an answer: it asks, or it wants help.

    A sentence asks if it ends in a question mark or begins as questions do, unless it asks the bot
    to take the file. Few words without either ("the new rules") are about the file.
    """
    if text.strip(" .!?").lower() in _HELP:
        return True
    return any(_asks(sentence) for sentence in _SENTENCE_END.split(text.strip()))


def _asks(sentence: str) -> bool:
    if _TAKE_IT.match(sentence):
        return False
    return sentence.endswith(("?", "？")) or _ASKS.match(sentence) is not None
