"""Plain text files.

Text carries no marks, so its form is told from its layout, and carefully. A line is a heading only
if it stands apart and is underlined, in capitals, numbered or set off by wider space. Lines are
joined to a paragraph only where one was broken because the next word did not fit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from retriever.parsing.builder import TextBuilder, clean, one_line
from retriever.parsing.encoding import decode
from retriever.parsing.tables import is_header, label, row_lines
from retriever.parsing.titles import first_title, heading_title, name_title
from retriever.records import ParsedDocument

_RULE = re.compile(r"([=\-~*_#])\1{2,}")
_LEVELS = {"=": 1, "-": 2, "~": 3}
_ITEM = re.compile(r"(?P<mark>[-*+•‣▪–]|\(?(?:\d{1,3}|[a-z])[.)])\s+(?=\S)")
_NUMBERED = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2})*)\.?\s+(?P<text>[^\W\d_].*)")
_GAP = re.compile(r"(?<=\S) {3,}(?=\S)")
_CELL = re.compile(r"\S+(?: \S+)*")
_DRAWN = re.compile(r"^\s*[|+┌├└│]|[─━│┃┼═║]")
_BORDER = re.compile(r"[|+│┃║├┌└╔╠╚┏┣┗](?:[ :]*[-=─━═]+[ :]*[|+│┃║┤┬┼┐┴┘╗╦╬╣╩╝┳╋┓┫┻┛])+")
_BARS = re.compile(r"[|│┃║]")
_FIELD = re.compile(r"[^\W\d_][\w /-]{0,24}:(\s|$)")
# With these a line is broken, and no line of a list or an address ends.
_UNENDING = re.compile(
    r"(?:^|\s)(?:a|an|the|this|these|those|our|your|their|its|his|her|my|every|each|and|or|but|nor|of|"
    r"to|for|from|with|without|by|at|into|onto|than|as|if|when|whether|because|is|are|was|were|be|"
    r"been|has|have|had|will|would|can|could|may|might|must|should|not)$"
)
_ENDS = ".!?:;"
# In front of comments, quotations, cells and commands.
_SIGN = re.compile(r"#|//|>|\||\$ ")
_LONG = 0.6
_MAX_HEADING = 80
_MIN_WIDTH, _MAX_WIDTH = 50, 110
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines between blank lines, less the ``indent`` of all, below ``gap`` blank lines."""

    lines: tuple[str, ...]
    indent: int
    gap: int


def parse_text(data: bytes, name: str, encoding: str | None = None) -> ParsedDocument:
    """Read a plain text file. Raises: ParseError."""
    text = clean(_ESCAPES.sub("", decode(data, name, encoding)))
    blocks = list(_blocks(text))
    layout = _Layout.of(blocks)
    builder = TextBuilder()
    below_title = 1
    for at, block in enumerate(blocks):
        heading = _marked_heading(block.lines, first=at == 0)
        if at == 0 and heading is not None and heading.level == 1:
            builder.add_heading(heading.text, 1, None)
            below_title = 2
        else:
            if heading is None and at in layout.headings:
                heading = _Heading(block.lines[0], layout.headings[at] + below_title - 1, 1)
            if heading is not None:
                level = min(max(heading.level, below_title), 6)
                builder.add_heading(heading.text, level, None)
        lines = block.lines[heading.lines :] if heading is not None else block.lines
        if lines:
            _add_block(builder, _Block(lines, block.indent, 0), layout)
    title = first_title([heading_title(builder.headings), name_title(name)])
    return builder.build(title=title, media_type="text/plain")


def _blocks(text: str) -> Iterator[_Block]:
    gap = 0
    lines: list[str] = []
    for line in [*(line.rstrip().expandtabs(8) for line in text.split("\n")), ""]:
        if line:
            lines.append(line)
            continue
        if lines:
            indent = min(len(line) - len(line.lstrip()) for line in lines)
            yield _Block(tuple(line[indent:] for line in lines), indent, gap)
            lines, gap = [], 0
        gap += 1


