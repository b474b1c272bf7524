"""Taking documents in, and keeping them as their sources are.

Each file goes in by a transaction of its own: one that cannot be read is reported and keeps the
rest from nothing, and a run that is cut off has lost nothing of what went before. The hash of a
file's bytes decides whether it has changed; what an earlier version of the program read, which read
files otherwise, is read again as well.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from retriever.errors import IngestError, ParseError
from retriever.indexing import IndexKeeper
from retriever.naming import as_utf8, check_base_url, check_collection, check_file_name
from retriever.parsing import MAX_FILE_BYTES, SUFFIXES, TEXT_VERSION, media_type_of, parse
from retriever.passages import PassageOptions, split_passages
from retriever.records import Failure, ParsedDocument, PassageSpan
from retriever.removal import Removed, forget, kept_files
from retriever.sources import Published, SourceFile, list_files
from retriever.store import documents
from retriever.store.database import Database
from retriever.uploads import delete, replacing


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did, in documents; ``relinked`` are those of the unchanged whose link is another
    than before, ``skipped`` files of kinds that are not read, and links to folders.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    relinked: int = 0
    removed: int = 0
    failed: tuple[Failure, ...] = ()
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is: ``stage`` is ``documents`` or ``index``; ``item`` is being worked on."""

    stage: str
    done: int
    total: int
    item: str


Progress = Callable[[Step], None]


def no_progress(step: Step) -> None:
    """For runs that nobody watches."""


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)

    def report(self) -> IngestReport:
        return IngestReport(
            added=self.counts["added"],
            changed=self.counts["changed"],
            unchanged=self.counts["unchanged"],
            relinked=self.counts["relinked"],
            removed=self.counts["removed"],
            failed=tuple(self.failed),
            skipped=self.counts["skipped"],
        )


