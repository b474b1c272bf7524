"""From groups of passages to the batches that a reader is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reader.features import Window, windows
from reader.groups import Group, GroupPassage
from reader.matching import Matcher
from reader.tokenization import Pieces, PieceTokenizer


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """A window with its answers: positions in ``window.ids`` of first and last pieces."""

    window: Window
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TrainingGroup:
    """The windows of one question, and what they were cut from."""

    windows: tuple[TrainingWindow, ...]
    source: Group

    @property
    def longest(self) -> int:
        """The pieces of its longest window."""
        return max(len(item.window) for item in self.windows)


def training_groups(
    groups: Sequence[Group],
    tokenizer: PieceTokenizer,
    *,
    max_length: int,
    overlap: int,
    match: bool = False,
) -> list[TrainingGroup]:
    """The windows of every question.

    A window that cuts an answer in two is left out: it neither holds the answer nor lacks it. So
    is an answerable question of whose answers no window holds one whole. ``match`` marks the words
    of the question (:mod:`reader.matching`).
    """
    every = [passage for group in groups for passage in group.passages]
    texts = list({text for p in every for text in (p.text, p.context)})
    pieces_of = dict(zip(texts, tokenizer.pieces_batch(texts), strict=True))
    questions = tokenizer.pieces_batch([group.question for group in groups])
    found: list[TrainingGroup] = []
    for group, question in zip(groups, questions, strict=True):
        kept: list[TrainingWindow] = []
        matcher = Matcher(group.question) if match else None
        for window in windows(
            question,
            [pieces_of[passage.text] for passage in group.passages],
            tokenizer,
            max_length=max_length,
            overlap=overlap,
            contexts=[pieces_of[passage.context] for passage in group.passages],
            matched=[
                matcher.pieces(passage.text, pieces_of[passage.text].offsets)
                for passage in group.passages
                if matcher is not None
            ],
        ):
            passage = group.passages[window.passage]
            answers = _answers_in(window, passage, pieces_of[passage.text])
            if answers is not None and window.offsets:
                kept.append(TrainingWindow(window, answers))
        if kept and (not group.answerable or any(item.answers for item in kept)):
            found.append(TrainingGroup(tuple(kept), group))
    return found


def _answers_in(
    window: Window, passage: GroupPassage, pieces: Pieces
) -> tuple[tuple[int, int], ...] | None:
    """Where the passage's answers stand in the window; None when it cuts one in two."""
    placed = []
    for start, end in passage.answers:
        whole = _touching(pieces.offsets, start, end)
        here = _touching(window.offsets, start, end)
        if whole is None or here is None:
            continue
        if here[1] - here[0] != whole[1] - whole[0]:
            return None
        placed.append((window.first + here[0], window.first + here[1]))
    return tuple(placed)


def _touching(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """First and last piece that overlap the characters, or None when none does."""
    touching = [
        index for index, (begin, stop) in enumerate(offsets) if begin < end and start < stop
    ]
    return (touching[0], touching[-1]) if touching else None


def batches(
    groups: Sequence[TrainingGroup], *, batch_pieces: int, generator: np.random.Generator
) -> list[list[TrainingGroup]]:
    """Shuffle, sort by length within large chunks, cut by the budget, shuffle the batches.

    ``batch_pieces`` bounds the padded pieces of a batch of more than one question.
    """
    order = generator.permutation(len(groups))
    chunk = 64 * max(1, batch_pieces // 160)
    result: list[list[TrainingGroup]] = []
    for begin in range(0, len(order), chunk):
        part = sorted(order[begin : begin + chunk], key=lambda i: groups[i].longest)
        current: list[TrainingGroup] = []
        rows = 0
        for index in part:
            group = groups[index]
            rows += len(group.windows)
            if current and group.longest * rows > batch_pieces:
                result.append(current)
                current, rows = [], len(group.windows)
            current.append(group)
        if current:
            result.append(current)
    return [result[index] for index in generator.permutation(len(result))]
