"""Taking documents in, and keeping them as their sources are.

Each file goes in by a transaction of its own: one that cannot be read is reported and keeps the
rest from nothing, and a run that is cut off has lost nothing of what went before. The hash of a
file's bytes decides whether it has changed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from retriever.errors import IngestError, ParseError
from retriever.indexing import IndexKeeper
from retriever.parsing import SUFFIXES, parse
from retriever.passages import PassageOptions, split_passages
from retriever.records import Failure, ParsedDocument, PassageSpan
from retriever.sources import SourceFile, list_files
from retriever.store import documents
from retriever.store.database import Database


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did, in documents; ``skipped`` are files of kinds that are not read,
    and links to folders.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
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
            removed=self.counts["removed"],
            failed=tuple(self.failed),
            skipped=self.counts["skipped"],
        )


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

        Raises:
            IngestError: a path does not exist, or the base URL is none; nothing was added.
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        for path in paths:
            shown = _as_utf8(str(path))
            try:
                exists = path.exists()
            except OSError as error:
                reason = error.strerror or error
                raise IngestError(f"{shown}: {reason}; nothing was added") from error
            if not exists:
                raise IngestError(f"{shown} does not exist; nothing was added")
            if str(path.resolve()) != _as_utf8(str(path.resolve())):
                raise IngestError(f"{shown}: its name is not UTF-8; rename it, nothing was added")
        _check_base_url(base_url)
        _check_collection(collection)
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
                for path in paths
            ]
        return self._refresh(sources, progress)

    def reindex(self, *, progress: Progress = no_progress) -> IngestReport:
        """Look at every source again: add what is new, forget what is gone.

        Raises:
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        with self._database.read() as session:
            sources = documents.sources(session)
        return self._refresh(sources, progress)

    def add_upload(
        self, content: Path, *, name: str, link: str | None, collection: str = "default"
    ) -> IngestReport:
        """Add a file that was handed over, under ``name``; the one of that name is replaced.

        The file is kept in the uploads folder. If it cannot be read, nothing is kept of it and
        the one that it was to replace stays.

        Raises:
            IngestError: the name is no plain file name.
            StoreError, SearchIndexError: the database or index cannot be written.
        """
        if not name or name in {".", ".."} or Path(name).name != name or "\x00" in name:
            raise IngestError(f'"{name}" is not a plain file name; rename the file')
        _check_collection(collection)
        tally = _Tally()
        try:
            parsed, passages = self._parse(content)
        except ParseError as error:
            tally.failed.append(Failure(name, str(error)))
            return tally.report()
        folder = self._uploads / collection
        target = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            incoming = folder / f".{name}.part"
            shutil.copyfile(content, incoming)
            incoming.replace(target)
        except OSError as error:
            raise IngestError(
                f"{name} cannot be kept in {folder}: {error.strerror or error}"
            ) from error
        raw = target.read_bytes()
        facts = documents.FileFacts(
            uri=name,
            location=str(target.resolve()),
            link=link,
            content_sha256=hashlib.sha256(raw).hexdigest(),
            size=len(raw),
        )
        with self._database.write() as session:
            collection_id = documents.ensure_collection(session, collection)
            source = documents.ensure_source(
                session,
                collection_id=collection_id,
                kind="upload",
                location=facts.location,
                label=name,
                base_url=link,
            )
            known = documents.known_file(session, collection_id, facts.location)
            if (
                known is not None
                and known.state == "ready"
                and known.content_sha256 == facts.content_sha256
            ):
                documents.adopt(session, known.document_id, source_id=source.id, link=link)
                tally.counts["unchanged"] += 1
            else:
                documents.save_document(
                    session,
                    collection_id=collection_id,
                    source_id=source.id,
                    facts=facts,
                    parsed=parsed,
                    passages=passages,
                )
                tally.counts["added" if known is None else "changed"] += 1
        self._keeper.rebuild()
        return tally.report()

    def remove(self, name: str) -> documents.DocumentSummary:
        """Forget one document; an uploaded file is deleted with it.

        The file of a source comes back with the next reindex unless the file is gone too; where
        the source is that file alone, the source is forgotten.

        Raises:
            IngestError: no document, or several, of that name.
        """
        with self._database.write() as session:
            summary = documents.find_document(session, name)
            location = documents.location_of(session, summary.id)
            for source in documents.sources(session):
                if source.location == location:
                    documents.remove_source(session, source.id)
                    if source.kind == "upload":
                        Path(location).unlink(missing_ok=True)
            documents.remove_documents(session, [summary.id])
        self._keeper.rebuild()
        return summary

    def remove_collection(self, name: str) -> int:
        """Forget a collection with its sources and documents; how many documents it had.

        Raises:
            IngestError: there is no collection of that name.
        """
        with self._database.write() as session:
            (number,) = documents.collection_ids(session, [name])
            for source in documents.sources(session):
                if source.collection_id == number:
                    documents.remove_source(session, source.id)
                    if source.kind == "upload":
                        Path(source.location).unlink(missing_ok=True)
            ids = [summary.id for summary in documents.list_documents(session, name)]
            count = documents.remove_documents(session, ids)
        self._keeper.rebuild()
        return count

    def _refresh(
        self, sources: Sequence[documents.SourceRecord], progress: Progress
    ) -> IngestReport:
        tally = _Tally()
        work: list[tuple[documents.SourceRecord, SourceFile]] = []
        for source in sources:
            # Known before listed: a file that appears in between is not taken for a deleted one.
            with self._database.read() as session:
                known = documents.known_files(session, source.id)
            listing = list_files(
                Path(source.location),
                label=source.label,
                base_url=source.base_url if source.kind == "path" else None,
                suffixes=SUFFIXES.keys(),
                known=known.keys(),
            )
            tally.counts["skipped"] += listing.skipped
            tally.failed.extend(
                Failure(_as_utf8(uri), _as_utf8(message)) for uri, message in listing.problems
            )
            work.extend((source, file) for file in listing.files)
            if listing.complete:
                listed = {str(file.path) for file in listing.files}
                gone = [k.document_id for location, k in known.items() if location not in listed]
                if gone:
                    with self._database.write() as session:
                        tally.counts["removed"] += documents.remove_documents(session, gone)
        for done, (source, file) in enumerate(work):
            progress(Step("documents", done, len(work), file.uri))
            self._take(source, file, tally)
        progress(Step("documents", len(work), len(work), ""))
        self._keeper.rebuild(lambda done, total: progress(Step("index", done, total, "")))
        return tally.report()

    def _take(self, source: documents.SourceRecord, file: SourceFile, tally: _Tally) -> None:
        location = str(file.path)
        if location != _as_utf8(location):
            uri = _as_utf8(file.uri)
            tally.failed.append(Failure(uri, f"{uri}: its name is not UTF-8; rename it"))
            return
        link = source.base_url if source.kind == "upload" else file.link
        with self._database.read() as session:
            known = documents.known_file(session, source.collection_id, location)
        try:
            raw = file.path.read_bytes()
        except OSError as error:
            message = f"{file.uri} cannot be read: {error.strerror or error}"
            tally.failed.append(Failure(file.uri, message))
            return
        facts = documents.FileFacts(
            uri=known.uri if known is not None else file.uri,
            location=location,
            link=link,
            content_sha256=hashlib.sha256(raw).hexdigest(),
            size=len(raw),
        )
        same = known is not None and known.content_sha256 == facts.content_sha256
        if known is not None and known.state == "ready" and same:
            with self._database.write() as session:
                documents.adopt(session, known.document_id, source_id=source.id, link=link)
            tally.counts["unchanged"] += 1
            return
        try:
            parsed, passages = self._parse(file.path)
        except ParseError as error:
            tally.failed.append(Failure(file.uri, str(error)))
            with self._database.write() as session:
                documents.save_failure(
                    session,
                    collection_id=source.collection_id,
                    source_id=source.id,
                    facts=facts,
                    title=file.path.stem,
                    media_type=SUFFIXES.get(file.path.suffix.lower(), "application/octet-stream"),
                    message=str(error),
                )
            return
        with self._database.write() as session:
            documents.save_document(
                session,
                collection_id=source.collection_id,
                source_id=source.id,
                facts=facts,
                parsed=parsed,
                passages=passages,
            )
        is_new = known is None or known.state == "failed"
        tally.counts["added" if is_new else "changed"] += 1

    def _parse(self, path: Path) -> tuple[ParsedDocument, list[PassageSpan]]:
        parsed = parse(path)
        passages = split_passages(parsed, self._passage_options)
        if not passages:
            raise ParseError(f"{path.name} holds no text; nothing of it can be searched")
        return parsed, passages


def _as_utf8(name: str) -> str:
    """A name with the bytes that are not UTF-8 spelt out: the database could not hold them."""
    return name.encode(errors="backslashreplace").decode()


def _check_base_url(base_url: str | None) -> None:
    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise IngestError(
            f'"{base_url}" is not a web address; give one like https://handbook.example.com/'
        )


def _check_collection(name: str) -> None:
    if not name.strip() or len(name) > 100 or name != name.strip():
        raise IngestError(f'"{name}" cannot name a collection; use 1 to 100 characters')
