"""Slack's message text: what people typed, out of it; our own words, into it."""

from __future__ import annotations

import re

_TAG = re.compile(r"<([^<>]*)>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def escape(text: str) -> str:
    """``text`` for a message: ``&``, ``<`` and ``>`` are all that Slack reads as control."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The reverse of :func:`escape`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def typed_text(text: str, *, bot_user_id: str) -> str:
    """A message's text as its author saw it, without the mention of the bot.

    Links show their label, channels their name, other people the name that Slack sent along; a
    mention that came without a name is dropped, because an id helps no search.
    """

    def replace(match: re.Match[str]) -> str:
        body, _, label = match.group(1).partition("|")
        if body.startswith("@"):
            return "" if body[1:] == bot_user_id or not label else _name("@", label)
        if body.startswith("#"):
            return _name("#", label) if label else ""
        if body.startswith("!"):
            return label
        return label or body.removeprefix("mailto:")

    spoken = unescape(_TAG.sub(replace, text))
    return " ".join(spoken.split())


def clean(text: str) -> str:
    """``text`` without control characters, which Slack refuses; line ends and tabs stay."""
    return _CONTROL.sub(" ", text)


def shorten(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters, cut between words and ended by "…"."""
    if limit < 2:
        raise ValueError(f"limit={limit} leaves no room for text")
    if len(text) <= limit:
        return text
    return _cut_end(text, limit - 1) + "…"


def shorten_around(text: str, start: int, end: int, limit: int) -> tuple[str, str, str]:
    """``text`` in three parts, the middle one ``text[start:end]``, ``limit`` characters in all.

    What is too much goes from both ends, between words, with "…" in its place; the middle part
    loses its end only when it is longer than ``limit`` by itself.
    """
    if not 0 <= start <= end <= len(text):
        raise ValueError(f"{start}:{end} is not within a text of {len(text)} characters")
    before, middle, after = text[:start], text[start:end], text[end:]
    if len(text) <= limit:
        return before, middle, after
    if len(middle) >= limit - 4:
        return "", shorten(middle, limit), ""
    room = limit - len(middle)
    # Each side gets half, and what the other side leaves over.
    left = min(len(before), max(room // 2, room - len(after)))
    right = min(len(after), room - left)
    if left < len(before):
        before = "…" + _cut_start(before, max(0, left - 1))
    if right < len(after):
        after = _cut_end(after, max(0, right - 1)) + "…"
    return before, middle, after


def _name(sign: str, label: str) -> str:
    return sign + label.removeprefix(sign)


def _cut_end(text: str, limit: int) -> str:
    """The longest run of whole words from the start within ``limit`` characters."""
    kept = text[:limit]
    if limit < len(text) and not text[limit].isspace():
        space = max(kept.rfind(" "), kept.rfind("\n"), kept.rfind("\t"))
        if space > 0:
            kept = kept[:space]
        elif space == 0 or not kept:
            kept = ""
    return kept.rstrip() if kept.strip() else ""


def _cut_start(text: str, limit: int) -> str:
    """The longest run of whole words up to the end within ``limit`` characters."""
    return _cut_end(text[::-1], limit)[::-1]
