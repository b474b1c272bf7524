"""The reader: a question and passages in, answer spans with document offsets out."""

from __future__ import annotations

import logging
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reader import spans as span_math
from reader.errors import ReaderError
from reader.features import Window, windows
from reader.matching import Matcher
from reader.pace import Fetch, Launching, Pace, ahead
from reader.tokenization import Pieces, PieceTokenizer

if TYPE_CHECKING:
    from reader.checkpoint import Checkpoint

_log = logging.getLogger(__name__)

#: Spans of a window that are looked at for each candidate.
_WIDER = 5


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


class PassageReader(Protocol):
    """What answers questions: a :class:`Reader`, or a :class:`reader.batcher.Batcher` before it."""

    @property
    def name(self) -> str:
        """The checkpoint's name."""
        ...

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        top_k: int = 10,
        until: float | None = None,
    ) -> list[Span]:
        """The best non-overlapping spans over all passages, best first.

        Args:
            until: the ``time.monotonic()`` after which nobody waits for them any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How the reader reads; lengths in word pieces.

    ``batch_pieces`` bounds the padded pieces of a batch; None: as suits the device.
    """

    max_length: int = 384
    overlap: int = 128
    max_answer_pieces: int = 30
    n_best: int = 20
    batch_pieces: int | None = None
    align_words: bool = True


#: Whether to stop reading: gets the best spans so far, and the passages that are unread.
Enough = Callable[[Sequence[Span], Sequence[Passage]], bool]


@dataclass(frozen=True, slots=True)
class Partial:
    """What :meth:`Reader.read_until` found in the first ``read`` passages, best first."""

    spans: list[Span]
    read: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the windows of a question hold, nothing merged.

    Attributes:
        spans: the best ones, best first, each text once and with its own probability alone.
        null_score: the lowest score of "no answer" of all windows, that of the window which
            believes most in an answer; infinite where nothing was read.
    """

    spans: list[Span]
    null_score: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Enough is read when no unread span can be better than the best one.

    A span's score is start logit + end logit + prior. If logits never add up to more than
    ``logits``, the best span stays the best; a ``logits`` that is exceeded now and then, as
    measured for a model, stops earlier and errs as often at most.
    """

    logits: float

    def __call__(self, spans: Sequence[Span], unread: Sequence[Passage]) -> bool:
        best = max(passage.prior for passage in unread)
        return bool(spans) and spans[0].score >= self.logits + best


@dataclass(slots=True)
class _Asked:
    """A question on its way: its pieces, and what its passages held so far."""

    question: Pieces
    passages: Sequence[Passage]
    matcher: Matcher | None
    found: list[span_math.Scored] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    null_scores: list[float] = field(default_factory=list)


#: A window, and whose it is.
_Input = tuple[_Asked, Window]


class _Launched(NamedTuple):
    """Windows that the network reads, and what waits for their logits."""

    inputs: list[_Input]
    fetch: Fetch


