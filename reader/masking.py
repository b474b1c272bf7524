"""Which pieces of a row the network has to guess: spans of words, or single pieces.

Span masking is that of SpanBERT (Joshi et al. 2020, section 3.1): spans of whole words whose
number of words follows a geometric law cut at ten, until 15 % of the pieces are masked; of the
spans, not of the pieces, 80 % become ``[MASK]``, 10 % random pieces and 10 % stay. The plain
baseline is BERT's (Devlin et al. 2019, section 3.1): pieces drawn one by one, each with its own
80/10/10.

The paper's program lets spans overlap or touch, merges those, and cuts the last one inside a word.
Here spans keep at least one piece between them and words stay whole, so that the lengths follow
the law as written and the two pieces beside a span are always pieces that can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reader.errors import TrainingError

Kind = Literal["spans", "pieces"]

_TRIES = 12  # places tried at random before all free ones are listed


@dataclass(frozen=True, slots=True)
class MaskingConfig:
    """``spans`` with these words a span, or the baseline ``pieces``; ``budget`` is a share."""

    kind: Kind = "spans"
    budget: float = 0.15
    p: float = 0.2
    longest: int = 10

    def __post_init__(self) -> None:
        if self.kind not in ("spans", "pieces"):
            raise TrainingError(f'the masking is "{self.kind}"; use spans or pieces')
        if not (0 < self.budget < 1 and 0 < self.p < 1 and self.longest >= 1):
            raise TrainingError(
                f"masking needs 0 < budget < 1, 0 < p < 1 and longest >= 1, not {self}"
            )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What masking knows of the pieces.

    Attributes:
        mask_id: the id of ``[MASK]``.
        continues: (vocabulary,) bool; True for pieces that go on with a word (``##ing``).
        special: (vocabulary,) bool; True for ``[CLS]``, ``[UNK]``, ``[unused1]`` and their like,
            which are never masked nor put in a masked piece's place.
    """

    mask_id: int
    continues: NDArray[np.bool_]
    special: NDArray[np.bool_]

    @classmethod
    def of_pieces(cls, pieces: Sequence[str]) -> Vocabulary:
        """Read it off the pieces in order of their ids.

        Raises:
            TrainingError: there is no ``[MASK]``, so the vocabulary cannot be pre-trained on.
        """
        if "[MASK]" not in pieces:
            raise TrainingError("the vocabulary has no [MASK] piece; pre-training needs one")
        return cls(
            mask_id=pieces.index("[MASK]"),
            continues=np.array([piece.startswith("##") for piece in pieces], dtype=bool),
            special=np.array([not piece or _is_special(piece) for piece in pieces], dtype=bool),
        )


def _is_special(piece: str) -> bool:
    return len(piece) > 2 and piece.startswith("[") and piece.endswith("]")


@dataclass(frozen=True, slots=True)
class Masked:
    """One row with its pieces hidden.

    Attributes:
        ids: (length,) what the network reads.
        spans: first and last position of each, in the order drawn; of single pieces where the
            masking is ``pieces``.
    """

    ids: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]


def length_law(p: float, longest: int) -> NDArray[np.float64]:
    """Probabilities of 1..``longest`` words: geometric, renormalised. Shape (longest,)."""
    weights = p * (1 - p) ** np.arange(longest)
    law: NDArray[np.float64] = weights / weights.sum()
    return law