# --- headings ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading at the top of a block, and how many of its lines it takes."""

    text: str
    level: int
    lines: int


def _marked_heading(lines: Sequence[str], *, first: bool) -> _Heading | None:
    """A heading with a rule below it, or above and below, or in capitals."""
    over = 1 if len(lines) > 1 and _RULE.fullmatch(lines[0]) else 0
    title = lines[over].strip()
    if len(lines) > over + 1 and 3 <= len(title) <= _MAX_HEADING:
        rule = _RULE.fullmatch(lines[over + 1].strip())
        plain = not _GAP.search(title) and not _RULE.fullmatch(title)
        listed = _ITEM.match(title) and not _NUMBERED.fullmatch(title)
        if rule and plain and not listed and len(rule[0]) >= 0.6 * len(title):
            return _Heading(title, _LEVELS.get(rule[1], 2), over + 2)
    alone = len(lines) == 1 or over or (first and not _is_capitals(lines[1]))
    if alone and _is_capitals(title):
        return _Heading(title, 1, over + 1)
    return None


def _is_capitals(line: str) -> bool:
    letters = sum(character.isalpha() for character in line)
    return (
        line.isupper()
        and letters >= 4
        and letters >= 0.6 * len(line.replace(" ", ""))
        and len(line) <= 60
        and line[-1] not in ".,;!"
        and not _GAP.search(line)
        and not _ITEM.match(line)
    )


def _layout_headings(blocks: Sequence[_Block]) -> dict[int, int]:
    """Blocks that are headings by their number or the space around them, with their levels."""
    return _numbered_headings(blocks) | _spaced_headings(blocks)


def _numbered_headings(blocks: Sequence[_Block]) -> dict[int, int]:
    """Headings like "2. Booking".

    They count only if there are several, numbered from 1 in order, each on a line of its own,
    without a full stop and with other text below: items of a list that have blank lines between
    them are no headings.
    """
    found: dict[int, int] = {}
    wanted = 1
    for at, block in enumerate(blocks[:-1]):
        line = block.lines[0]
        match = _NUMBERED.fullmatch(line)
        if match is None or len(block.lines) > 1 or block.indent > 3 or len(line) > 60:
            continue
        if match["text"][-1] in ".,;:!?" or match["text"][0].islower():
            continue
        number = match["number"]
        below = _NUMBERED.match(blocks[at + 1].lines[0])
        if below and not below["number"].startswith(number + "."):
            continue
        if "." not in number:
            if int(number) != wanted:
                return {}
            wanted += 1
        found[at] = 1 + number.count(".")
    return found if wanted > 2 else {}


def _spaced_headings(blocks: Sequence[_Block]) -> dict[int, int]:
    """Short lines with more space above than below, if the file has several of them."""
    found = {}
    for at in range(1, len(blocks) - 1):
        block, line = blocks[at], blocks[at].lines[0]
        apart = block.gap > 1 and blocks[at + 1].gap == 1
        single = len(block.lines) == 1 and block.indent == 0 and len(line) <= 60
        if not (apart and single) or _GAP.search(line) or _ITEM.match(line):
            continue
        if line[0].isupper() and line[-1] not in ".,;:!":
            found[at] = 1
    return found if len(found) > 1 else {}


