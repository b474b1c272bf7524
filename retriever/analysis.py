"""From text to index terms: words, case folding, stop words, Snowball stems.

Words that people search by as a whole (``error-codes``, ``v2.3.1``, ``max_wait``, ``handbook.pdf``,
``it@example.com``) become a term of their own beside the terms of their parts.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain

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


#: What recurs is analysed once; so many words, and so many texts between two spaces, are kept.
_REMEMBERED = 1 << 17


class Analyzer:
    """Turns text into terms; the same for passages and for questions."""

    def __init__(self, language: str = "english") -> None:
        self._stem = Stemmer.Stemmer(language).stemWord
        self._terms_of = lru_cache(maxsize=_REMEMBERED)(self._of_token)
        self._terms_of_word = lru_cache(maxsize=_REMEMBERED)(self._of_word)

    def terms(self, text: str) -> list[str]:
        """The terms of a text in order, repetitions included."""
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        return list(chain.from_iterable(map(self._terms_of, text.split())))

    def _of_token(self, token: str) -> tuple[str, ...]:
        """The terms of what stands between two spaces, which no word goes beyond."""
        words = [token] if token.isalpha() else _WORD.findall(token)
        if len(words) == 1:
            return self._terms_of_word(words[0])
        return tuple(chain.from_iterable(map(self._terms_of_word, words)))

    def _of_word(self, word: str) -> tuple[str, ...]:
        """The terms of a word: its parts, and the whole where it has several."""
        if word.islower() and word.isalpha():  # one part
            return () if (folded := word.casefold()) in STOP_WORDS else (self._stem(folded),)
        word = _APOSTROPHE.sub("", word)
        pieces = [piece for part in _PARTS.findall(word) for piece in _CAMEL.split(part)]
        folded_pieces = [piece.casefold() for piece in pieces]
        terms = [self._stem(piece) for piece in folded_pieces if piece not in STOP_WORDS]
        if len(pieces) > 1:
            terms.append(word.casefold())
        return tuple(terms)
