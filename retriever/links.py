"""Links that lead to the place an answer stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from retriever.records import Anchor

#: Between the headings of a path, where it is shown.
SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document an offset lies, as it is shown and linked to."""

    section: str | None
    page: int | None
    url: str | None


def place_of(offset: int, *, title: str, link: str | None, anchors: Sequence[Anchor]) -> Place:
    """The section, page and link of ``document.text[offset]``.

    A link to a page ends in ``#page=N``, as PDF viewers read it; one to a heading ends in the
    heading's slug. The document's title is not repeated in the section.
    """
    heading = _containing(offset, anchors, "heading")
    page = _containing(offset, anchors, "page")
    section = None
    if heading is not None:
        path = list(heading.path)
        if path and path[0] == title:
            path = path[1:]
        section = SEPARATOR.join(path) or None
    number = page.page if page is not None else None
    url = link
    if link is not None and "#" not in link:
        if number is not None:
            url = f"{link}#page={number}"
        elif heading is not None and heading.slug:
            url = f"{link}#{quote(heading.slug, safe='-._~!$&()*+,;=:@/?')}"
    return Place(section, number, url)


def _containing(offset: int, anchors: Sequence[Anchor], kind: str) -> Anchor | None:
    found = None
    for anchor in anchors:
        if anchor.kind == kind and anchor.start <= offset < anchor.end:
            found = anchor
    return found
