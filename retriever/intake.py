"""Taking one file in: whether it has changed, reading it, and storing it or what is wrong with it.

The hash of a file's bytes decides whether it has changed; what an earlier version of the program
read, which read files otherwise, is read again as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from retriever.errors import ParseError
from retriever.naming import as_utf8
from retriever.parsing import MAX_FILE_BYTES, SUFFIXES, TEXT_VERSION, parse
from retriever.passages import PassageOptions, split_passages
from retriever.records import Failure, ParsedDocument, PassageSpan
from retriever.reports import Tally
from retriever.sources import SourceFile
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.sources import SourceRecord, has_source


@dataclass(frozen=True, slots=True)
class New:
    """What is to be stored of a file."""

    parsed: ParsedDocument
    passages: list[PassageSpan]


class Intake:
    """Takes files in, each by a transaction of its own."""

    def __init__(self, database: Database, options: PassageOptions) -> None:
        self._database = database
        self._passage_options = options

    def take(
        self,
        source: SourceRecord,
        file: SourceFile,
        tally: Tally,
        *,
        take_over: bool,
    ) -> int:
        """Take in a file that a source lists, or note what is wrong with it.

        Args:
            take_over: it becomes that source's, whichever had it.

        Returns:
            How many passages were stored that no index has.
        """
        location = str(file.path)
        if location != as_utf8(location):
            uri = as_utf8(file.uri)
            tally.failed.append(Failure(uri, f"{uri}: its name is not UTF-8; rename it"))
            return 0
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
            facts = facts_of(file.path, uri=uri, location=location, link=link)
            new = self.new(file.path, known, facts)
        except OSError as error:
            message = f"{uri} cannot be read: {error.strerror or error}"
            self._note_failure(source.collection_id, owner, file, facts, message, tally)
            return 0
        except ParseError as error:
            self._note_failure(source.collection_id, owner, file, facts, str(error), tally)
            return 0
        if new is None and known is not None and known.is_as(owner, facts.link):
            tally.counts["unchanged"] += 1
            return 0
        with self._database.write() as session:
            if not has_source(session, owner):  # it was removed meanwhile
                return 0
            stored = store_new(session, source.collection_id, owner, known, facts, new)
        tally.counts.update(stored)
        return 0 if new is None or "unchanged" in stored else len(new.passages)

    def _note_failure(
        self,
        collection_id: int,
        source_id: int,
        file: SourceFile,
        facts: documents.FileFacts,
        message: str,
        tally: Tally,
    ) -> None:
        tally.failed.append(Failure(facts.uri, message))
        with self._database.write() as session:
            if has_source(session, source_id):
                documents.save_failure(
                    session,
                    collection_id=collection_id,
                    source_id=source_id,
                    facts=facts,
                    title=file.path.stem,
                    media_type=SUFFIXES.get(file.path.suffix.lower(), "application/octet-stream"),
                    message=message,
                )

    def new(
        self, path: Path, known: documents.KnownFile | None, facts: documents.FileFacts
    ) -> New | None:
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
        return New(parsed, passages)


def facts_of(path: Path, *, uri: str, location: str, link: str | None) -> documents.FileFacts:
    """What is to be known of a file. One that is too large to be read is not hashed either.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        too_large = size > MAX_FILE_BYTES
        digest = "" if too_large else hashlib.file_digest(file, "sha256").hexdigest()
    return documents.FileFacts(uri, location, link, digest, size)


def store_new(
    session: Session,
    collection_id: int,
    source_id: int,
    known: documents.KnownFile | None,
    facts: documents.FileFacts,
    new: New | None,
) -> Sequence[str]:
    """Store what :meth:`Intake.new` gave; the counts of a report that the document adds to."""
    if new is None:
        assert known is not None
        documents.adopt(session, known.document_id, source_id=source_id, link=facts.link)
        changed = False
    else:
        changed = documents.save_document(
            session,
            collection_id=collection_id,
            source_id=source_id,
            facts=facts,
            parsed=new.parsed,
            passages=new.passages,
            text_version=TEXT_VERSION,
        ).changed
    if not changed:  # another process may have stored it since it was looked up
        relinked = known is not None and known.link != facts.link
        return ["unchanged", "relinked"] if relinked else ["unchanged"]
    return ["added" if known is None or known.state == "failed" else "changed"]
