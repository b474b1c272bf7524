"""A message before it is sent, and the Block Kit pieces that messages are made of.

Text from documents and people goes into ``rich_text`` and ``plain_text`` pieces only: Slack reads
nothing in those as a mention, a link or formatting. Block Kit's reference:
https://docs.slack.dev/reference/block-kit
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bot.slack.text import clean, escape, shorten

Block = dict[str, Any]
Element = dict[str, Any]

MAX_SECTION = 3000
MAX_URL = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """``text`` is what notifications and screen readers get; it is escaped already."""

    text: str
    blocks: tuple[Block, ...] = ()


def plain(text: str) -> Message:
    """A message of words only; ``text`` is ours or an error's, and is escaped here."""
    shown = shorten(clean(text), MAX_SECTION)
    return Message(escape(shown), (section(shown),))


def section(text: str) -> Block:
    """A paragraph in which nothing is read as formatting."""
    shown = shorten(clean(text), MAX_SECTION)
    return {"type": "section", "text": {"type": "plain_text", "text": shown, "emoji": False}}


def markup(text: str) -> Block:
    """A paragraph of ``mrkdwn``; whatever is not our own in it must be escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def context(text: str) -> Block:
    """A small grey line."""
    shown = shorten(clean(text), MAX_SECTION)
    element = {"type": "plain_text", "text": shown, "emoji": False}
    return {"type": "context", "elements": [element]}


def rich_text(*parts: Element) -> Block:
    return {"type": "rich_text", "elements": list(parts)}


def rich_section(elements: Sequence[Element]) -> Element:
    return {"type": "rich_text_section", "elements": list(elements)}


def rich_quote(elements: Sequence[Element]) -> Element:
    return {"type": "rich_text_quote", "elements": list(elements)}


def rich_list(items: Sequence[Sequence[Element]]) -> Element:
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [rich_section(item) for item in items],
    }


def words(text: str, **style: bool) -> list[Element]:
    """``text`` as elements of rich text: none when it is empty, which Slack would refuse."""
    shown = clean(text)
    if not shown:
        return []
    element: Element = {"type": "text", "text": shown}
    if style:
        element["style"] = style
    return [element]


def link(label: str, url: str | None) -> list[Element]:
    """``label`` as a link where ``url`` can be opened from Slack, else as text."""
    shown = clean(label)
    if not shown:
        return []
    if not is_web_url(url):
        return words(shown)
    return [{"type": "link", "url": url, "text": shown}]


def is_web_url(url: str | None) -> bool:
    """Whether a reader of the message can follow ``url``: an http(s) address with a host."""
    if not url or len(url) > MAX_URL or any(c.isspace() or not c.isprintable() for c in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
