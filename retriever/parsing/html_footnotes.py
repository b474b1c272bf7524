"""The footnotes of HTML, to be read behind what they explain, as those of Markdown are.

Pages have them at the end, where a passage holds a note without the text that it belongs to. HTML
has no element for them: a note is what a link that is only a mark, such as a raised number, leads
to further below, if its role, class or id calls it one, as generators do, or if a sign or mark in
it leads back. All other links are left alone.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from selectolax.lexbor import LexborNode

from retriever.parsing.builder import one_line
from retriever.parsing.elements import BLOCKS, HEADINGS, LISTS, MAX_DEPTH, is_layout

_MARK = re.compile(r"[\[(]?(\d{1,3}|[ivx]{1,5}|[a-z]|[*†‡§¶]{1,3})[\])]?")
_MARKS = re.compile(r"[\s\d\[\](),;*†‡§¶]*")  # one beside others: "[1, 2]"
_SIGN = re.compile(r"[\W\d]*")
_INTRODUCTION = re.compile(r":[\s\d\[\](),;*†‡§¶]*\Z")
_WORD = re.compile(r"[a-z]+")
_MANY = frozenset(["fns", "footnotes", "endnotes"])
_CALLED = _MANY | frozenset(
    "fn footnote footnotedef ftn ftnt edn endnote noteref sdfootnote sdfootnoteanc sdendnote "
    "sdendnoteanc".split()
)
_BACK = frozenset(["backlink", "backref", "reversefootnote"])
_NAMED = "[id], a[name]"
_TITLES = ", ".join(HEADINGS)
# What is read in one piece, as tables are: a note stands behind it, not in it.
_WHOLE = LISTS | frozenset([*HEADINGS, *"p dl blockquote pre figure address".split()])
_HOLDERS = frozenset("li dd p div aside".split())
_SECTIONS = frozenset("section div aside footer".split())
_PHRASES = frozenset("sup span small b strong i em".split())
_MOST_PHRASES = 5  # around a link


@dataclass(frozen=True, slots=True)
class Footnotes:
    """The notes of a page.

    Attributes:
        behind: those to be read behind an element, by its ``mem_id``, in their order.
        left_out: the ``mem_id`` of each element that is no text: references, links back, and the
            headings above nothing but notes that are read elsewhere.
    """

    behind: dict[int, list[LexborNode]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)


def find_footnotes(root: LexborNode) -> Footnotes:
    """The footnotes below ``root``.

    A note stands behind the outermost list, table or paragraph that refers to it first; on a
    sentence that introduces a list, behind the list. Notes that only another note refers to follow
    that one. A note stays where it is in what refers to it, in another note or in a row of a table.
    """
    links = [link for link in root.css("a") if _fragment(link)]
    references = _references(root, links)
    if not references:
        return Footnotes()
    notes = {reference.note.mem_id: reference.note for reference in references}
    places = _Places(notes.values())
    found = Footnotes(behind=_behind(references, notes, places))
    found.left_out.update(_marks([reference.link for reference in references]))
    found.left_out.update(_marks(_links_back(links, references, places)))
    placed = {note.mem_id: note for behind in found.behind.values() for note in behind}
    found.left_out.update(_spent_headings(placed))
    return found


# --- which links are references, and which elements are notes ----------------------------------


@dataclass(frozen=True, slots=True)
class _Reference:
    """A link to a note; ``names``: the fragments that lead to it."""

    link: LexborNode
    note: LexborNode
    names: frozenset[str]
    forward: bool


def _references(root: LexborNode, links: Sequence[LexborNode]) -> list[_Reference]:
    """The links to notes, in the order of the page."""
    marks = [link for link in links if _MARK.fullmatch(link.text().strip())]
    if not marks:
        return []
    order: dict[int, int] = {}
    targets: dict[str, LexborNode] = {}
    for node in root.css(f"{_NAMED}, a"):
        order.setdefault(node.mem_id, len(order))
        for name in _own_names(node):
            targets.setdefault(name, node)
    found = []
    for link in marks:
        target = targets.get(_fragment(link))
        note = _note_around(target) if target is not None else None
        if target is not None and note is not None:
            forward = order[link.mem_id] < order[target.mem_id]
            found.append(_Reference(link, note, frozenset(_names(link)), forward))
    places = _Places(reference.note for reference in found)
    back: dict[int, set[str]] = {}
    for link in links:
        text, note = one_line(link.text()), places.of(link).note
        if note is not None and (_SIGN.fullmatch(text) or _MARK.fullmatch(text)):
            back.setdefault(note.mem_id, set()).add(_fragment(link))
    titled: dict[int, bool] = {}
    for reference in found:
        known = reference.note.mem_id
        if (
            reference.forward
            and known not in titled
            and _is_note(reference, back.get(known, set()))
        ):
            titled[known] = reference.note.css_first(_TITLES) is not None
    return [reference for reference in found if not titled.get(reference.note.mem_id, True)]


def _is_note(reference: _Reference, back: set[str]) -> bool:
    """Whether what a mark leads to is a note, if no heading is in it.

    Args:
        back: where the signs and marks in it lead.
    """
    if _says_note(reference.note):
        return True
    return not back.isdisjoint(reference.names) and _is_raised(reference.link)


def _says_note(note: LexborNode) -> bool:
    """Whether an element, or the list or section of it, is called a note or notes."""
    if note.tag in ("div", "aside") and not _MANY.isdisjoint(_said(note)):
        return False  # it is the section
    above = note.parent
    around = [note, above, above.parent if above is not None and note.tag in ("li", "dd") else None]
    return any(node is not None and _is_called(node) for node in around)


def _is_called(node: LexborNode) -> bool:
    return not _CALLED.isdisjoint(_said(node))


def _said(node: LexborNode) -> list[str]:
    """The words of an element's class, id and role, and "footnotes" if a property says so."""
    attributes = node.attributes
    said = " ".join(attributes.get(name) or "" for name in ("class", "id", "role"))
    return _WORD.findall(said.lower()) + ["footnotes"] * ("data-footnotes" in attributes)


