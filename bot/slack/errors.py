"""What goes wrong, as the person who asked reads it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.errors import SpanbotError
from bot.slack.destination import (
    Conversation,
    Destination,
    OnlyYou,
    is_rate_limit,
    thread_of,
)
from bot.slack.message import plain
from reader.errors import ReaderError
from retriever.errors import RetrieverError

logger = logging.getLogger(__name__)

RATE_LIMITED = (
    "Slack is limiting how much I may send, and did not take what I had for you. "
    "Please ask me again in a minute."
)

# Their messages are written to be read by the person who caused them.
_TYPED = (SpanbotError, RetrieverError, ReaderError)


def explain(error: BaseException) -> str:
    """What to tell the asker; anything unexpected is logged under the reference they are given."""
    if isinstance(error, _TYPED):
        logger.warning("%s: %s", type(error).__name__, error)
        return str(error)
    code = error.response.get("error") if isinstance(error, SlackApiError) else None
    if code in ("expired_trigger_id", "trigger_expired"):
        logger.warning("a window could not be opened in time")
        return "That took me too long, and Slack no longer lets me open the window. Try again."
    if isinstance(error, SlackApiError) and code == "missing_scope":
        scope = error.response.get("needed") or "unknown"
        logger.error("The Slack app lacks the scope %s", scope)
        return (
            f"I lack the Slack permission “{scope}”. Whoever manages this app can add it under "
            "OAuth & Permissions at https://api.slack.com/apps and install the app again."
        )
    if isinstance(error, SlackApiError) and is_rate_limit(error):
        logger.warning("Slack's rate limit was still on after the last attempt: %s", error)
        return RATE_LIMITED
    reference = secrets.token_hex(4)
    logger.error("Unexpected error, reference %s", reference, exc_info=error)
    return (
        f"Something went wrong on my side (reference {reference}). "
        "Whoever runs me finds the details in the log under that reference."
    )


def report(error: BaseException, destination: Destination | None) -> None:
    """Tell the asker of ``error``; if even that fails, the log has both."""
    text = explain(error)
    if destination is None:
        return
    try:
        destination.send(plain(text))
    except Exception:  # the last resort: there is nobody left to tell
        logger.exception("The error could not be reported to the asker")


def reporter(destination: Destination | None) -> Callable[[Exception], None]:
    """:func:`report` for one destination, as the work queue wants it."""

    def on_error(error: Exception) -> None:
        report(error, destination)

    return on_error


@contextmanager
def reporting(destination: Destination | None) -> Iterator[None]:
    """Report whatever goes wrong within, instead of raising it.

    For listeners that acknowledge by themselves: Bolt forgets an acknowledgement when its listener
    raises, and Slack then shows a failure of its own beside ours.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the asker is told of every kind
        report(error, destination)


def destination_of(body: Mapping[str, Any], client: WebClient) -> Destination | None:
    """Whoever caused a delivery: its thread, its response URL, or the user's direct messages."""
    user = _user_id(body)
    direct = Conversation(client, user) if user else None
    event = body.get("event")
    if isinstance(event, dict):
        return thread_of(event, client) or direct
    response_url = body.get("response_url")
    if isinstance(response_url, str) and response_url:
        return OnlyYou(response_url, fallback=direct)
    return direct


def _user_id(body: Mapping[str, Any]) -> str | None:
    for user in (
        body.get("user_id"),
        body.get("user"),
        (body.get("event") or {}).get("user"),
    ):
        if isinstance(user, dict):
            user = user.get("id")
        if isinstance(user, str) and user:
            return user
    return None
