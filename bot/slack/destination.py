"""Where a message goes: a thread, a person, or the one who typed a command."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http.client import HTTPException
from typing import Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    RetryHandler,
)
from slack_sdk.http_retry.builtin_handlers import ServerErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from bot.slack.message import Message

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


@dataclass(frozen=True, slots=True)
class Conversation:
    """A channel or direct message, in the thread of ``thread_ts`` where there is one.

    ``channel`` may be a user's id: Slack then writes to that user's direct messages.
    """

    client: WebClient
    channel: str
    thread_ts: str | None = None

    def send(self, message: Message) -> None:
        """Post the message; without its blocks should Slack refuse those."""
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
        if message.blocks and status not in (200, None):
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
