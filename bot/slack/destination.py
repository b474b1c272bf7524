"""Where a message goes: a thread, a person, or the one who typed a command."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    RetryHandler,
)
from slack_sdk.http_retry.builtin_handlers import ServerErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from bot.slack.message import Message, markup

logger = logging.getLogger(__name__)


class Destination(Protocol):
    """A place that a message can be sent to."""

    def send(self, message: Message) -> None: ...


def retry_handlers() -> list[RetryHandler]:
    """New handlers that wait out rate limits and try again after Slack's passing failures."""
    return [
        ConnectionErrorRetryHandler(max_retry_count=2),
        ServerErrorRetryHandler(max_retry_count=2),
        RateLimitErrorRetryHandler(max_retry_count=3),
    ]


# Why Slack lets nobody, or not the bot, post: chat.postMessage's errors at
# https://docs.slack.dev/reference/methods/chat.postMessage
_CLOSED = {
    "not_in_channel": "I am not in that channel any more",
    "channel_not_found": "I do not see that channel any more",
    "is_archived": "the channel is archived",
    "thread_not_found": "the message is gone",
    "cannot_reply_to_message": "that message takes no replies",
}
_TOO_MANY = 429
_RESTRICTED = "restricted_action"  # also what begins with it, like "…_read_only_channel"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A channel or direct message, in the thread of ``thread_ts`` where there is one.

    ``channel`` may be a user's id: Slack then writes to that user's direct messages, for which
    ``chat:write`` is enough. Where Slack does not let the bot post any more, ``fallback`` gets the
    message and the reason, once: if that fails too, the log has it.
    """

    client: WebClient
    channel: str
    thread_ts: str | None = None
    fallback: Conversation | None = None

    def send(self, message: Message) -> None:
        """Post the message; without its blocks should Slack refuse those."""
        try:
            self._send(message)
        except SlackApiError as error:
            why = _why_closed(error)
            if why is None or self.fallback is None:
                raise
            logger.warning(
                "nothing can be posted in %s (%s); writing to %s instead",
                self.channel,
                error.response.get("error"),
                self.fallback.channel,
            )
            try:
                self.fallback.send(_sent_elsewhere(message, self.channel, why))
            except SlackApiError:  # telling of this error would take the same two ways again
                logger.exception("%s could not be told either", self.fallback.channel)

    def _send(self, message: Message) -> None:
        try:
            self._post(message)
        except SlackApiError as error:
            if not message.blocks or error.response.get("error") != "invalid_blocks":
                raise
            logger.exception("Slack refused the blocks of a message; sending its text alone")
            self._post(Message(message.text))

    def _post(self, message: Message) -> None:
        self.client.chat_postMessage(
            channel=self.channel,
            thread_ts=self.thread_ts,
            text=message.text,
            blocks=list(message.blocks) or None,
            unfurl_links=False,
            unfurl_media=False,
        )


@dataclass(frozen=True, slots=True)
class OnlyYou:
    """The one who typed a command or pressed a button; nobody else sees the message.

    A response URL works five times within thirty minutes; after that ``fallback`` takes over.
    """

    response_url: str
    fallback: Destination | None = None

    def send(self, message: Message) -> None:
        """Respond with the message; without its blocks should Slack not take those."""
        status = self._post(message)
        if message.blocks and status not in (200, _TOO_MANY, None):
            status = self._post(Message(message.text))
        if status != 200 and self.fallback is not None:
            self.fallback.send(message)

    def _post(self, message: Message) -> int | None:
        """The HTTP status that Slack answered with; None where it could not be reached."""
        try:
            response = WebhookClient(self.response_url, retry_handlers=retry_handlers()).send(
                text=message.text,
                blocks=list(message.blocks) or None,
                response_type="ephemeral",
                replace_original=False,
            )
        except (OSError, HTTPException, SlackClientError) as error:
            logger.warning("a response could not be sent: %s", error)
            return None
        if response.status_code != 200:
            logger.warning(
                "Slack did not take a response (HTTP %s: %s)",
                response.status_code,
                response.body[:200],
            )
        return response.status_code


def is_rate_limit(error: SlackApiError) -> bool:
    """Whether Slack refused a call because there were too many."""
    status = getattr(error.response, "status_code", None)
    return status == _TOO_MANY or error.response.get("error") in ("ratelimited", "rate_limited")


def thread_of(event: Mapping[str, Any], client: WebClient) -> Conversation | None:
    """Where a message is replied to: its thread, or else the direct messages of its author.

    None for an event that is no message.
    """
    channel, ts = event.get("channel"), event.get("thread_ts") or event.get("ts")
    if not isinstance(channel, str) or not isinstance(ts, str):
        return None
    author = event.get("user")
    # In direct messages there is no other place to turn to.
    if not isinstance(author, str) or event.get("channel_type") == "im":
        return Conversation(client, channel, ts)
    return Conversation(client, channel, ts, fallback=Conversation(client, author))


def _why_closed(error: SlackApiError) -> str | None:
    """Why nothing can be posted there; None where something else is wrong."""
    code = str(error.response.get("error"))
    if code.startswith(_RESTRICTED):
        return "I may not post there"
    return _CLOSED.get(code)


def _sent_elsewhere(message: Message, channel: str, why: str) -> Message:
    """``message``, with the reason that it is not in ``channel``, where it was wanted."""
    reason = f"I could not answer in <#{channel}>, because {why}. This is what I have for you:"
    blocks = (markup(reason), *message.blocks) if message.blocks else ()
    return Message(f"{reason}\n{message.text}", blocks)
