"""From text to index terms: words, case folding, stop words, Snowball stems, synonyms.

Words that people search by as a whole (``max_wait``, ``v2.3.1``, ``docs/handbook.pdf``,
``it@example.com``) become a term of their own beside the terms of their parts. Each choice can be
turned off in :class:`AnalysisOptions`; what each is worth is in ``bench/README.md``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain

import Stemmer

from retriever.errors import AnalysisError

#: Grows when the same options come to mean other terms, so that an older index is built again.
VERSION = 1

#: What joins two parts of a word, of the ASCII characters; "’" does as well.
JOINTS = "._@/:+#&'-"

_WORD = re.compile(rf"[^\W_]+(?:[{re.escape(JOINTS)}’]+[^\W_]+)*", re.UNICODE)
_PARTS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APOSTROPHE = re.compile(r"['’](?:s|re|ve|ll|d|m|t)?$")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
#: Joints within an address or a path; what stands between two of them may have parts itself.
_STEPS = re.compile(r"[/@#:]+")
_VERSION_NUMBER = re.compile(r"v(\d+(?:\.\d+)+.*)")
#: A word of letters in several parts: it is written joined as well ("e-mail", "email").
_JOINABLE = re.compile(r"[^\W\d_]+(?:[_'’\-]+[^\W\d_]+)*")
_ACCENTS = re.compile("[\u0300-\u036f]")

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


def languages() -> list[str]:
    """The languages that there is a stemmer for, by Snowball's names."""
    return sorted(Stemmer.algorithms())


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What becomes of a text. Two analyzers with the same options give the same terms.

    Attributes:
        language: whose stems, by Snowball's name; only English has stop words.
        unicode_words: letters and digits of every script make words, in any compatible form
            (NFKC); without it those of ASCII alone.
        case_folding: "VPN" and "vpn" are the same.
        accents: "Beyoncé" and "Beyonce" are the same.
        stop_words: they are no terms.
        stemming: "resetting" and "reset" are the same.
        parts: the parts of a word that is made of several are terms.
        wholes: so is the whole of it.
        joined: the whole is written without its hyphens where it is made of letters, and stemmed:
            "e-mail" finds "email", ``maxWait`` finds ``max_wait``.
        heading_weight: how often the words above a passage count: file name, title and headings.
        abbreviations: those that a document defines are found by either form; see
            :mod:`retriever.abbreviations`.
        synonyms: groups of words or phrases that mean the same; see :mod:`retriever.synonyms`.
    """

    language: str = "english"
    unicode_words: bool = True
    case_folding: bool = True
    accents: bool = False
    stop_words: bool = True
    stemming: bool = True
    parts: bool = True
    wholes: bool = True
    joined: bool = True
    heading_weight: int = 1
    abbreviations: bool = True
    synonyms: tuple[tuple[str, ...], ...] = ()


class Analyzer:
    """Turns text into terms; the same for passages and for questions.

    Attributes:
        name: changes with everything that changes the terms, the stemmer's version included.

    Raises:
        AnalysisError: there is no stemmer for the language, or a synonym has no term.
    """

    def __init__(self, options: AnalysisOptions | None = None) -> None:
        self.options = options or AnalysisOptions()
        if self.options.language not in Stemmer.algorithms():
            raise AnalysisError(
                f'there is no stemmer for "{self.options.language}"; use one of: '
                + ", ".join(languages())
            )
        # What it remembers by itself is remembered here already.
        stemmer = Stemmer.Stemmer(self.options.language, 0)
        self._stem: Callable[[str], str] = stemmer.stemWord if self.options.stemming else str
        english = self.options.language == "english"
        self._folded: Callable[[str], str] = str.casefold if self.options.case_folding else str
        self._stemmed = self._stem
        if self.options.accents:  # stemmers other than the English one go by them
            self._stemmed = self._stem_without_accents if english else self._stem_then_accents
        self._stop = STOP_WORDS if self.options.stop_words and english else frozenset[str]()
        self._terms_of = lru_cache(maxsize=_REMEMBERED)(self._of_token)
        self._terms_of_word = lru_cache(maxsize=_REMEMBERED)(self._of_word)
        self.name = _name(self.options)
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for group in self.options.synonyms:
            self._add_synonyms(group)

    def terms(self, text: str) -> list[str]:
        """The terms of a text in order, repetitions included."""
        found = self._plain_terms(text)
        return self.with_synonyms(found) if self._phrases else found

    def _plain_terms(self, text: str) -> list[str]:
        return list(chain.from_iterable(map(self._terms_of, self.readable(text).split())))

    def readable(self, text: str) -> str:
        """A text as its words are looked for: no character in a compatible form of another."""
        if text.isascii():
            return text
        if self.options.unicode_words:
            return unicodedata.normalize("NFKC", text)
        return _NOT_ASCII.sub(" ", text)

    def terms_of_piece(self, piece: str) -> tuple[str, ...]:
        """The terms, without synonyms, of a piece of a readable text that no word goes beyond.

        Nothing is remembered of it.
        """
        if piece.isalnum():
            return self._of_word(piece)
        words = _WORD.findall(piece)
        if len(words) == 1:
            return self._of_word(words[0])
        return tuple(chain.from_iterable(map(self._of_word, words)))

    def _of_token(self, token: str) -> tuple[str, ...]:
        """The terms of what stands between two spaces, which no word goes beyond."""
        words = [token] if token.isalpha() else _WORD.findall(token)
        if len(words) == 1:
            return self._terms_of_word(words[0])
        return tuple(chain.from_iterable(map(self._terms_of_word, words)))

    def _of_word(self, word: str) -> tuple[str, ...]:
        """The terms of a word: its parts, and the whole where it has several."""
        if word.isalnum() and ((rest := word[1:]).islower() or rest.isdigit()):  # most are
            plain = self._folded(word)
            return () if plain in self._stop else (self._stemmed(plain),)
        word = _APOSTROPHE.sub("", word)
        pieces = _PARTS.findall(word)
        if word != word.lower():
            pieces = [piece for part in pieces for piece in _CAMEL.split(part)]
        terms: list[str] = []
        if self.options.parts or len(pieces) == 1:
            folded = [self._folded(piece) for piece in pieces]
            terms = [self._stemmed(piece) for piece in folded if piece not in self._stop]
        if self.options.wholes and len(pieces) > 1:
            terms.extend(dict.fromkeys(self._wholes(word)))
        return tuple(terms)

    def _wholes(self, word: str) -> list[str]:
        """A word of several parts as one term, and each step of an address or a path as one."""
        folded = self._folded(word)
        if self.options.joined and _JOINABLE.fullmatch(word):
            return [self._stemmed("".join(_PARTS.findall(folded)))]
        if version := _VERSION_NUMBER.fullmatch(folded):
            return [version[1], folded]
        steps = [step for step in _STEPS.split(folded) if len(_PARTS.findall(step)) > 1]
        return [self._without_accents(whole) for whole in (*steps, folded)]

    def _stem_without_accents(self, word: str) -> str:
        return self._stem(self._without_accents(word))

    def _stem_then_accents(self, word: str) -> str:
        return self._without_accents(self._stem(word))

    def _without_accents(self, term: str) -> str:
        if not self.options.accents or term.isascii():
            return term
        return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", term)))

    def _add_synonyms(self, group: Sequence[str]) -> None:
        """All members of a group come to have one term, which no text has otherwise."""
        term = "=" + group[0].casefold()
        for member in group:
            phrase = tuple(self._plain_terms(member))
            if not phrase:
                raise AnalysisError(
                    f'the synonym "{member}" has no word to search by; write it out or take it out'
                )
            self._phrases.setdefault(phrase[0], []).append((phrase, term))

    @property
    def synonym_starts(self) -> frozenset[str]:
        """The first terms of all synonyms; a text without one of them has none."""
        return frozenset(self._phrases)

    def with_synonyms(self, terms: Sequence[str]) -> list[str]:
        """A word has its group's term in its place; a phrase has it beside those of its words."""
        found: list[str] = []
        for at, term in enumerate(terms):
            replaced = False
            for phrase, group in self._phrases.get(term, ()):
                if len(phrase) == 1:
                    found.append(group)
                    replaced = True
                elif tuple(terms[at : at + len(phrase)]) == phrase:
                    found.append(group)
            if not replaced:
                found.append(term)
        return found


def _name(options: AnalysisOptions) -> str:
    values = [(field.name, getattr(options, field.name)) for field in fields(options)]
    digest = hashlib.sha256(repr((Stemmer.version(), values)).encode()).hexdigest()
    return f"{VERSION}-{digest[:16]}"


def holds(terms: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the terms of a phrase stand in a text's side by side and in order."""
    if not phrase:
        return False
    first, wanted = phrase[0], list(phrase)
    at = -1
    try:
        while True:
            at = terms.index(first, at + 1)
            if list(terms[at : at + len(wanted)]) == wanted:
                return True
    except ValueError:  # it is nowhere behind
        return False