class Reader:
    """Marks answer spans in passages.

    The network is an argument, so that tests can place logits by hand; :func:`load_reader` builds
    the usual one from a checkpoint. ``match`` says that it was trained with the match feature.
    """

    def __init__(
        self,
        tokenizer: PieceTokenizer,
        logits: Logits,
        *,
        name: str = "reader",
        device: str = "cpu",
        options: ReaderOptions | None = None,
        match: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.match = match
        self.name = name
        self.device = device
        self.options = options or ReaderOptions()
        self._launch = logits.launch if isinstance(logits, Launching) else _when_fetched(logits)
        self._pace = Pace.of(device)

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        top_k: int = 10,
        until: float | None = None,
    ) -> list[Span]:
        """The best non-overlapping spans over all passages, best first.

        Args:
            until: means nothing here, where no question waits for another.

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
        asked = self._asked(questions)
        return [self._answers(one, top_k) for one in self._read(asked, 0, None, progress)]

    def candidates(
        self, questions: Sequence[tuple[str, Sequence[Passage]]], *, top_k: int = 20
    ) -> list[Candidates]:
        """What SQuAD's evaluation wants: the best spans of each question as they were proposed.

        The first one is the first one of :meth:`read`; further ones may overlap it.

        Raises:
            ReaderError: the network gave logits that are not numbers.
        """
        asked = self._asked(questions)
        # Some fall together once they are widened to words.
        n_best = max(self.options.n_best, _WIDER * top_k)
        return [
            Candidates(self._distinct(one, top_k), min(one.null_scores, default=math.inf))
            for one in self._read(asked, 0, None, n_best=n_best)
        ]

    def read_until(
        self,
        question: str,
        passages: Sequence[Passage],
        enough: Enough,
        *,
        top_k: int = 10,
        round_size: int = 2,
    ) -> Partial:
        """Read passages in the given order, ``round_size`` at a time, until it is enough.

        After each round ``enough`` gets the best spans so far and the passages that are unread.
        Passages should come in the order of their promise. With all passages read the spans are
        those of :meth:`read`; before that, probabilities are shares among what was read.

        Raises:
            ReaderError: the network gave logits that are not numbers.
            ValueError: ``round_size`` is less than 1.
        """
        if round_size < 1:
            raise ValueError(f"round_size is {round_size}; read at least one passage at a time")
        asked = self._asked([(question, passages)])
        done = 0
        while True:
            [one] = self._read(asked, done, done + round_size)
            done = min(done + round_size, len(passages))
            spans = self._answers(one, top_k)
            if done == len(passages) or enough(spans, passages[done:]):
                return Partial(spans, done)

    def _asked(self, questions: Sequence[tuple[str, Sequence[Passage]]]) -> list[_Asked]:
        pieces = self.tokenizer.pieces_batch([question for question, _ in questions])
        return [
            _Asked(own, passages, Matcher(question) if self.match else None)
            for own, (question, passages) in zip(pieces, questions, strict=True)
        ]

    def _read(
        self,
        asked: Sequence[_Asked],
        begin: int,
        end: int | None,
        progress: Callable[[int], None] | None = None,
        *,
        n_best: int | None = None,
    ) -> Iterator[_Asked]:
        """Read the passages ``begin`` to ``end`` of each question, and give it when that is done.

        What is done with one while the next is asked for is done while a GPU reads others.
        ``n_best`` spans of each window are kept, by default as many as the options say.
        """
        n_best = n_best or self.options.n_best
        for part, batches in ahead(self._launched(asked, begin, end), self._pace.ahead):
            for batch in batches:
                self._decode(batch, n_best)
                if progress is not None:
                    progress(len(batch.inputs))
            yield from part

    def _launched(
        self, asked: Sequence[_Asked], begin: int, end: int | None
    ) -> Iterator[tuple[list[_Asked], list[_Launched]]]:
        """The questions part by part, each part with its windows in batches."""
        known: dict[str, Pieces] = {}
        for part in self._parts(asked, begin, end):
            launched = []
            for batch in self._batches(self._inputs(part, begin, end, known)):
                launched.append(_Launched(batch, self._launch([window for _, window in batch])))
            yield part, launched

    def _parts(
        self, asked: Sequence[_Asked], begin: int, end: int | None
    ) -> Iterator[list[_Asked]]:
        """The questions in order, as many at a time as are cut into pieces and launched at once."""
        part: list[_Asked] = []
        count = 0
        for one in asked:
            own = len(one.passages[begin:end])
            if part and count + own > self._pace.passages:
                yield part
                part, count = [], 0
            part.append(one)
            count += own
        if part:
            yield part

    def _inputs(
        self, asked: Sequence[_Asked], begin: int, end: int | None, known: dict[str, Pieces]
    ) -> list[_Input]:
        """The windows of the passages ``begin`` to ``end``; ``known`` remembers texts' pieces."""
        parts = [one.passages[begin:end] for one in asked]
        every = {text for part in parts for p in part for text in (p.text, p.context)}
        texts = [text for text in every if text not in known]
        known.update(zip(texts, self.tokenizer.pieces_batch(texts), strict=True))
        return [
            (one, replace(window, passage=begin + window.passage) if begin else window)
            for one, part in zip(asked, parts, strict=True)
            for window in windows(
                one.question,
                [known[passage.text] for passage in part],
                self.tokenizer,
                max_length=self.options.max_length,
                overlap=self.options.overlap,
                contexts=[known[passage.context] for passage in part],
                matched=[
                    one.matcher.pieces(p.text, known[p.text].offsets)
                    for p in part
                    if one.matcher is not None
                ],
            )
        ]

    def _batches(self, inputs: Sequence[_Input]) -> list[list[_Input]]:
        """Windows of like length, at most so many padded pieces a batch."""
        most = self.options.batch_pieces or self._pace.batch_pieces
        batches: list[list[_Input]] = []
        for one in sorted(inputs, key=lambda one: -len(one[1])):
            if batches:
                longest = len(batches[-1][0][1])
                if longest * (len(batches[-1]) + 1) <= most:
                    batches[-1].append(one)
                    continue
            batches.append([one])
        return batches

    def _decode(self, batch: _Launched, n_best: int) -> None:
        """Wait for a batch's logits, and give each question the spans of its windows."""
        starts, ends = batch.fetch()
        if not (np.isfinite(starts).all() and np.isfinite(ends).all()):
            raise ReaderError(
                f"the model {self.name} gave logits that are not numbers; its weights are "
                "damaged or overflow in this precision"
            )
        for row, (one, window) in enumerate(batch.inputs):
            prior = one.passages[window.passage].prior
            null_score = float(starts[row, 0]) + float(ends[row, 0]) + prior
            spans, total = self._spans_of(
                window, one.passages, starts[row], ends[row], null_score, n_best
            )
            one.found.extend(spans)
            one.totals.append(total)
            one.null_scores.append(null_score)

    def _spans_of(
        self,
        window: Window,
        passages: Sequence[Passage],
        start_logits: NDArray[np.float32],
        end_logits: NDArray[np.float32],
        null_score: float,
        n_best: int,
    ) -> tuple[list[span_math.Scored], float]:
        passage = passages[window.passage]
        inside = slice(window.first, window.first + len(window.offsets))
        starts, ends = start_logits[inside], end_logits[inside]
        if passage.skip:
            starts, ends = starts.copy(), ends.copy()
            for begin, stop in passage.skip:
                skipped = slice(
                    bisect_right(window.offsets, begin, key=itemgetter(1)),
                    bisect_left(window.offsets, stop, key=itemgetter(0)),
                )
                starts[skipped] = ends[skipped] = -np.inf
        candidates, total = span_math.window_candidates(
            starts,
            ends,
            max_pieces=self.options.max_answer_pieces,
            n_best=n_best,
        )
        spans = []
        for first, last, score in candidates:
            start, end = window.offsets[first][0], window.offsets[last][1]
            if passage.skip and any(start < stop and begin < end for begin, stop in passage.skip):
                continue
            if self.options.align_words:
                start, end = span_math.align_to_words(passage.text, start, end)
            spans.append(
                span_math.Scored(
                    window.passage,
                    passage.document,
                    passage.start + start,
                    passage.start + end,
                    score + passage.prior,
                    null_score,
                )
            )
        return spans, total + passage.prior

    def _answers(self, asked: _Asked, top_k: int) -> list[Span]:
        scored = span_math.normalise(asked.found, span_math.log_sum_exp(asked.totals))
        return [_span(one, asked.passages) for one in span_math.merge_overlapping(scored, top_k)]

    def _distinct(self, asked: _Asked, top_k: int) -> list[Span]:
        """The best spans of different texts."""
        scored = span_math.normalise(asked.found, span_math.log_sum_exp(asked.totals))
        found: dict[str, Span] = {}
        for one in span_math.best_first(scored):
            if len(found) == top_k:
                break
            span = _span(one, asked.passages)
            found.setdefault(span.text, span)
        return list(found.values())


