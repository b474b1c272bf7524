"""``spanbot evaluate``: a file of questions, and what their askers would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bot.cli.ask import Collections
from bot.cli.opening import open_installation, say_if_empty
from bot.cli.output import console, count_progress, note, print_json
from bot.evaluation import (
    GoldQuestion,
    Outcome,
    gold_documents,
    load_questions,
    measure,
    run_questions,
)
from bot.installation import Installation
from retriever.store import documents

# So many documents that cannot be found are named.
_NAMED = 3


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(evaluate)


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="Questions, one JSON object a line.", show_default=False)
    ],
    collection: Collections = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    details: Annotated[bool, typer.Option("--details", help="Show every question.")] = False,
) -> None:
    """Ask every question of a file and measure the answers against the gold ones."""
    questions = load_questions(file)
    with open_installation() as installation:
        if not say_if_empty(installation):
            _tell_missing(questions, installation, file, collection)
        with count_progress("Asking", len(questions)) as progress:
            outcomes = run_questions(
                questions,
                installation.retriever,
                installation.answerer,
                collections=collection,
                progress=progress,
            )
    figures = measure(outcomes)
    if as_json:
        print_json(figures)
        return
    if details:
        for outcome in outcomes:
            _show(outcome)
    table = Table("Measure", box=None)
    table.add_column("Value", justify="right")
    for name, value in figures.items():
        table.add_row(name, str(value) if isinstance(value, int) else f"{value:.3f}")
    console.print(table)


def _tell_missing(
    questions: Sequence[GoldQuestion],
    installation: Installation,
    file: Path,
    collections: Sequence[str] | None,
) -> None:
    """Names documents of the file that cannot be found: each counts as one that was not."""
    chosen: Sequence[str | None] = collections or [None]
    with installation.database.read() as session:
        known = [
            document.uri
            for collection in chosen
            for document in documents.list_documents(session, collection)
            if document.passages
        ]
    gold = gold_documents(questions, known)
    if not gold.missing:
        return
    home = installation.settings.home
    place = f"the collections {', '.join(collections)} of {home}" if collections else str(home)
    names = ", ".join(gold.missing[:_NAMED])
    if len(gold.missing) > _NAMED:
        names += f" and {len(gold.missing) - _NAMED:,} more"
    if len(gold.missing) == len(gold.named):
        message = (
            f"none of the {len(gold.named):,} documents that {file} names is in {place} ({names}); "
            "probably another file of questions is meant, or another SPANBOT_HOME"
        )
    else:
        message = (
            f"{len(gold.missing):,} of the {len(gold.named):,} documents that {file} names are not "
            f"in {place}: {names}"
        )
    note(message)


def _show(outcome: Outcome) -> None:
    console.print(Text(outcome.gold.question, style="bold"))
    console.print(Text(f"  wanted: {' | '.join(outcome.gold.answers) or 'no answer'}"))
    for answer in outcome.reply.answers:
        console.print(
            Text(
                f"  shown:  [{answer.text}] in “{answer.sentence}” "
                f"({answer.document}, {answer.confidence:.2f})"
            )
        )
    if not outcome.reply.answered:
        console.print("  shown:  no answer", style="yellow")
