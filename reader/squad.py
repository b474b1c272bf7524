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
from reader.files import read_json


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """One reference answer: ``context[start:start + len(text)]``."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question on one paragraph, with its reference answers (none: unanswerable)."""

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...]

    @property
    def answer_texts(self) -> tuple[str, ...]:
        return tuple(answer.text for answer in self.answers)


def load_squad(path: str | Path) -> list[Example]:
    """Read a SQuAD 1.1 or 2.0 file.

    Raises:
        DatasetError: the file is missing, is not JSON, or a record lacks a field; the message
            names the place in the file.
    """
    return list(_examples(read_json(Path(path)), str(path)))


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """``count`` of them, evenly over the file; 0 takes all."""
    if not 0 < count < len(examples):
        return list(examples)
    return [examples[index * len(examples) // count] for index in range(count)]


def _examples(document: Any, name: str) -> Iterator[Example]:
    articles = _field(document, "data", list, name)
    for a, article in enumerate(articles):
        at_article = f"{name}: data[{a}]"
        for p, paragraph in enumerate(_field(article, "paragraphs", list, at_article)):
            at_paragraph = f"{at_article}.paragraphs[{p}]"
            context = _field(paragraph, "context", str, at_paragraph)
            for q, qa in enumerate(_field(paragraph, "qas", list, at_paragraph)):
                yield _example(qa, context, f"{at_paragraph}.qas[{q}]")


def _example(qa: Any, context: str, where: str) -> Example:
    answers: list[GoldAnswer] = []
    impossible = isinstance(qa, dict) and qa.get("is_impossible") is True
    for i, answer in enumerate([] if impossible else _field(qa, "answers", list, where)):
        at_answer = f"{where}.answers[{i}]"
        text = _field(answer, "text", str, at_answer)
        start = _field(answer, "answer_start", int, at_answer)
        if not 0 <= start <= len(context) - len(text):
            raise DatasetError(
                f"{at_answer}: answer_start {start} with {len(text)} characters does not lie in "
                f"the context of {len(context)} characters"
            )
        answers.append(GoldAnswer(text, start))
    return Example(
        id=_field(qa, "id", str, where),
        question=_field(qa, "question", str, where),
        context=context,
        answers=tuple(answers),
    )


def _field(record: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(record, dict) or key not in record:
        raise DatasetError(f'{where}: the field "{key}" is missing (SQuAD JSON is expected)')
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DatasetError(f'{where}: "{key}" is {type(value).__name__}, expected {kind.__name__}')
    return value
