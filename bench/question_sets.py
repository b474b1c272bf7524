"""Questions with the passages that answer them, read from files, for :mod:`bench.analysis`."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reader.errors import DatasetError
from reader.files import lines_of, read_text
from reader.squad import load_squad
from retriever.errors import ParseError
from retriever.parsing import SUFFIXES, parse
from retriever.passages import split_passages
from retriever.store.passages import SearchText


@dataclass(frozen=True, slots=True)
class Collection:
    """Questions over passages.

    Attributes:
        right: for each question the numbers of the passages that count as found.
        documents: the number of each passage's document, int64 of shape (passages,), ascending.
        by_document: what is found counts by document, its best passage standing for it.
    """

    passages: tuple[SearchText, ...]
    questions: tuple[str, ...]
    right: tuple[NDArray[np.int64], ...]
    documents: NDArray[np.int64]
    by_document: bool = False


def squad(questions: Path, more: Sequence[Path] = ()) -> Collection:
    """A file's questions over its paragraphs and those of more files; its own one is right."""
    examples = load_squad(questions)
    texts = dict.fromkeys(example.context for example in examples)
    for path in more:
        texts.update(dict.fromkeys(example.context for example in load_squad(path)))
    number_of = {text: number for number, text in enumerate(texts)}
    passages = tuple(SearchText(n, 0, "", "", (), text, text) for text, n in number_of.items())
    return Collection(
        passages,
        tuple(example.question for example in examples),
        tuple(np.array([number_of[example.context]]) for example in examples),
        np.arange(len(passages)),
    )


def handbooks(archives: Sequence[Path]) -> dict[str, list[SearchText]]:
    """The passages of each handbook in a ``.tar.xz``, by its name, in the order of documents."""
    found: dict[str, list[SearchText]] = {}
    for archive in archives:
        passages = found.setdefault(archive.name.split(".")[0], [])
        with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
            for path in sorted(Path(folder).rglob("*")):
                uri = path.relative_to(folder).as_posix()
                if path.suffix.lower() not in SUFFIXES or "/." in uri or not path.is_file():
                    continue
                try:
                    document = parse(path)
                except ParseError:  # there is no text in it
                    continue
                passages.extend(
                    SearchText(
                        0,
                        0,
                        uri,
                        document.title,
                        span.heading,
                        document.text[span.start : span.end],
                        document.text,
                    )
                    for span in split_passages(document)
                )
    return found


def headings(found: dict[str, list[SearchText]]) -> Collection:
    """Headings as questions: the passages below one are right, and none shows its own heading."""
    passages: list[SearchText] = []
    right: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for book, texts in found.items():
        for text in texts:
            if len(text.heading) > 1:
                own = text.heading[-1]
                right[(book, text.uri, *text.heading)].append(len(passages))
                body = text.text.strip().removeprefix(own)
                text = replace(text, heading=text.heading[:-1], text=body)
            passages.append(text)
    return Collection(
        tuple(passages),
        tuple(path[-1] for path in right),
        tuple(np.array(numbers) for numbers in right.values()),
        _document_numbers(passages),
    )


def asked(found: dict[str, list[SearchText]], files: Sequence[Path]) -> Collection:
    """Our own questions in colleagues' words; the documents that hold the answer are right.

    Raises:
        DatasetError: a file cannot be read, or a line is no question; the message names it.
    """
    passages = [text for texts in found.values() for text in texts]
    of_document: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (book, text) in enumerate((b, t) for b, texts in found.items() for t in texts):
        of_document[book, text.uri].append(number)
    questions, right = [], []
    for path in files:
        for line_number, line in enumerate(lines_of(read_text(path)), 1):
            try:
                record = json.loads(line)
                question, kb = str(record["question"]), record["kb"]
                wanted = record.get("documents") or [record.get("document")]
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(
                    f'{path}, line {line_number}: no question with "kb", "question" and '
                    f'"documents": {error!r}'
                ) from error
            numbers = [
                number
                for (book, uri), held in of_document.items()
                if book == kb and any(one and uri.endswith(one) for one in wanted)
                for number in held
            ]
            if record.get("answerable", True) and numbers:
                questions.append(question)
                right.append(np.array(numbers))
    return Collection(
        tuple(passages), tuple(questions), tuple(right), _document_numbers(passages), True
    )


def spread(collection: Collection, count: int) -> Collection:
    """So many of its questions, spread over all of them."""
    total = len(collection.questions)
    if total <= count:
        return collection
    chosen = [number * total // count for number in range(count)]
    return replace(
        collection,
        questions=tuple(collection.questions[number] for number in chosen),
        right=tuple(collection.right[number] for number in chosen),
    )


def _document_numbers(passages: Sequence[SearchText]) -> NDArray[np.int64]:
    numbers: dict[tuple[str, str], int] = {}
    return np.array(
        [numbers.setdefault((text.uri, text.document_text), len(numbers)) for text in passages],
        dtype=np.int64,
    )
