"""SQuAD files: reading them into typed records.

The schema is that of SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018):
``{"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers":
[{"text", "answer_start"}], "is_impossible"?}]}]}]}``. Files ending in ``.xz`` are decompressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reader.errors import DatasetError
from reader.files import half_character, parse_json, place_of, read_text

#: The way to a value from the outermost one: names in objects, numbers in lists.
_Way = tuple[str | int, ...]

_LONGEST_SHOWN = 80  # characters of a text in a message
_PLACES = 3  # named in a message


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """One reference answer: ``context[start:start + len(text)]``."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question on one paragraph, with its reference answers (none: unanswerable).

    ``title`` is that of the paragraph's article, ``""`` where it has none.
    """

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...]
    title: str = ""

    @property
    def answer_texts(self) -> tuple[str, ...]:
        return tuple(answer.text for answer in self.answers)


def load_squad(path: str | Path) -> list[Example]:
    """Read a SQuAD 1.1 or 2.0 file.

    Raises:
        DatasetError: the file is missing, is not JSON or holds no questions; a record lacks a
            field or has one of another kind, two questions have one id, or an answer is empty or
            does not stand where ``answer_start`` says: then the message names the line and the
            record.
    """
    path = Path(path)
    text = read_text(path)
    try:
        found = list(_examples(parse_json(text, path)))
    except _WrongError as wrong:
        line, column = place_of(text, wrong.value)
        where = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in wrong.record)
        record = f"{where[1:]}: " if where else ""
        raise DatasetError(
            f"{path}, line {line}, column {column}: {record}{wrong.message}"
        ) from None
    if not found:
        raise DatasetError(f"{path} holds no questions; give a SQuAD file that does")
    return found


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """``count`` of them, evenly over the file; 0 takes all."""
    if not 0 < count < len(examples):
        return list(examples)
    return [examples[index * len(examples) // count] for index in range(count)]


class _WrongError(Exception):
    """A record that is not as it should be, by the way to it, and the value that shows it."""

    def __init__(self, message: str, record: _Way, value: _Way | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.record = record
        self.value = value or record


def _examples(document: Any) -> Iterator[Example]:
    articles = _field(document, "data", list, ())
    ids: set[str] = set()
    for a, article in enumerate(articles):
        at_article: _Way = ("data", a)
        paragraphs = _field(article, "paragraphs", list, at_article)
        title = article.get("title")
        for p, paragraph in enumerate(paragraphs):
            at_paragraph: _Way = (*at_article, "paragraphs", p)
            context = _field(paragraph, "context", str, at_paragraph)
            for q, qa in enumerate(_field(paragraph, "qas", list, at_paragraph)):
                where: _Way = (*at_paragraph, "qas", q)
                example = _example(qa, context, title if isinstance(title, str) else "", where)
                if example.id in ids:
                    raise _WrongError(
                        f'another question before has the id "{example.id}" too; answers and '
                        "scores are told apart by it: give each question one of its own",
                        where,
                        (*where, "id"),
                    )
                ids.add(example.id)
                yield example


def _example(qa: Any, context: str, title: str, where: _Way) -> Example:
    identity = _field(qa, "id", str, where)
    answers: list[GoldAnswer] = []
    impossible = qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise _WrongError(
            f'question "{identity}": "is_impossible" is {type(impossible).__name__}; write true or '
            "false, without quotation marks",
            where,
            (*where, "is_impossible"),
        )
    for i, answer in enumerate([] if impossible else _field(qa, "answers", list, where)):
        at_answer: _Way = (*where, "answers", i)
        text = _field(answer, "text", str, at_answer)
        start = _field(answer, "answer_start", int, at_answer)
        if not text:
            raise _WrongError(
                f'question "{identity}": the answer is empty; a question without an answer has the '
                'empty list of "answers"',
                at_answer,
                (*at_answer, "text"),
            )
        if not 0 <= start <= len(context) - len(text):
            raise _WrongError(
                f'question "{identity}": answer_start {start} with {len(text)} characters does not '
                f"lie in the context of {len(context)} characters; {_places(text, context)}",
                at_answer,
                (*at_answer, "answer_start"),
            )
        there = context[start : start + len(text)]
        if there != text:
            raise _WrongError(
                f'question "{identity}": the answer is "{_short(text)}", but the context has '
                f'"{_short(there)}" at answer_start {start}; {_places(text, context)}',
                at_answer,
                (*at_answer, "answer_start"),
            )
        answers.append(GoldAnswer(text, start))
    return Example(
        id=identity,
        question=_field(qa, "question", str, where),
        context=context,
        answers=tuple(answers),
        title=title,
    )


def _places(text: str, context: str) -> str:
    """Where in the context a text really stands, in words."""
    found: list[int] = []
    while (place := context.find(text, found[-1] + 1 if found else 0)) >= 0:
        found.append(place)
        if len(found) > _PLACES:
            break
    if not found:
        return "the context does not hold this text"
    more = " and further on" if len(found) > _PLACES else ""
    return f"it stands at {', '.join(map(str, found[:_PLACES]))}{more} (characters, from 0)"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _field(record: Any, key: str, kind: type, where: _Way) -> Any:
    if not isinstance(record, dict) or key not in record:
        raise _WrongError(f'the field "{key}" is missing (SQuAD JSON is expected)', where)
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _WrongError(
            f'"{key}" is {type(value).__name__}, expected {kind.__name__}', where, (*where, key)
        )
    if isinstance(value, str) and (wrong := half_character(value)):
        raise _WrongError(f'"{key}" {wrong}', where, (*where, key))
    return value
