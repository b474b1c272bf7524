"""From text to index terms: words, case folding, stop words, Snowball stems.

Words that people search by as a whole (``error-codes``, ``v2.3.1``, ``max_wait``, ``handbook.pdf``,
``it@example.com``) become a term of their own beside the terms of their parts.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import Stemmer

_WORD = re.compile(r"[^\W_]+(?:[._@/:+#&'’\-]+[^\W_]+)*", re.UNICODE)
_PARTS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APOSTROPHE = re.compile(r"['’](?:s|re|ve|ll|d|m|t)?$")

#: English function words, and the words that only say that something is being asked.
STOP_WORDS = frozenset(
    """
    a about all also am an and any are as at be because been being but by can could did do does
    doing done for from get gets getting give given gives go goes going got had has have having he
    her hers him his how i if in into is it its just let like many may me might much must my need
    needs no nor not of off on one onto or our ours out over please shall she should so some such
    than that the their theirs them then there these they this those to too up upon us very want
    wants was we were what whats when where which while who whom whose why will with would yes you
    your yours hi hello hey thanks someone anyone anybody somebody know knows tell thing things
    don doesn didn isn aren wasn won can't cannot ll ve re
    """.split()
)


class Analyzer:
    """Turns text into terms; the same for passages and for questions."""

    def __init__(self, language: str = "english") -> None:
        self._stemmer = Stemmer.Stemmer(language)
        self._stem = lru_cache(maxsize=100_000)(self._stemmer.stemWord)

    def terms(self, text: str) -> list[str]:
        """The terms of a text in order, repetitions included."""
        terms: list[str] = []
        for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
            self._append(terms, match.group())
        return terms

    def _append(self, terms: list[str], word: str) -> None:
        word = _APOSTROPHE.sub("", word)
        parts = _PARTS.findall(word)
        for part in parts:
            for piece in _CAMEL.split(part):
                self._append_plain(terms, piece)
        if len(parts) > 1 or (len(parts) == 1 and len(_CAMEL.split(parts[0])) > 1):
            terms.append(word.casefold())

    def _append_plain(self, terms: list[str], piece: str) -> None:
        folded = piece.casefold()
        if folded not in STOP_WORDS:
            terms.append(self._stem(folded))
