"""Questions with all the passages that were found for them: what a reader is trained on.

JSON Lines, one question a line; ``.xz`` is decompressed::

    {"question": "...", "passages": [{"text": "...", "context": "Leave > Carrying over",
                                      "answers": [[start, end], ...]}, ...]}

``answers`` are characters of the passage's text, end exclusive; a passage without the answer has
none, and a question that none of its passages answers is an unanswerable one. ``context`` (may be
left out) is what stands above the passage: titles and headings, read in front of it.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reader.errors import DatasetError
from reader.files import half_character, lines_of, read_text, too_much
from reader.output import write_bytes
from reader.squad import Example, load_squad


@dataclass(frozen=True, slots=True)
class GroupPassage:
    """A passage of a question; each answer is ``text[start:end]``.

    ``document`` tells it from passages of other documents, ``""`` where that is not known. It is
    not trained on: files of groups do not hold it, and passages do not differ by it.
    """

    text: str
    answers: tuple[tuple[int, int], ...] = ()
    context: str = ""
    document: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """A question and its passages."""

    question: str
    passages: tuple[GroupPassage, ...]

    @property
    def answerable(self) -> bool:
        return any(passage.answers for passage in self.passages)


def folded(text: str) -> str:
    """A text for comparing word for word, white space and case aside."""
    return " ".join(text.split()).casefold()


def of_squad(examples: Iterable[Example]) -> list[Group]:
    """SQuAD's questions, each with its one paragraph and its first reference answer."""
    return [
        Group(
            example.question,
            (
                GroupPassage(
                    example.context,
                    tuple((a.start, a.start + len(a.text)) for a in example.answers[:1]),
                    document=example.title,
                ),
            ),
        )
        for example in examples
    ]


def load_training(path: Path) -> list[Group]:
    """Read a SQuAD file (``.json``) or a file of groups (``.jsonl``), either also as ``.xz``.

    Raises:
        DatasetError: the file cannot be read, is malformed, where the message names the place, or
            holds no questions.
    """
    plain = path.with_suffix("") if path.suffix == ".xz" else path
    found = load_groups(path) if plain.suffix == ".jsonl" else of_squad(load_squad(path))
    if not found:
        raise DatasetError(f"{path} holds no questions; give a file that does, or leave it out")
    return found


def load_groups(path: Path) -> list[Group]:
    """Read a file of groups.

    Raises:
        DatasetError: the file cannot be read or is malformed; the message names the line.
    """
    return list(_parse(lines_of(read_text(path)), str(path)))


def save_groups(groups: Sequence[Group], path: Path) -> None:
    """Write a file of groups, which :func:`load_groups` reads.

    Raises:
        OutputError: it cannot be written.
    """
    lines = []
    for group in groups:
        passages = []
        for passage in group.passages:
            record: dict[str, object] = {"text": passage.text}
            if passage.context:
                record["context"] = passage.context
            if passage.answers:
                record["answers"] = [list(answer) for answer in passage.answers]
            passages.append(record)
        lines.append(
            json.dumps({"question": group.question, "passages": passages}, ensure_ascii=False)
        )
    content = ("\n".join(lines) + "\n").encode("utf-8")
    write_bytes(path, lzma.compress(content) if path.suffix == ".xz" else content)


def _parse(lines: Iterable[str], name: str) -> Iterator[Group]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{where}, column {error.colno}: not JSON: {error.msg}") from error
        except (RecursionError, ValueError) as error:
            raise DatasetError(f"{where}: {too_much(error)}") from error
        if not isinstance(record, dict) or not isinstance(record.get("question"), str):
            raise DatasetError(f'{where}: "question" must be a text')
        _check_characters(record, ("question",), where)
        if "passages" not in record:
            raise DatasetError(
                f'{where}: "passages" is missing; a reader is trained on SQuAD files (.json) '
                "and on groups (.jsonl), where a question stands with the passages that were found "
                'for it: see "Training a reader" in README. The questions of spanbot evaluate are '
                "neither"
            )
        passages = record["passages"]
        if not isinstance(passages, list) or not passages:
            raise DatasetError(f'{where}: "passages" must be a list that is not empty')
        yield Group(
            record["question"],
            tuple(_passage(p, f"{where}, passage {n}") for n, p in enumerate(passages, 1)),
        )


def _passage(record: Any, where: str) -> GroupPassage:
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DatasetError(f'{where}: "text" must be a text')
    text, context = record["text"], record.get("context", "")
    if not isinstance(context, str):
        raise DatasetError(f'{where}: "context" must be a text')
    _check_characters(record, ("text", "context"), where)
    given, answers = record.get("answers", []), []
    if not isinstance(given, list):
        raise DatasetError(
            f'{where}: "answers" is {json.dumps(given)[:40]}; give a list of [start, end], '
            "which is empty where the passage does not answer"
        )
    for answer in given:
        match answer:
            case [start, end] if type(start) is type(end) is int and 0 <= start < end <= len(text):
                answers.append((start, end))
            case _:
                raise DatasetError(
                    f"{where}: answer {answer!r} is no [start, end] within the text's "
                    f"{len(text)} characters"
                )
    return GroupPassage(text, tuple(answers), context)


def _check_characters(record: dict[str, Any], keys: Iterable[str], where: str) -> None:
    """Raises DatasetError for a text that holds half of a character."""
    for key in keys:
        if wrong := half_character(record.get(key, "")):
            raise DatasetError(f'{where}: "{key}" {wrong}')
