"""Answering a question: retrieve, read, weigh, choose the sentence to show. Knows no Slack."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.candidates import Candidate, find_candidates
from bot.confidence import Calibration, Precisions, default_calibration
from bot.errors import QuestionError
from bot.settings import DEFAULT_PRECISION
from reader.reader import PassageReader
from retriever.errors import StoreError
from retriever.links import place_of
from retriever.records import Anchor, Hit
from retriever.search import Retriever
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.log import AnswerRecord, QuestionRecord, log_question

_log = logging.getLogger(__name__)

#: Longer questions are refused: no question has so many words that matter.
MAX_QUESTION_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """An answer and the sentence it is shown in.

    ``document.text[start:end] == text`` and
    ``document.text[sentence_start:sentence_start + len(sentence)] == sentence``, of the version
    ``document_version``; the sentence holds the span. ``confidence`` is between 0 and 1.
    """

    text: str
    confidence: float
    sentence: str
    sentence_start: int
    document: str
    title: str
    section: str | None
    page: int | None
    url: str | None
    start: int
    end: int
    document_id: int = field(repr=False)
    document_version: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the asker gets.

    ``answers`` are shown, best first, and empty when ``answered`` is false. ``closest`` are then
    the passages that came nearest, for a look at their documents. ``question_id`` is the row in
    the question log, for feedback; None where it could not be noted.
    """

    question: str
    answered: bool
    answers: tuple[AnswerSpan, ...]
    closest: tuple[Hit, ...]
    retrieve_ms: float
    read_ms: float
    total_ms: float
    question_id: int | None


@dataclass(frozen=True, slots=True)
class Considered:
    """What was read for a question, and every sentence that may answer it, best first."""

    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How answers are looked for.

    Attributes:
        passages: how many are read.
        prior: what one unit of a passage's ranking score is worth in the reader's logits.
        shown: how many answers at most.
        precision: so many of the first answers shown are to be right, 0 to 1; there is no answer
            where the confidence is below the one that gave this precision when it was measured.
        further_confidence: a further answer is shown when it has this share of the first one's.
    """

    passages: int = 10
    prior: float = 30.0
    shown: int = 3
    precision: float = DEFAULT_PRECISION
    further_confidence: float = 0.2


class Answerer:
    """Answers questions of the documents. The reader is made when the first question needs it."""

    def __init__(
        self,
        database: Database,
        retriever: Retriever,
        reader: Callable[[], PassageReader],
        *,
        options: AnswerOptions | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._database = database
        self._retriever = retriever
        self._reader = reader
        self._options = options or AnswerOptions()
        self._calibration = calibration or default_calibration()
        self._least = _least_confidence(self._calibration.precisions, self._options.precision)

    def ask(
        self,
        question: str,
        *,
        via: str,
        user: str | None = None,
        channel: str | None = None,
        thread_ts: str | None = None,
        collections: Sequence[str] | None = None,
        until: float | None = None,
    ) -> Reply:
        """Answer a question, and note it in the question log if that can be written.

        Args:
            via: where it was asked: ``cli``, ``mention``, ``dm``, ``command``, ``evaluate``.
            collections: names of those to search; None for all.
            until: the ``time.monotonic()`` after which nobody waits for the answer any more.

        Raises:
            QuestionError: the question is empty or too long.
            RetrieverError, ReaderError: see the packages.
        """
        asked = check_question(question)
        began = time.perf_counter()
        reader = self._reader()  # loading takes long, and what was found grows old meanwhile
        loaded = time.perf_counter()
        hits = self._retriever.search(asked, k=self._options.passages, collections=collections)
        retrieved = time.perf_counter()
        hits, anchors, origins = self._places(hits)
        found = self._candidates(asked, hits, anchors, reader, until)
        answers = self._shown(found, anchors, origins)
        read = time.perf_counter()
        retrieve_ms = 1000 * (retrieved - loaded)
        read_ms = 1000 * (read - retrieved)
        question_id = self._logged(
            QuestionRecord(
                asked_at=datetime.now(UTC),
                text=asked,
                via=via,
                user=user,
                channel=channel,
                thread_ts=thread_ts,
                reader=reader.name,
                answered=bool(answers),
                retrieve_ms=retrieve_ms,
                read_ms=read_ms,
                answers=tuple(_record(answer) for answer in answers),
            )
        )
        return Reply(
            question=asked,
            answered=bool(answers),
            answers=answers,
            closest=() if answers else _one_a_document(hits)[: self._options.shown],
            retrieve_ms=retrieve_ms,
            read_ms=read_ms,
            total_ms=1000 * (time.perf_counter() - began),
            question_id=question_id,
        )

    def _logged(self, record: QuestionRecord) -> int | None:
        """The question's id in the log. A log that cannot be written costs nobody an answer."""
        try:
            with self._database.write() as session:
                return log_question(session, record)
        except StoreError as error:
            _log.warning("a question was not noted: %s", error)
            return None

    def _places(
        self, hits: Sequence[Hit]
    ) -> tuple[list[Hit], dict[int, list[Anchor]], dict[int, documents.Origin]]:
        """The hits that are still of their document's text, with anchors and origins of that."""
        ids = sorted({hit.document_id for hit in hits})
        with self._database.read() as session:
            anchors = documents.anchors_of(session, ids)
            origins = documents.origins(session, ids)
        versions = {number: origin.version for number, origin in origins.items()}
        current = [hit for hit in hits if versions.get(hit.document_id) == hit.version]
        return current, anchors, origins

    def consider(self, question: str) -> Considered:
        """Every answer to a question, sure enough or not; nothing is noted."""
        reader = self._reader()
        found = self._retriever.search(question, k=self._options.passages)
        hits, anchors, _ = self._places(found)
        return Considered(tuple(hits), tuple(self._candidates(question, hits, anchors, reader)))

    def _candidates(
        self,
        question: str,
        hits: Sequence[Hit],
        anchors: Mapping[int, Sequence[Anchor]],
        reader: PassageReader,
        until: float | None = None,
    ) -> list[Candidate]:
        return find_candidates(
            question,
            hits,
            anchors,
            reader=reader,
            retriever=self._retriever,
            calibration=self._calibration,
            prior=self._options.prior,
            until=until,
        )

    def _shown(
        self,
        found: Sequence[Candidate],
        anchors: Mapping[int, Sequence[Anchor]],
        origins: Mapping[int, documents.Origin],
    ) -> tuple[AnswerSpan, ...]:
        """The answers to show: sure enough, and no sentence twice."""
        if not found or found[0].confidence < self._least:
            return ()
        least = self._options.further_confidence * found[0].confidence
        answers: list[AnswerSpan] = []
        for candidate in found:
            number = candidate.hit.document_id
            if candidate.confidence < least:
                continue
            answer = _answer(candidate, origins[number], anchors[number])
            if any(_same_sentence(answer, other) for other in answers):
                continue
            answers.append(answer)
            if len(answers) == self._options.shown:
                break
        return tuple(answers)


