"""Asking a file of questions, and measuring what the askers would have seen.

A line is ``{"question", "answers": [...], "documents": [...], "answerable": true}``; a gold
document is matched by the end of the shown document's path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bot.answering import Answerer, Reply, check_question
from bot.errors import QuestionError, SpanbotError
from reader.files import lines_of
from reader.groups import folded
from reader.metrics import best_over, exact_match, f1
from retriever.records import Hit
from retriever.search import Retriever


class QuestionFileError(SpanbotError):
    """A question file that cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """A question with what is known to be right."""

    question: str
    answers: tuple[str, ...]
    documents: tuple[str, ...]
    answerable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A gold question, and what came of it."""

    gold: GoldQuestion
    hits: tuple[Hit, ...]
    reply: Reply


def load_questions(path: Path) -> list[GoldQuestion]:
    """Read a question file.

    Raises:
        QuestionFileError: it is missing, empty, or a line is wrong.
    """
    try:
        lines = lines_of(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QuestionFileError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QuestionFileError(f"{path} is not UTF-8 text") from error
    questions = [
        _question(line, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not questions:
        raise QuestionFileError(f"{path} holds no questions")
    return questions


#: Others are for whoever keeps the file.
_KEYS = frozenset(["question", "answers", "documents", "answerable"])


def _question(line: str, where: str) -> GoldQuestion:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise QuestionFileError(f"{where}: not JSON: {error.msg}") from error
    if not isinstance(record, dict) or not isinstance(record.get("question"), str):
        raise QuestionFileError(f'{where}: "question" is missing or no text')
    try:
        check_question(record["question"])
    except QuestionError as error:
        raise QuestionFileError(f"{where}: {error}") from error
    for name in sorted(record.keys() - _KEYS):
        close = get_close_matches(name, _KEYS - record.keys(), n=1)
        if close:
            raise QuestionFileError(
                f'{where}: there is no "{name}"; "{close[0]}" is probably meant'
            )
    answerable = record.get("answerable", True)
    if not isinstance(answerable, bool):
        raise QuestionFileError(f'{where}: "answerable" must be true or false')
    answers = _strings(record, "answers", where)
    if answerable and not answers:
        raise QuestionFileError(f'{where}: "answers" is empty; mark it "answerable": false')
    return GoldQuestion(
        question=record["question"],
        answers=answers,
        documents=_strings(record, "documents", where),
        answerable=answerable,
    )


def _strings(record: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = record.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise QuestionFileError(f'{where}: "{key}" must be a list of texts')
    return tuple(values)


def run_questions(
    questions: Sequence[GoldQuestion],
    retriever: Retriever,
    answerer: Answerer,
    *,
    collections: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Outcome]:
    """Ask every question.

    Args:
        collections: names of those to search; None for all.
        progress: gets the questions done.

    Raises:
        IngestError: a collection does not exist.
    """
    outcomes = []
    for gold in questions:
        hits = tuple(retriever.search(gold.question, k=50, collections=collections))
        reply = answerer.ask(gold.question, via="evaluate", collections=collections)
        outcomes.append(Outcome(gold, hits, reply))
        if progress is not None:
            progress(1)
    return outcomes


def measure(outcomes: Sequence[Outcome]) -> dict[str, float | int]:
    """The figures of a run, each between 0 and 1; those that nothing speaks of are left out.

    ``success@k``: a gold document is among the first k documents found. ``contains`` and
    ``contains@3``: the sentence shown first, or one of the first three, holds a gold answer.
    ``exact``, ``f1``, ``f1@3``: SQuAD's measures of the first answer and the best of three; a
    question left without an answer counts as an empty one. ``answered``: share of the answerable
    questions that got any answer. ``silent``: share of the unanswerable ones that rightly got
    none.
    """
    answerable = [outcome for outcome in outcomes if outcome.gold.answerable]
    located = [outcome for outcome in answerable if outcome.gold.documents]
    unanswerable = [outcome for outcome in outcomes if not outcome.gold.answerable]
    report: dict[str, float | int] = {
        "questions": len(outcomes),
        "answerable": len(answerable),
        "unanswerable": len(unanswerable),
    }
    for k in (1, 5, 10):
        _average(report, f"success@{k}", [_found(outcome, k) for outcome in located])
    _average(report, "contains", [_contains(outcome, 1) for outcome in answerable])
    _average(report, "contains@3", [_contains(outcome, 3) for outcome in answerable])
    _average(report, "exact", [_squad(exact_match, outcome, 1) for outcome in answerable])
    _average(report, "f1", [_squad(f1, outcome, 1) for outcome in answerable])
    _average(report, "f1@3", [_squad(f1, outcome, 3) for outcome in answerable])
    _average(report, "answered", [float(outcome.reply.answered) for outcome in answerable])
    _average(report, "silent", [float(not outcome.reply.answered) for outcome in unanswerable])
    return report


def _average(report: dict[str, float | int], name: str, values: Sequence[float]) -> None:
    if values:
        report[name] = sum(values) / len(values)


def is_document(shown: str, gold: str) -> bool:
    """A gold document is named by the end of its path."""
    return shown == gold or shown.endswith("/" + gold.lstrip("/"))


@dataclass(frozen=True, slots=True)
class GoldDocuments:
    """The documents that a file of questions names: all, and those that cannot be found."""

    named: tuple[str, ...]
    missing: tuple[str, ...]


def gold_documents(questions: Sequence[GoldQuestion], known: Iterable[str]) -> GoldDocuments:
    """Which gold documents there are among the ``known`` ones; each once, in the file's order."""
    named = tuple(dict.fromkeys(name for gold in questions for name in gold.documents))
    paths = set(known)
    # Every end of every path: to compare each with each takes long where both are many.
    ends = {path[at.end() :] for path in paths for at in re.finditer("/", path)}
    missing = (n for n in named if n not in paths and n.lstrip("/") not in ends)
    return GoldDocuments(named, tuple(missing))


def _found(outcome: Outcome, k: int) -> float:
    shown = list(dict.fromkeys(hit.document for hit in outcome.hits))[:k]
    return float(any(is_document(name, gold) for name in shown for gold in outcome.gold.documents))


_QUOTES = str.maketrans("‘’“”", "''\"\"")


def holds_answer(sentence: str, answers: Sequence[str]) -> bool:
    """A sentence holds one of the answers; white space, case and kinds of quotes aside."""
    said = folded(sentence.translate(_QUOTES))
    return any(folded(answer.translate(_QUOTES)) in said for answer in answers)


def _contains(outcome: Outcome, first: int) -> float:
    sentences = [answer.sentence for answer in outcome.reply.answers[:first]]
    return float(any(holds_answer(sentence, outcome.gold.answers) for sentence in sentences))


def _squad(metric: Callable[[str, str], float], outcome: Outcome, first: int) -> float:
    texts = [answer.text for answer in outcome.reply.answers[:first]] or [""]
    return max(best_over(metric, text, outcome.gold.answers) for text in texts)
