"""What a passage is found by: the words above it, its own, and what it abbreviates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from retriever.abbreviations import Forms
from retriever.analysis import Analyzer
from retriever.index.vocabulary import NumberedTerms, Vocabulary, end_to_end, side_by_side
from retriever.numbering import TermNumbers
from retriever.store.passages import SearchText, StoredPassage


def index_text(passage: SearchText | StoredPassage) -> str:
    """What is searched of a passage: file name, title and headings in front of its text."""
    return "\n".join([*_above(passage), passage.text])


def _above(passage: SearchText | StoredPassage) -> list[str]:
    stem = PurePosixPath(passage.uri.replace("\\", "/")).stem
    return list(dict.fromkeys([stem, passage.title, *passage.heading]))


class TermsOfPassages:
    """What :func:`index_text` becomes in the index, passage by passage or for many at once.

    The passages of a document come one after another: what it defines is then looked up once.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._numbers = TermNumbers(analyzer)
        self._document = ""
        self._forms = Forms(analyzer, "")

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the numbers that :meth:`of` gives."""
        return self._numbers.vocabulary

    def __call__(self, passage: SearchText) -> list[str]:
        """The terms of a passage in order, repetitions included."""
        options = self._analyzer.options
        above = self._analyzer.terms("\n".join(_above(passage)))
        terms = above * options.heading_weight + self._analyzer.terms(passage.text)
        terms.extend(self._forms_of(passage).missing(terms))
        return terms

    def of(self, passages: Sequence[SearchText]) -> NumberedTerms:
        """The same of many passages, as numbers."""
        above = self._numbers.of(["\n".join(_above(passage)) for passage in passages])
        own = self._numbers.of([passage.text for passage in passages])
        terms = side_by_side([*[above] * self._analyzer.options.heading_weight, own])
        missing: list[list[int]] = [[]] * len(passages)
        for at, (passage, numbers) in enumerate(zip(passages, terms.of_each(), strict=True)):
            if forms := self._forms_of(passage):
                known = self.vocabulary.terms_of(numbers.tolist())
                missing[at] = self.vocabulary.numbers_of(forms.missing(known))
        return side_by_side([terms, end_to_end(missing)]) if any(map(len, missing)) else terms

    def _forms_of(self, passage: SearchText) -> Forms:
        """Those of the passage's document; none where they do not count."""
        if self._analyzer.options.abbreviations and passage.document_text is not self._document:
            self._document = passage.document_text
            self._forms = Forms(self._analyzer, self._document)
        return self._forms
