"""HTML elements to blocks of text.

HTML, Markdown and DOCX all come through here. The walk keeps its own stack instead of recursing,
so that the depth of a document is a number to check and not a crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from selectolax.lexbor import LexborNode

from retriever.errors import ParseError
from retriever.parsing.builder import TextBuilder, one_line
from retriever.parsing.elements import BLOCKS, HEADINGS, LISTS, MAX_DEPTH, is_layout
from retriever.parsing.footnotes import MARK, Footnotes, find_footnotes
from retriever.parsing.tables import LONGEST_NAME, MarkedRow, label, table_lines
from retriever.parsing.tasks import boxed, task_box

Slugger = Callable[[LexborNode, str], str | None]

# What has no text of the document in it.
_SKIPPED = frozenset(
    "script style nav aside form svg math template noscript head iframe object embed canvas audio "
    "video map datalist dialog frameset noframes noembed".split()
)
# Of these, what is left out also where it has notes in it: an aside may hold them.
_UNREAD = frozenset(["nav", "template", "noscript", "dialog"])
_CONTROLS = frozenset("button input select textarea option optgroup meter progress".split())
_SKIPPED_ROLES = frozenset("navigation banner contentinfo search menu menubar toolbar".split())
# Struck-out text no longer holds, so it must not be found or quoted.
_STRUCK = frozenset(["del", "s", "strike"])
_NOTES = re.compile(
    r"(?i)\b(note|tip|hint|info|warning|caution|danger|important|admonition|callout|footnote)"
)
_LINE_NUMBERS = re.compile(r"(?i)\b(linenos?|line-?numbers?|blob-num|gutter)\b")
_TRAILS = frozenset(
    "breadcrumb breadcrumbs skip-link skiplink skip-to-content nav navbar navigation navheader "
    "navfooter pagination headerlink".split()
)
_HIDDEN_STYLE = re.compile(r"(?i)(display\s*:\s*none|visibility\s*:\s*hidden)")
# What generators call the links from footnotes back to what refers to them.
_BACK = frozenset(["reversefootnote", "footnote-back", "footnote-backref"])
# The signs that generators put beside headings and footnotes as links to themselves.
_LINK_SIGNS = frozenset(["", "#", "¶", "§", "🔗", "↑", "^", "↩", "↩︎", "⤴", "permalink"])
_POWER = re.compile(r"[-+−]?\d{1,3}")
_SUPERSCRIPTS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_EMPTY_ALT = re.compile(
    r"(?i)[\W\d_]*((image|img|picture|photo|icon|logo|screenshot|figure|diagram|alt text|untitled)"
    r"[\W\d_]*)?|\S+\.(png|jpe?g|gif|svg|webp|bmp|tiff?)|https?:\S*"
)
_BADGE = re.compile(r"(?i)badge|shields\.io|travis-ci|circleci|codecov|coveralls")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_REPEATED_TERMS = 3
_MOST_ROWS = 1000
_MOST_COLUMNS = 50


@dataclass(slots=True)
class _List:
    ordered: bool
    number: int
    step: int


class Walker:
    """Walks one tree and puts its blocks into ``builder``.

    Args:
        slugger: the fragment of a link to a heading, from its element and text.
        guess_headers: whether a table's first row may be its header without being marked as one.
    """

    def __init__(
        self, builder: TextBuilder, *, slugger: Slugger, guess_headers: bool = False
    ) -> None:
        self._builder = builder
        self._slugger = slugger
        self._guess_headers = guess_headers
        self._inline: list[str] = []
        self._lists: list[_List] = []
        self._terms: list[str] = []
        # Of each list of terms that is open, those that one more description is read with.
        self._described: list[list[str]] = []
        self._repeated = False
        self._marker: str | None = None
        self._groups = 0
        self._group: int | None = None
        self._controlled: frozenset[str] = frozenset()
        self._footnotes = Footnotes()

    def walk(self, root: LexborNode) -> None:
        """Add everything below ``root``. Raises: ParseError if it is nested too deeply."""
        self._controlled = frozenset(
            name
            for node in root.css("[aria-controls]")
            for name in (node.attributes.get("aria-controls") or "").split()
        )
        # They may stand below the text itself, as in a footer.
        self._footnotes = find_footnotes(_top(root), self._is_unread)
        behind, left_out = self._footnotes.behind, self._footnotes.left_out
        # (node, depth): to enter; (node, -1): to leave.
        stack = [(root, 0)]
        while stack:
            node, depth = stack.pop()
            if depth < 0:
                self._leave(node)
            elif node.is_text_node:
                self._inline.append(_SPACE.sub(" ", node.text_content or ""))
            elif left_out and node.tag == "li" and node.mem_id in left_out:
                self._next_marker(node)  # the numbers behind it stay what they are
            elif node.is_element_node and not self._is_skipped(node, node.tag or ""):
                for note in reversed(behind.get(node.mem_id, ()) if behind else ()):
                    left_out.add(note.mem_id)  # where it stands
                    _push(stack, note, depth)
                if self._enter(node):
                    if depth >= MAX_DEPTH:
                        raise ParseError(f"elements are nested more than {MAX_DEPTH} deep")
                    _push(stack, node, depth)
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Begin an element; False if its children are not to be walked."""
        tag = node.tag or ""
        if tag == "br":
            self._inline.append("\n")
            return False
        if tag == "img":
            self._inline.append(_alternative(node))
            return False
        if tag == "sup" and (raised := _raised(node)) is not None:
            self._inline.append(raised)
            return False
        if tag in HEADINGS:
            self._heading(node, HEADINGS[tag])
            return False
        if tag in ("pre", "listing", "xmp", "plaintext"):
            self._flush()
            self._lone_terms()
            self._builder.add_verbatim(self._gather(node, verbatim=True).removeprefix("\n"))
            return False
        if tag == "table" and not is_layout(node):
            self._flush()
            self._lone_terms()
            self._table(node)
            return False
        if tag == "dt":
            self._flush()
            self._terms.append(one_line(self._gather(node)))
            return False
        if tag == "q":
            self._inline.append("“")
        if tag in BLOCKS:
            self._flush()
            self._open_block(node, tag)
        return True

    def _open_block(self, node: LexborNode, tag: str) -> None:
        if tag in LISTS or tag == "dl":
            if self._group is None:
                self._groups += 1
                self._group = self._groups
            if tag == "dl":
                self._described.append([])
            else:
                self._lone_terms(introducing=True)
                start = _number(node, "start")
                reverse = "reversed" in node.attributes
                self._lists.append(
                    _List(tag == "ol", 1 if start is None else start, -1 if reverse else 1)
                )
        elif tag == "dd" and self._described:
            if self._terms:
                self._described[-1] = _repeatable(self._terms)
            else:  # one more description
                self._terms = list(self._described[-1])
                self._repeated = bool(self._terms)
        elif tag == "li":
            self._marker = self._next_marker(node) + task_box(node, self._is_hidden)

    def _next_marker(self, item: LexborNode) -> str:
        if not self._lists:  # stray items belong to a list all the same
            return "- "
        current = self._lists[-1]
        given = _number(item, "value")
        if given is not None:
            current.number = given
        number = current.number
        current.number += current.step
        return f"{number}. " if current.ordered else "- "

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "q":
            self._inline.append("”")
        if tag not in BLOCKS:
            return
        self._flush()
        if tag in ("li", "dd"):
            self._marker = None
            if tag == "dd":
                self._lone_terms()
        elif tag == "dl":
            self._lone_terms()
            self._described.pop()
            self._close_group()
        elif tag in LISTS and self._lists:
            self._lists.pop()
            self._close_group()

    def _close_group(self) -> None:
        if not self._lists:
            self._group = None

    def _flush(self) -> None:
        """Put the inline text collected so far into the text as a paragraph."""
        text = "".join(self._inline)
        self._inline.clear()
        if not text.strip(" \n"):
            return
        for paragraph in re.split(r"\n\s*\n", text):
            self._paragraph(paragraph)

    def _paragraph(self, text: str) -> None:
        if not one_line(text):
            return
        depth = len(self._lists)
        if self._terms:
            text = label(", ".join(self._terms), text.strip(" \n"))
            self._terms.clear()
            self._repeated = False
        if self._marker is not None:
            first, *more = text.strip(" \n").split("\n")
            indent = "  " * max(0, depth - 1)
            self._builder.add(boxed(self._marker + first), indent=indent, group=self._group)
            self._marker = None
            text = "\n".join(more)
        self._builder.add(text, indent="  " * depth, group=self._group)

    def _lone_terms(self, *, introducing: bool = False) -> None:
        """Terms without a description are lines of their own.

        Args:
            introducing: their description is a list.
        """
        terms, self._terms = self._terms, []
        if introducing and terms:
            terms = [label(", ".join(terms), "").rstrip()]
        elif self._repeated:
            terms = []
        self._repeated = False
        for term in terms:
            self._builder.add(term, indent="  " * len(self._lists), group=self._group)

    def _heading(self, node: LexborNode, level: int) -> None:
        self._flush()
        self._lone_terms()
        # Some headings consist of the button that unfolds their section.
        text = one_line(self._gather(node, links=True)) or one_line(
            self._gather(node, links=True, controls=True)
        )
        if text:
            self._marker = None
            self._builder.add_heading(text, level, self._slugger(node, text))

    # --- what is left out ------------------------------------------------------------------

    def _is_skipped(
        self, node: LexborNode, tag: str, *, links: bool = False, controls: bool = False
    ) -> bool:
        """Whether an element has no text of the document in it.

        Args:
            links: a link that is only a sign is one to the heading that it is in.
            controls: a button's text counts.
        """
        left_out = self._footnotes.left_out
        if tag in _STRUCK or (left_out and node.mem_id in left_out):
            return True
        if tag in _CONTROLS:
            return not (controls and tag == "button")
        attributes = node.attributes
        if tag in _SKIPPED:
            if tag == "aside":  # a side remark, unless it says that it is a note
                kind = f"{attributes.get('class')} {attributes.get('role')}"
                return not _NOTES.search(kind)
            # Some servers put the whole page into a form.
            return tag != "form" or node.css_first("h1, h2, h3, main, article") is None
        if tag in ("header", "footer") and not _is_within(node, ("main", "article")):
            return True
        if tag == "a" and _is_sign(node, attributes, anywhere=links):
            return True
        if tag == "sup" and _is_note_mark(node):
            return True
        if not attributes:
            return False
        return self._is_hidden(attributes) or not _TRAILS.isdisjoint(
            (attributes.get("class") or "").split()
        )

    def _is_unread(self, node: LexborNode) -> bool:
        """Whether nothing of an element is read wherever it stands."""
        return node.tag in _STRUCK or node.tag in _UNREAD or self._is_hidden(node.attributes)

    def _is_hidden(self, attributes: dict[str, str | None]) -> bool:
        if (attributes.get("role") or "") in _SKIPPED_ROLES:
            return True
        # What a button unfolds is hidden only until somebody reads it.
        if (attributes.get("id") or "") in self._controlled:
            return False
        hidden = attributes.get("hidden", "no") != "until-found" and "hidden" in attributes
        return (
            hidden
            or attributes.get("aria-hidden") == "true"
            or _HIDDEN_STYLE.search(attributes.get("style") or "") is not None
        )

    # --- text of an element ----------------------------------------------------------------

    def _gather(
        self,
        root: LexborNode,
        *,
        verbatim: bool = False,
        links: bool = False,
        controls: bool = False,
    ) -> str:
        """The text below an element; line breaks and blocks in it end lines."""
        pieces: list[str] = []
        stack: list[tuple[LexborNode | str, int]] = [(root, 0)]
        while stack:
            node, depth = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
            elif node.is_text_node:
                text = node.text_content or ""
                pieces.append(text if verbatim else _SPACE.sub(" ", text))
            elif node.is_element_node:
                tag = node.tag or ""
                if tag == "br":
                    pieces.append("\n")
                elif tag == "img":
                    pieces.append(_alternative(node))
                elif depth >= MAX_DEPTH:
                    raise ParseError(f"elements are nested more than {MAX_DEPTH} deep")
                elif depth and (
                    self._is_skipped(node, tag, links=links, controls=controls)
                    or _LINE_NUMBERS.search(node.attributes.get("class") or "")
                ):
                    continue
                elif tag == "sup" and (raised := _raised(node)) is not None:
                    pieces.append(raised)
                else:
                    if depth and tag in BLOCKS:
                        pieces.append("\n")
                        if tag == "li":
                            pieces.append(task_box(node, self._is_hidden))
                        stack.append(("\n", 0))
                    child = node.last_child
                    while child is not None:
                        stack.append((child, depth + 1))
                        child = child.prev
        return "".join(pieces)

    # --- tables ----------------------------------------------------------------------------

    def _table(self, table: LexborNode) -> None:
        caption = table.css_first("caption")
        if caption is not None:
            self._builder.add(one_line(self._gather(caption)))
        captions, lines = table_lines(self._rows(table), guess_header=self._guess_headers)
        for line in captions:
            self._builder.add(line)
        if self._marker is not None:  # a list item that is a table
            self._marker = None
        self._groups += 1
        for line in lines:
            self._builder.add(line, indent="  " * len(self._lists), group=self._groups)

    def _rows(self, table: LexborNode) -> list[MarkedRow]:
        """The rows, of empty ones those of a head.

        A cell that spans several rows is put into each, but if it is long into the first alone.
        """
        rows: list[MarkedRow] = []
        spanning: dict[int, tuple[int, _Cell]] = {}  # column: rows left, cell
        group: int | None = None
        for element in table.css("tr"):
            part = element.parent
            if part is not None and part.mem_id != group:  # no cell spans rows of two parts
                group = part.mem_id
                spanning.clear()
            row = MarkedRow(in_head=part is not None and part.tag == "thead")
            node, found = element.first_child, 0
            while node is not None or len(row.cells) in spanning:
                column = len(row.cells)
                if column in spanning:
                    left, cell = spanning.pop(column)
                    if left > 1:
                        spanning[column] = (left - 1, cell)
                    _append(row, cell)
                    found += 1
                    continue
                if node is None:
                    break
                if node.tag in ("td", "th"):
                    found += 1
                    down = _number(node, "rowspan")
                    down = _MOST_ROWS if down == 0 else min(down or 1, _MOST_ROWS)  # 0: the rest
                    for offset, cell in enumerate(self._cells(node)):
                        if down > 1:
                            spanning[column + offset] = (down - 1, cell.below())
                        _append(row, cell)
                node = node.next
            row.lone = found == 1 and all(row.heads)
            if any(row.cells) or row.in_head:
                rows.append(row)
        return rows

    def _cells(self, node: LexborNode) -> list[_Cell]:
        """A cell for each column that an element is as wide as."""
        head, lines = node.tag == "th", self._gather(node)
        # A header is broken where it has no room, a value where another begins.
        text = one_line(lines) if head else _cell_line(lines)
        bold = _is_bold(node, text)
        wider = max(1, min(_number(node, "colspan") or 1, _MOST_COLUMNS)) - 1
        # A header names all its columns; a value stands in the first.
        further = _Cell(text, head, bold) if head else _Cell("", head, bold, wide=True)
        return [_Cell(text, head, bold), *[further] * wider]


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    head: bool
    bold: bool
    wide: bool = False

    def below(self) -> _Cell:
        """The cell in the next row that it spans."""
        return self if len(self.text) <= LONGEST_NAME else replace(self, text="")


