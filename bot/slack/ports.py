"""What the Slack app needs from the rest of the bot, and nothing more.

The app is built on these protocols, so that it can be read and tested without the parts behind
them: :class:`bot.answering.Answerer`, :class:`bot.knowledge.KnowledgeBase` and
:class:`bot.settings.Settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """A place in a document that a reader can be sent to."""

    @property
    def title(self) -> str: ...
    @property
    def section(self) -> str | None: ...
    @property
    def page(self) -> int | None: ...
    @property
    def url(self) -> str | None: ...


class AnswerSpan(Place, Protocol):
    """An answer: ``text`` within ``sentence``, and where both stand in the document.

    ``start``, ``end`` and ``sentence_start`` are character offsets into the document's text.
    """

    @property
    def text(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def sentence(self) -> str: ...
    @property
    def sentence_start(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Reply(Protocol):
    """What came of a question; ``question_id`` is its row in the log, for feedback.

    ``answers`` are best first; ``closest`` is where the nearest passages stand when there are none.
    """

    @property
    def answered(self) -> bool: ...
    @property
    def answers(self) -> Sequence[AnswerSpan]: ...
    @property
    def closest(self) -> Sequence[Place]: ...
    @property
    def question_id(self) -> int | None: ...


class Answerer(Protocol):
    """Answers a question from the documents.

    ``until`` is the ``time.monotonic()`` after which nobody waits for the answer any more.
    """

    def ask(
        self,
        question: str,
        *,
        via: str,
        user: str | None = None,
        channel: str | None = None,
        thread_ts: str | None = None,
        until: float | None = None,
    ) -> Reply: ...


class Failure(Protocol):
    """A document that could not be taken in, and why."""

    @property
    def uri(self) -> str: ...
    @property
    def message(self) -> str: ...


class IngestReport(Protocol):
    """What became of the documents of one run."""

    @property
    def added(self) -> int: ...
    @property
    def changed(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def removed(self) -> int: ...
    @property
    def failed(self) -> Sequence[Failure]: ...


class RunCounts(Protocol):
    """What became of the documents of one run that could be read."""

    @property
    def added(self) -> int: ...
    @property
    def changed(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def removed(self) -> int: ...


class RunSummary(Protocol):
    """The last run over the sources.

    ``state`` is ``running``, ``done``, ``failed`` or ``cut off``. ``failed`` counts what could not
    be read; ``failures`` are the first of those. ``error`` says why the run failed as a whole or
    was cut off.
    """

    @property
    def trigger(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def counts(self) -> RunCounts: ...
    @property
    def failed(self) -> int: ...
    @property
    def failures(self) -> Sequence[Failure]: ...
    @property
    def error(self) -> str | None: ...


class Status(Protocol):
    """How much is known."""

    @property
    def documents(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def passages(self) -> int: ...
    @property
    def questions(self) -> int: ...
    @property
    def last_run(self) -> RunSummary | None: ...


class KnowledgeBase(Protocol):
    """The documents, as an admin works with them."""

    def add_upload(self, content: Path, *, name: str, link: str | None) -> IngestReport: ...

    def reindex(self, *, trigger: str) -> IngestReport: ...

    def status(self) -> Status: ...


class SlackSettings(Protocol):
    """The settings that the app reads."""

    @property
    def slack_bot_token(self) -> str | None: ...
    @property
    def slack_app_token(self) -> str | None: ...
    @property
    def slack_signing_secret(self) -> str | None: ...
    @property
    def slack_api_url(self) -> str: ...
    @property
    def admins(self) -> frozenset[str]: ...
    @property
    def reindex_cron(self) -> str | None: ...
    @property
    def http_host(self) -> str: ...
    @property
    def http_port(self) -> int: ...
