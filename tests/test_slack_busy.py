"""Many questions at once: from Slack through the real queue and the real batcher to a reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.answering import Answerer, AnswerOptions
from bot.slack.app import SlackDependencies
from bot.slack.work import WorkQueue
from reader.batcher import GPU_TOGETHER, Batcher
from reader.reader import Reader
from retriever.analysis import Analyzer
from retriever.indexing import IndexKeeper
from retriever.ingest import Ingestor
from retriever.search import Retriever
from tests.reader_models import Gate, tokenizer
from tests.slack_parts import knowledge_in, make_database, running, settings_for
from tests.slack_server import SlackServer, User

QUESTION = "How long is the code valid?"


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


@contextmanager
def real_bot(folder: Path, slack: SlackServer, gate: Gate) -> Iterator[SlackDependencies]:
    """All of a bot with one short document; its network waits at the gate."""
    database = make_database(folder)
    (folder / "code.md").write_text("# Code\n\nThe code is valid for 12 hours.\n")
    keeper = IndexKeeper(database, folder / "index", Analyzer())
    Ingestor(database, keeper, folder / "uploads").add([folder / "code.md"])
    with Batcher(Reader(tokenizer(), gate), together=GPU_TOGETHER) as batcher:
        yield SlackDependencies(
            settings=settings_for(slack),
            answerer=Answerer(
                database,
                Retriever(database, keeper),
                lambda: batcher,
                options=AnswerOptions(precision=0.0),
            ),
            knowledge=knowledge_in(folder, database),
            database=database,
        )
        gate.open.set()
    keeper.close()
    database.close()


def answers(slack: SlackServer, user: User) -> list[str]:
    messages = slack.messages(slack.dm(user))
    return [message.plain for message in messages if message.user == slack.bot.id]


def test_questions_asked_at_once_are_read_together(tmp_path: Path, gate: Gate) -> None:
    with SlackServer() as slack, real_bot(tmp_path, slack, gate) as deps, running(deps):
        slack.wait_connected()
        mira = slack.add_user("mira")
        slack.direct_message(mira, QUESTION)
        assert gate.entered.acquire(timeout=60)
        others = 2 * GPU_TOGETHER - 1
        for _ in range(others):
            slack.direct_message(mira, QUESTION)
        assert isinstance(deps.answerer, Answerer)
        batcher = deps.answerer._reader()
        assert isinstance(batcher, Batcher)
        slack.wait_for(lambda: len(batcher._queue) == others, timeout=60)
        gate.open.set()
        said = slack.wait_for(
            lambda: answers(slack, mira)[others:] and answers(slack, mira), timeout=60
        )
    assert len(said) == 1 + others
    assert all("valid for" in text for text in said)
    assert gate.sizes == [1, GPU_TOGETHER, GPU_TOGETHER - 1]


def test_the_patience_of_an_asker_begins_with_the_question(tmp_path: Path, gate: Gate) -> None:
    with SlackServer() as slack, real_bot(tmp_path, slack, gate) as deps:
        one_by_one = replace(
            deps, questions=WorkQueue("questions", workers=1, limit=5), patience=2.0
        )
        with running(one_by_one):
            slack.wait_connected()
            mira = slack.add_user("mira")
            slack.direct_message(mira, QUESTION)
            assert gate.entered.acquire(timeout=60)
            slack.direct_message(mira, QUESTION)
            told = slack.wait_for(
                lambda: answers(slack, mira)[1:] and answers(slack, mira), timeout=60
            )
            assert all("ask again later" in text for text in told)
            gate.open.set()
        assert len(answers(slack, mira)) == 2