def _top(node: LexborNode) -> LexborNode:
    while (above := node.parent) is not None:
        node = above
    return node


def _push(stack: list[tuple[LexborNode, int]], node: LexborNode, depth: int) -> None:
    """Put what is to be walked of an element on the stack, its end first."""
    stack.append((node, -1))
    child = node.last_child
    while child is not None:
        stack.append((child, depth + 1))
        child = child.prev


def _repeatable(terms: Sequence[str]) -> list[str]:
    """Of terms that are described together, those to repeat with each further description.

    Many or long ones would make more text of a document than there is: then it is the last alone,
    or none if that is long too.
    """
    if len(terms) > _REPEATED_TERMS or len(", ".join(terms)) > LONGEST_NAME:
        terms = terms[-1:]
    return [term for term in terms if len(term) <= LONGEST_NAME]


def _append(row: MarkedRow, cell: _Cell) -> None:
    row.cells.append(cell.text)
    row.heads.append(cell.head)
    row.bold.append(cell.bold)
    row.wide.append(cell.wide)


def _is_bold(cell: LexborNode, text: str) -> bool:
    """Whether all of a cell's text is bold."""
    bold = one_line("".join(node.text() for node in cell.css("strong, b")))
    return bool(text) and re.sub(r"[ ,]", "", bold) == re.sub(r"[ ,]", "", text)


