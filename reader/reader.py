"""The reader: a question and passages in, answer spans with document offsets out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reader import spans as span_math
from reader.errors import ReaderError
from reader.features import Window, windows
from reader.tokenization import Pieces, PieceTokenizer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: ``text`` stands at ``document.text[start:start + len(text)]``.

    ``document`` is any name that tells documents apart. ``prior`` is added to the score of every
    span of the passage: a retriever's opinion in the reader's own unit (logits). ``context`` is
    read in front of the text, and ``skip`` names characters of the text (start, end) that are read
    too; neither can be part of an answer. Both are for headings.
    """

    document: str
    start: int
    text: str
    prior: float = 0.0
    context: str = ""
    skip: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """An answer: ``document.text[start:end] == text``.

    Attributes:
        passage: index of the passage it was read in.
        score: start logit + end logit + the passage's prior.
        null_score: the score of "no answer" in the same window (the ``[CLS]`` logits); it means
            something only for checkpoints trained on unanswerable questions.
        probability: share of this span, and of those merged into it, under one softmax over every
            span of all passages; 0 to 1.
    """

    passage: int
    document: str
    start: int
    end: int
    text: str
    score: float
    null_score: float
    probability: float


class Logits(Protocol):
    """What the reader needs of a network."""

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Start and end logits, each float32 of shape (windows, longest window)."""
        ...


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How the reader reads; lengths in word pieces."""

    max_length: int = 384
    overlap: int = 128
    max_answer_pieces: int = 30
    n_best: int = 20
    batch_pieces: int = 8192
    align_words: bool = True


class Reader:
    """Marks answer spans in passages.

    The network is an argument, so that tests can place logits by hand; :func:`load_reader` builds
    the usual one from a checkpoint.
    """

    def __init__(
        self,
        tokenizer: PieceTokenizer,
        logits: Logits,
        *,
        name: str = "reader",
        device: str = "cpu",
        options: ReaderOptions | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self.device = device
        self.options = options or ReaderOptions()
        self._logits = logits

    def read(self, question: str, passages: Sequence[Passage], *, top_k: int = 10) -> list[Span]:
        """The best non-overlapping spans over all passages, best first.

        Raises:
            ReaderError: the network gave logits that are not numbers.
        """
        return self.read_batch([(question, passages)], top_k=top_k)[0]

    def read_batch(
        self,
        questions: Sequence[tuple[str, Sequence[Passage]]],
        *,
        top_k: int = 10,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Span]]:
        """:meth:`read` for several questions at once; ``progress`` gets windows done."""
        asked = self.tokenizer.pieces_batch([question for question, _ in questions])
        owners: list[int] = []
        inputs: list[Window] = []
        pieces_of: dict[str, Pieces] = {}
        every = [passage for _, passages in questions for passage in passages]
        texts = list({text for p in every for text in (p.text, p.context)})
        pieces_of.update(zip(texts, self.tokenizer.pieces_batch(texts), strict=True))
        for number, (_, passages) in enumerate(questions):
            for window in windows(
                asked[number],
                [pieces_of[passage.text] for passage in passages],
                self.tokenizer,
                max_length=self.options.max_length,
                overlap=self.options.overlap,
                contexts=[pieces_of[passage.context] for passage in passages],
            ):
                owners.append(number)
                inputs.append(window)
        found: list[list[span_math.Scored]] = [[] for _ in questions]
        totals: list[list[float]] = [[] for _ in questions]
        for chosen in self._batches(inputs):
            starts, ends = self._logits([inputs[index] for index in chosen])
            if not (np.isfinite(starts).all() and np.isfinite(ends).all()):
                raise ReaderError(
                    f"the model {self.name} gave logits that are not numbers; its weights are "
                    "damaged or overflow in this precision"
                )
            for row, index in enumerate(chosen):
                number = owners[index]
                spans, total = self._spans_of(
                    inputs[index], questions[number][1], starts[row], ends[row]
                )
                found[number].extend(spans)
                totals[number].append(total)
            if progress is not None:
                progress(len(chosen))
        return [
            self._answers(questions[number][1], found[number], totals[number], top_k)
            for number in range(len(questions))
        ]

    def _batches(self, inputs: Sequence[Window]) -> list[list[int]]:
        """Indices of windows of like length, at most ``batch_pieces`` padded pieces a batch."""
        order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
        batches: list[list[int]] = []
        for index in order:
            if batches:
                longest = len(inputs[batches[-1][0]])
                if longest * (len(batches[-1]) + 1) <= self.options.batch_pieces:
                    batches[-1].append(index)
                    continue
            batches.append([index])
        return batches

    def _spans_of(
        self,
        window: Window,
        passages: Sequence[Passage],
        start_logits: NDArray[np.float32],
        end_logits: NDArray[np.float32],
    ) -> tuple[list[span_math.Scored], float]:
        passage = passages[window.passage]
        inside = slice(window.first, window.first + len(window.offsets))
        starts, ends = start_logits[inside], end_logits[inside]
        if passage.skip:
            starts, ends = starts.copy(), ends.copy()
            for piece, (begin, stop) in enumerate(window.offsets):
                if any(begin < last and first < stop for first, last in passage.skip):
                    starts[piece] = ends[piece] = -np.inf
        candidates, total = span_math.window_candidates(
            starts,
            ends,
            max_pieces=self.options.max_answer_pieces,
            n_best=self.options.n_best,
        )
        null_score = float(start_logits[0]) + float(end_logits[0]) + passage.prior
        spans = []
        for candidate in candidates:
            start = window.offsets[candidate.first][0]
            end = window.offsets[candidate.last][1]
            if any(start < last and first < end for first, last in passage.skip):
                continue
            if self.options.align_words:
                start, end = span_math.align_to_words(passage.text, start, end)
            spans.append(
                span_math.Scored(
                    passage=window.passage,
                    document=passage.document,
                    start=passage.start + start,
                    end=passage.start + end,
                    score=candidate.score + passage.prior,
                    null_score=null_score,
                )
            )
        return spans, total + passage.prior

    def _answers(
        self,
        passages: Sequence[Passage],
        found: list[span_math.Scored],
        totals: list[float],
        top_k: int,
    ) -> list[Span]:
        scored = span_math.normalise(found, span_math.log_sum_exp(totals))
        answers = []
        for span in span_math.merge_overlapping(scored, top_k):
            passage = passages[span.passage]
            answers.append(
                Span(
                    passage=span.passage,
                    document=span.document,
                    start=span.start,
                    end=span.end,
                    text=passage.text[span.start - passage.start : span.end - passage.start],
                    score=span.score,
                    null_score=span.null_score,
                    probability=span.probability,
                )
            )
        return answers


def load_reader(
    source: str | Path | None = None,
    *,
    device: str = "auto",
    options: ReaderOptions | None = None,
    notify: Callable[[str], None] | None = None,
) -> Reader:
    """The reader of a checkpoint: a folder, a hub id, or None for the embedded one.

    Raises:
        CheckpointError: see :func:`reader.checkpoint.load`.
        DeviceError: see :func:`reader.checkpoint.choose_device`.
    """
    from reader import checkpoint as checkpoints
    from reader.network import Network

    chosen = checkpoints.choose_device(device)
    checkpoint = checkpoints.load(
        source or checkpoints.EMBEDDED, device=chosen, notify=notify or _log.warning
    )
    options = options or ReaderOptions()
    options = replace(options, max_length=min(options.max_length, checkpoint.max_length))
    return Reader(
        checkpoint.tokenizer,
        Network(checkpoint),
        name=checkpoint.name,
        device=str(chosen),
        options=options,
    )