def _is_raised(link: LexborNode) -> bool:
    """Whether a link looks like the reference to a note, and not like a number in a list."""
    if link.css_first("sup") is not None or link.text().lstrip().startswith("["):
        return True
    return _is_called(link) or any(node.tag == "sup" for node in _phrases_around(link))


def _note_around(target: LexborNode) -> LexborNode | None:
    """The element that is a note if ``target`` is one, or stands at the beginning of one."""
    if target.tag in _HOLDERS:
        node = target
    else:
        inner = [target, *_phrases_around(target)][-1]
        if inner.tag in BLOCKS or inner.tag in HEADINGS or inner.parent is None:
            return None
        node = inner.parent
    if node.tag not in _HOLDERS:
        return None
    above = node.parent
    if node.tag == "p" and above is not None and _first_element(above).mem_id == node.mem_id:
        whole = above.tag in ("li", "dd")
        if whole or (above.tag in ("div", "aside") and _is_called(above)):
            return above
    return node


def _links_back(
    links: Sequence[LexborNode], references: Sequence[_Reference], places: _Places
) -> Iterator[LexborNode]:
    """The links in notes to what refers to them."""
    names: dict[int, set[str]] = {}
    for reference in references:
        names.setdefault(reference.note.mem_id, set()).update(reference.names)
    for link in links:
        note = places.of(link).note
        if note is not None and (
            _fragment(link) in names[note.mem_id] or not _BACK.isdisjoint(_said(link))
        ):
            yield link


def _marks(links: Iterable[LexborNode]) -> Iterator[int]:
    """Links, and the superscripts that hold nothing but such links and what is between them."""
    known: dict[int, bool] = {}
    for link in links:
        yield link.mem_id
        above = link.parent
        if above is not None and above.tag == "sup":
            if above.mem_id not in known:
                known[above.mem_id] = _MARKS.fullmatch(above.text()) is not None
            if known[above.mem_id]:
                yield above.mem_id


def _fragment(link: LexborNode) -> str:
    """What a link on the same page leads to, "" for other links."""
    target = link.attributes.get("href") or ""
    return unquote(target[1:]) if target.startswith("#") else ""


def _names(link: LexborNode) -> Iterator[str]:
    """The fragments that lead to a link: names of it, in it and right around it."""
    for node in (link, *link.css(_NAMED), *_phrases_around(link)):
        yield from _own_names(node)


def _own_names(node: LexborNode) -> list[str]:
    attributes = node.attributes
    names = (attributes.get("id"), attributes.get("name") if node.tag == "a" else None)
    return [name for name in names if name]


def _phrases_around(inner: LexborNode) -> Iterator[LexborNode]:
    above = inner.parent
    for _ in range(_MOST_PHRASES):
        if above is None or above.tag not in _PHRASES:
            return
        yield above
        above = above.parent


