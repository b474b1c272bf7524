"""The documents, as an admin works with them: add, upload, reindex, remove, status.

Every pass over files is noted as a run with its counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.errors import StoppedError
from bot.lease import LEASE, held
from retriever.ingest import Ingestor
from retriever.parsing import TEXT_VERSION
from retriever.removal import Removed
from retriever.reports import IngestReport, Progress, Step, no_progress
from retriever.store import documents, runs
from retriever.store.database import Database
from retriever.store.figures import figures


@dataclass(frozen=True, slots=True)
class Status:
    """How much is known; see :class:`retriever.store.figures.Figures`."""

    documents: int
    failed: int
    outdated: int
    passages: int
    collections: int
    questions: int
    last_run: runs.Run | None


class KnowledgeBase:
    """Works on the documents and notes the runs."""

    def __init__(self, database: Database, ingestor: Ingestor) -> None:
        self._database = database
        self._ingestor = ingestor
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let runs over files end at their next step, by :class:`~bot.errors.StoppedError`."""
        self._stopping.set()

    def add(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        base_url: str | None = None,
        progress: Progress = no_progress,
    ) -> IngestReport:
        """Add files and folders; see :meth:`retriever.ingest.Ingestor.add`."""
        return self._noted(
            "add",
            lambda: self._ingestor.add(
                paths,
                collection=collection,
                base_url=base_url,
                progress=self._stoppable(progress),
            ),
        )

    def add_upload(self, content: Path, *, name: str, link: str | None) -> IngestReport:
        """Keep and add a file; see :meth:`retriever.ingest.Ingestor.add_upload`."""
        return self._noted(
            "upload", lambda: self._ingestor.add_upload(content, name=name, link=link)
        )

    def reindex(
        self,
        *,
        trigger: str,
        claimed: runs.ClaimedRun | None = None,
        progress: Progress = no_progress,
    ) -> IngestReport:
        """Look at every source again.

        Args:
            trigger: who asked: ``cli``, ``slack``, ``schedule``.
            claimed: the scheduled run that this is; it is noted there, and handed back when it is
                stopped.
        """
        return self._noted(
            trigger, lambda: self._ingestor.reindex(progress=self._stoppable(progress)), claimed
        )

    def remove(self, names: Sequence[str]) -> list[Removed]:
        """Forget documents and added paths; see :meth:`retriever.ingest.Ingestor.remove`."""
        return self._ingestor.remove(names)

    def remove_collection(self, name: str) -> int:
        """Forget a collection; see :meth:`retriever.ingest.Ingestor.remove_collection`."""
        return self._ingestor.remove_collection(name)

    def texts(self) -> Iterator[str]:
        """The text of every document, for training on them."""
        with self._database.read() as session:
            yield from documents.texts(session)

    def status(self) -> Status:
        """How much there is, and the last look at the sources."""
        with self._database.read() as session:
            found = figures(session, text_version=TEXT_VERSION)
            return Status(
                documents=found.documents,
                failed=found.failed,
                outdated=found.outdated,
                passages=found.passages,
                collections=found.collections,
                questions=found.questions,
                last_run=runs.last_look(session, now=datetime.now(UTC)),
            )

    def _stoppable(self, progress: Progress) -> Progress:
        def step(now: Step) -> None:
            if self._stopping.is_set():
                raise StoppedError
            progress(now)

        return step

    def _noted(
        self,
        trigger: str,
        work: Callable[[], IngestReport],
        claimed: runs.ClaimedRun | None = None,
    ) -> IngestReport:
        if claimed is not None:
            run_id, fence = claimed.run_id, claimed.fence
            lease: AbstractContextManager[None] = nullcontext()  # whoever claimed it holds it
        else:
            with self._database.write() as session:
                run_id = runs.start_run(
                    session, trigger=trigger, now=datetime.now(UTC), lease=LEASE
                )
            fence = 0
            lease = held(
                self._database, run_id, fence, lease=LEASE, clock=lambda: datetime.now(UTC)
            )
        try:
            with lease:
                report = work()
        except BaseException as error:
            message = str(error) or type(error).__name__
            now = datetime.now(UTC)
            with self._database.write() as session:
                if claimed is not None and isinstance(error, StoppedError):
                    runs.hand_back(session, run_id, fence, now=now)
                else:
                    runs.finish_run(session, run_id, now=now, error=message, fence=fence)
            raise
        with self._database.write() as session:
            runs.finish_run(
                session,
                run_id,
                now=datetime.now(UTC),
                counts=runs.RunCounts(
                    report.added, report.changed, report.unchanged, report.removed
                ),
                failures=report.failed,
                fence=fence,
            )
        return report
