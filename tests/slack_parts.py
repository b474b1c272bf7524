"""The Slack app on a real database and the tests' Slack server; only the answers are scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bot.answering import AnswerSpan, Reply
from bot.knowledge import KnowledgeBase
from bot.settings import Settings, from_environment
from bot.slack.app import SlackDependencies
from bot.slack.serve import EVENTS_PATH, Connection, HttpConnection, serve
from retriever.analysis import Analyzer
from retriever.indexing import IndexKeeper
from retriever.ingest import Ingestor
from retriever.records import Hit
from retriever.store.database import Database
from retriever.store.log import QuestionRecord, log_question
from tests.slack_server import SlackServer

SENTENCE = "Everybody gets sixteen weeks of parental leave at full pay."


def answer_span(
    sentence: str = SENTENCE,
    text: str = "sixteen weeks",
    *,
    confidence: float = 0.9,
    title: str = "Parental leave",
    section: str | None = "How long",
    page: int | None = None,
    url: str | None = "https://docs.example.com/parental-leave#how-long",
    sentence_start: int = 120,
) -> AnswerSpan:
    """An answer whose span is the first ``text`` in ``sentence``."""
    start = sentence_start + sentence.index(text)
    return AnswerSpan(
        text=text,
        confidence=confidence,
        sentence=sentence,
        sentence_start=sentence_start,
        document="handbook/parental-leave.md",
        title=title,
        section=section,
        page=page,
        url=url,
        start=start,
        end=start + len(text),
        document_id=1,
        document_version=1,
    )


def hit(title: str, *, section: str | None = None, url: str | None = None) -> Hit:
    """A passage that came near."""
    return Hit(
        rank=1,
        score=2.0,
        bm25=2.0,
        passage_id=1,
        document_id=1,
        version=1,
        document="handbook/x.md",
        title=title,
        section=section,
        page=None,
        url=url,
        start=0,
        end=6,
        text="Secret",
    )


def reply(
    *answers: AnswerSpan, closest: tuple[Hit, ...] = (), question_id: int | None = None
) -> Reply:
    return Reply(
        question="?",
        answered=bool(answers),
        answers=answers,
        closest=closest,
        retrieve_ms=1.0,
        read_ms=2.0,
        total_ms=3.0,
        question_id=question_id,
    )


@dataclass(frozen=True)
class Asked:
    question: str
    via: str
    user: str | None
    channel: str | None
    thread_ts: str | None


@dataclass
class ScriptedAnswerer:
    """Gives ``says`` for every question, or raises it, and logs the question for feedback.

    While ``gate`` is closed it does not come back.
    """

    database: Database
    says: Reply | Exception = field(default_factory=lambda: reply(answer_span()))
    asked: list[Asked] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def ask(
        self,
        question: str,
        *,
        via: str,
        user: str | None = None,
        channel: str | None = None,
        thread_ts: str | None = None,
        until: float | None = None,
    ) -> Reply:
        self.asked.append(Asked(question, via, user, channel, thread_ts))
        assert self.gate.wait(timeout=30)
        if isinstance(self.says, Exception):
            raise self.says
        with self.database.write() as session:
            question_id = log_question(
                session,
                QuestionRecord(
                    asked_at=datetime.now(UTC),
                    text=question,
                    via=via,
                    reader="scripted",
                    answered=self.says.answered,
                    retrieve_ms=1.0,
                    read_ms=1.0,
                ),
            )
        return replace(self.says, question=question, question_id=question_id)


def knowledge_in(folder: Path, database: Database) -> KnowledgeBase:
    """The real knowledge base, ranking by BM25 alone."""
    keeper = IndexKeeper(database, folder / "index", Analyzer())
    return KnowledgeBase(database, Ingestor(database, keeper, folder / "uploads"))


def settings_for(
    slack: SlackServer, *, http: bool = False, variables: Mapping[str, str] | None = None
) -> Settings:
    """Settings for Socket Mode with the server, or for HTTP on a free port."""
    mode = (
        {"SLACK_SIGNING_SECRET": slack.signing_secret}
        if http
        else {"SLACK_APP_TOKEN": slack.app_token}
    )
    common = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_API_URL": slack.api_url}
    settings = from_environment({**common, **mode, **(variables or {})})
    return replace(settings, http_port=0)


@dataclass(frozen=True)
class Bot:
    """A running bot."""

    slack: SlackServer
    answerer: ScriptedAnswerer
    database: Database
    connection: Connection


def make_database(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'spanbot.db'}")
    database.upgrade()
    return database


@contextmanager
def running(deps: SlackDependencies) -> Iterator[Connection]:
    """Serve until the end of the ``with`` statement; errors of serving are raised there."""
    stop, ready = threading.Event(), threading.Event()
    connections: list[Connection] = []
    errors: list[BaseException] = []

    def on_ready(connection: Connection) -> None:
        connections.append(connection)
        ready.set()

    def run() -> None:
        try:
            serve(deps, stop, on_ready=on_ready)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="serve")
    thread.start()
    try:
        assert ready.wait(timeout=30)
        if errors:
            raise errors[0]
        yield connections[0]
    finally:
        stop.set()
        thread.join(timeout=60)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@contextmanager
def running_bot(
    slack: SlackServer,
    folder: Path,
    *,
    http: bool = True,
    change: Callable[[SlackDependencies], SlackDependencies] = lambda deps: deps,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Bot]:
    """A bot that serves over HTTP, or in Socket Mode; its database is in ``folder``."""
    database = make_database(folder)
    answerer = ScriptedAnswerer(database)
    deps = SlackDependencies(
        settings=settings_for(slack, http=http, variables=variables),
        answerer=answerer,
        knowledge=knowledge_in(folder, database),
        database=database,
    )
    try:
        with running(change(deps)) as connection:
            if isinstance(connection, HttpConnection):
                url = f"http://127.0.0.1:{connection.port}{EVENTS_PATH}"
                slack.http_endpoint = (url, slack.signing_secret)
            else:
                slack.wait_connected()
            yield Bot(slack, answerer, database, connection)
    finally:
        database.close()
