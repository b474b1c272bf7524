"""Template tags in Markdown: Liquid and Nunjucks, Hugo, ERB, and kramdown's attribute lists.

A tag may stand where it stops Markdown from being read, such as a link's target with spaces in it.
So before parsing each tag becomes one private character; after it the character becomes what the
tag shows: the tag itself in code, and in prose mostly nothing. The text builder drops private
characters, so one that ends up anywhere else vanishes too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIRST = 0xF0000
_MOST = 0xFFFD  # the number of private characters in that plane
_MARK = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]")

_ATTRIBUTE = r"""(?:[.#][\w:-]+|[\w-]+=(?:"[^"\n]*"|'[^'\n]*')|(?:no_)?toc)"""
_TAGS = re.compile(
    rf"""
      \{{%-?\s*raw\s*-?%\}} (?P<raw>.*?) \{{%-?\s*endraw\s*-?%\}}
    | (?P<comment> \{{%-?\s*comment\b.*?%\}} .*? \{{%-?\s*endcomment\s*-?%\}})
    | (?P<hugo> \{{\{{[<%] .{{0,2000}}? [>%]\}}\}})
    | (?P<quoted> \{{\{{-?\s*(?P<quote>["'])[^"'\n]*(?P=quote)\s*-?\}}\}})
    | (?P<liquid> \{{%-? .{{0,2000}}? %\}})
    | (?P<output> \{{\{{ [^\n]{{0,500}}? \}}\}})
    | (?P<note> \{{\#\s [^\n]{{0,500}}? \s\#\}})
    | (?P<erb> <%(?!%) .{{0,2000}}? %>)
    | (?P<ial> \{{::?\s*(?:options\b[^}}\n]*|{_ATTRIBUTE}(?:\s+{_ATTRIBUTE})*)\s*/?\}})
    | (?P<pandoc> (?<=[^\s`]) \{{ (?:\.[\w-]+|[\w-]+="[^"\n]*") (?:\s+{_ATTRIBUTE})* \s*\}})
    | (?P<anchor> \{{\#+ (?P<id>[^\s{{}}]+) \}} (?=[ \t\#]*$))
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# Lines that hold nothing but tags part paragraphs.
_LONE = re.compile(rf"^( {{0,3}})({_MARK.pattern}[{_MARK.pattern[1:-1]} \t]*)$", re.MULTILINE)
# Formatters put a backslash before a link whose target, a tag, they cannot read.
_ESCAPED_LINK = re.compile(rf"\\\[([^\[\]]{{1,200}})\]\(({_MARK.pattern})\)")
_LONE_PADDED = re.compile(rf"\n( {{0,3}}{_MARK.pattern}[{_MARK.pattern[1:-1]} \t]*)\n(?=\n|\Z)")
_CALL = re.compile(r"""\{%-?\s*([\w-]+)\s*,?\s*(.*?)-?%\}""", re.DOTALL)
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")
_SITE_VALUE = re.compile(r"\{\{-?\s*(?:site|page|layout|base|content|url|relative_url)\b")
_LITERAL = re.compile(r"""\{\{-?\s*(["'])([^"']*)\1\s*-?\}\}""")
_NAMES = ("channel", "mention")
_CALLOUTS = frozenset("alert note callout warning tip info important admonition notice".split())


@dataclass(frozen=True, slots=True)
class Tag:
    """A template tag: its source, what prose shows of it, and the id it gives a heading."""

    source: str
    shown: str = ""
    anchor: str | None = None


class Tags:
    """The tags of one text and the characters that stand for them."""

    def __init__(self) -> None:
        self._tags: list[Tag] = []

    def hide(self, source: str) -> str:
        """The text with a private character for each tag."""
        hidden = _TAGS.sub(self._hide_one, source)
        if not self._tags:
            return source
        hidden = _ESCAPED_LINK.sub(r"[\1](\2)", hidden)
        return _LONE.sub(r"\n\1\2\n", hidden)

    def in_code(self, text: str) -> str:
        """A piece of code as it was written."""
        if not self._tags:
            return text
        text = _LONE_PADDED.sub(r"\1", text)
        return _MARK.sub(lambda match: self._tag(match[0]).source, text)

    def in_prose(self, text: str) -> str:
        """A piece of prose with what its tags show."""
        return _MARK.sub(lambda match: self._tag(match[0]).shown, text) if self._tags else text

    def take_anchor(self, text: str) -> tuple[str, str | None]:
        """A heading's text without the tags that name its id, and the id."""
        anchor = None
        for mark in _MARK.findall(text):
            if (found := self._tag(mark).anchor) is not None:
                anchor = found
                text = text.replace(mark, "")
        return text, anchor

    def is_tags_only(self, text: str) -> bool:
        return bool(self._tags) and not _MARK.sub("", text).strip()

    def _tag(self, mark: str) -> Tag:
        at = ord(mark) - _FIRST
        return self._tags[at] if at < len(self._tags) else Tag("")

    def _mark(self, tag: Tag) -> str:
        if len(self._tags) == _MOST:
            return tag.source
        self._tags.append(tag)
        return chr(_FIRST + len(self._tags) - 1)

    def _hide_one(self, match: re.Match[str]) -> str:
        source = match[0]
        if match["raw"] is not None:
            # What is raw is meant to be read: its tags are text.
            raw: str = match["raw"]
            return _TAGS.sub(lambda inner: self._mark(Tag(str(inner[0]), str(inner[0]))), raw)
        if match["output"] or match["quoted"]:
            literal = _LITERAL.fullmatch(source)
            shown = literal[2] if literal else "" if _SITE_VALUE.match(source) else source
            return self._mark(Tag(source, shown))
        if match["liquid"]:
            return self._mark(Tag(source, _shown(source)))
        if match["ial"]:
            anchor = re.search(r"(?<=[\s:{])#([\w:-]+)", source)
            return self._mark(Tag(source, "", anchor[1] if anchor else None))
        if match["anchor"]:
            return self._mark(Tag(source, source, match["id"]))
        return self._mark(Tag(source))


def _shown(source: str) -> str:
    """What a tag shows, as far as that can be told without its program.

    That is a callout's title, the channel or person that a tag names, and an image's description.
    """
    call = _CALL.fullmatch(source)
    if call is None:
        return ""
    name = call[1].lower()
    words: list[str] = [double or single for double, single in _QUOTED.findall(call[2])]
    if name.startswith("image") and len(words) > 1 and len(words[-1].split()) > 1:
        return words[-1]
    if not words:
        return ""
    if any(part in name for part in _NAMES):
        sign = "@" if "mention" in name else "#"
        return sign + words[0].lstrip("#@") if words[0] else ""
    return words[0] if name in _CALLOUTS and _QUOTED.match(call[2]) else ""