def _when_fetched(logits: Logits) -> Callable[[Sequence[Window]], Fetch]:
    """A network that computes when it is waited for, as one that is launched."""
    return lambda batch: partial(logits, batch)


def _span(scored: span_math.Scored, passages: Sequence[Passage]) -> Span:
    passage = passages[scored.passage]
    return Span(
        passage=scored.passage,
        document=scored.document,
        start=scored.start,
        end=scored.end,
        text=passage.text[scored.start - passage.start : scored.end - passage.start],
        score=scored.score,
        null_score=scored.null_score,
        probability=scored.probability,
    )


def load_reader(
    source: str | Path | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    options: ReaderOptions | None = None,
    notify: Callable[[str], None] | None = None,
) -> Reader:
    """The reader of a checkpoint: a folder, a hub id, or None for the embedded one.

    Raises:
        CheckpointError: see :func:`reader.checkpoint.read`.
        DeviceError: see :func:`reader.checkpoint.choose_device` and
            :func:`reader.linear.choose_precision`.
    """
    from reader import checkpoint as checkpoints
    from reader.linear import choose_precision
    from reader.network import Network

    chosen = checkpoints.choose_device(device)
    computed = choose_precision(precision, chosen)
    stored = checkpoints.read(source or checkpoints.EMBEDDED, notify=notify or _log.warning)
    return Reader(
        stored.tokenizer,
        Network.of(stored, chosen, computed),
        name=stored.name,
        device=str(chosen),
        options=fitting(options, stored.max_length),
        match=stored.match,
    )


def reader_of(checkpoint: Checkpoint, *, options: ReaderOptions | None = None) -> Reader:
    """A reader in float32 with the weights that a model in training has now."""
    from reader.network import Network

    return Reader(
        checkpoint.tokenizer,
        Network.of_model(checkpoint),
        name=checkpoint.name,
        device=str(checkpoint.device),
        options=fitting(options, checkpoint.max_length),
        match=checkpoint.match,
    )


def fitting(options: ReaderOptions | None, max_length: int) -> ReaderOptions:
    """The options (default ones for None) with windows of at most ``max_length`` pieces."""
    options = options or ReaderOptions()
    return replace(options, max_length=min(options.max_length, max_length))
