"""The footnotes of a page, to be read behind what they explain.

Pages have them at the end, where a passage holds a note without the text that it belongs to. HTML
has no element for them, so only what generators make of Markdown and Word documents is taken for
one: an item, in a list or under a name that says so, that a raised link further above leads to.
All else stays where it is.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from selectolax.lexbor import LexborNode

from retriever.parsing.builder import one_line
from retriever.parsing.elements import BLOCKS, HEADINGS, LISTS, is_layout

#: What a link to a note consists of; the second one to a note may be "1:1".
MARK = re.compile(r"\[?(\d{1,3}(:\d{1,3})?|[*†‡])\]?")
_WORD = re.compile(r"[a-z]+")
_CALLED = frozenset("fn footnote footnotes endnote endnotes".split())
_INTRODUCTION = re.compile(r":[\s\d\[\]:*†‡]*\Z")
# What is read in one piece: a note stands behind it, not in it.
_WHOLE = LISTS | frozenset([*HEADINGS, "p", "dl"])


@dataclass(frozen=True, slots=True)
class Footnotes:
    """The notes of a page.

    Attributes:
        behind: those to be read behind an element, by its ``mem_id``, in their order.
        left_out: the ``mem_id`` of elements that are no text: references that no ``sup`` is around,
            and the headings above nothing but notes that are read elsewhere.
    """

    behind: dict[int, list[LexborNode]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an element is.

    Attributes:
        note: the note that it is in.
        block: the outermost element in the note that is read in one piece and has it in it, or the
            innermost block where there is none.
        whole: whether ``block`` is read in one piece.
        unread: whether it is in something that is not read.
    """

    note: LexborNode | None = None
    block: LexborNode | None = None
    whole: bool = False
    unread: bool = False


def find_footnotes(root: LexborNode, is_unread: Callable[[LexborNode], bool]) -> Footnotes:
    """The footnotes below ``root``.

    A note stands behind the outermost list, table or paragraph that refers to it first; on a
    sentence that introduces a list, behind the list. Notes that only another note refers to follow
    that one.

    Args:
        is_unread: whether an element, and all that is in it, is not read.
    """
    notes: dict[str, LexborNode] = {}
    for item in root.css("li[id]"):
        if _is_note(item):
            notes.setdefault(item.id or "", item)
    if not notes:
        return Footnotes()
    places = _Places(notes.values(), is_unread)
    found = Footnotes()
    waiting: dict[int, deque[LexborNode]] = {}
    within: dict[int, list[LexborNode]] = {}  # notes that notes refer to
    ends: dict[int, LexborNode] = {}  # of a block with many references the text is looked at once
    above: set[str] = set(notes)  # those that have not come yet
    for node in root.css("a[href], li[id]"):
        if node.tag == "li":
            above.discard(node.id or "")
            continue
        name = _fragment(node)
        if name not in notes or not MARK.fullmatch(one_line(node.text())):
            continue
        raised, place = _is_in_sup(node), places.of(node)
        if not raised and node.css_first("sup") is None:
            continue
        if not raised:
            found.left_out.add(node.mem_id)
        note = notes[name]
        if place.unread or places.of(note).unread:
            continue
        if place.note is not None:
            within.setdefault(place.note.mem_id, []).append(note)
        elif place.block is not None and name in above:
            end = ends.get(place.block.mem_id)
            if end is None:
                end = _introduced(place.block) if place.whole else place.block
                ends[place.block.mem_id] = end
            waiting.setdefault(end.mem_id, deque()).append(note)
    left = {note.mem_id: note for note in notes.values()}
    placed: set[int] = set()
    for at, queue in waiting.items():
        found.behind[at] = list(_taken(left, within, queue))
        placed.update(note.mem_id for note in found.behind[at])
    found.left_out.update(_spent_headings(notes.values(), placed))
    return found


def _is_note(item: LexborNode) -> bool:
    """Whether a list item, its list or the section of that is called a note or notes."""
    node: LexborNode | None = item
    for _ in range(3):
        if node is None:
            return False
        if _is_called(node):
            return True
        node = node.parent
    return False


def _is_called(node: LexborNode) -> bool:
    attributes = node.attributes
    said = " ".join(attributes.get(name) or "" for name in ("class", "id", "role"))
    return not _CALLED.isdisjoint(_WORD.findall(said.lower()))


def _fragment(link: LexborNode) -> str:
    """What a link on the same page leads to, "" for other links."""
    target = link.attributes.get("href") or ""
    return unquote(target[1:]) if target.startswith("#") else ""


def _is_in_sup(link: LexborNode) -> bool:
    node = link.parent
    while node is not None and node.tag not in BLOCKS:
        if node.tag == "sup":
            return True
        node = node.parent
    return False


class _Places:
    """The places of elements. What is above several of them is looked at once."""

    def __init__(
        self, notes: Iterable[LexborNode], is_unread: Callable[[LexborNode], bool]
    ) -> None:
        self._notes = {note.mem_id for note in notes}
        self._is_unread = is_unread
        self._known: dict[int, _Place] = {}

    def of(self, element: LexborNode) -> _Place:
        path = []
        node: LexborNode | None = element
        while node is not None and node.mem_id not in self._known:
            path.append(node)
            node = node.parent
        place = _Place() if node is None else self._known[node.mem_id]
        for node in reversed(path):
            place = self._known[node.mem_id] = self._below(place, node)
        return place

    def _below(self, above: _Place, node: LexborNode) -> _Place:
        if not above.unread and self._is_unread(node):
            above = replace(above, unread=True)
        if node.mem_id in self._notes:
            return _Place(node, unread=above.unread)
        if above.whole:
            return above
        whole = node.tag in _WHOLE or (node.tag == "table" and not is_layout(node))
        if whole or node.tag in BLOCKS:
            return replace(above, block=node, whole=whole)
        return above


def _introduced(block: LexborNode) -> LexborNode:
    """The list that a block introduces with a colon, otherwise the block itself."""
    if _INTRODUCTION.search(block.text()[-100:]) is None:
        return block
    node = block.next
    while node is not None and node.is_text_node and not (node.text_content or "").strip():
        node = node.next
    return node if node is not None and node.tag in LISTS else block


def _taken(
    left: dict[int, LexborNode],
    within: Mapping[int, Sequence[LexborNode]],
    waiting: deque[LexborNode],
) -> Iterator[LexborNode]:
    """Take the notes that wait, and those which they refer to, out of those that are left."""
    while waiting:
        note = left.pop(waiting.popleft().mem_id, None)
        if note is not None:
            yield note
            waiting.extendleft(reversed(within.get(note.mem_id, ())))


def _spent_headings(notes: Iterable[LexborNode], placed: set[int]) -> Iterator[int]:
    """The headings of sections that hold nothing but notes that are read elsewhere."""
    seen: set[int] = set()
    for note in notes:
        section = note.parent.parent if note.parent is not None else None
        if section is None or section.mem_id in seen or not _is_called(section):
            continue
        seen.add(section.mem_id)
        parts = [node for node in section.iter() if node.tag != "hr"]
        rest = [node for node in parts if node.tag not in HEADINGS]
        spent = (
            part.tag in LISTS and all(item.mem_id in placed for item in part.iter())
            for part in rest
        )
        if all(spent):
            yield from (node.mem_id for node in parts if node.tag in HEADINGS)
