"""What a person sees of a message, as plain text for assertions, and whom it would alert.

``*bold*``, ``_italic_``, ``[text](address)`` for links, ``> `` before quoted lines, ``• `` before
list items.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .blocks import Json

_TOKEN: Final = re.compile(r"<([^<>]*)>")
_WEB: Final = re.compile(r"\bhttps?://[^\s<>|]*[^\s<>|.,;:!?)]")
_KNOWN_TOKEN: Final = re.compile(r"<(?:[@#!][^<>]+|(?:https?|mailto):[^<>]+)>")
_MARKS: Final = (("bold", "*"), ("italic", "_"), ("strike", "~"), ("code", "`"))


def plain_text(blocks: Sequence[Json]) -> str:
    """The blocks as text, one block after another on lines of their own."""
    return "\n".join(line for line in map(_block, blocks) if line)


def mrkdwn_text(text: str) -> str:
    """Slack's mrkdwn as a person reads it: links as ``[text](address)``, entities resolved."""
    return _unescape(_TOKEN.sub(lambda match: _token(match[1]), text))


def pings(text: str, blocks: Sequence[Json] = ()) -> frozenset[str]:
    """Whom a message alerts: user ids, and ``channel``, ``here`` or ``everyone``.

    ``text`` is searched as mrkdwn, the blocks' mrkdwn texts and rich text elements too.
    """
    found = set(_pings_of_mrkdwn(text))
    for item in _walk(blocks):
        kind = item.get("type")
        if kind == "mrkdwn":
            found.update(_pings_of_mrkdwn(str(item.get("text", ""))))
        elif kind == "broadcast":
            found.add(str(item.get("range")))
        elif kind == "user":
            found.add(str(item.get("user_id")))
    return frozenset(found)


def escape_typed(text: str) -> str:
    """Typed text as Slack hands it to apps: ``&``, ``<``, ``>`` escaped, addresses in ``<>``.

    Mentions and links that are already written in Slack's form (``<@U1>``) stay as they are.
    """
    parts: list[str] = []
    at = 0
    for match in _KNOWN_TOKEN.finditer(text):
        parts += [_escape(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, _escape(text[at:])])


def typed_blocks(text: str, block_id: str) -> list[Json]:
    """The rich text block that Slack puts beside the text that a person typed (already escaped)."""
    inline: list[Json] = []
    at = 0
    for match in _TOKEN.finditer(text):
        inline += _text_element(text[at : match.start()])
        target, _, label = match[1].partition("|")
        if target.startswith("@"):
            inline.append({"type": "user", "user_id": target[1:]})
        elif target.startswith("#"):
            inline.append({"type": "channel", "channel_id": target[1:]})
        elif target.startswith("!"):
            inline.append({"type": "broadcast", "range": target[1:]})
        else:
            inline.append(
                {"type": "link", "url": _unescape(target)} | ({"text": label} if label else {})
            )
        at = match.end()
    inline += _text_element(text[at:])
    return [
        {
            "type": "rich_text",
            "block_id": block_id,
            "elements": [{"type": "rich_text_section", "elements": inline}],
        }
    ]


def _text_element(text: str) -> list[Json]:
    return [{"type": "text", "text": _unescape(text)}] if text else []


def _escape(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _WEB.sub(lambda match: f"<{match[0]}>", escaped)


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _token(inside: str) -> str:
    target, _, label = inside.partition("|")
    if target.startswith("!"):
        return f"@{target[1:].partition('^')[0]}"
    if target[:1] in ("@", "#"):
        return f"{target[0]}{label or target[1:]}"
    return f"[{label or target}]({target})"


def _pings_of_mrkdwn(text: str) -> Iterable[str]:
    for match in _TOKEN.finditer(text):
        target = match[1].partition("|")[0]
        if target in ("!channel", "!here", "!everyone") or target.startswith("@"):
            yield target[1:]


def _walk(value: object) -> Iterable[Json]:
    if isinstance(value, dict):
        yield value
        for inside in value.values():
            yield from _walk(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _walk(inside)


def _block(block: Json) -> str:
    kind = block.get("type")
    if kind == "rich_text":
        return "\n".join(map(_rich, block["elements"]))
    if kind == "divider":
        return "---"
    if kind == "image":
        return f"[{block.get('alt_text', '')}]({block.get('image_url', '')})"
    if kind == "markdown":
        return str(block["text"])
    if kind == "input":
        return _text_object(block["label"])
    parts = [_text_object(block["text"])] if "text" in block else []
    parts += [_text_object(field) for field in block.get("fields", ())]
    parts += [_element(item) for item in block.get("elements", ())]
    if "accessory" in block:
        parts.append(_element(block["accessory"]))
    return " ".join(part for part in parts if part)


def _text_object(value: Json) -> str:
    text = str(value.get("text", ""))
    return mrkdwn_text(text) if value.get("type") == "mrkdwn" else text


def _element(item: Json) -> str:
    kind = item.get("type")
    if kind in ("mrkdwn", "plain_text"):
        return _text_object(item)
    if kind == "image":
        return f"[{item.get('alt_text', '')}]({item.get('image_url', '')})"
    if kind == "feedback_buttons":
        sides = (item["positive_button"], item["negative_button"])
        return " ".join(f"({_text_object(side['text'])})" for side in sides)
    label = _text_object(item["text"]) if "text" in item else str(kind)
    return f"[{label}]({item['url']})" if "url" in item else f"({label})"


def _rich(element: Json) -> str:
    kind = element["type"]
    if kind == "rich_text_list":
        return "\n".join(f"• {_rich(item)}" for item in element["elements"])
    text = "".join(map(_inline, element["elements"]))
    if kind == "rich_text_quote":
        return "\n".join(f"> {line}" for line in text.split("\n"))
    return f"```{text}```" if kind == "rich_text_preformatted" else text


def _inline(item: Json) -> str:
    kind = item["type"]
    if kind == "text":
        text = str(item["text"])
    elif kind == "link":
        text = f"[{item.get('text') or item['url']}]({item['url']})"
    elif kind == "emoji":
        text = f":{item['name']}:"
    elif kind == "broadcast":
        text = f"@{item['range']}"
    elif kind == "date":
        text = str(item.get("fallback", item["timestamp"]))
    else:
        text = f"{'#' if kind == 'channel' else '@'}{item[f'{kind}_id']}"
    for name, mark in _MARKS:
        if item.get("style", {}).get(name):
            text = f"{mark}{text}{mark}"
    return text
