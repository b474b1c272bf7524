"""The knowledge base from within Slack: ``/kb`` and files given to the bot. For admins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.counts import count
from bot.slack.admins import Admins
from bot.slack.destination import Conversation, Destination, OnlyYou
from bot.slack.errors import destination_of, explain, reporter, reporting
from bot.slack.files import FileFetcher, describe_file
from bot.slack.message import (
    Block,
    Message,
    context,
    markup,
    plain,
    rich_list,
    rich_section,
    rich_text,
    section,
    words,
)
from bot.slack.ports import IngestReport, KnowledgeBase, RunCounts, Status
from bot.slack.text import escape, shorten
from bot.slack.work import WorkQueue

UPLOAD_VIEW = "kb_upload"
FILES_BLOCK = "kb_files"
FILES_ACTION = "files"
MAX_FILES = 10

HELP = (
    "/kb upload – add files to the documents that I answer from\n"
    "/kb status – what I know, and when I last looked at the sources\n"
    "/kb reindex – look at every source again now\n"
    "/kb help – this text\n"
    "You can also give me files in a direct message, or beside a mention of me in a channel. "
    "Only admins can do any of this."
)
REINDEXING = "I am looking at every source again and will write to you when it is done."
BUSY = "I'm still busy with earlier uploads. Please try again in a few minutes."

_UNREAD = "could not be read the last time; where I had read an earlier version, I go on with that."

_SHOWN_FAILURES = 20
_FAILURE_TEXT = 300
_RUN_ERROR = 600
_SUMMARY = 2500


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of uploaded files: their names by outcome, and what went wrong with which."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Tally:
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def result(self) -> UploadResult:
        return UploadResult(
            tuple(self.added), tuple(self.changed), tuple(self.unchanged), tuple(self.failed)
        )


class Uploads:
    """Takes files from Slack into the knowledge base."""

    def __init__(
        self,
        client: WebClient,
        knowledge: KnowledgeBase,
        fetcher: FileFetcher,
        suffixes: frozenset[str],
    ) -> None:
        self._client = client
        self._knowledge = knowledge
        self._fetcher = fetcher
        self._suffixes = suffixes

    @property
    def suffixes(self) -> list[str]:
        """Of the files that can be read, sorted, like ``.md``."""
        return sorted(self._suffixes)

    def add(self, payloads: Sequence[dict[str, Any]]) -> UploadResult:
        """Fetch and add each file; one that fails keeps the others from nothing."""
        tally = _Tally()
        for payload in payloads:
            name = str(payload.get("name") or payload.get("id") or "a file")
            try:
                self._add(payload, name, tally)
            except Exception as error:  # noqa: BLE001 - every file gets its own answer
                tally.failed.append((name, explain(error)))
        return tally.result()

    def _add(self, payload: dict[str, Any], name: str, tally: _Tally) -> None:
        file = describe_file(payload, self._client)
        if file.suffix not in self._suffixes:
            kind = f"{file.suffix} files" if file.suffix else "files without an ending"
            tally.failed.append(
                (file.name, f"I do not read {kind}; I read {', '.join(self.suffixes)}.")
            )
            return
        with tempfile.TemporaryDirectory(prefix="spanbot-") as folder:
            # By its own name: a text without headings gets its title from it.
            content = Path(folder) / file.name
            self._fetcher.fetch(file, content)
            report = self._knowledge.add_upload(content, name=file.name, link=file.link)
        if report.failed:
            tally.failed.extend((file.name, failure.message) for failure in report.failed)
        elif report.added:
            tally.added.append(file.name)
        elif report.changed:
            tally.changed.append(file.name)
        else:
            tally.unchanged.append(file.name)


class KnowledgeDesk:
    """Lets admins, and only them, see and change the knowledge base."""

    def __init__(
        self,
        client: WebClient,
        knowledge: KnowledgeBase,
        admins: Admins,
        uploads: Uploads,
        work: WorkQueue,
    ) -> None:
        self._client = client
        self._knowledge = knowledge
        self._admins = admins
        self._uploads = uploads
        self._work = work

    def on_command(self, command: dict[str, Any]) -> None:
        """``/kb upload | status | reindex | help``."""
        user = str(command["user_id"])
        direct = Conversation(self._client, user)
        reply = OnlyYou(str(command["response_url"]), fallback=direct)
        typed = str(command.get("text") or "").split()
        action = typed[0].lower() if typed else "help"
        if action == "help":
            reply.send(plain(HELP))
        elif action not in ("upload", "status", "reindex"):
            reply.send(plain(f"I do not know “{action}”.\n{HELP}"))
        elif not self._admins.is_admin(user):
            reply.send(self._refusal())
        elif action == "upload":
            self._client.views_open(
                trigger_id=str(command["trigger_id"]), view=upload_view(self._uploads.suffixes)
            )
        elif action == "status":
            # Not behind the chores: a look at the sources is when people ask for it.
            reply.send(render_status(self._knowledge.status()))
        else:
            self._reindex(reply, direct)

    def on_files_submitted(self, user: str, files: Sequence[dict[str, Any]]) -> None:
        """The upload modal was sent off; the result goes to the user's direct messages."""
        direct = Conversation(self._client, user)
        if not self._admins.is_admin(user):
            direct.send(self._refusal())
        else:
            self._upload(files, direct)

    def receive_files(
        self,
        event: dict[str, Any],
        user: str,
        destination: Destination,
        then: Callable[[], None],
    ) -> None:
        """A direct message or mention with files: an admin's are added.

        ``then`` is called after it was said what became of them, or why that cannot be said; not
        if the bot is stopped before.
        """
        begun = False
        with reporting(destination):
            if self._admins.is_admin(user):
                begun = self._upload(event["files"], destination, then)
            else:
                destination.send(self._refusal())
        if not begun:
            then()

    def _upload(
        self,
        files: Sequence[dict[str, Any]],
        destination: Destination,
        then: Callable[[], None] = lambda: None,
    ) -> bool:
        """Add the files, and ``then`` go on; False, and only that is said, if there is no room."""
        taken = list(files)[:MAX_FILES]

        def job() -> None:
            with reporting(destination):  # before what comes then, not after it
                result = self._uploads.add(taken)
                destination.send(render_upload(result, left_out=len(files) - len(taken)))
            then()

        if self._work.submit(job, on_error=reporter(destination)):
            return True
        destination.send(plain(BUSY))
        return False

    def _reindex(self, reply: Destination, direct: Destination) -> None:
        def job() -> None:
            direct.send(render_report(self._knowledge.reindex(trigger="slack")))

        # A long run outlives the response URL: the result goes to the direct messages.
        if self._work.submit(job, on_error=reporter(direct)):
            reply.send(plain(REINDEXING))
        else:
            reply.send(plain(BUSY))

    def _refusal(self) -> Message:
        text = f"Only admins can change what I know. Please ask {self._admins.describe()}."
        return Message(text, (markup(text),))


