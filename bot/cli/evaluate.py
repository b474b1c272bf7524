"""``spanbot evaluate``: a file of questions, and what their askers would have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bot.cli.opening import open_installation
from bot.cli.output import console, count_progress, print_json
from bot.evaluation import Outcome, load_questions, measure, run_questions


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(evaluate)


def evaluate(
    file: Annotated[Path, typer.Argument(help="Questions, one JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    details: Annotated[bool, typer.Option("--details", help="Show every question.")] = False,
) -> None:
    """Ask every question of a file and measure the answers against the gold ones."""
    questions = load_questions(file)
    with open_installation() as installation:
        with count_progress("Asking", len(questions)) as progress:
            outcomes = run_questions(
                questions, installation.retriever, installation.answerer, progress=progress
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
