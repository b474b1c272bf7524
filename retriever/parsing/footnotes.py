"""The footnotes of Markdown, put behind what they explain.

The parser puts them at the end of the document, where a passage holds a note without the text that
it belongs to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

_LISTS = ("bullet_list_open", "ordered_list_open")


def notes_in_place(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with each note behind the block of the top level that refers to it first.

    A note on a sentence that introduces a list comes behind the list, which would be cut off from
    the sentence otherwise. Notes that only another note refers to follow that one.
    """
    notes = _notes(tokens)
    if not notes:
        return list(tokens)
    body = [token for token in tokens if not token.type.startswith("footnote_")]
    body = body[: len(body) - sum(map(len, notes.values()))]
    placed: list[Token] = []
    waiting: deque[int] = deque()
    introduces = False
    for at, token in enumerate(body):
        placed.append(token)
        if token.type == "inline":
            waiting += _references(token)
            introduces = _text(token).rstrip().endswith(":")
        if token.level or token.nesting > 0:
            continue
        if introduces and at + 1 < len(body) and body[at + 1].type in _LISTS:
            continue
        placed += _taken(notes, waiting)
    return [*placed, *_taken(notes, deque(notes))]


def _notes(tokens: Sequence[Token]) -> dict[int, list[Token]]:
    """The tokens of each note by its number, in order of the text."""
    notes: dict[int, list[Token]] = {}
    note: list[Token] | None = None
    for token in tokens:
        if token.type == "footnote_open":
            note = notes[token.meta["id"]] = []
        elif token.type == "footnote_close":
            note = None
        elif note is not None and token.type != "footnote_anchor":
            note.append(token)
    return notes


def _taken(notes: dict[int, list[Token]], waiting: deque[int]) -> Iterator[Token]:
    """Take the notes that wait, and those which they refer to, out of ``notes``."""
    while waiting:
        note = notes.pop(waiting.popleft(), [])
        yield from note
        waiting.extendleft(
            number for token in reversed(note) for number in _references(token)[::-1]
        )


def _references(token: Token) -> list[int]:
    """The numbers of the notes that text refers to."""
    found = [token.meta["id"]] if token.type == "footnote_ref" else []
    return found + [number for child in token.children or [] for number in _references(child)]


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])