def upload_view(suffixes: Sequence[str]) -> dict[str, Any]:
    """The modal in which an admin picks files."""
    return {
        "type": "modal",
        "callback_id": UPLOAD_VIEW,
        "title": {"type": "plain_text", "text": "Add documents"},
        "submit": {"type": "plain_text", "text": "Add"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            {
                "type": "input",
                "block_id": FILES_BLOCK,
                "label": {"type": "plain_text", "text": f"Up to {MAX_FILES} files"},
                "element": {
                    "type": "file_input",
                    "action_id": FILES_ACTION,
                    "filetypes": [suffix.removeprefix(".") for suffix in suffixes],
                    "max_files": MAX_FILES,
                },
            },
            # Slack's limit for this element: docs.slack.dev, "File input element".
            context("Slack takes 10 MB a file here. Send me larger ones in a direct message."),
        ],
    }


def render_upload(result: UploadResult, *, left_out: int = 0) -> Message:
    """What became of the files that somebody uploaded."""
    lines = []
    for names, outcome in (
        (result.added, "Added"),
        (result.changed, "Changed"),
        (result.unchanged, "Already known, unchanged"),
    ):
        if names:
            lines.append(f"{outcome}: {', '.join(names)}")
    if left_out > 0:
        lines.append(f"Left out: {left_out}, because I take {MAX_FILES} files at a time.")
    return _outcome("\n".join(lines), result.failed)


