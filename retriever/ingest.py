"""Taking documents in, and keeping them as their sources are.

Each file goes in by a transaction of its own (:mod:`retriever.intake`): one that cannot be read is
reported and keeps the rest from nothing, and a run that is cut off has lost nothing of what went
before. The index follows every few hundred passages: encoding takes long, and until a changed
document is in the index nothing of it is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retriever.errors import IngestError, ParseError
from retriever.indexing import IndexKeeper
from retriever.intake import Intake, facts_of, store_new
from retriever.naming import as_utf8, check_base_url, check_collection, check_file_name
from retriever.parsing import SUFFIXES, media_type_of
from retriever.passages import PassageOptions
from retriever.records import Failure
from retriever.removal import Removed, forget, kept_files
from retriever.reports import IngestReport, Progress, Step, Tally, no_progress
from retriever.sources import Published, SourceFile, list_files
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.sources import (
    SourceRecord,
    collection_ids,
    ensure_collection,
    ensure_source,
    list_sources,
    remove_source,
)
from retriever.uploads import delete, replacing

#: So many new passages wait for the index at most, unless one document has more: some seconds of
#: encoding on two cores.
_WAITING = 512


class Ingestor:
    """Adds, refreshes and removes documents, and rebuilds the index after that.

    ``uploads`` is the folder that keeps files which arrived through Slack.
    """

    def __init__(
        self,
        database: Database,
        keeper: IndexKeeper,
        uploads: Path,
        *,
        passage_options: PassageOptions | None = None,
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._uploads = uploads
        self._intake = Intake(database, passage_options or PassageOptions())

    def add(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        base_url: str | None = None,
        progress: Progress = no_progress,
    ) -> IngestReport:
        """Add files and folders as sources and take in what is new or changed in them.

        Without a base URL, documents that came from another source stay that one's, with its link.
        A file of a kind that is not read is reported, and nothing is noted of it.

        Raises:
            IngestError: a path does not exist, or the base URL is none; nothing was added.
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        for path in paths:
            shown = as_utf8(str(path))
            try:
                exists = path.exists()
            except OSError as error:
                reason = error.strerror or error
                raise IngestError(f"{shown}: {reason}; nothing was added") from error
            if not exists:
                raise IngestError(f"{shown} does not exist; nothing was added")
            if str(path.resolve()) != as_utf8(str(path.resolve())):
                raise IngestError(f"{shown}: its name is not UTF-8; rename it, nothing was added")
        check_base_url(base_url)
        check_collection(collection)
        tally = Tally()
        taken = [path for path in paths if not _is_refused(path, tally)]
        if not taken:
            return tally.report()
        with self._database.write() as session:
            collection_id = ensure_collection(session, collection)
            sources = [
                ensure_source(
                    session,
                    collection_id=collection_id,
                    kind="path",
                    location=str(path.resolve()),
                    label=str(path),
                    base_url=base_url,
                )
                for path in taken
            ]
        return self._refresh(sources, tally, progress, take_over=base_url is not None)

    def reindex(self, *, progress: Progress = no_progress) -> IngestReport:
        """Look at every source again: add what is new, forget what is gone.

        Raises:
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        with self._database.read() as session:
            sources = list_sources(session)
        return self._refresh(sources, Tally(), progress)

    def add_upload(
        self, content: Path, *, name: str, link: str | None, collection: str = "default"
    ) -> IngestReport:
        """Add a file that was handed over, under ``name``; the one of that name is replaced.

        The file is kept in the uploads folder. If it cannot be read or stored, nothing is kept of
        it and the one that it was to replace stays.

        Raises:
            IngestError: the name is no plain file name, or the file cannot be kept.
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        check_file_name(name)
        check_collection(collection)
        tally = Tally()
        target = self._uploads.resolve() / collection / name
        with self._database.read() as session:
            known = documents.known_file_in(session, collection, str(target))
        try:
            facts = facts_of(content, uri=name, location=str(target), link=link)
        except OSError as error:
            raise IngestError(f"{name} cannot be read: {error.strerror or error}") from error
        try:
            new = self._intake.new(content, known, facts)
        except ParseError as error:
            tally.failed.append(Failure(name, str(error)))
            return tally.report()
        with replacing(content, target) as put, self._database.write() as session:
            source = ensure_source(
                session,
                collection_id=ensure_collection(session, collection),
                kind="upload",
                location=facts.location,
                label=name,
                base_url=link,
            )
            stored = store_new(session, source.collection_id, source.id, known, facts, new)
            tally.counts.update(stored)
            put()
        self._keeper.rebuild()
        return tally.report()

    def remove(self, names: Sequence[str]) -> list[Removed]:
        """Forget documents, and added files and folders with all of theirs.

        An uploaded file is deleted with its document. A document of a folder comes back with the
        next reindex unless the file or the folder is forgotten too; where the source is that file
        alone, it is.

        Raises:
            IngestError: a name fits nothing or several things, or an uploaded file cannot be
                deleted; nothing was forgotten.
        """
        with self._database.write() as session:
            removed, files = forget(session, names)
            delete(files)
        self._keeper.rebuild()
        return removed

    def remove_collection(self, name: str) -> int:
        """Forget a collection with its sources and documents; how many documents it had.

        Raises:
            IngestError: there is no collection of that name, or an uploaded file cannot be
                deleted; nothing was forgotten.
        """
        with self._database.write() as session:
            (number,) = collection_ids(session, [name])
            own = [s for s in list_sources(session) if s.collection_id == number]
            for source in own:
                remove_source(session, source.id)
            ids = [summary.id for summary in documents.list_documents(session, name)]
            count = documents.remove_documents(session, ids)
            delete(kept_files(own))
        self._keeper.rebuild()
        return count

    def _refresh(
        self,
        sources: Sequence[SourceRecord],
        tally: Tally,
        progress: Progress,
        *,
        take_over: bool = False,
    ) -> IngestReport:
        """Look at sources; ``take_over``: what they list is theirs, whichever source had it."""
        work: list[tuple[SourceRecord, SourceFile]] = []
        owners: dict[tuple[int, str], int] = {}  # of what several sources may list
        forgotten: set[int] = set()
        with self._database.read() as session:
            every = list_sources(session)
        for source in sources:
            if source.id in forgotten:
                continue
            # Known before listed: a file that appears in between is not taken for a deleted one.
            with self._database.read() as session:
                known = documents.known_files(session, source.id)
                itself = documents.known_file(session, source.collection_id, source.location)
            own = known.keys()
            if itself is not None:  # a file: whoever has its document, it is known to have been one
                known = {**known, source.location: itself}
            listing = list_files(
                Path(source.location),
                label=source.label,
                base_url=source.base_url if source.kind == "path" else None,
                suffixes=SUFFIXES.keys(),
                above=_published_above(source, every),
                known=known.keys(),
            )
            tally.counts["skipped"] += listing.skipped
            unread: dict[int, str] = {}
            for problem in listing.problems:
                document = known.get(str(problem.path))
                uri = as_utf8(problem.uri if document is None else document.uri)
                message = as_utf8(f"{uri} {problem.wrong}")
                tally.failed.append(Failure(uri, message))
                if document is not None:
                    unread[document.document_id] = message
            if unread:
                with self._database.write() as session:
                    for number, message in unread.items():
                        documents.save_error(session, number, message)
            work.extend((source, file) for file in listing.files)
            listed = {str(file.path) for file in listing.files}
            owners |= {(source.collection_id, place): source.id for place in own & listed}
            if listing.complete:
                gone = {
                    place: one.document_id for place, one in known.items() if place not in listed
                }
                # Files that were added by themselves: nothing can come of them any more.
                files = [
                    other.id
                    for other in every
                    if other.collection_id == source.collection_id and other.location in gone
                ]
                if gone:
                    with self._database.write() as session:
                        ids = list(gone.values())
                        tally.counts["removed"] += documents.remove_documents(session, ids)
                        for number in files:
                            remove_source(session, number)
                    forgotten.update(files)
        # Who has a document keeps it: else the source that was added last would, and set its link.
        work = [
            (source, file)
            for source, file in work
            if owners.get((source.collection_id, str(file.path)), source.id) == source.id
        ]

        def indexed(done: int, total: int) -> None:
            progress(Step("index", done, total, ""))

        waiting = 0
        for done, (source, file) in enumerate(work):
            progress(Step("documents", done, len(work), file.uri))
            waiting += self._intake.take(source, file, tally, take_over=take_over)
            if waiting >= _WAITING:
                self._keeper.catch_up(indexed)
                waiting = 0
        progress(Step("documents", len(work), len(work), ""))
        self._keeper.rebuild(indexed)
        return tally.report()


def _published_above(source: SourceRecord, every: Sequence[SourceRecord]) -> Published | None:
    """Where another source of its collection publishes what it lies in; of several, the nearest.

    A file that is added once more, by itself, is still linked to as its folder says.
    """
    location = Path(source.location)
    folders = [
        Published(Path(other.location), other.base_url)
        for other in every
        if other.collection_id == source.collection_id
        and other.kind == "path"
        and other.id != source.id
        and other.base_url is not None
    ]
    holding = [folder for folder in folders if folder.holds(location)]
    return max(holding, key=lambda folder: len(folder.folder.parts), default=None)


def _is_refused(path: Path, tally: Tally) -> bool:
    """Whether it is a file of a kind that is not read, which is then noted as a failure.

    Such a file cannot get better: kept as a source, it would fail in every run from then on.
    """
    try:
        if path.is_file():
            media_type_of(path.resolve())  # a link is read under the name of what it leads to
    except ParseError as error:
        tally.failed.append(Failure(as_utf8(str(path)), as_utf8(str(error))))
        return True
    return False
