"""Questions of a SQuAD file over all paragraphs of several, as the retriever finds them."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.answering import AnswerOptions
from reader.squad import Example, load_squad, spread
from retriever.analysis import Analyzer
from retriever.index.of_texts import index_of_texts


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the numbers of the paragraphs found for it, best first.

    Attributes:
        priors: what the retriever's score of each counts in the bot's choice, in logits; 0 for
            the best.
        own: the number of the paragraph that it was asked on.
    """

    example: Example
    passages: tuple[int, ...]
    priors: tuple[float, ...]
    own: int


@dataclass(frozen=True, slots=True)
class Found:
    """All paragraphs, and the questions."""

    paragraphs: list[str]
    questions: list[Question]


def find(
    squad: Path, more: Sequence[Path], *, count: int | None, depth: int, vectors: Path | None
) -> Found:
    """The ``depth`` best paragraphs for each question.

    Args:
        count: so many questions, spread evenly over the file; None for all.
        vectors: rank by BM25 and the ranker's vectors, and keep those of the paragraphs in this
            folder; None for BM25 alone.
    """
    examples = load_squad(squad)
    texts = dict.fromkeys(example.context for example in examples)
    for path in more:
        texts.update(dict.fromkeys(example.context for example in load_squad(path)))
    paragraphs = list(texts)
    number_of = {text: number for number, text in enumerate(paragraphs)}
    chosen = spread(examples, count or 0)
    analyzer = Analyzer()
    of_questions: list[NDArray[np.float32]] | None = None
    of_paragraphs: NDArray[np.float32] | None = None
    encoder: str | None = None
    if vectors is not None:
        encoder, of_paragraphs, of_questions = _vectors(paragraphs, chosen, vectors)
    prior = AnswerOptions().prior
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as folder:
        index = index_of_texts(Path(folder), paragraphs, analyzer, of_paragraphs, encoder)
        for number, example in enumerate(chosen):
            vector = None if of_questions is None else of_questions[number]
            ranked = index.search(analyzer.terms(example.question), depth, None, vector)
            best = ranked[0].score if ranked else 0.0
            questions.append(
                Question(
                    example,
                    tuple(place.passage_id for place in ranked),
                    tuple(prior * (place.score - best) for place in ranked),
                    number_of[example.context],
                )
            )
    return Found(paragraphs, questions)


def _vectors(
    paragraphs: Sequence[str], chosen: Sequence[Example], folder: Path
) -> tuple[str, NDArray[np.float32], list[NDArray[np.float32]]]:
    """The ranker's name, the vectors of the paragraphs, kept in a folder, and the questions'."""
    from reader.ranker import load_ranker

    ranker = load_ranker()
    kept = folder / f"vectors-{digest([ranker.name, *paragraphs])}.npy"
    if kept.exists():
        found = np.load(kept)
    else:
        done = 0

        def progress(more: int) -> None:
            nonlocal done
            done += more
            sys.stderr.write(f"\r{done:,} of {len(paragraphs):,} paragraphs encoded")

        found = ranker.encode(paragraphs, progress=progress)
        sys.stderr.write("\n")
        np.save(kept, found)
    asked = ranker.encode([example.question for example in chosen])
    return ranker.name, found, list(asked)


def digest(parts: Sequence[str]) -> str:
    """A short name that stands for texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode(errors="surrogatepass") + b"\0")
    return whole.hexdigest()[:12]
