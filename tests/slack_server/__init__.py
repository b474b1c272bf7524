"""A Slack server of the tests' own; see ``server``."""

from .blocks import message_errors, text_length, view_errors
from .clients import close_handler
from .delivery import Attempt, Delivery
from .render import mrkdwn_text, pings, plain_text
from .server import Interaction, Sent, SlackServer
from .workspace import (
    BOT_SCOPES,
    Call,
    Channel,
    Ephemeral,
    Message,
    Response,
    SlackFile,
    User,
    View,
)

__all__ = [
    "BOT_SCOPES",
    "Attempt",
    "Call",
    "Channel",
    "Delivery",
    "Ephemeral",
    "Interaction",
    "Message",
    "Response",
    "Sent",
    "SlackFile",
    "SlackServer",
    "User",
    "View",
    "close_handler",
    "message_errors",
    "mrkdwn_text",
    "pings",
    "plain_text",
    "text_length",
    "view_errors",
]
