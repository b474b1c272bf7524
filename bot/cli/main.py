"""The ``spanbot`` command: its groups of commands, and how errors are told."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from bot.cli import ask, database, demo, doctor, documents, evaluate, reader, serve, training
from bot.cli.output import errors
from bot.errors import SpanbotError
from reader.errors import ReaderError
from retriever.errors import RetrieverError

app = typer.Typer(
    name="spanbot",
    help="Answers a team's questions from the team's own documents, word for word.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
documents.register(app)
ask.register(app)
evaluate.register(app)
serve.register(app)
doctor.register(app)
demo.register(app)
app.add_typer(documents.docs, name="docs")
app.add_typer(database.db, name="db")
training.register(reader.reader)
app.add_typer(reader.reader, name="reader")


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"spanbot {version('spanbot')}\n")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what is going on.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main() -> None:
    """Run the command line; errors that are foreseen end in one line and exit status 1."""
    try:
        app()
    except (SpanbotError, RetrieverError, ReaderError) as error:
        _fail(str(error))
    except PermissionError as error:  # as in another user's home folder
        reason = f"{error.filename} may not be used: {error.strerror}" if error.filename else error
        _fail(
            f"{reason}; run spanbot as the user that it belongs to, or set SPANBOT_HOME to another "
            "folder"
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `spanbot docs list | head`
        sys.stderr.close()
        sys.exit(0)


def _fail(message: str) -> NoReturn:
    errors.print(f"Error: {message}", style="red", markup=False)
    sys.exit(1)


if __name__ == "__main__":
    main()