# --- paragraphs, lists and tables --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """What only the whole file tells.

    Attributes:
        headings: the blocks that are headings by their place, with their levels.
        width: the column at which prose is wrapped; 0 if it is not.
        term_column: the column at which the text of a list of terms begins; 0 without such a list.
    """

    headings: dict[int, int]
    width: int
    term_column: int

    @classmethod
    def of(cls, blocks: Sequence[_Block]) -> _Layout:
        return cls(_layout_headings(blocks), _wrap_width(blocks), _term_column(blocks))


def _wrap_width(blocks: Sequence[_Block]) -> int:
    """The longest line with a line below it, but for the few that one long word makes longer."""
    lengths = sorted(
        block.indent + len(line)
        for block in blocks
        if not _is_verbatim(block)
        for line in block.lines[:-1]
        if " " in line.strip()
    )
    if not lengths:
        return 0
    width = lengths[int(0.98 * (len(lengths) - 1))]
    return width if _MIN_WIDTH <= width <= _MAX_WIDTH else 0


def _term_column(blocks: Sequence[_Block]) -> int:
    columns: Counter[int] = Counter()
    for block in blocks:
        gaps = list(_GAP.finditer(block.lines[0]))
        if len(gaps) == 1 and all(_indent(line) == gaps[0].end() for line in block.lines[1:]):
            columns[gaps[0].end()] += 1
    column, count = columns.most_common(1)[0] if columns else (0, 0)
    return column if count >= 3 else 0


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_verbatim(block: _Block) -> bool:
    """Whether the block is a table or a drawing, or is indented like code."""
    lines = block.lines
    gaps = sum(bool(_GAP.search(_ITEM.sub("", line.strip(), count=1))) for line in lines)
    if _is_drawn(lines) or (gaps >= 2 and gaps > len(lines) / 2):
        return True
    return block.indent >= 4 and not _ITEM.match(lines[0]) and not _is_prose(" ".join(lines))


def _is_drawn(lines: Sequence[str]) -> bool:
    return sum(bool(_DRAWN.search(line)) for line in lines) > len(lines) / 2


def _is_prose(text: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in text)
    return text[-1] in ".!?:" and text[0].isupper() and letters >= 0.85 * len(text)


def _add_block(builder: TextBuilder, block: _Block, layout: _Layout) -> None:
    lines = [line for line in block.lines if not _RULE.fullmatch(line.strip())]
    if not lines:
        return
    if term := _term(lines, layout):
        builder.add(term)
    elif _is_verbatim(block):
        rows: list[str] = []
        if block.indent < 4:
            rows = _drawn_table(lines) if _is_drawn(lines) else _table_lines(lines)
        builder.add_verbatim("\n".join(rows or lines))
    else:
        builder.add_verbatim("\n".join(_joined(lines, block.indent, layout.width)))


def _term(lines: Sequence[str], layout: _Layout) -> str:
    """A term and its description on one line; "" if the lines are none."""
    column = layout.term_column
    if not column or any(_indent(line) != column for line in lines[1:]):
        return ""
    term, text = lines[0][:column].strip(), lines[0][column:]
    if text and not lines[0][:column].endswith("   "):
        if len(lines) == 1 or len(lines[0]) > 2 * column:
            return ""
        term, text = lines[0], ""
    if not term or not (text or len(lines) > 1):
        return ""
    return label(term, one_line(" ".join([text, *lines[1:]])))


def _table_lines(lines: Sequence[str]) -> list[str]:
    """The rows of a table whose cells begin at the same columns in each; [] if it is none."""
    found = [list(_CELL.finditer(line)) for line in lines]
    starts = [cell.start() for cell in max(found, key=len)]
    rows: list[list[str]] = []
    for cells in found:
        if any(cell.start() not in starts for cell in cells):
            return []
        row = [""] * len(starts)
        for cell in cells:
            row[starts.index(cell.start())] = cell[0]
        if row[0] or not rows:
            rows.append(row)
        else:  # the rest of what had no room in the row above
            rows[-1] = [
                f"{above} {more}".strip() for above, more in zip(rows[-1], row, strict=True)
            ]
    if len(rows) < 2 or len(starts) < 2:
        return []
    if len(starts) == 2:
        return [label(name, value) if value else name for name, value in rows]
    plain = [[False] * len(starts)] * len(rows)
    if is_header(rows[0], rows[1:], plain):
        return row_lines(rows[1:], rows[0])
    return row_lines(rows, None)


def _drawn_table(lines: Sequence[str]) -> list[str]:
    """The rows of a table that is drawn with bars; [] if it is none."""
    groups: list[list[list[str]]] = [[]]  # what stands between two rules
    for line in map(str.strip, lines):
        if _BORDER.fullmatch(line):
            groups.append([])
        elif _BARS.match(line) and _BARS.match(line[-1]):
            groups[-1].append([one_line(cell) for cell in _BARS.split(line)[1:-1]])
        else:
            return []
    groups = [group for group in groups if group]
    if len({len(cells) for group in groups for cells in group}) != 1 or len(groups[0][0]) < 2:
        return []
    if len(groups) > 2:  # rules below rows, which may be several lines high
        header, *below = groups
        return row_lines([row for group in below for row in _high_rows(group)], _in_one(header))
    if len(groups) == 2 and len(groups[0]) == 1:
        return row_lines(groups[1], groups[0][0])
    rows = [cells for group in groups for cells in group]
    headed = is_header(rows[0], rows[1:], [[False] * len(rows[0])] * len(rows))
    return row_lines(rows[1:], rows[0]) if headed else row_lines(rows, None) if rows[1:] else []


def _high_rows(lines: Sequence[list[str]]) -> list[list[str]]:
    """The rows of a drawn table between two rules.

    A line that leaves a cell empty goes on with the row above; one without is a row of its own.
    """
    rows: list[list[list[str]]] = []
    for cells in lines:
        if rows and not all(cells):
            rows[-1].append(cells)
        else:
            rows.append([cells])
    return [_in_one(row) for row in rows]


def _in_one(lines: Sequence[list[str]]) -> list[str]:
    """The cells of a row that is several lines high."""
    return [" ".join(filter(None, cells)) for cells in zip(*lines, strict=True)]


def _joined(lines: Sequence[str], indent: int, width: int) -> list[str]:
    """The lines of a block with those joined that were one."""
    prose = _is_wrapped(lines, indent, width)
    # Each entry: the indentation of its first line, its lines, the length of the last of them.
    entries: list[tuple[int, list[str], int]] = []
    for line in lines:
        text, column = line.strip(), _indent(line)
        if entries and not _ITEM.match(text):
            first_column, parts, length = entries[-1]
            below_item = bool(_ITEM.match(parts[0])) and column > first_column
            if below_item or _was_wrapped(parts[-1], indent + length, text, width, prose=prose):
                parts.append(text)
                entries[-1] = (first_column, parts, len(line))
                continue
        entries.append((column, [text], len(line)))
    columns = sorted({column for column, parts, _ in entries if _ITEM.match(parts[0])})
    shown = []
    for column, parts, _ in entries:
        text = one_line(" ".join(parts))
        if item := _ITEM.match(text):
            mark = "-" if len(item["mark"]) == 1 else item["mark"]
            text = f"{'  ' * columns.index(column)}{mark} {text[item.end() :]}"
        shown.append(text)
    return shown


def _is_wrapped(lines: Sequence[str], indent: int, width: int) -> bool:
    """Whether a block is prose whose lines were broken in the middle of sentences.

    Then all of them but the last are long, and what goes on below mostly has a small letter.
    """
    if any(indent + len(line) <= _LONG * width for line in lines[:-1]):
        return False
    below = [line.lstrip() for above, line in pairwise(lines) if above[-1] not in _ENDS]
    return bool(below) and 2 * sum(line[0].islower() for line in below) >= len(below)


def _was_wrapped(above: str, length: int, line: str, width: int, *, prose: bool) -> bool:
    """Whether ``above``, ``length`` columns long, had no room for the next word.

    Args:
        prose: whether most lines of the block were broken in the middle of a sentence.
    """
    if not width or (_FIELD.match(above) and _FIELD.match(line)):
        return False
    if length + 1 + len(line.split()[0]) > width:
        return True
    # Lines broken by hand or evenly end a little earlier; a sentence goes on below.
    if length <= 0.5 * width or above[-1] in _ENDS or _SIGN.match(line):
        return False
    return line[0].islower() or _UNENDING.search(above) is not None or prose
