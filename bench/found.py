"""What the reader finds to questions, kept in a file, so that fitting need not read again.

The first line of a file says what it was made with; each further line is a question with the
passages that were read, every sentence that may answer it, and which of them are right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bot.answering import Answerer, AnswerOptions, Considered
from bot.errors import SpanbotError
from bot.evaluation import holds_answer
from bot.models import Models
from reader.files import lines_of

_FORMAT = 3
#: The name of the reader that comes along.
EMBEDDED = "embedded"


class FoundFileError(SpanbotError):
    """A file of found answers, or of questions for it, that is of no use; the message says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known to be right, from a question file.

    ``documents`` hold the answer or, of an unanswerable question, come near to one.
    """

    kb: str
    question: str
    answerable: bool
    answers: tuple[str, ...]
    documents: tuple[str, ...]

    @property
    def group(self) -> str:
        """Questions of one group stay together when weights are fitted on some and tried on others.

        The document, or the question itself where no document is known.
        """
        return f"{self.kb}/{self.documents[0]}" if self.documents else self.question


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that was read."""

    document: str
    title: str
    section: str | None
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """A sentence that may answer, and the best span in it.

    ``passage`` counts from 0 in rank order; ``start``, ``end`` (the sentence) and ``span_start``,
    ``span_end`` are offsets into its text. ``features`` are those of
    :class:`bot.confidence.Features` by name.
    """

    passage: int
    start: int
    end: int
    span_start: int
    span_end: int
    sentence: str
    features: Mapping[str, float]
    right: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A question and everything that was found to it."""

    question: Question
    passages: tuple[FoundPassage, ...]
    answers: tuple[FoundAnswer, ...]


def load_kb_questions(path: Path, limit: int | None = None) -> list[Question]:
    """The questions of a file, of which each names its knowledge base; the first ``limit`` of them.

    Raises:
        FoundFileError: the file cannot be read, or a line is wrong.
    """
    try:
        lines = lines_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FoundFileError(f"cannot read {path}: {error}") from error
    questions = []
    for number, line in enumerate(lines[:limit], start=1):
        try:
            record = json.loads(line)
            questions.append(
                Question(
                    kb=record["kb"],
                    question=record["question"],
                    answerable=record.get("answerable") is not False,
                    answers=tuple(record["answers"]),
                    documents=tuple(record["documents"]),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FoundFileError(
                f"{path}, line {number}: no question with kb, question, answers and documents: "
                f"{error!r}"
            ) from error
    return questions


def collect(
    questions: Sequence[Question],
    answerers: Mapping[str, Callable[[], Answerer]],
    options: AnswerOptions,
    target: Path,
    *,
    reader: str,
    models: Models,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Ask every question of its knowledge base that ``target`` does not hold yet.

    Each question is written as soon as it is asked; one that was cut short is asked again.

    Args:
        answerers: makes the answerer of each knowledge base.
        reader: the reader's name, which the file keeps.
        models: what the answerers read and rank with, which the file keeps too.
        progress: gets the questions done and their whole number.

    Raises:
        FoundFileError: a question's knowledge base is not among ``answerers``, or the target was
            made with other models or options.
    """
    missing = sorted({question.kb for question in questions} - answerers.keys())
    if missing:
        raise FoundFileError(f"no home is given for {', '.join(missing)}; add --home NAME=HOME")
    header = {
        "format": _FORMAT,
        "reader": reader,
        "models": asdict(models),
        "passages": options.passages,
        "prior": options.prior,
    }
    done = _prepare(target, header)
    wanted = [question for question in questions if _key(question) not in done]
    count = len(questions) - len(wanted)
    with target.open("a", encoding="utf-8") as file:
        for name in answerers:
            of_this = [question for question in wanted if question.kb == name]
            answerer = answerers[name]() if of_this else None
            for question in of_this:
                assert answerer is not None
                found = found_of(question, answerer.consider(question.question))
                file.write(json.dumps(asdict(found), ensure_ascii=False) + "\n")
                file.flush()
                count += 1
                if progress is not None:
                    progress(count, len(questions))


