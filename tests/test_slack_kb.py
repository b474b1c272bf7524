"""Looking after the documents from within Slack, with the real knowledge base."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.knowledge import Status
from bot.slack import kb
from bot.slack.app import SlackDependencies
from bot.slack.errors import RATE_LIMITED
from bot.slack.kb import FILES_BLOCK, HELP, UploadResult, render_report, render_status
from bot.slack.work import WorkQueue
from retriever.parsing import SUFFIXES
from retriever.records import Failure
from retriever.reports import IngestReport
from retriever.store.models import Document
from retriever.store.runs import Run, RunCounts, start_run
from tests.slack_parts import Bot, knowledge_in, running_bot
from tests.slack_server import SlackServer, User, message_errors, plain_text
from tests.store_rows import NOW

LEAVE = b"# Leave\n\nEverybody gets 25 days of leave a year.\n"


@contextmanager
def running_kb(
    slack: SlackServer, folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Bot]:
    with running_bot(slack, folder, variables=variables) as bot:
        yield bot


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    with SlackServer() as slack, running_kb(slack, tmp_path) as started:
        yield started


def direct_messages(bot: Bot, user: User) -> list[str]:
    """What the bot wrote to the user directly."""
    messages = bot.slack.messages(bot.slack.dm(user))
    return [message.plain for message in messages if message.user == bot.slack.bot.id]


def titles(bot: Bot) -> dict[str, str]:
    with bot.database.read() as session:
        return {row.uri: row.title for row in session.scalars(select(Document))}


def test_an_admin_uploads_files(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    command = bot.slack.slash_command(ada, "/kb", "upload")
    assert command.delivery.acknowledged
    [view] = bot.slack.wait_for(lambda: bot.slack.views)
    files = [
        bot.slack.upload(ada, "leave.md", LEAVE, "text/markdown"),
        bot.slack.upload(ada, "opening hours.txt", b"We open at nine.\n"),
        bot.slack.upload(ada, "broken.pdf", b"not a PDF", "application/pdf"),
    ]
    assert bot.slack.submit_view(view, {FILES_BLOCK: files}).delivery.acknowledged
    [answer] = bot.slack.wait_for(lambda: direct_messages(bot, ada))
    assert answer.split("\n")[0] == "Added: leave.md, opening hours.txt"
    assert "*Not taken in: 1*" in answer
    assert "• *broken.pdf*" in answer
    assert titles(bot) == {"leave.md": "Leave", "opening hours.txt": "opening hours"}
    with bot.database.read() as session:
        links = set(session.scalars(select(Document.link)))
    assert all(link and link.startswith("https://workspace.slack.com/files/") for link in links)


def test_the_modal_takes_the_kinds_that_are_read(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    bot.slack.slash_command(ada, "/kb", "upload")
    [view] = bot.slack.wait_for(lambda: bot.slack.views)
    [element] = [block["element"] for block in view.body["blocks"] if block["type"] == "input"]
    assert {f".{kind}" for kind in element["filetypes"]} == set(SUFFIXES)
    photo = bot.slack.upload(ada, "photo.png", b"x", "image/png")
    with pytest.raises(ValueError, match=r"photo\.png"):
        bot.slack.submit_view(view, {FILES_BLOCK: [photo]})


def test_a_file_sent_by_an_admin_is_added_and_then_replaced(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    for content, outcome in (
        (LEAVE, "Added: leave.md"),
        (LEAVE, "Already known, unchanged: leave.md"),
        (LEAVE.replace(b"25", b"30"), "Changed: leave.md"),
    ):
        sent = bot.slack.share_file(ada, place, "leave.md", content, "text/markdown")
        [answer] = bot.slack.wait_for(lambda ts=sent.ts: bot.slack.thread(place, ts)[1:])  # type: ignore[misc]
        assert answer.plain == outcome
    with bot.database.read() as session:
        [text] = session.scalars(select(Document.text))
    assert "30 days" in text


def test_a_question_beside_a_file_is_answered_after_it(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    question = "Does this change how long parental leave is?"
    sent = bot.slack.share_file(ada, place, "leave.md", LEAVE, "text/markdown", text=question)
    added, answer = bot.slack.wait_for(
        lambda: bot.slack.thread(place, sent.ts)[2:] and bot.slack.thread(place, sent.ts)[1:]
    )
    assert added.plain == "Added: leave.md"
    assert "*sixteen weeks*" in answer.plain
    assert [asked.question for asked in bot.answerer.asked] == [question]


def test_a_report_on_files_that_slack_does_not_take_is_told_before_the_answer(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    attempts = 1 + 3  # as retry_handlers() has it
    bot.slack.rate_limit("chat.postMessage", times=attempts, retry_after=0)
    question = "How long is parental leave?"
    sent = bot.slack.share_file(ada, place, "leave.md", LEAVE, "text/markdown", text=question)
    told, answer = bot.slack.wait_for(
        lambda: bot.slack.thread(place, sent.ts)[2:] and bot.slack.thread(place, sent.ts)[1:],
        timeout=60,
    )
    assert told.plain == RATE_LIMITED
    assert "*sixteen weeks*" in answer.plain
    shown = ("chat.postMessage", "assistant.threads.setStatus")
    calls = [call.method for call in bot.slack.calls if call.method in shown]
    # The status says that the question was taken on.
    assert calls[: attempts + 2] == ["chat.postMessage"] * (attempts + 1) + [shown[1]]
    assert titles(bot) == {"leave.md": "Leave"}


@pytest.mark.parametrize("text", ["", "please add this", "Hi! Can you take this in, please?"])
def test_a_file_given_with_a_mention_by_an_admin_is_added(bot: Bot, text: str) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    general = bot.slack.add_channel("general", ada)
    sent = bot.slack.share_file(
        ada, general, "leave.md", LEAVE, "text/markdown", text=f"<@{bot.slack.bot.id}> {text}"
    )
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert answer.plain == "Added: leave.md"
    # Had the text been asked as well, its answer would stand before this one's.
    other = bot.slack.mention(ada, general, "How long is parental leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, other.ts)[1:])
    assert len(bot.slack.thread(general, sent.ts)) == 2
    assert [asked.question for asked in bot.answerer.asked] == ["How long is parental leave?"]
    assert titles(bot) == {"leave.md": "Leave"}


def test_a_question_beside_the_file_of_a_mention_is_answered_after_it(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    general = bot.slack.add_channel("general", ada)
    text = f"<@{bot.slack.bot.id}> the new rules. How long is parental leave now?"
    sent = bot.slack.share_file(ada, general, "leave.md", LEAVE, "text/markdown", text=text)
    added, answer = bot.slack.wait_for(
        lambda: bot.slack.thread(general, sent.ts)[2:] and bot.slack.thread(general, sent.ts)[1:]
    )
    assert added.plain == "Added: leave.md"
    assert "*sixteen weeks*" in answer.plain
    [asked] = bot.answerer.asked
    assert (asked.via, asked.user, asked.thread_ts) == ("mention", ada.id, sent.ts)


def test_a_file_given_with_a_mention_by_somebody_else_is_refused(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    text = f"<@{bot.slack.bot.id}> how long is parental leave?"
    sent = bot.slack.share_file(mira, general, "leave.md", LEAVE, text=text)
    refusal, answer = bot.slack.wait_for(
        lambda: bot.slack.thread(general, sent.ts)[2:] and bot.slack.thread(general, sent.ts)[1:]
    )
    assert refusal.plain.startswith("Only admins")
    assert "*sixteen weeks*" in answer.plain
    assert titles(bot) == {}


def test_a_file_in_a_channel_without_a_mention_is_left_alone(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    general = bot.slack.add_channel("general", ada)
    talk = bot.slack.share_file(ada, general, "leave.md", LEAVE, "text/markdown", text="the rules")
    asked = bot.slack.mention(ada, general, "How long is parental leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, asked.ts)[1:])
    assert len(bot.slack.thread(general, talk.ts)) == 1
    assert titles(bot) == {}


def test_a_question_beside_a_file_is_answered_where_the_file_cannot_be_taken(
    tmp_path: Path,
) -> None:
    chores = WorkQueue("chores", workers=1, limit=1)
    gate, begun = threading.Event(), threading.Event()

    def long_run() -> None:
        begun.set()
        assert gate.wait(30)

    question = "How long is parental leave?"
    with (
        SlackServer() as slack,
        running_bot(slack, tmp_path, change=lambda deps: replace(deps, chores=chores)) as bot,
    ):
        ada = slack.add_user("ada", admin=True)
        place = slack.dm(ada)
        for _ in range(2):
            assert chores.submit(long_run, on_error=lambda error: None)
            assert begun.wait(30)
        full = slack.share_file(ada, place, "leave.md", LEAVE, text=question)
        slack.wait_for(lambda: slack.thread(place, full.ts)[2:])
        slack.revoke("users:read")
        mira = slack.add_user("mira")
        unknown = slack.share_file(mira, slack.dm(mira), "leave.md", LEAVE, text=question)
        slack.wait_for(lambda: slack.thread(slack.dm(mira), unknown.ts)[2:])
        gate.set()
        told, answer = slack.thread(place, full.ts)[1:]
        assert told.plain == kb.BUSY
        assert "*sixteen weeks*" in answer.plain
        told, answer = slack.thread(slack.dm(mira), unknown.ts)[1:]
        assert "SPANBOT_ADMINS" in told.plain
        assert "*sixteen weeks*" in answer.plain
    assert [asked.question for asked in bot.answerer.asked] == [question, question]


def test_a_file_of_a_kind_that_is_not_read_is_refused_without_a_download(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    sent = bot.slack.share_file(ada, place, "photo.png", b"x", "image/png")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    assert "I do not read .png files; I read .docx, .htm" in answer.plain
    assert titles(bot) == {}


@pytest.mark.parametrize("text", ["upload", "status", "reindex"])
def test_others_are_refused_and_told_whom_to_ask(bot: Bot, text: str) -> None:
    mira = bot.slack.add_user("mira")
    bot.slack.slash_command(mira, "/kb", text)
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.plain.startswith("Only admins can change what I know. Please ask an admin")
    assert not answer.in_channel
    assert bot.slack.views == []


def test_a_file_from_somebody_else_is_refused(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    place = bot.slack.dm(mira)
    sent = bot.slack.share_file(mira, place, "leave.md", LEAVE)
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    assert answer.plain.startswith("Only admins")
    assert titles(bot) == {}
    assert bot.answerer.asked == []


def test_the_named_admins_are_the_only_ones(tmp_path: Path) -> None:
    with SlackServer() as slack:
        ada, mira = slack.add_user("ada", admin=True), slack.add_user("mira")
        with running_kb(slack, tmp_path, {"SPANBOT_ADMINS": mira.id}) as bot:
            slack.slash_command(ada, "/kb", "status")
            [refusal] = slack.wait_for(lambda: bot.slack.responses)
            assert f"Please ask @{mira.id}" in refusal.plain
            slack.slash_command(mira, "/kb", "status")
            slack.wait_for(lambda: len(slack.responses) == 2)
            assert "0 documents" in slack.responses[-1].plain
        assert slack.calls_of("users.info") == []


def test_a_window_that_comes_too_late_is_explained(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    bot.slack.rate_limit("users.info", times=1, retry_after=1)
    bot.slack.slash_command(ada, "/kb", "upload")
    bot.slack.expire_triggers()
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.plain.endswith("Try again.")


def test_admins_are_asked_for_once(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    for count in (1, 2):
        bot.slack.slash_command(ada, "/kb", "status")
        bot.slack.wait_for(lambda least=count: len(bot.slack.responses) >= least)  # type: ignore[misc]
    assert len(bot.slack.calls_of("users.info")) == 1


def test_without_users_read_the_way_out_is_named(bot: Bot) -> None:
    bot.slack.revoke("users:read")
    ada = bot.slack.add_user("ada", admin=True)
    command = bot.slack.slash_command(ada, "/kb", "status")
    assert command.delivery.acknowledged
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert "users:read" in answer.plain
    assert "SPANBOT_ADMINS" in answer.plain


def test_without_files_read_the_missing_scope_is_named(bot: Bot) -> None:
    bot.slack.revoke("files:read")
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    for name in ("leave.md", "leave.html"):
        sent = bot.slack.share_file(ada, place, name, LEAVE)
        [answer] = bot.slack.wait_for(lambda ts=sent.ts: bot.slack.thread(place, ts)[1:])  # type: ignore[misc]
        assert "the app lacks the scope files:read" in answer.plain
    bot.slack.slash_command(ada, "/kb", "upload")
    [response] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert "“files:read”" in response.plain
    assert titles(bot) == {}


def test_reindexing_reports_in_direct_messages(bot: Bot, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_bytes(LEAVE)
    knowledge_in(tmp_path, bot.database).add([folder])
    (folder / "sick.md").write_text("# Sick leave\n\nCall before nine.\n")
    (folder / "empty.md").write_text("")
    ada = bot.slack.add_user("ada", admin=True)
    bot.slack.slash_command(ada, "/kb", "reindex")
    [answer] = bot.slack.wait_for(lambda: direct_messages(bot, ada))
    assert "1 added, 0 changed, 1 unchanged, 0 removed, 1 failed." in answer
    assert "empty.md" in answer
    [response] = bot.slack.responses
    assert "write to you" in response.plain


def test_the_status_counts_and_dates(bot: Bot) -> None:
    ada = bot.slack.add_user("ada", admin=True)
    place = bot.slack.dm(ada)
    sent = bot.slack.share_file(ada, place, "leave.md", LEAVE)
    bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    bot.slack.slash_command(ada, "/kb", "status")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.error is None
    assert "1 document in 1 passage." in answer.plain
    assert "0 questions asked so far, those on the command line included." in answer.plain
    assert "I have not looked at any source yet." in answer.plain  # an upload is one document


@pytest.mark.parametrize("text", ["", "help", "HELP me"])
def test_help_is_for_everybody(bot: Bot, text: str) -> None:
    bot.slack.slash_command(bot.slack.add_user("mira"), "/kb", text)
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.plain == HELP


def test_an_unknown_word_is_answered_with_help(bot: Bot) -> None:
    bot.slack.slash_command(bot.slack.add_user("mira"), "/kb", "<!channel>")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.plain.startswith("I do not know “<!channel>”.")
    assert answer.plain.endswith(HELP)


def test_a_busy_knowledge_base_says_so_and_still_tells_its_status(tmp_path: Path) -> None:
    chores = WorkQueue("chores", workers=1, limit=1)
    gate, begun = threading.Event(), threading.Event()

    def long_run() -> None:
        begun.set()
        assert gate.wait(30)

    def busy(deps: SlackDependencies) -> SlackDependencies:
        return replace(deps, chores=chores)

    with SlackServer() as slack, running_bot(slack, tmp_path, change=busy) as bot:
        for _ in range(2):
            assert chores.submit(long_run, on_error=lambda error: None)
            assert begun.wait(30)
        ada = slack.add_user("ada", admin=True)
        slack.slash_command(ada, "/kb", "reindex")
        [answer] = slack.wait_for(lambda: slack.responses)
        assert answer.plain == kb.BUSY
        slack.slash_command(ada, "/kb", "status")
        slack.wait_for(lambda: slack.responses[1:])
        assert "0 documents in 0 passages." in slack.responses[1].plain
        gate.set()
    assert direct_messages(bot, ada) == []


def test_a_report_of_many_failures_stays_within_the_limits() -> None:
    failures = tuple(Failure(f"{n}-" + "x" * 400, "y" * 4000) for n in range(500))
    message = render_report(IngestReport(added=1, failed=failures))
    assert not message_errors(message.blocks)
    shown = plain_text(message.blocks)
    assert "*Not taken in: 500*" in shown
    assert "… and 480 more." in shown
    many = kb.render_upload(UploadResult(added=tuple("z" * 400 for _ in range(10)), failed=()))
    assert not message_errors(many.blocks)


def test_documents_that_could_not_be_read_are_among_those_counted() -> None:
    message = render_status(Status(2, 1, 0, 1, 1, 0, None))
    assert plain_text(message.blocks).startswith(
        "2 documents in 1 passage. 1 of them could not be read the last time; where I had read "
        "an earlier version, I go on with that."
    )


def a_look(*failures: Failure, failed: int | None = None, error: str | None = None) -> Run:
    return Run(
        run_id=1,
        trigger="schedule",
        schedule="reindex",
        slot=NOW,
        state="done" if error is None else "failed",
        started_at=NOW,
        finished_at=NOW,
        counts=RunCounts(1, 2, 3, 4) if error is None else RunCounts(),
        failed=len(failures) if failed is None else failed,
        failures=failures,
        error=error,
    )


def test_a_status_tells_what_the_last_look_did_and_could_not_read() -> None:
    look = a_look(Failure("handbook", "handbook <does not exist> & *more*"), failed=1)
    message = render_status(Status(2, 0, 0, 1, 1, 1, look))
    assert not message_errors(message.blocks)
    lines = plain_text(message.blocks).splitlines()
    assert lines[1].startswith("1 question asked so far")
    assert lines[2].endswith(", schedule: done.")
    assert lines[3:] == [
        "1 added, 2 changed, 3 unchanged, 4 removed, 1 failed.",
        "*Not taken in: 1*",
        "• *handbook* – handbook <does not exist> & *more*",
    ]
    # As a screen reader gets it, too.
    assert message.text.endswith("\nhandbook: handbook &lt;does not exist&gt; &amp; *more*")


def test_a_status_tells_why_the_last_look_failed() -> None:
    message = render_status(Status(2, 0, 0, 1, 1, 1, a_look(error="the <disk> is full " * 300)))
    assert not message_errors(message.blocks)
    shown = plain_text(message.blocks)
    assert ", schedule: failed." in shown
    assert "It failed: the <disk> is full" in shown
    assert " added, " not in shown  # which would be wrong: nothing is known of them
    assert "\nIt failed: the &lt;disk&gt; is full" in message.text


@pytest.mark.parametrize("trigger", ["slack", "schedule"])
def test_a_status_tells_that_the_last_look_was_cut_off_and_when_it_began(
    bot: Bot, trigger: str
) -> None:
    with bot.database.write() as session:
        start_run(session, trigger=trigger, now=NOW, lease=timedelta(minutes=5))
    bot.slack.slash_command(bot.slack.add_user("ada", admin=True), "/kb", "status")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    date = f"<!date^{int(NOW.timestamp())}^"
    assert f"Last look at the sources: begun {date}" in answer.text
    assert answer.plain.endswith(
        f", {trigger}: cut off.\nIt was cut off: its process ended before it was done; "
        "/kb reindex looks at every source again."
    )


def test_a_status_tells_when_a_look_that_goes_on_began(bot: Bot) -> None:
    with bot.database.write() as session:
        start_run(session, trigger="cli", now=NOW, lease=timedelta(days=100_000))
    bot.slack.slash_command(bot.slack.add_user("ada", admin=True), "/kb", "status")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert "Last look at the sources: begun <!date^" in answer.text
    assert answer.plain.endswith(", cli: running.")


def test_a_status_of_many_failures_stays_within_the_limits() -> None:
    failures = tuple(Failure(f"{n}-" + "x" * 400, "y" * 4000) for n in range(100))
    message = render_status(Status(2, 0, 0, 1, 1, 1, a_look(*failures, failed=1234)))
    assert not message_errors(message.blocks)
    shown = plain_text(message.blocks)
    assert "*Not taken in: 1,234*" in shown
    assert "… and 1,214 more." in shown


def test_a_status_before_the_first_run() -> None:
    message = render_status(Status(0, 0, 0, 0, 0, 0, None))
    assert "I have not looked at any source yet." in plain_text(message.blocks)
    assert not message_errors(message.blocks)
