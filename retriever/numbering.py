"""The terms of many texts as numbers, the same as :meth:`Analyzer.terms` gives one by one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate, chain, islice

import numpy as np
from numpy.typing import NDArray

from retriever.analysis import Analyzer
from retriever.index.vocabulary import NumberedTerms, Vocabulary, end_to_end
from retriever.pieces import Pieces


class TermNumbers:
    """Analyses what recurs once, for all texts that it is given.

    Attributes:
        vocabulary: numbers the terms; some may be those of no text.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self.vocabulary = Vocabulary()
        self._analyzer = analyzer
        self._pieces = Pieces(self._add_pieces, self._forget, folding=analyzer.options.case_folding)
        #: The terms of the pieces, end to end, and where those of each piece end.
        self._terms = array("I")
        self._ends = array("I", [0])

    def of(self, texts: Sequence[str]) -> NumberedTerms:
        """The terms of each text in order, repetitions included."""
        parts = [NumberedTerms(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64))]
        for pieces, counts in self._pieces.cut([self._analyzer.readable(text) for text in texts]):
            parts.append(self._terms_of_pieces(pieces, counts))
        found = NumberedTerms(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )
        return self._with_synonyms(found) if self._analyzer.synonym_starts else found

    def _terms_of_pieces(
        self, pieces: NDArray[np.uint32], counts: NDArray[np.int64]
    ) -> NumberedTerms:
        ends_of = np.frombuffer(self._ends, dtype=np.uint32)
        begins = ends_of[pieces].astype(np.int64)
        sizes = ends_of[1:][pieces] - begins
        ends = np.zeros(len(pieces) + 1, dtype=np.int64)
        np.cumsum(sizes, out=ends[1:])
        places = np.repeat(begins - ends[:-1], sizes)
        places += np.arange(len(places))
        numbers = (
            np.frombuffer(self._terms, dtype=np.uint32)[places]
            if len(places)
            else np.zeros(0, dtype=np.uint32)
        )
        last = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=last[1:])
        return NumberedTerms(numbers, np.diff(ends[last]))

    def _with_synonyms(self, found: NumberedTerms) -> NumberedTerms:
        """Texts that hold the first term of a synonym are gone through one by one."""
        starts = self.vocabulary.numbers_of(self._analyzer.synonym_starts)
        starting = np.zeros(len(self.vocabulary), dtype=np.bool_)
        starting[starts] = True
        each: list[Sequence[int] | NDArray[np.uint32]] = [*found.of_each()]
        owners = np.repeat(np.arange(len(each)), found.lengths)
        for at in np.unique(owners[starting[found.numbers]]).tolist():
            terms = self._analyzer.with_synonyms(self.vocabulary.terms_of(each[at]))
            each[at] = self.vocabulary.numbers_of(terms)
        return end_to_end(each)

    def _add_pieces(self, pieces: list[str]) -> None:
        each = list(map(self._analyzer.terms_of_piece, pieces))
        ends = accumulate(map(len, each), initial=len(self._terms))
        self._ends.extend(islice(ends, 1, None))
        self._terms.extend(self.vocabulary.numbers_of(chain.from_iterable(each)))

    def _forget(self) -> None:
        self._terms = array("I")
        self._ends = array("I", [0])
