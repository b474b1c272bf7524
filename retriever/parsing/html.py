"""HTML files."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from retriever.errors import ParseError
from retriever.parsing.builder import TextBuilder, one_line
from retriever.parsing.elements import MAX_DEPTH
from retriever.parsing.encoding import decode
from retriever.parsing.titles import first_title, heading_title, name_title, says_something
from retriever.parsing.walker import Walker
from retriever.records import ParsedDocument

MAX_HTML_BYTES = 20 * 1024 * 1024

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>")
# Tags that need no end tag, so counting them says nothing about depth.
_UNCLOSED = frozenset(
    "area base basefont bgsound br col colgroup command dd dt embed frame hr image img input "
    "keygen li link meta optgroup option p param rp rt source tbody td tfoot th thead tr track "
    "wbr html head body".split()
)
_CHARSET = re.compile(rb"""<meta[^>]*?charset\s*=\s*["']?\s*([a-zA-Z0-9_.:-]+)""", re.IGNORECASE)
_SECTIONS = frozenset(["section", "article", "div", "main"])


def parse_html(data: bytes, name: str, encoding: str | None = None) -> ParsedDocument:
    """Read an HTML file. Raises: ParseError."""
    if len(data) > MAX_HTML_BYTES:
        raise ParseError(
            f"{name} has {len(data) / 1024**2:.0f} MB; HTML files of up to "
            f"{MAX_HTML_BYTES // 1024**2} MB are read: split it"
        )
    source = decode(data, name, encoding, _declared(data))
    try:
        check_depth(source)
        tree = LexborHTMLParser(source)
        builder = TextBuilder()
        roots = _roots(tree)
        for root in roots:
            Walker(builder, slugger=element_slug).walk(root)
            if builder.length:
                break
    except ParseError as error:
        raise ParseError(f"{name}: {error}; simplify the page or save it as text") from error
    titles = [text for text, level in builder.headings if level == 1][:1]
    title = first_title(
        [*titles, _title(tree), _header_h1(tree), heading_title(builder.headings), name_title(name)]
    )
    return builder.build(title=title, media_type="text/html")


def check_depth(source: str) -> None:
    """Raise ParseError if elements may be nested so deeply that parsing takes minutes.

    The parser needs time quadratic in the depth. This count takes no notice of where the parser
    closes elements itself, so it allows several times the depth that the walk does.
    """
    depth = 0
    for match in _TAG.finditer(source):
        if match[2].lower() in _UNCLOSED or match[3]:
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > 10 * MAX_DEPTH:
            raise ParseError(f"elements are nested more than {MAX_DEPTH} deep")


def _declared(data: bytes) -> str | None:
    match = _CHARSET.search(data[:2048])
    if match is None:
        return None
    charset = match[1].decode("ascii").lower()
    if charset.startswith("utf-16"):  # it could not have been read as ASCII, then
        return "utf-8"
    # What browsers take these to mean.
    latin = ("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii")
    return "cp1252" if charset in latin else charset


def _roots(tree: LexborHTMLParser) -> list[LexborNode]:
    """Where the text may be, the best place first."""
    roots = []
    for selector in ("main, [role=main]", "article"):
        found = tree.css(selector)
        if len(found) == 1:
            roots.append(found[0])
            break
    return [*roots, tree.body] if tree.body is not None else roots


def _title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("title")
    text = one_line(node.text()) if node is not None else ""
    return text if says_something(text) else ""


def _header_h1(tree: LexborHTMLParser) -> str:
    """A heading of level 1 in the page's own header, which is not read otherwise."""
    node = tree.css_first("header h1")
    return one_line(node.text()) if node is not None else ""


def element_slug(heading: LexborNode, text: str) -> str | None:
    """The fragment of a link to a heading.

    It is the heading's own id; otherwise that of an element in it or of an anchor right before
    it; otherwise that of the section which it is the first element of.
    """
    if heading.id:
        return heading.id
    for inner in heading.css("[id], a[name]"):
        if found := inner.id or (inner.attributes.get("name") if inner.tag == "a" else None):
            return found
    before = _element_before(heading)
    if before is not None:
        if before.tag == "p" and before.last_child is not None:
            before = before.last_child
        if before.tag == "a" and not one_line(before.text()):
            return before.id or before.attributes.get("name") or None
        return None
    above = heading.parent
    while above is not None and above.tag in (*_SECTIONS, "header", "hgroup"):
        if above.id and above.tag in _SECTIONS:
            return above.id
        if _element_before(above) is not None:
            return None
        above = above.parent
    return None


def _element_before(node: LexborNode) -> LexborNode | None:
    """The element or text right before a node, below the same parent."""
    before = node.prev
    while before is not None:
        if before.is_element_node or one_line(
            before.text_content or "" if before.is_text_node else ""
        ):
            return before
        before = before.prev
    return None
