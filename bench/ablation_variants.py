"""The variants that :mod:`bench.ablation` compares: what each is trained on, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.recipe_data import READER_SETS, file_of
from bot.negatives import beside, wrong_passages
from reader.checkpoint import EMBEDDED
from reader.groups import Group, GroupPassage, of_squad
from reader.squad import Example, load_squad, spread

#: Wrong paragraphs of a group.
NEGATIVES = 2

_TRAIN = READER_SETS["SQuAD 1.1 train, reconstructed"][0]
_OTHERS = (("QAMR dev", "QAMR test"), ("SQuADShifts, Reddit",))


@dataclass(frozen=True)
class Material:
    """The questions that all variants share, read when they are first asked for.

    Attributes:
        data: the data folder.
        count: questions of SQuAD, spread over its train set.
        seed: of the order of passages in a group.
    """

    data: Path
    count: int
    seed: int

    @cached_property
    def train(self) -> list[Example]:
        """All of SQuAD's train set."""
        return load_squad(file_of(self.data, _TRAIN))

    @cached_property
    def squad(self) -> list[Example]:
        """The questions of every variant."""
        return spread(self.train, self.count)

    @cached_property
    def negatives(self) -> list[list[GroupPassage]]:
        """For each question the paragraphs without its answer that BM25 ranks highest."""
        paragraphs = (GroupPassage(example.context) for example in self.train)
        with wrong_passages(paragraphs) as find:
            return [find(group, NEGATIVES) for group in of_squad(self.squad)]

    def more(self, count: int) -> list[Group]:
        """``count`` questions of the other sets, half of them of QAMR."""
        groups: list[Group] = []
        for names, part in zip(_OTHERS, (count - count // 2, count // 2), strict=True):
            found = [
                example
                for name in names
                for example in load_squad(file_of(self.data, READER_SETS[name][0]))
            ]
            groups += of_squad(spread(found, part)) if part else []
        return groups


def plain(material: Material) -> list[Group]:
    """One passage a question."""
    return of_squad(material.squad)


def unanswerable(material: Material) -> list[Group]:
    """And every other question once more on a paragraph without its answer, by itself."""
    wrong = zip(material.squad[1::2], material.negatives[1::2], strict=True)
    return plain(material) + [
        Group(example.question, (passages[0],)) for example, passages in wrong if passages
    ]


def shared(material: Material) -> list[Group]:
    """Each question with the wrong paragraphs beside its own, in any order."""
    generator = np.random.default_rng(material.seed)
    return [
        beside(group, passages, generator)
        for group, passages in zip(plain(material), material.negatives, strict=True)
    ]


def more_sets(material: Material) -> list[Group]:
    """As many questions again, of QAMR and SQuADShifts."""
    return plain(material) + material.more(len(material.squad))


def more_squad(material: Material) -> list[Group]:
    """As many questions again, of SQuAD."""
    return of_squad(spread(material.train, 2 * material.count))


@dataclass(frozen=True, slots=True)
class Variant:
    """One training.

    Attributes:
        says: what it has that ``base`` has not.
        groups: its training data.
        passages: passages a question, so that batches of all variants hold as many questions.
        options: of :class:`reader.recipes.FinetuneConfig`, where they are not base's.
        pretrained: its start is pre-trained on plain text first.
    """

    says: str
    groups: Callable[[Material], Sequence[Group]] = plain
    passages: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False


#: By name; ``base``, which the others are compared with, first.
VARIANTS: Mapping[str, Variant] = {
    "base": Variant("SQuAD, one passage a question"),
    "shared-softmax": Variant(
        "two wrong passages beside the right one, one softmax", shared, 1.0 + NEGATIVES
    ),
    "unanswerable": Variant(
        "half of the questions also on a wrong passage; weight 0.3 on saying so",
        unanswerable,
        1.5,
        {"no_answer": 0.3},
    ),
    "match": Variant("the match feature", options={"match": True}),
    "distill": Variant("the embedded reader as teacher", options={"teacher": str(EMBEDDED)}),
    "more-sets": Variant("as many questions of QAMR and SQuADShifts Reddit more", more_sets),
    "pretrained": Variant("the start pre-trained on wiki text, spans masked", pretrained=True),
    "more-squad": Variant("for comparison: as many questions of SQuAD more", more_squad),
}
