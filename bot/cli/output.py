"""How the command line shows things: JSON for programs, rich text for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from bot.answering import AnswerSpan, Reply
from bot.quotes import on_lines
from retriever.links import SEPARATOR
from retriever.records import Hit
from retriever.reports import IngestReport, Step

#: Results go to standard output, progress and errors to standard error.
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_PIPE_COLUMNS = 1000


def show_table(table: Table) -> None:
    """A table; a pipe has no width, so that every row is a line there."""
    (console if console.is_terminal else Console(width=_PIPE_COLUMNS)).print(table)


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def hit_record(hit: Hit) -> dict[str, Any]:
    """A hit as ``search --json`` gives it."""
    record = asdict(hit)
    keys = "rank score document title section page url start end text".split()
    return {key: record[key] for key in keys}


def reply_record(reply: Reply) -> dict[str, Any]:
    """A reply as ``ask --json`` gives it."""
    keys = "text confidence sentence document title section page url start end".split()
    return {
        "question": reply.question,
        "answered": reply.answered,
        "answers": [{key: getattr(answer, key) for key in keys} for answer in reply.answers],
        "ms": {
            "retrieve": round(reply.retrieve_ms, 1),
            "read": round(reply.read_ms, 1),
            "total": round(reply.total_ms, 1),
        },
    }


def report_record(report: IngestReport) -> dict[str, Any]:
    """What a run did, as ``--json`` gives it."""
    record = asdict(report)
    record["failed"] = [
        {"document": failure.uri, "error": failure.message} for failure in report.failed
    ]
    return record


def source_line(title: str, section: str | None, page: int | None) -> str:
    """``Title › Section, page 3``."""
    place = SEPARATOR.join(part for part in (title, section) if part)
    return f"{place}, page {page}" if page is not None else place


def show_reply(reply: Reply) -> None:
    """The answers with their sources, for people."""
    if not reply.answered:
        console.print("I found no answer in the documents.", style="yellow")
        if reply.closest:
            console.print("The closest places:")
            for place, links in _places(reply.closest).items():
                _show_place(place, links)
        return
    for number, answer in enumerate(reply.answers):
        if number == 1:
            console.print("\nFurther answers:", style="dim")
        _show_answer(answer)


def _show_answer(answer: AnswerSpan) -> None:
    quote = Text("  “")
    start = answer.start - answer.sentence_start
    end = answer.end - answer.sentence_start
    sentence = on_lines(answer.sentence)
    for part, style in (
        (sentence[:start], ""),
        (sentence[start:end], "bold green"),
        (sentence[end:], ""),
    ):
        quote.append(part.replace("\n", "\n   "), style=style)
    quote.append("”")
    console.print(quote)
    place = source_line(answer.title, answer.section, answer.page)
    _show_place(place, [answer.url or answer.document])


def _places(hits: Sequence[Hit]) -> dict[str, list[str]]:
    """Each place once, with where it is to be found."""
    places: dict[str, list[str]] = {}
    for hit in hits:
        links = places.setdefault(source_line(hit.title, hit.section, hit.page), [])
        link = hit.url or hit.document
        if link not in links:
            links.append(link)
    return places


def _show_place(place: str, links: Sequence[str]) -> None:
    line = Text("    — ", style="dim")
    line.append(place, style="cyan")
    console.print(line)
    for link in links:
        console.print(Text(f"      {link}", style="dim"))


def show_report(report: IngestReport) -> None:
    """What a run did, and every file that it could not take in."""
    parts = [
        f"{count} {name}"
        for name, count in (
            ("added", report.added),
            ("changed", report.changed),
            ("unchanged", report.unchanged),
            ("with a new link", report.relinked),
            ("removed", report.removed),
            ("failed", len(report.failed)),
            ("of other kinds left aside", report.skipped),
        )
        if count
    ]
    console.print("Documents: " + (", ".join(parts) or "none"))
    for failure in report.failed:
        errors.print(Text(f"  {failure.uri}: {failure.message}", style="red"))


@contextmanager
def run_progress(*, encoding: bool) -> Iterator[Callable[[Step], None]]:
    """A progress bar for each phase of a run over documents, on standard error.

    Args:
        encoding: the ranker encodes each passage that goes into the index, which takes by far the
            longest.
    """
    labels = {
        "documents": "Reading documents",
        "index": "Encoding passages" if encoding else "Indexing passages",
    }
    with _progress() as bar:
        tasks: dict[str, Any] = {}

        def step(now: Step) -> None:
            if now.stage not in tasks:
                tasks[now.stage] = bar.add_task(labels[now.stage], total=now.total)
            bar.update(tasks[now.stage], completed=now.done, total=now.total)

        yield step


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Tells, on a terminal, what is waited for where nothing can be counted."""
    if errors.is_terminal:
        with errors.status(label):
            yield
    else:
        yield


@contextmanager
def count_progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that is moved on by a number of items."""
    with _progress() as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def total_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar that is told how much is done of how much."""
    with _progress() as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,  # a log is no place for a bar
    )


def note(message: str) -> None:
    """Tell something on standard error that is no error."""
    errors.print(f"Note: {message}", style="yellow", markup=False)
