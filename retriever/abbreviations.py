"""Abbreviations that a document defines: "single sign-on (SSO)", "SSO (single sign-on)".

A short form in brackets stands for the words before it that its letters can be read from, as in
Schwartz and Hearst 2003, "A simple algorithm for identifying abbreviation definitions in biomedical
text": from the last letter backwards, each is looked for in the words before, and the first one
must begin a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retriever.analysis import Analyzer, holds

_IN_BRACKETS = re.compile(r"\(([^()\n]{2,80})\)")
#: Two capitals at least, so that "(or)" and "(Paris)" are none.
_SHORT = re.compile(r"(?=(?:.*[A-Z]){2})[A-Za-z][A-Za-z0-9&/.\-]{1,9}")
#: So many characters before a bracket can hold the words that it abbreviates.
_REACH = 150


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A short form and what a document says it stands for."""

    short: str
    long: str


def definitions(text: str) -> list[Abbreviation]:
    """What a document defines, in the order in which it does; each pair once."""
    return list(dict.fromkeys(_definitions(text)))


def _definitions(text: str) -> Iterator[Abbreviation]:
    for bracket in _IN_BRACKETS.finditer(text):
        inner = bracket[1].strip(" \"'“”‘’*_`").removeprefix("the ")
        # A paragraph's end is none of a definition's.
        before = text[max(0, bracket.start() - _REACH) : bracket.start()].rsplit("\n\n", 1)[-1]
        before = before.rstrip(" \n\"'“”‘’*_`")
        if _SHORT.fullmatch(inner):
            long = long_form(inner, before)
            if long is not None:
                yield Abbreviation(inner, long)
        elif (
            " " in inner
            and (word := before.rsplit(maxsplit=1))
            and _SHORT.fullmatch(word[-1])
            and long_form(word[-1], inner) == inner
        ):
            yield Abbreviation(word[-1], inner)


def long_form(short: str, before: str) -> str | None:
    """The words at the end of ``before`` that a short form stands for; None when there are none."""
    letters = [letter.casefold() for letter in short if letter.isalnum()]
    words = list(re.finditer(r"\S+", before))
    longest = min(len(letters) + 5, 2 * len(letters))
    begin = words[-longest].start() if len(words) > longest else 0
    at = len(before)
    for number in range(len(letters) - 1, -1, -1):
        at -= 1
        while at >= begin and (
            before[at].casefold() != letters[number]
            or (number == 0 and at > begin and before[at - 1].isalnum())
        ):
            at -= 1
        if at < begin:
            return None
    long = " ".join(before[at:].split())
    # "VPN" is not what "a VPN" stands for.
    known = {word.strip(".,;:") for word in long.split()}
    return long if short not in known and len(long) > len(short) else None


class Forms:
    """The forms that a document defines, as terms.

    Args:
        text: the whole document's, or as much of it as counts.
    """

    def __init__(self, analyzer: Analyzer, text: str) -> None:
        pairs = [
            (analyzer.terms(found.short), analyzer.terms(found.long)) for found in definitions(text)
        ]
        self._pairs = [(short, long) for short, long in pairs if short and long and short != long]

    def __len__(self) -> int:
        return len(self._pairs)

    def missing(self, terms: Sequence[str]) -> list[str]:
        """The other form of each that a passage of these terms holds in one form alone."""
        more: list[str] = []
        for short, long in self._pairs:
            has_short, has_long = holds(terms, short), holds(terms, long)
            if has_short != has_long:
                more.extend(long if has_short else short)
        return more
