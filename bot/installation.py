"""Putting the parts of an installation together, from its settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from bot.answering import Answerer, AnswerOptions
from bot.errors import ConfigurationError
from bot.knowledge import KnowledgeBase
from bot.settings import Settings
from reader.errors import CheckpointError, DeviceError
from retriever.analysis import AnalysisOptions
from retriever.errors import StoreError
from retriever.indexing import IndexKeeper
from retriever.ingest import Ingestor
from retriever.search import Retriever
from retriever.store.database import Database
from retriever.synonyms import AnalyzerFile

if TYPE_CHECKING:
    from reader.batcher import Batcher
    from reader.ranker import Ranker
    from reader.reader import Reader


_log = logging.getLogger(__name__)


class Installation:
    """The database, index, reader and services that one home folder stands for.

    A database file that does not exist, or has no tables, is made; one of an older schema is left
    alone.

    Args:
        notify: gets what the user must know before a model is downloaded.

    Raises:
        ConfigurationError: the home folder cannot be made, or the database's URL is none.
        AnalysisError: the synonyms file is wrong; the message names the line.
        SchemaError: the database needs ``spanbot db upgrade``, or a newer program.
        StoreError: the database cannot be opened.
    """

    def __init__(self, settings: Settings, *, notify: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._notify = notify
        self._reader: Batcher | None = None
        self._ranker: Ranker | None = None
        self._loading = threading.Lock()
        make_home(settings)
        self.database = open_database(settings)
        if self.database.is_new():
            self.database.upgrade()
        self.database.check_schema()
        self.keeper = IndexKeeper(
            self.database,
            settings.index_folder,
            AnalyzerFile(settings.synonyms_file, AnalysisOptions(language=settings.language)),
            encoder=self.ranker if settings.ranker else None,
            backend=settings.retriever,
        )
        self.retriever = Retriever(self.database, self.keeper)
        self.ingestor = Ingestor(self.database, self.keeper, settings.uploads_folder)
        self.answerer = self.answerer_with(AnswerOptions(precision=settings.precision))
        self.knowledge = KnowledgeBase(self.database, self.ingestor)

    def answerer_with(self, options: AnswerOptions) -> Answerer:
        """An answerer of this installation's documents and reader, with other options."""
        return Answerer(self.database, self.retriever, self.reader, options=options)

    def reader(self) -> Batcher:
        """The reader, loaded at the first call; threads that ask at once share it."""
        with self._loading:
            if self._reader is None:
                from reader.batcher import Batcher

                self._reader = Batcher(reader_of(self.settings, notify=self._notify))
            return self._reader

    def ranker(self) -> Ranker:
        """The encoder of questions and passages, loaded at the first call."""
        with self._loading:
            if self._ranker is None:
                self._ranker = ranker_of(self.settings, notify=self._notify)
            return self._ranker

    def close(self) -> None:
        with self._loading:
            if self._reader is not None:
                self._reader.close()
        self.keeper.close()
        self.database.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_database(settings: Settings) -> Database:
    """The database of the settings; nothing is made of it yet.

    Raises:
        ConfigurationError: its URL is none.
    """
    try:
        return Database(settings.database_url)
    except StoreError as error:
        raise ConfigurationError(f"SPANBOT_DATABASE_URL is wrong: {error}") from error


def reader_of(settings: Settings, *, notify: Callable[[str], None] | None = None) -> Reader:
    """Load the reader that the settings name.

    Args:
        notify: gets what the user must know before a model is downloaded.

    Raises:
        CheckpointError, DeviceError: see :func:`reader.reader.load_reader`; the message names the
            settings.
    """
    from reader.reader import load_reader

    device, precision = settings.device, settings.reader_precision
    try:
        with _naming_reader(settings):
            return load_reader(settings.reader, device=device, precision=precision, notify=notify)
    except DeviceError as error:
        raise DeviceError(
            f'SPANBOT_DEVICE is "{device}", SPANBOT_READER_PRECISION is "{precision}": {error}'
        ) from error


def ranker_of(settings: Settings, *, notify: Callable[[str], None] | None = None) -> Ranker:
    """Load the ranker: the reader where it ranks too and the settings let it, or the embedded one.

    Args:
        notify: as for :func:`reader_of`; to see whether a reader ranks, it must be there.

    Raises:
        CheckpointError, DeviceError: see :func:`reader.ranker.load_ranker`; the message names the
            setting.
    """
    from reader.checkpoint import EMBEDDED, ranks, resolve
    from reader.ranker import load_ranker

    try:
        if settings.reader_ranks:
            with _naming_reader(settings):
                folder = resolve(settings.reader or EMBEDDED, notify=notify or _log.warning)
                if ranks(folder):
                    return load_ranker(folder, device=settings.device)
        return load_ranker(device=settings.device)
    except DeviceError as error:
        raise DeviceError(f'SPANBOT_DEVICE is "{settings.device}": {error}') from error


@contextmanager
def _naming_reader(settings: Settings) -> Iterator[None]:
    """An error of the reader's checkpoint names the setting, where it was chosen by one."""
    try:
        yield
    except CheckpointError as error:
        if settings.reader is None:
            raise  # nobody chose what comes with the program
        raise CheckpointError(f'SPANBOT_READER is "{settings.reader}": {error}') from error


def make_home(settings: Settings) -> None:
    """Make the home folder; one that is there keeps its mode, of which ``spanbot doctor`` tells.

    Raises:
        ConfigurationError: it cannot be made or is no folder.
    """
    try:
        # Its database holds every document and question: for the bot's own user alone.
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the home folder {settings.home} cannot be made: {error.strerror or error}; set "
            "SPANBOT_HOME to a folder that can be written"
        ) from error