def _first_element(parent: LexborNode) -> LexborNode:
    node = parent.first_child
    while node is not None and not node.is_element_node:
        node = node.next
    return parent if node is None else node


# --- where notes are read ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an element is.

    Attributes:
        note: the note that it is in.
        whole: what is read in one piece and has it in it, the outermost in the note.
        block: the block that has it in it, where there is no such whole.
        in_row: whether it is in a table that is read row by row.
    """

    note: LexborNode | None = None
    whole: LexborNode | None = None
    block: LexborNode | None = None
    in_row: bool = False


class _Places:
    """The places of elements. What is above several of them is looked at once."""

    def __init__(self, notes: Iterable[LexborNode]) -> None:
        self._notes = {note.mem_id for note in notes}
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

    def is_part(self, note: LexborNode) -> bool:
        """Whether a note is part of another or of a row, so that it cannot be taken out of it."""
        above = self.of(note.parent) if note.parent is not None else _Place()
        return above.in_row or above.note is not None

    def _below(self, above: _Place, node: LexborNode) -> _Place:
        rows = node.tag == "table" and not is_layout(node)
        in_row = above.in_row or rows
        if node.mem_id in self._notes:
            return _Place(node, in_row=in_row)
        if above.whole is not None:
            return replace(above, in_row=True) if rows else above
        if rows or node.tag in _WHOLE:
            return _Place(above.note, node, None, in_row)
        return _Place(above.note, None, node, in_row) if node.tag in BLOCKS else above


def _behind(
    references: Sequence[_Reference], notes: Mapping[int, LexborNode], places: _Places
) -> dict[int, list[LexborNode]]:
    """The notes behind each element, by its ``mem_id``."""
    within: dict[int, list[LexborNode]] = {}  # notes that notes refer to
    waiting: dict[int, list[LexborNode]] = {}
    around: dict[int, set[int]] = {}
    ends: dict[int, LexborNode] = {}
    for reference in references:
        place = places.of(reference.link)
        block = place.whole or place.block
        if not reference.forward:
            continue
        if place.note is not None:
            within.setdefault(place.note.mem_id, []).append(reference.note)
        elif block is not None:
            end = ends.get(block.mem_id)
            if end is None:
                end = ends[block.mem_id] = _introduced(block) if place.whole else block
            waiting.setdefault(end.mem_id, []).append(reference.note)
            around.setdefault(end.mem_id, {end.mem_id}).add(block.mem_id)
    left = dict(notes)
    behind: dict[int, list[LexborNode]] = {}
    for at, queue in waiting.items():
        behind[at] = [
            note
            for note in _taken(left, within, deque(queue))
            if not (places.is_part(note) or _is_inside(note, around[at]))
        ]
    return behind


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


def _introduced(block: LexborNode) -> LexborNode:
    """The list that a block introduces with a colon, otherwise the block itself."""
    if _INTRODUCTION.search(block.text()[-100:]) is None:
        return block
    node = block.next
    while node is not None and node.is_text_node and not (node.text_content or "").strip():
        node = node.next
    return node if node is not None and node.tag in LISTS else block


def _is_inside(node: LexborNode, blocks: Set[int]) -> bool:
    above = node.parent
    for _ in range(MAX_DEPTH):
        if above is None:
            return False
        if above.mem_id in blocks:
            return True
        above = above.parent
    return False


def _spent_headings(placed: Mapping[int, LexborNode]) -> Iterator[int]:
    """The headings of sections that hold nothing but notes that are read elsewhere."""
    seen: set[int] = set()
    for note in placed.values():
        above = note.parent
        if above is not None and above.tag in LISTS:
            above = above.parent
        if above is None or above.mem_id in seen or above.tag not in _SECTIONS:
            continue
        seen.add(above.mem_id)
        parts = list(_parts(above))
        if _is_called(above) and all(_is_spent(part, placed) for part in parts):
            yield from (part.mem_id for part in parts[:-1] if part.tag in HEADINGS)


def _is_spent(part: LexborNode, placed: Mapping[int, LexborNode]) -> bool:
    if part.tag in LISTS:
        return all(item.mem_id in placed for item in _parts(part))
    return part.tag == "hr" or part.tag in HEADINGS or part.mem_id in placed


def _parts(parent: LexborNode) -> Iterator[LexborNode]:
    """The elements in an element, and texts that are not blank."""
    node = parent.first_child
    while node is not None:
        if node.is_element_node or (node.is_text_node and (node.text_content or "").strip()):
            yield node
        node = node.next
