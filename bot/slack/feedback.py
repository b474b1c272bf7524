"""What askers think of an answer."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.slack.errors import destination_of, reporting
from bot.slack.message import plain
from bot.slack.records import Records
from bot.slack.render import FEEDBACK_ACTION, parse_feedback

logger = logging.getLogger(__name__)


def register(app: App, records: Records) -> None:
    """Listen for the feedback buttons under answers."""

    @app.action(FEEDBACK_ACTION)
    def on_feedback(
        ack: Ack, action: dict[str, Any], body: dict[str, Any], client: WebClient
    ) -> None:
        ack()
        try:
            question_id, value = parse_feedback(str(action.get("value")))
        except ValueError:
            logger.warning("ignored a feedback button with value %r", action.get("value"))
            return
        destination = destination_of(body, client)
        with reporting(destination):
            records.give_feedback(question_id, user=str(body["user"]["id"]), value=value)
            if destination is not None:
                destination.send(plain("Thank you, noted."))
