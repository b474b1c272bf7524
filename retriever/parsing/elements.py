"""What kinds of HTML elements there are."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

#: So deep may elements be nested.
MAX_DEPTH = 500

HEADINGS = {f"h{level}": level for level in range(1, 7)}
LISTS = frozenset(["ul", "ol", "menu", "dir"])
#: Those that begin and end a paragraph.
BLOCKS = frozenset(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form header hgroup hr legend li main menu ol p section summary "
    "table tbody td tfoot th thead tr ul caption search".split()
)


def is_layout(table: LexborNode) -> bool:
    """Whether a table only puts things beside each other: it holds headings or more tables."""
    if (table.attributes.get("role") or "") in ("presentation", "none"):
        return True
    if table.css_first(".linenos, .gutter, .blob-num") is not None:
        return True
    inner = table.css("table, h1, h2, h3, h4, h5, h6")
    return any(node.mem_id != table.mem_id for node in inner)