def _least_confidence(precisions: Precisions, wanted: float) -> float:
    least = precisions.threshold(wanted)
    if wanted > precisions.highest:
        _log.warning(
            "a precision of %.3g is asked for, the highest that was measured is %.3g: answers are "
            "shown from the confidence that gave it, %.2f",
            wanted,
            precisions.highest,
            least,
        )
    return least


def check_question(question: str) -> str:
    """The question with its white space tidied.

    Raises:
        QuestionError: it is empty or longer than :data:`MAX_QUESTION_CHARACTERS`.
    """
    asked = tidied(question)
    if len(asked) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"The question has {len(asked):,} characters, the limit is "
            f"{MAX_QUESTION_CHARACTERS:,}; ask it in a sentence or two."
        )
    return asked


def tidied(question: str) -> str:
    """A question of any length with its white space tidied. Raises: QuestionError: it is empty."""
    # Bytes that are no text come from a terminal as characters that cannot be stored.
    asked = " ".join(question.split()).encode(errors="replace").decode()
    if not any(character.isalnum() for character in asked):
        raise QuestionError("The question is empty; ask it in a few words.")
    return asked


def _answer(
    candidate: Candidate, origin: documents.Origin, anchors: Sequence[Anchor]
) -> AnswerSpan:
    hit, span = candidate.hit, candidate.span
    place = place_of(span.start, title=hit.title, link=origin.link, anchors=anchors)
    return AnswerSpan(
        text=span.text,
        confidence=candidate.confidence,
        sentence=candidate.sentence,
        sentence_start=candidate.start,
        document=hit.document,
        title=hit.title,
        section=place.section,
        page=place.page,
        url=place.url,
        start=span.start,
        end=span.end,
        document_id=hit.document_id,
        document_version=hit.version,
    )


def _record(answer: AnswerSpan) -> AnswerRecord:
    return AnswerRecord(
        document_id=answer.document_id,
        document_uri=answer.document,
        document_version=answer.document_version,
        text=answer.text,
        sentence=answer.sentence,
        start=answer.start,
        end=answer.end,
        confidence=answer.confidence,
    )


def _same_sentence(one: AnswerSpan, other: AnswerSpan) -> bool:
    if one.sentence == other.sentence:
        return True
    return (
        one.document_id == other.document_id
        and one.sentence_start < other.sentence_start + len(other.sentence)
        and other.sentence_start < one.sentence_start + len(one.sentence)
    )


def _one_a_document(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The first hit in each document; a document whose first hit another one has too is a copy."""
    best: list[Hit] = []
    documents_seen: set[int] = set()
    texts: set[tuple[str, str]] = set()
    for hit in hits:
        if hit.document_id not in documents_seen:
            documents_seen.add(hit.document_id)
            if (hit.title, hit.text) not in texts:
                texts.add((hit.title, hit.text))
                best.append(hit)
    return tuple(best)