@dataclass(frozen=True, slots=True)
class _New:
    parsed: ParsedDocument
    passages: list[PassageSpan]


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
        self._passage_options = passage_options or PassageOptions()

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
        tally = _Tally()
        taken = [path for path in paths if not _is_refused(path, tally)]
        if not taken:
            return tally.report()
        with self._database.write() as session:
            collection_id = documents.ensure_collection(session, collection)
            sources = [
                documents.ensure_source(
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
            sources = documents.sources(session)
        return self._refresh(sources, _Tally(), progress)

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
        tally = _Tally()
        target = self._uploads.resolve() / collection / name
        with self._database.read() as session:
            known = documents.known_file_in(session, collection, str(target))
        try:
            facts = _facts(content, uri=name, location=str(target), link=link)
        except OSError as error:
            raise IngestError(f"{name} cannot be read: {error.strerror or error}") from error
        try:
            new = self._new(content, known, facts)
        except ParseError as error:
            tally.failed.append(Failure(name, str(error)))
            return tally.report()
        with replacing(content, target) as put, self._database.write() as session:
            source = documents.ensure_source(
                session,
                collection_id=documents.ensure_collection(session, collection),
                kind="upload",
                location=facts.location,
                label=name,
                base_url=link,
            )
            stored = _store(session, source.collection_id, source.id, known, facts, new)
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
            (number,) = documents.collection_ids(session, [name])
            own = [s for s in documents.sources(session) if s.collection_id == number]
            for source in own:
                documents.remove_source(session, source.id)
            ids = [summary.id for summary in documents.list_documents(session, name)]
            count = documents.remove_documents(session, ids)
            delete(kept_files(own))
        self._keeper.rebuild()
        return count

    def _refresh(
        self,
        sources: Sequence[documents.SourceRecord],
        tally: _Tally,
        progress: Progress,
        *,
        take_over: bool = False,
    ) -> IngestReport:
        """Look at sources; ``take_over``: what they list is theirs, whichever source had it."""
        work: list[tuple[documents.SourceRecord, SourceFile]] = []
        owners: dict[tuple[int, str], int] = {}  # of what several sources may list
        forgotten: set[int] = set()
        with self._database.read() as session:
            every = documents.sources(session)
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
                            documents.remove_source(session, number)
                    forgotten.update(files)
        # Who has a document keeps it: else the source that was added last would, and set its link.
        work = [
            (source, file)
            for source, file in work
            if owners.get((source.collection_id, str(file.path)), source.id) == source.id
        ]
        for done, (source, file) in enumerate(work):
            progress(Step("documents", done, len(work), file.uri))
            self._take(source, file, tally, take_over=take_over)
        progress(Step("documents", len(work), len(work), ""))
        self._keeper.rebuild(lambda done, total: progress(Step("index", done, total, "")))
        return tally.report()

    def _take(
        self,
        source: documents.SourceRecord,
        file: SourceFile,
        tally: _Tally,
        *,
        take_over: bool,
    ) -> None:
        location = str(file.path)
        if location != as_utf8(location):
            uri = as_utf8(file.uri)
            tally.failed.append(Failure(uri, f"{uri}: its name is not UTF-8; rename it"))
            return
        with self._database.read() as session:
            known = documents.known_file(session, source.collection_id, location)
        uri = known.uri if known is not None else file.uri
        owner, link = source.id, source.base_url if source.kind == "upload" else file.link
        if (
            known is not None
            and known.source_id is not None
            and known.source_id != owner
            and not take_over
        ):
            owner, link = known.source_id, known.link
        facts = documents.FileFacts(uri, location, link, content_sha256="", size=0)
        try:
            facts = _facts(file.path, uri=uri, location=location, link=link)
            new = self._new(file.path, known, facts)
        except OSError as error:
            message = f"{uri} cannot be read: {error.strerror or error}"
            self._note_failure(source.collection_id, owner, file, facts, message, tally)
            return
        except ParseError as error:
            self._note_failure(source.collection_id, owner, file, facts, str(error), tally)
            return
        if new is None and known is not None and known.is_as(owner, facts.link):
            tally.counts["unchanged"] += 1
            return
        with self._database.write() as session:
            if documents.has_source(session, owner):  # else it was removed meanwhile
                stored = _store(session, source.collection_id, owner, known, facts, new)
                tally.counts.update(stored)

    def _note_failure(
        self,
        collection_id: int,
        source_id: int,
        file: SourceFile,
        facts: documents.FileFacts,
        message: str,
        tally: _Tally,
    ) -> None:
        tally.failed.append(Failure(facts.uri, message))
        with self._database.write() as session:
            if documents.has_source(session, source_id):
                documents.save_failure(
                    session,
                    collection_id=collection_id,
                    source_id=source_id,
                    facts=facts,
                    title=file.path.stem,
                    media_type=SUFFIXES.get(file.path.suffix.lower(), "application/octet-stream"),
                    message=message,
                )

    def _new(
        self, path: Path, known: documents.KnownFile | None, facts: documents.FileFacts
    ) -> _New | None:
        """What is to be stored of a file; None for what is stored already. Raises: ParseError."""
        if (
            known is not None
            and known.state == "ready"
            and known.content_sha256 == facts.content_sha256
            and known.text_version >= TEXT_VERSION
        ):
            return None
        parsed = parse(path)
        passages = split_passages(parsed, self._passage_options)
        if not passages:
            raise ParseError(f"{path.name} holds no text; nothing of it can be searched")
        return _New(parsed, passages)


def _published_above(
    source: documents.SourceRecord, every: Sequence[documents.SourceRecord]
) -> Published | None:
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


def _is_refused(path: Path, tally: _Tally) -> bool:
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


def _facts(path: Path, *, uri: str, location: str, link: str | None) -> documents.FileFacts:
    """What is to be known of a file. One that is too large to be read is not hashed either.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        too_large = size > MAX_FILE_BYTES
        digest = "" if too_large else hashlib.file_digest(file, "sha256").hexdigest()
    return documents.FileFacts(uri, location, link, digest, size)


def _store(
    session: Session,
    collection_id: int,
    source_id: int,
    known: documents.KnownFile | None,
    facts: documents.FileFacts,
    new: _New | None,
) -> Sequence[str]:
    """Store what :meth:`Ingestor._new` gave; the counts of a report that the document adds to."""
    if new is None:
        assert known is not None
        documents.adopt(session, known.document_id, source_id=source_id, link=facts.link)
        return ["unchanged"] if known.link == facts.link else ["unchanged", "relinked"]
    documents.save_document(
        session,
        collection_id=collection_id,
        source_id=source_id,
        facts=facts,
        parsed=new.parsed,
        passages=new.passages,
        text_version=TEXT_VERSION,
    )
    return ["added" if known is None or known.state == "failed" else "changed"]
