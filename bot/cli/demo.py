"""``spanbot demo``: the sample handbook, three answers, and then on to Slack or a chat."""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

import typer
from rich.text import Text

from bot.cli.ask import talk
from bot.cli.opening import open_installation, read_settings
from bot.cli.output import console, run_progress, show_reply, show_report
from bot.cli.serve import run_bot
from bot.installation import Installation
from retriever.store import documents

#: The sample handbook's own collection: spanbot docs remove --collection sample
COLLECTION = "sample"

#: Answered out of a Markdown page, a PDF and an HTML page.
QUESTIONS = (
    "How many days of leave can I carry over into the next year?",
    "How soon after a business trip do I have to hand in my expenses?",
    "How long is the code for the guest wifi valid?",
)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(demo)


def _has_own_documents(installation: Installation) -> bool:
    with installation.database.read() as session:
        found = documents.list_documents(session)
    return any(document.collection != COLLECTION for document in found)


def _show_sample(installation: Installation, folder: Path) -> None:
    console.print(Text(f"Adding the sample handbook to {installation.settings.home}"))
    with run_progress(encoding=installation.settings.ranker) as progress:
        report = installation.knowledge.add([folder], collection=COLLECTION, progress=progress)
    show_report(report)
    for question in QUESTIONS:
        console.print(Text(f"\n> {question}", style="bold"))
        show_reply(installation.answerer.ask(question, via="demo"))
    console.print()


def demo() -> None:
    """Try spanbot on a sample handbook, then go on in Slack (if tokens are set) or here."""
    settings = read_settings()
    with as_file(files("bot") / "sample" / "handbook") as folder:
        with open_installation(settings) as installation:
            if _has_own_documents(installation):
                console.print(Text(f"{settings.home} holds documents already; no sample is added"))
            else:
                _show_sample(installation, folder)
            if settings.slack_bot_token is None and sys.stdin.isatty():
                talk(installation)
                return
    if settings.slack_bot_token is not None:
        run_bot(settings)
        return
    console.print("Go on with your own documents:", style="bold")
    console.print("  spanbot add FOLDER          add documents")
    console.print('  spanbot ask "a question"    ask them')
    console.print("  spanbot chat                ask on the terminal")
    console.print(
        "To ask in Slack, set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (README: Connect Slack)."
    )