def words_of(
    ids: NDArray[np.int64], vocabulary: Vocabulary, *, next_continues: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First position of each whole word, and the position after its last piece.

    A word that is cut at the beginning of the row, or at its end as ``next_continues`` says, is
    left out, and so are special pieces, between which words never reach.

    Args:
        ids: (length,), ``[SEP]`` last.

    Returns:
        Two arrays of shape (words,).
    """
    special = vocabulary.special[ids]
    begins = ~vocabulary.continues[ids] | special  # (length,)
    # A continuation right after a special piece is the tail of a word that is not in this row; it
    # counts as a part of the special piece and is left out with it.
    edges = np.flatnonzero(begins)
    ends = np.append(edges[1:], len(ids))
    usable = ~special[edges]
    edges, ends = edges[usable], ends[usable]
    if next_continues and len(ends) and ends[-1] == len(ids) - 1:
        edges, ends = edges[:-1], ends[:-1]
    return edges, ends


def draw_spans(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    budget: int,
    config: MaskingConfig,
    generator: np.random.Generator,
) -> list[tuple[int, int]]:
    """Spans of whole words within ``budget`` pieces, in the order drawn.

    The length comes first and then, uniformly, one of the places where it is free. Only the last
    span may be shorter than drawn, where the budget ends; in a row that is nearly full a length
    that fits nowhere is shortened.

    Args:
        starts, ends: as :func:`words_of` gives them, shape (words,).
        budget: pieces at most.

    Returns:
        First and last position of each span, both inclusive.
    """
    count = len(starts)
    begin, stop = starts.tolist(), ends.tolist()
    taken = bytearray(count)  # words in a span or right beside one
    law = np.cumsum(length_law(config.p, config.longest))
    spans: list[tuple[int, int]] = []
    left = budget
    while left > 0:
        drawn = min(int(np.searchsorted(law, generator.random(), side="right")) + 1, config.longest)
        place = None
        for length in range(min(drawn, count), 0, -1):
            place = _place(begin, stop, taken, length, generator)
            if place is not None:
                break
        if place is None:
            break
        last = place
        while last < place + length and stop[last] - begin[place] <= left:
            last += 1  # one past the last word that the budget has room for
        if last == place:
            break
        spans.append((begin[place], stop[last - 1] - 1))
        left -= stop[last - 1] - begin[place]
        for word in range(max(0, place - 1), min(count, last + 1)):
            taken[word] = 1
    return spans


def _place(
    begin: list[int],
    stop: list[int],
    taken: bytearray,
    length: int,
    generator: np.random.Generator,
) -> int | None:
    """A word where ``length`` free words begin that no special piece parts."""
    room = len(begin) - length + 1

    def free(word: int) -> bool:
        end = word + length
        if any(taken[word:end]):
            return False
        return all(stop[w] == begin[w + 1] for w in range(word, end - 1))

    for number in generator.integers(room, size=_TRIES).tolist():
        if free(number):
            return int(number)
    places = [word for word in range(room) if free(word)]
    return places[int(generator.integers(len(places)))] if places else None


def draw_pieces(
    ids: NDArray[np.int64], vocabulary: Vocabulary, budget: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """``budget`` ordinary pieces (or all there are), each a span of its own."""
    usable = np.flatnonzero(~vocabulary.special[ids])
    chosen = generator.choice(usable, size=min(budget, len(usable)), replace=False)
    return [(int(position), int(position)) for position in chosen]


def piece_budget(length: int, share: float) -> int:
    """How many of ``length`` pieces may be masked; at least one."""
    return max(1, round(length * share))


def mask_row(
    ids: NDArray[np.int64],
    vocabulary: Vocabulary,
    config: MaskingConfig,
    generator: np.random.Generator,
    *,
    next_continues: bool = False,
) -> Masked:
    """Hide pieces of one row, ``[CLS]`` and ``[SEP]`` included in its ids of shape (length,).

    The budget is a share of the whole row; special pieces are never masked.
    """
    budget = piece_budget(len(ids), config.budget)
    if config.kind == "spans":
        starts, ends = words_of(ids, vocabulary, next_continues=next_continues)
        spans = draw_spans(starts, ends, budget, config, generator)
    else:
        spans = draw_pieces(ids, vocabulary, budget, generator)
    hidden = ids.copy()
    for (first, last), chance in zip(spans, generator.random(len(spans)), strict=True):
        if chance < 0.8:
            hidden[first : last + 1] = vocabulary.mask_id
        elif chance < 0.9:
            hidden[first : last + 1] = _random_pieces(vocabulary, last + 1 - first, generator)
    return Masked(hidden, tuple(spans))


def _random_pieces(
    vocabulary: Vocabulary, count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Ordinary pieces, uniformly: special ones are drawn again."""
    drawn = generator.integers(len(vocabulary.special), size=count)
    while (wrong := vocabulary.special[drawn]).any():
        drawn[wrong] = generator.integers(len(vocabulary.special), size=int(wrong.sum()))
    return drawn
