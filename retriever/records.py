"""The records that the retriever's parts hand to each other.

All offsets are character offsets into the one canonical text of a document, end exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place that a link can lead to, and the characters it stands for.

    Headings divide the text: one reaches from its own line to the next heading of any level.
    Pages divide it too. Text before the first heading has no heading anchor.

    Attributes:
        path: for a heading, the headings from the outermost to itself; empty for a page.
        slug: for a heading, the fragment of a link to it, where the format has one.
        level: for a heading, 1 to 6; 0 for a page.
        page: for a page, its number from 1.
    """

    kind: Literal["heading", "page"]
    start: int
    end: int
    path: tuple[str, ...] = ()
    slug: str | None = None
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be taken in, and why."""

    uri: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A file as text: what is stored, searched, read and quoted."""

    text: str
    title: str
    media_type: str
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class PassageSpan:
    """A passage of a document: ``text[start:end]``, the ``ordinal``-th, under ``heading``."""

    ordinal: int
    start: int
    end: int
    heading: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found.

    ``text`` is ``document.text[start:end]`` at ``version``. ``section`` and ``page`` are those of
    the passage's start. ``score`` is what it is ranked by, ``bm25`` its BM25 score; see
    :mod:`retriever.ranking`.
    """

    rank: int
    score: float
    bm25: float
    passage_id: int
    document_id: int
    version: int
    document: str
    title: str
    section: str | None
    page: int | None
    url: str | None
    start: int
    end: int
    text: str