def _cell_line(text: str) -> str:
    """The lines of a cell on one line, with a comma where no mark ends or opens one."""
    line = ""
    for part in filter(None, map(one_line, text.split("\n"))):
        if line:
            line += " " if line[-1] in ".,:;!?/☑☐" or part[0] in "([" else ", "
        line += part
    return line


def _alternative(image: LexborNode) -> str:
    """The text that stands for an image, if it says something."""
    attributes = image.attributes
    text = one_line(attributes.get("alt") or "")
    if _EMPTY_ALT.fullmatch(text) or _BADGE.search(attributes.get("src") or ""):
        return ""
    return f" {text} "


def _is_within(node: LexborNode, tags: tuple[str, ...]) -> bool:
    above = node.parent
    while above is not None:
        if above.tag in tags or above.attributes.get("role") == "main":
            return True
        above = above.parent
    return False


def _is_sign(node: LexborNode, attributes: dict[str, str | None], *, anywhere: bool) -> bool:
    """Whether a link is only a sign, such as the pilcrow beside a heading."""
    target = attributes.get("href") or ""
    if not target.startswith("#") and not anywhere:
        return False
    if not _BACK.isdisjoint((attributes.get("class") or "").split()):
        return True
    text = one_line(node.text()).casefold()
    return text in _LINK_SIGNS and node.css_first("img") is None


def _is_note_mark(node: LexborNode) -> bool:
    """Whether a superscript is the number of a footnote."""
    link = node.css_first("a")
    target = (link.attributes.get("href") or "") if link is not None else ""
    return target.startswith("#") and MARK.fullmatch(one_line(node.text())) is not None


def _raised(node: LexborNode) -> str | None:
    """A superscript that is a number, as a power is; "10³" without it would be "103"."""
    text = one_line(node.text())
    return text.translate(_SUPERSCRIPTS) if _POWER.fullmatch(text) else None


def _number(node: LexborNode, name: str) -> int | None:
    value = (node.attributes.get(name) or "").strip()
    return int(value) if re.fullmatch(r"-?\d{1,6}", value) else None
