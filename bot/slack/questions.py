"""Questions: mentions in channels, direct messages and ``/ask``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from bot.slack.destination import Conversation, Destination, OnlyYou, thread_of
from bot.slack.errors import destination_of, reporter, reporting
from bot.slack.message import plain
from bot.slack.ports import Answerer
from bot.slack.records import KEEP, Records
from bot.slack.remarks import wants_answer
from bot.slack.render import render_help, render_reply
from bot.slack.text import typed_text
from bot.slack.work import WorkQueue

logger = logging.getLogger(__name__)

BUSY = "I'm busy with other questions just now. Please ask me again in a minute."
USAGE = "Type your question after the command, like: /ask How long is parental leave?"
STATUS = "is looking through the documents…"

#: Seconds from a question's arrival until its asker has an answer, or is told that there is none.
PATIENCE_S = 60.0

# In a direct message a user's own words come without a subtype, or also sent to the channel.
_SPOKEN = (None, "thread_broadcast", "file_share")
_STATUS_TIMEOUT_S = 3
# A day less than claims are kept: an edit may be delivered late.
_EDITED_WITHIN_S = (KEEP - timedelta(days=1)).total_seconds()

# Gets a message with files, its author, where to reply, and what to do once they are dealt with.
FileReceiver = Callable[[dict[str, Any], str, Destination, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way to the answerer."""

    text: str
    via: str
    user: str
    channel: str | None
    thread_ts: str | None


class QuestionDesk:
    """Takes questions in, has them answered, and sends the answers where they were asked.

    Args:
        on_files: gets a message that carries files, its author, where to reply, and what to call
            once it has said what became of the files: a question beside them comes after them,
            for they may answer it.
        patience: seconds that a question may take, from its arrival on, waiting included.
    """

    def __init__(
        self,
        client: WebClient,
        answerer: Answerer,
        records: Records,
        work: WorkQueue,
        *,
        bot_user_id: str,
        bot_name: str,
        on_files: FileReceiver,
        patience: float = PATIENCE_S,
    ) -> None:
        self._client = client
        self._answerer = answerer
        self._records = records
        self._work = work
        self._bot_user_id = bot_user_id
        self._bot_name = bot_name
        self._on_files = on_files
        self._patience = patience
        # Best effort: no retries and little patience, the answer must not wait for it.
        self._status_client = WebClient(
            token=client.token,
            base_url=client.base_url,
            timeout=_STATUS_TIMEOUT_S,
            retry_handlers=[],
        )

    def on_mention(self, event: dict[str, Any], event_id: str | None) -> None:
        """A mention in a channel or a thread, also one that an edit added.

        Slack sends a mention again whenever its message is edited; the claim tells whether it was
        answered before.
        """
        if not _is_from_a_person(event, self._bot_user_id) or _was_edited_late(event):
            return
        if not self._claim(event, event_id):
            return
        self._take("mention", event)

    def on_message(self, event: dict[str, Any], event_id: str | None) -> None:
        """A message; of those in channels nothing is read, a mention arrives on its own."""
        if event.get("channel_type") != "im" or event.get("subtype") not in _SPOKEN:
            return
        if not _is_from_a_person(event, self._bot_user_id) or not self._claim(event, event_id):
            return
        self._take("dm", event)

    def on_command(self, command: dict[str, Any]) -> None:
        """``/ask``: only the asker sees the answer."""
        user, channel = str(command["user_id"]), command.get("channel_id")
        destination = OnlyYou(
            str(command["response_url"]), fallback=Conversation(self._client, user)
        )
        text = typed_text(str(command.get("text") or ""), bot_user_id=self._bot_user_id)
        if not text:
            destination.send(plain(USAGE))
            return
        self._answer(
            Asked(text, "command", user, str(channel) if channel else None, None), destination
        )

    def _take(self, via: str, event: dict[str, Any]) -> None:
        if not event.get("files"):
            self._take_question(via, event)
            return

        def then() -> None:
            if wants_answer(self._text_of(event)):
                self._take_question(via, event)

        self._on_files(event, str(event["user"]), self._thread_of(event), then)

    def _take_question(self, via: str, event: dict[str, Any]) -> None:
        destination = self._thread_of(event)
        text = self._text_of(event)
        if not text:
            destination.send(render_help(self._bot_name))
            return
        self._show_status(destination)
        self._answer(
            Asked(text, via, str(event["user"]), destination.channel, destination.thread_ts),
            destination,
        )

    def _answer(self, asked: Asked, destination: Destination) -> None:
        if asked.text.strip(" .!?").lower() == "help":
            destination.send(render_help(self._bot_name))
            return

        # One bound for all the waiting, here and for the reader.
        until = time.monotonic() + self._patience

        def job() -> None:
            reply = self._answerer.ask(
                asked.text,
                via=asked.via,
                user=asked.user,
                channel=asked.channel,
                thread_ts=asked.thread_ts,
                until=until,
            )
            destination.send(render_reply(reply))

        if not self._work.submit(job, on_error=reporter(destination), until=until):
            destination.send(plain(BUSY))

    def _claim(self, event: dict[str, Any], event_id: str | None) -> bool:
        """Whether nobody took this message on before: Slack delivers again, and in two shapes."""
        keys = [f"message:{event.get('channel')}:{event.get('ts')}"]
        if event_id:
            keys.append(f"event:{event_id}")
        return self._records.claim(keys)

    def _text_of(self, event: dict[str, Any]) -> str:
        return typed_text(str(event.get("text") or ""), bot_user_id=self._bot_user_id)

    def _thread_of(self, event: dict[str, Any]) -> Conversation:
        found = thread_of(event, self._client)
        if found is None:
            raise ValueError(f"a message without a channel or a time: {sorted(event)}")
        return found

    def _show_status(self, conversation: Conversation) -> None:
        # Before the question is queued: a status set after the answer would stay for minutes.
        try:
            self._status_client.assistant_threads_setStatus(
                channel_id=conversation.channel,
                thread_ts=str(conversation.thread_ts),
                status=STATUS,
            )
        except (SlackClientError, OSError) as error:
            logger.debug("no status shown: %s", error)


def register(app: App, desk: QuestionDesk) -> None:
    """Listen for mentions, direct messages and ``/ask``."""

    @app.event("app_mention")
    def on_mention(event: dict[str, Any], body: dict[str, Any]) -> None:
        desk.on_mention(event, body.get("event_id"))

    @app.event("message")
    def on_message(event: dict[str, Any], body: dict[str, Any]) -> None:
        desk.on_message(event, body.get("event_id"))

    @app.command("/ask")
    def on_ask(ack: Ack, command: dict[str, Any], client: WebClient) -> None:
        ack()
        with reporting(destination_of(command, client)):
            desk.on_command(command)


def _is_from_a_person(event: dict[str, Any], bot_user_id: str) -> bool:
    """Bots are ignored, or two of them would talk forever."""
    user = event.get("user")
    return (
        isinstance(user, str)
        and user not in (bot_user_id, "USLACKBOT")
        and not event.get("bot_id")
        and not event.get("bot_profile")
        and not event.get("hidden")
    )


def _was_edited_late(event: dict[str, Any]) -> bool:
    """Whether a message was edited so long after it was written that its claim may be forgotten."""
    edited = event.get("edited")
    if not edited:
        return False
    try:
        return float(edited["ts"]) - float(event["ts"]) > _EDITED_WITHIN_S
    except (KeyError, TypeError, ValueError):
        return True  # no time that is known: not to be answered twice is worth more