def render_report(report: IngestReport) -> Message:
    """What a run over all sources did."""
    line = f"I looked at every source again: {_counted(report, len(report.failed))}"
    return _outcome(line, [(failure.uri, failure.message) for failure in report.failed])


def _counted(counts: RunCounts, failed: int) -> str:
    return (
        f"{counts.added:,} added, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{counts.removed:,} removed, {failed:,} failed."
    )


def render_status(status: Status) -> Message:
    """What is known, when the sources were last looked at, and what could not be read then."""
    lines = [
        f"{count(status.documents, 'document')} in {count(status.passages, 'passage')}."
        + (f" {status.failed:,} of them {_UNREAD}" if status.failed else ""),
        f"{count(status.questions, 'question')} asked so far, those on the command line included.",
    ]
    more: list[Block] = []
    said: list[str] = []
    run = status.last_run
    if run is None:
        lines.append("I have not looked at any source yet.")
    else:
        at = run.finished_at or run.started_at
        # Slack shows each reader the time in their own time zone.
        date = (
            f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"
        )
        begun = "" if run.finished_at else "begun "
        lines.append(
            f"Last look at the sources: {begun}{date}, {escape(run.trigger)}: {escape(run.state)}."
        )
        if run.state == "done":
            lines.append(_counted(run.counts, run.failed))
        if run.error is not None:
            why = shorten(run.error, _RUN_ERROR)
            cut_off = f"It was cut off: {why}; /kb reindex looks at every source again."
            said.append(f"It failed: {why}" if run.state == "failed" else cut_off)
            more.append(section(said[0]))
        if run.failures:
            failures = [(failure.uri, failure.message) for failure in run.failures]
            said += _in_words(failures)
            more.append(_failure_list(failures, run.failed))
    text = "\n".join(lines)
    whole = "\n".join([text, escape(shorten("\n".join(said), _SUMMARY))] if said else [text])
    return Message(whole, (markup(text), *more))


def _outcome(said: str, failed: Sequence[tuple[str, str]]) -> Message:
    """``said``, then the failures one by one."""
    blocks = [section(said)] if said else []
    if failed:
        blocks.append(_failure_list(failed, len(failed)))
    summary = [*([said] if said else []), *_in_words(failed)]
    return Message(
        escape(shorten("\n".join(summary) or "There was nothing to add.", _SUMMARY)), tuple(blocks)
    )


def _in_words(failed: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {message}" for name, message in failed[:_SHOWN_FAILURES]]


def _failure_list(failed: Sequence[tuple[str, str]], total: int) -> Block:
    """The first of ``failed``, which are the first of ``total``, by name with what was wrong."""
    shown = failed[:_SHOWN_FAILURES]
    parts = [
        rich_section(words(f"Not taken in: {total:,}", bold=True)),
        rich_list(
            [
                [
                    *words(shorten(name, _FAILURE_TEXT // 2) or "?", bold=True),
                    *words(f" – {shorten(message, _FAILURE_TEXT)}"),
                ]
                for name, message in shown
            ]
        ),
    ]
    if total > len(shown):
        parts.append(rich_section(words(f"… and {total - len(shown):,} more.")))
    return rich_text(*parts)


def register(app: App, desk: KnowledgeDesk) -> None:
    """Listen for ``/kb`` and its modal."""

    @app.command("/kb")
    def on_kb(ack: Ack, command: dict[str, Any], client: WebClient) -> None:
        ack()
        with reporting(destination_of(command, client)):
            desk.on_command(command)

    @app.view(UPLOAD_VIEW)
    def on_upload(ack: Ack, body: dict[str, Any], view: dict[str, Any], client: WebClient) -> None:
        ack()
        with reporting(destination_of(body, client)):
            picked = view["state"]["values"].get(FILES_BLOCK, {}).get(FILES_ACTION, {})
            desk.on_files_submitted(str(body["user"]["id"]), picked.get("files") or [])
