"""The match feature: which words of a passage are words of the question.

A word of the passage whose stem is one of the question's gets token type 2 in the place of 1, so
that the network need not find out by itself that "resetting" is asked about by "reset". Word
overlap as a feature of its input is that of Chen et al. 2017, "Reading Wikipedia to answer
open-domain questions", section 3.2. Only checkpoints trained with it are fed it: their
``config.json`` has ``match_feature`` and three token types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from reader.errors import CheckpointError

_WORD = re.compile(r"\w+")


def check_stemmer(what: str) -> None:
    """See that words can be matched; ``what`` needs it, the beginning of the message.

    Raises:
        CheckpointError: pystemmer, which only this feature needs, is not installed.
    """
    try:
        _stem_word()
    except ImportError as error:
        raise CheckpointError(
            f"{what} needs pystemmer, which is not installed; run: pip install pystemmer"
        ) from error


def _stem_word() -> Callable[[str], str]:
    import Stemmer  # here: only checkpoints with this feature need it

    stem: Callable[[str], str] = Stemmer.Stemmer("english").stemWord
    return stem


class Matcher:
    """Finds the words of one question in texts."""

    def __init__(self, question: str) -> None:
        self._stem = _stem_word()
        self._asked = {self._stem(word.casefold()) for word in _WORD.findall(question)}

    def pieces(self, text: str, offsets: Sequence[tuple[int, int]]) -> tuple[bool, ...]:
        """For each piece of the text whether it is of a word of the question.

        ``offsets`` are the pieces' characters (start, end), ascending.
        """
        words = [
            found.span()
            for found in _WORD.finditer(text)
            if self._stem(found.group().casefold()) in self._asked
        ]
        marked = []
        number = 0
        for start, end in offsets:
            while number < len(words) and words[number][1] <= start:
                number += 1
            marked.append(number < len(words) and words[number][0] < end)
        return tuple(marked)
