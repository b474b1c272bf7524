"""What could be answered: the sentences that the reader points at, weighed against each other.

The reader marks spans; what the asker sees is a sentence. Spans of one sentence therefore speak
for it together, and sentences compete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.asked import beyond_question
from bot.cells import Said, in_asked_cell, in_asked_row, within_row
from bot.confidence import Calibration, Features
from bot.marking import balanced, without_marker
from bot.quotes import quote_around
from bot.wanted import deciding_clause, text_features, wants_decision
from reader.reader import Passage, PassageReader, Span
from retriever.links import SEPARATOR
from retriever.records import Anchor, Hit
from retriever.search import Retriever

#: So many spans are asked of the reader.
_SPANS = 48


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be shown as the answer, and the best span in it.

    ``start`` and ``end`` bound the sentence in the document. ``confidence`` is 0 to 1.
    """

    span: Span
    hit: Hit
    start: int
    end: int
    features: Features
    confidence: float

    @property
    def sentence(self) -> str:
        return self.hit.text[self.start - self.hit.start : self.end - self.hit.start]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """``pointed``: the span is where the reader put it, not where that led to."""

    span: Span
    start: int
    end: int
    probability: float
    pointed: bool


def find_candidates(
    question: str,
    hits: Sequence[Hit],
    anchors: Mapping[int, Sequence[Anchor]],
    *,
    reader: PassageReader,
    retriever: Retriever,
    calibration: Calibration,
    prior: float,
    until: float | None = None,
) -> list[Candidate]:
    """The sentences that may answer a question, best first.

    Args:
        anchors: those of each hit's document.
        prior: what one unit of a passage's ranking score is worth in the reader's logits.
        until: the ``time.monotonic()`` after which the reader need not begin.
    """
    if not hits:
        return []
    best = max(hit.score for hit in hits)
    priors = [prior * (hit.score - best) for hit in hits]
    headings = [heading_lines(hit, anchors[hit.document_id]) for hit in hits]
    passages = [
        Passage(
            document=str(hit.document_id),
            start=hit.start,
            text=hit.text,
            prior=own,
            context=above(hit),
            skip=skip,
        )
        for hit, own, skip in zip(hits, priors, headings, strict=True)
    ]
    spans = reader.read(question, passages, top_k=_SPANS, until=until)
    said = partial(retriever.coverage, question)
    sentences = _sentences(spans, hits, headings, said)
    # The reader knows what an answer looks like, the encoder what the question is about.
    likeness = retriever.similarity(
        question, [_in_place(hits[sentence.span.passage], sentence) for sentence in sentences]
    )
    coverage = said([f"{above(hit)}\n{hit.text}" for hit in hits])
    shares = said([_text(hits[s.span.passage], s) for s in sentences])
    features = [
        Features(
            logit=sentence.span.score - priors[sentence.span.passage],
            margin=sentence.span.score - sentence.span.null_score,
            probability=sentence.probability,
            coverage=coverage[sentence.span.passage],
            score=hits[sentence.span.passage].score,
            behind=hits[sentence.span.passage].score - best,
            likeness=float(like),
            said=own,
            **text_features(
                question, _text(hits[sentence.span.passage], sentence), sentence.span.text
            ),
        )
        for sentence, like, own in zip(sentences, likeness, shares, strict=True)
    ]
    order = sorted(range(len(sentences)), key=lambda n: -calibration.appeal(features[n]))
    confidences = calibration.confidences([features[n] for n in order])
    return [
        Candidate(
            span=_shown(question, hits[sentences[n].span.passage], sentences[n], said),
            hit=hits[sentences[n].span.passage],
            start=sentences[n].start,
            end=sentences[n].end,
            features=features[n],
            confidence=confidence,
        )
        for n, confidence in zip(order, confidences, strict=True)
    ]


def _sentences(
    spans: Sequence[Span],
    hits: Sequence[Hit],
    headings: Sequence[Sequence[tuple[int, int]]],
    said: Said,
) -> list[_Sentence]:
    """The sentences of the spans, each with its best span and the probability of all of them.

    Args:
        headings: where they stand in the text of each hit.
        said: how much of the question texts say.
    """
    found: list[_Sentence] = []
    for span in spans:  # best first
        hit = hits[span.passage]
        for mended in (without_marker, within_row, partial(in_asked_row, said=said)):
            span = _moved(span, hit.text, hit.start, mended)
        read = span
        span = _moved(
            span, hit.text, hit.start, partial(beyond_question, headings=headings[span.passage])
        )
        pointed = span.start < read.end
        begin, stop = quote_around(hit.text, span.start - hit.start, span.end - hit.start)
        start, end = hit.start + begin, hit.start + stop
        for number, other in enumerate(found):
            if span.document == other.span.document and start < other.end and other.start < end:
                found[number] = _joined(other, span, pointed=pointed)
                break
        else:
            found.append(_Sentence(span, start, end, span.probability, pointed))
    return found


def _joined(sentence: _Sentence, span: Span, *, pointed: bool) -> _Sentence:
    """A sentence with one more span, which is no better than the one that it has.

    A span in the sentence marks more exactly what answers than one in the question before it.
    """
    best = sentence.span
    marks = pointed and not sentence.pointed
    if marks and sentence.start <= span.start and span.end <= sentence.end:
        best = replace(best, start=span.start, end=span.end, text=span.text)
    total = min(1.0, sentence.probability + span.probability)
    return replace(sentence, span=best, probability=total, pointed=sentence.pointed or pointed)


def heading_lines(hit: Hit, anchors: Sequence[Anchor]) -> tuple[tuple[int, int], ...]:
    """Where in a passage's text headings stand: they are no answers."""
    lines = []
    for anchor in anchors:
        if anchor.kind == "heading" and anchor.path and hit.start <= anchor.start < hit.end:
            begin = anchor.start - hit.start
            stop = begin + len(anchor.path[-1])
            if hit.text[begin:stop] == anchor.path[-1]:  # a PDF's outline may be worded apart
                lines.append((begin, stop))
    return tuple(lines)


def above(hit: Hit) -> str:
    """The title and the headings that a passage stands under."""
    return SEPARATOR.join(part for part in (hit.title, hit.section) if part)


def _in_place(hit: Hit, sentence: _Sentence) -> str:
    """A sentence, under its title and headings."""
    return f"{above(hit)}\n{_text(hit, sentence)}"


def _text(hit: Hit, sentence: _Sentence) -> str:
    return hit.text[sentence.start - hit.start : sentence.end - hit.start]


def _shown(question: str, hit: Hit, sentence: _Sentence, said: Said) -> Span:
    """The best span of a sentence as it is shown: with both ends of its brackets, or none.

    To a question of yes or no, it is the clause that decides it; in a table's row, the cell that
    the question names.
    """
    text, span = _text(hit, sentence), sentence.span
    span = _moved(span, text, sentence.start, partial(in_asked_cell, said=said))
    if wants_decision(question):
        span = _moved(span, text, sentence.start, deciding_clause)
    return _moved(span, text, sentence.start, balanced)


def _moved(
    span: Span, text: str, offset: int, move: Callable[[str, int, int], tuple[int, int]]
) -> Span:
    """A span with other bounds in ``text``, which begins at ``offset`` of the document."""
    start, end = move(text, span.start - offset, span.end - offset)
    return replace(span, start=offset + start, end=offset + end, text=text[start:end])
