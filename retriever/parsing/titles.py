"""What a document is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from retriever.parsing import SUFFIXES
from retriever.parsing.builder import one_line

# What programs write into a title field when its author has written nothing.
_EMPTY_TITLE = re.compile(
    r"""(?ix) ^ (?: \(?(?:untitled|anonymous|unspecified|unknown|none|null|title|no\ title)\)?
      | (?:untitled|new)?\s*(?:document|presentation|page|file|slide)\s*\(?\d*\)?
      | (?:microsoft\ )?(?:word|excel|powerpoint)\b.*
      | powerpoint-präsentation
      | .*\.(?:docx?|pdf|indd|tex|dvi|pptx?|xlsx?|odt|rtf|txt|html?|md|qxd|pub|pages|cdr|ai)
      | (?:file|https?):.*
      | [\W\d_]* ) $"""
)


def says_something(title: str) -> bool:
    """Whether a title from a file's properties was meant for readers."""
    return not _EMPTY_TITLE.match(title)


def name_title(name: str) -> str:
    """A file's name made readable: ``it-vpn_guide.md`` is "it vpn guide"."""
    path = PurePath(name)
    while path.suffix.lower() in SUFFIXES:  # "guide.html.md" has two
        path = path.with_suffix("")
    return one_line(re.sub(r"[-_\s]+", " ", path.name)) or name


def heading_title(headings: Sequence[tuple[str, int]]) -> str:
    """The first heading of level 1, otherwise the first of any; "" without headings."""
    first_level = next((text for text, level in headings if level == 1), "")
    return first_level or (headings[0][0] if headings else "")


def first_title(candidates: Iterable[str | None]) -> str:
    """The first candidate that is there."""
    return next((title for title in (one_line(c or "") for c in candidates) if title), "")
