"""``spanbot serve`` and ``spanbot demo`` as they are run: processes of their own, told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from retriever.index.folder import IndexFolder
from retriever.store.database import Database
from retriever.store.models import IndexRun
from tests.command_line import spanbot
from tests.slack_server import SlackServer

ROOT = Path(__file__).parent.parent

#: Seconds until a wait is given up: a busy machine takes long to load what the program needs.
PATIENCE = 120.0

MISTYPED = "Warning: SPANBOT_PERCISION is no setting; did you mean SPANBOT_PRECISION?"
READY = "The bot is connected by Socket Mode"
OLD = "# Guest wifi\n\nThe code of the guest wifi is valid for twelve hours.\n"
NEW = OLD.replace("twelve hours", "three days")
QUESTION = "How long is the code of the guest wifi valid?"


@pytest.fixture
def notes(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A document that was added and has changed since."""
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    monkeypatch.setenv("SPANBOT_PRECISION", "0")  # whatever is found is an answer
    monkeypatch.setenv("SPANBOT_RETRIEVER", "rank_bm25")  # has no loops to compile first
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "wifi.md").write_text(OLD, encoding="utf-8")
    assert spanbot("add", folder).code == 0
    (folder / "wifi.md").write_text(NEW, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Program:
    """A running ``spanbot``, and what it has printed so far."""

    process: subprocess.Popen[str]
    out: list[str]

    def has_said(self, text: str) -> bool:
        """Whether a line begins so; fails once the program has ended without."""
        if any(line.startswith(text) for line in self.out):
            return True
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.out}"
        return False


@contextmanager
def program(slack: SlackServer, command: str, **variables: str) -> Iterator[Program]:
    """``spanbot COMMAND`` with the server's tokens, without a terminal; in the end it is killed."""
    tokens = {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli.main", command],
        cwd=ROOT,
        env={**os.environ, **tokens, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    reading = threading.Thread(target=lines.extend, args=[process.stdout])
    reading.start()
    try:
        yield Program(process, lines)
    finally:
        process.kill()
        process.wait()
        reading.join()
        process.stdout.close()


def answer_to_a_mention(slack: SlackServer) -> str:
    mira = slack.add_user("mira")
    sent = slack.mention(mira, slack.add_channel("general", mira), QUESTION)
    [answer] = slack.wait_for(lambda: slack.thread(sent.channel, sent.ts)[1:], timeout=PATIENCE)
    return answer.plain


def stop(running: Program) -> None:
    """What systemd and Docker do; the program ends in order."""
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0, running.out


def scheduled_runs(home: Path) -> list[tuple[str, int]]:
    """The states of the runs that the schedule began, with the documents that had changed."""
    database = Database(f"sqlite:///{home / 'spanbot.db'}")
    try:
        with database.read() as session:
            found = session.execute(
                select(IndexRun.state, IndexRun.changed).where(IndexRun.trigger == "schedule")
            )
            return [(state, changed) for state, changed in found]
    finally:
        database.close()


def test_serve_answers_and_reindexes_until_it_is_stopped(notes: Path, home: Path) -> None:
    with (
        SlackServer(ack_timeout=PATIENCE) as slack,
        # This year's only slot, which nobody has run yet: it is made up for at the start.
        program(slack, "serve", SPANBOT_REINDEX_CRON="0 0 1 1 *") as running,
    ):
        slack.wait_for(lambda: running.has_said(READY), timeout=PATIENCE)
        slack.wait_for(lambda: scheduled_runs(home) == [("done", 1)], timeout=PATIENCE)
        shown = answer_to_a_mention(slack)
        assert "valid for *three days*." in shown
        assert "Guest wifi" in shown
        stop(running)
    assert any("stopping: no more questions are taken" in line for line in running.out)


def test_a_reindexing_that_serve_has_begun_does_not_hold_up_its_end(
    notes: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):  # minutes of work for the ranker
        lines = (f"The kettle {number} of line {line} is rinsed. " * 12 for line in range(100))
        (notes / f"{number}.md").write_text("\n\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("SPANBOT_RETRIEVER", "bm25")
    monkeypatch.setenv("SPANBOT_RANKER", "auto")
    index = IndexFolder(home / "index")
    with (
        SlackServer(ack_timeout=PATIENCE) as slack,
        program(slack, "serve", SPANBOT_REINDEX_CRON="0 0 1 1 *") as running,
    ):
        slack.wait_for(lambda: running.has_said(READY), timeout=PATIENCE)
        slack.wait_for(lambda: len(index.open() or "") > 512, timeout=PATIENCE)
        stop(running)
    assert scheduled_runs(home) == [("running", 0)]  # handed back, for the next start
    assert any("the scheduled reindexing was stopped" in line for line in running.out)


def test_the_demo_goes_on_in_slack_where_there_are_tokens(notes: Path, home: Path) -> None:
    with (
        SlackServer(ack_timeout=PATIENCE) as slack,
        program(slack, "demo", SPANBOT_PERCISION="1") as running,
    ):
        slack.wait_for(lambda: running.has_said(READY), timeout=PATIENCE)
        assert "*twelve hours*" in answer_to_a_mention(slack)
        stop(running)
    assert running.out.count(f"{MISTYPED}\n") == 1  # though the home folder is opened twice
    running.out.remove(f"{MISTYPED}\n")
    assert running.out[0].startswith(str(home))  # "… holds documents already; no sample is added"
    assert scheduled_runs(home) == []


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_an_address_that_is_not_slacks_is_told_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/api/"
    settings = {
        "SLACK_API_URL": address,
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "bot.cli.main", command],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    told = f"Slack cannot be reached at {address} (<urlopen error [Errno 111] Connection refused>)"
    assert ended.returncode == 1
    assert f"{ended.stdout}{ended.stderr}".count("Connection refused") == 1
    assert told in (ended.stderr if command == "serve" else ended.stdout)


def test_what_slack_denies_a_running_bot_is_logged(notes: Path) -> None:
    with SlackServer(ack_timeout=PATIENCE) as slack, program(slack, "serve") as running:
        slack.wait_for(lambda: running.has_said(READY), timeout=PATIENCE)
        slack.close()
        slack.wait_for(
            lambda: any(" ERROR slack_sdk.web" in line for line in running.out), timeout=PATIENCE
        )
        stop(running)
