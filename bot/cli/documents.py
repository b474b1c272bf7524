"""Commands on documents: ``add``, ``reindex``, ``docs list|show|remove``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bot.cli.opening import open_installation
from bot.cli.output import (
    console,
    errors,
    print_json,
    report_record,
    run_progress,
    show_report,
    show_table,
    waiting,
)
from bot.errors import SpanbotError
from bot.installation import Installation
from bot.knowledge import KnowledgeBase
from retriever.parsing import SUFFIXES
from retriever.reports import IngestReport, Progress
from retriever.store import documents as store
from retriever.store.sources import collection_ids, list_sources

docs = typer.Typer(help="List, show and remove documents.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Add the top-level commands of this module."""
    app.command()(add)
    app.command()(reindex)


def add(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    collection: Annotated[
        str, typer.Option(help="The collection that they belong to.")
    ] = "default",
    base_url: Annotated[
        str | None,
        typer.Option(help="Where they are published: links lead there instead of to the file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add Markdown, text, HTML, PDF and DOCX files; what has not changed is skipped."""
    _run(
        lambda knowledge, progress: knowledge.add(
            paths, collection=collection, base_url=base_url, progress=progress
        ),
        as_json,
    )


def reindex(as_json: AsJson = False) -> None:
    """Look at every added file and folder again: take in changes, forget what is gone."""
    _run(lambda knowledge, progress: knowledge.reindex(trigger="cli", progress=progress), as_json)


def _run(work: Callable[[KnowledgeBase, Progress], IngestReport], as_json: bool) -> None:
    """Run over documents with a progress bar, and tell what came of it."""
    with open_installation() as installation:
        with run_progress(encoding=installation.settings.ranker) as progress:
            report = work(installation.knowledge, progress)
        if as_json:
            print_json(report_record(report))
        else:
            show_report(report)
        with waiting("Finishing the search index; the first time its loops are compiled"):
            installation.keeper.close()
    nothing_went_in = not (report.added or report.changed or report.unchanged or report.removed)
    if report.failed and nothing_went_in:
        raise typer.Exit(1)
    if nothing_went_in and not as_json:
        errors.print(
            Text(f"There is no file to read; those that are end in {', '.join(SUFFIXES)}.")
        )


@docs.command("list")
def list_(
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the documents with their state, number of passages and id."""
    with open_installation() as installation, installation.database.read() as session:
        found = store.list_documents(session, collection)
    if as_json:
        print_json(
            [
                {
                    "document": document.uri,
                    "id": document.id,
                    "title": document.title,
                    "collection": document.collection,
                    "state": document.state,
                    "passages": document.passages,
                    "error": document.error,
                }
                for document in found
            ]
        )
        return
    if not found:
        console.print("No documents yet; add some: spanbot add FOLDER")
        return
    table = Table(box=None)
    for name in ("Document", "Title", "Collection", "State"):
        table.add_column(name, overflow="fold")  # whole, so that it can be copied
    for name in ("Passages", "Id"):
        table.add_column(name, justify="right")
    for document in found:
        state = Text(document.state, style="red" if document.state == "failed" else "")
        table.add_row(
            Text(document.uri),
            Text(document.title),
            Text(document.collection),
            state,
            str(document.passages),
            str(document.id),
        )
    show_table(table)
    for document in found:
        if document.error:
            console.print(Text(f"{document.uri}: {document.error}", style="red"))


@docs.command()
def show(
    document: Annotated[str, typer.Argument(help="Its path, the end of its path, or its id.")],
    as_json: AsJson = False,
) -> None:
    """Show a document's text as it is searched and quoted; of one that failed, the error."""
    with open_installation() as installation, installation.database.read() as session:
        summary = store.find_document(session, document)
        text = store.document_text(session, summary.id)
        anchors = store.anchors_of(session, [summary.id])[summary.id]
    if as_json:
        print_json(
            {
                "document": summary.uri,
                "id": summary.id,
                "title": summary.title,
                "collection": summary.collection,
                "media_type": summary.media_type,
                "state": summary.state,
                "error": summary.error,
                "version": summary.version,
                "passages": summary.passages,
                "updated_at": summary.updated_at.isoformat(),
                "anchors": [
                    {
                        "kind": anchor.kind,
                        "start": anchor.start,
                        "end": anchor.end,
                        "path": list(anchor.path),
                        "slug": anchor.slug,
                        "page": anchor.page,
                    }
                    for anchor in anchors
                ],
                "text": text,
            }
        )
    else:
        title = f"{summary.title}  ({summary.uri}, {summary.media_type})"
        console.print(Text(title, style="bold"))
        if summary.state == "failed":
            errors.print(Text(f"State: failed; it has no text. {summary.error}", style="red"))
        else:
            if summary.error:  # of a newer version of the file
                errors.print(Text(f"An earlier version; the newer: {summary.error}", style="red"))
            console.print(Text(text))
    if summary.state == "failed":
        raise typer.Exit(1)


@docs.command()
def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DOCUMENT...", help="Path, its end, or id; or a file or folder that was added."
        ),
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Forget this whole collection and its sources.")
    ] = None,
) -> None:
    """Forget documents; the files themselves stay, except those of uploads."""
    if names and collection is not None:
        raise SpanbotError(
            "--collection forgets a whole collection; leave it out to remove single documents. One "
            "that is in several collections is named by its id"
        )
    if not names and collection is None:
        raise SpanbotError("name the documents to remove, or a --collection")
    with open_installation() as installation:
        if collection is not None:
            console.print(Text(_remove_collection(installation, collection)))
            return
        for removed in installation.knowledge.remove(names or []):
            several = "" if removed.documents == 1 else f" ({_documents(removed.documents)})"
            console.print(Text(f"Removed {removed.name}{several}"))


def _remove_collection(installation: Installation, name: str) -> str:
    """Forget a collection; what was forgotten."""
    with installation.database.read() as session:
        (number,) = collection_ids(session, [name])
        sources = [s.label for s in list_sources(session) if s.collection_id == number]
    count = installation.knowledge.remove_collection(name)
    if count:
        return f"Removed {_documents(count)} of the collection {name}"
    if sources:
        return f"Removed {', '.join(sources)}; there was no document of the collection {name} in it"
    return f"The collection {name} holds no documents; there was nothing to remove"


def _documents(count: int) -> str:
    return f"{count:,} document" if count == 1 else f"{count:,} documents"
