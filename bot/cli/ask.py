"""Commands that answer: ``search``, ``ask``, ``chat``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from bot.answering import tidied
from bot.cli.opening import open_installation, say_if_empty
from bot.cli.options import whole
from bot.cli.output import (
    console,
    errors,
    hit_record,
    print_json,
    reply_record,
    show_reply,
    source_line,
)
from bot.errors import QuestionError
from bot.installation import Installation

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Question = Annotated[list[str], typer.Argument(help="The question.", show_default=False)]
Collections = Annotated[
    list[str] | None, typer.Option("--collection", help="Search only this; may be repeated.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(search)
    app.command()(ask)
    app.command()(chat)


def search(
    query: Question,
    count: Annotated[int, whole("--count", "-k", least=1, most=1000, help="How many.")] = 10,
    collection: Collections = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages that fit a question best."""
    asked = tidied(" ".join(query))
    with open_installation() as installation:
        hits = installation.retriever.search(asked, k=count, collections=collection)
        if not hits:
            say_if_empty(installation)
    if as_json:
        print_json([hit_record(hit) for hit in hits])
        return
    if not hits:
        console.print("Nothing was found.")
    for hit in hits:
        line = Text(f"{hit.rank:>3}  ", style="dim")
        line.append(source_line(hit.title, hit.section, hit.page), style="cyan")
        line.append(f"  {hit.score:.2f}", style="dim")
        console.print(line)
        console.print(Text(f"     {' '.join(hit.text.split())}"))
        console.print(Text(f"     {hit.url or hit.document}", style="dim"))


def ask(question: Question, collection: Collections = None, as_json: AsJson = False) -> None:
    """Answer a question with the exact sentence and its source."""
    with open_installation() as installation:
        reply = installation.answerer.ask(" ".join(question), via="cli", collections=collection)
        if not reply.answered:
            say_if_empty(installation)
    if as_json:
        print_json(reply_record(reply))
    else:
        show_reply(reply)


def chat() -> None:
    """Answer questions typed on the terminal, until an empty line."""
    with open_installation() as installation:
        talk(installation)


def talk(installation: Installation) -> None:
    """Read questions from standard input and answer each, a blank line after it.

    Where they come from a pipe each is shown above its answer, as on a terminal.
    """
    say_if_empty(installation)
    typed = sys.stdin.isatty()
    if typed:
        console.print("Ask a question; an empty line ends the chat.", style="dim")
    while True:
        try:
            question = console.input("[bold]> [/]") if typed else input()
        except EOFError:
            return
        if not question.strip():
            return
        if not typed:
            console.print(Text(f"> {question}", style="bold"))
        try:
            show_reply(installation.answerer.ask(question, via="chat"))
        except QuestionError as error:
            errors.print(str(error), style="yellow", markup=False)
        console.print()