def found_of(question: Question, considered: Considered) -> Found:
    """The record of a question."""
    numbers = {hit.passage_id: number for number, hit in enumerate(considered.hits)}
    return Found(
        question,
        tuple(
            FoundPassage(hit.document, hit.title, hit.section, hit.score, hit.text)
            for hit in considered.hits
        ),
        tuple(
            FoundAnswer(
                passage=numbers[candidate.hit.passage_id],
                start=candidate.start - candidate.hit.start,
                end=candidate.end - candidate.hit.start,
                span_start=candidate.span.start - candidate.hit.start,
                span_end=candidate.span.end - candidate.hit.start,
                sentence=candidate.sentence,
                features=asdict(candidate.features),
                right=holds_answer(candidate.sentence, question.answers),
            )
            for candidate in considered.candidates
        ),
    )


def load_found(
    paths: Sequence[Path], *, models: Models | None = None, reader: str | None = None
) -> list[Found]:
    """What :func:`collect` wrote, each question once; a last line that was cut short is left out.

    Args:
        models: what it must have been made with.
        reader: the name that it must have been made with.

    Raises:
        FoundFileError: a file cannot be read, is another kind of file, holds nothing, was made
            with other models than the first, or with another reader or other models than given.
    """
    everything: dict[tuple[str, str], Found] = {}
    first, _ = _read(paths[0])
    for path in paths:
        header, found = _read(path)
        if header != first:
            raise FoundFileError(
                f"{path} was made with {header}, {paths[0]} with {first}; collect them anew"
            )
        everything |= {_key(item.question): item for item in found}
    if reader is not None and first["reader"] != reader:
        raise FoundFileError(
            f'{paths[0]} was made with the reader "{first["reader"]}", not with "{reader}"; '
            "collect anew"
        )
    if models is not None and first["models"] != asdict(models):
        raise FoundFileError(
            f"{paths[0]} was made with other weights, another tokenizer or another configuration "
            "than those of the reader and ranker that the confidence is for; collect anew"
        )
    if not everything:
        raise FoundFileError(f"{paths[0]} holds no questions yet; collect some first")
    return list(everything.values())


def _read(path: Path) -> tuple[dict[str, Any], list[Found]]:
    try:
        whole = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FoundFileError(f"cannot read {path}: {error}") from error
    lines = whole.split("\n")[:-1]  # what follows the last line break was cut short
    try:
        header, *records = [json.loads(line) for line in lines]
        if header["format"] != _FORMAT:
            raise ValueError(f"format {header['format']}")
        return header, [_found(record) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise FoundFileError(
            f"{path} is no file of found answers ({error!r}); make one with "
            "python -m bench.calibrate collect"
        ) from error


def _found(record: dict[str, Any]) -> Found:
    question = record["question"]
    return Found(
        Question(
            **{
                **question,
                "answers": tuple(question["answers"]),
                "documents": tuple(question["documents"]),
            }
        ),
        tuple(FoundPassage(**passage) for passage in record["passages"]),
        tuple(FoundAnswer(**answer) for answer in record["answers"]),
    )


def _prepare(target: Path, header: dict[str, Any]) -> set[tuple[str, str]]:
    """Begin the file, or check and tidy one that was begun; the questions that it holds."""
    if not target.exists() or not target.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return set()
    begun, found = _read(target)
    if begun != header:
        raise FoundFileError(
            f"{target} was made with {begun}, this would be {header}; name a new file"
        )
    whole = target.read_bytes()
    if not whole.endswith(b"\n"):
        target.write_bytes(whole[: whole.rindex(b"\n") + 1])
    return {_key(item.question) for item in found}


def _key(question: Question) -> tuple[str, str]:
    return question.kb, question.question
