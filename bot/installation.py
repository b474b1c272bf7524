"""Putting the parts of an installation together, from its settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from bot.answering import Answerer, AnswerOptions
from bot.calibration import calibration_of, misfit
from bot.errors import ConfigurationError
from bot.knowledge import KnowledgeBase
from bot.models import models_of, ranker_of, reader_of
from bot.settings import Settings
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
        self.knowledge = KnowledgeBase(self.database, self.ingestor)

    @cached_property
    def answerer(self) -> Answerer:
        """Answers questions as the settings say.

        Raises:
            ConfigurationError: see :func:`bot.calibration.calibration_of`.
        """
        return self.answerer_with(AnswerOptions(precision=self.settings.precision))

    def answerer_with(self, options: AnswerOptions) -> Answerer:
        """An answerer of this installation's documents and reader, with other options.

        Raises:
            ConfigurationError: see :func:`bot.calibration.calibration_of`.
        """
        return Answerer(
            self.database,
            self.retriever,
            self.reader,
            options=options,
            calibration=calibration_of(self.settings),
        )

    def reader(self) -> Batcher:
        """The reader, loaded at the first call; threads that ask at once share it.

        A confidence that was fitted with other models is then logged.
        """
        with self._loading:
            if self._reader is None:
                from reader.batcher import Batcher

                self._reader = Batcher(reader_of(self.settings, notify=self._notify))
                models = models_of(self.settings, notify=self._notify)
                if wrong := misfit(calibration_of(self.settings), models):
                    _log.warning("%s", wrong)
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
