"""The definition lists of Markdown: ``Term``, and below it ``: what it means``.

PHP Markdown Extra, kramdown, Python-Markdown (MkDocs) and pandoc have them. GitHub shows such lines
as they are, so a line that begins with a colon and stands below no term has to stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from mdit_py_plugins.deflist import deflist_plugin

from retriever.parsing.fences import Fences
from retriever.parsing.tables import LONGEST_NAME

# pandoc takes a tilde too, which others mean as "about" in front of a number.
_MARK = re.compile(r":[ \t]+\S")
_MARKED = re.compile(r"[ ]{0,3}" + _MARK.pattern)
_SENTENCE_END = re.compile(r"[.!,;]\Z")
# The lines that prose is broken into are longer.
_SHORT_TERM = 40
_MOST_TERMS = 5


def definitions_plugin(parser: MarkdownIt) -> None:
    """Let ``parser`` read definition lists.

    The library's rule takes any line for a term and one alone. Here it is given one term with its
    definitions at a time, and those of more terms above it are put in front.
    """
    parser.use(deflist_plugin)
    ruler = parser.block.ruler
    (plain,) = (rule for rule in ruler.getRules("") if rule.__name__ == "deflist")

    def definitions(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        if silent:  # whether the line ends a paragraph: only that of another definition
            return state.ddIndent >= 0 and _has_mark(state, start)
        last = _last_term(state, start, end)
        if last is None:
            return False
        tokens = state.tokens
        opened = len(tokens)
        if not plain(state, last, _end(state, last + 1, end), False):
            return False
        terms = [token for line in range(start, last) for token in _term(state, line)]
        tokens[opened + 1 : opened + 1] = terms
        before = tokens[opened - 1] if opened else None
        if before is not None and before.type == "dl_close":
            del tokens[opened - 1 : opened + 1]  # one list goes on
        return True

    ruler.at("deflist", definitions, {"alt": ["paragraph", "reference", "blockquote"]})


def parted(source: str) -> str:
    """The source with a blank line in front of each term right below another's definition.

    The library takes such a term for more of that definition.
    """
    lines = source.split("\n")
    parted_lines: list[str] = []
    fences, defining = Fences(), False
    for at, line in enumerate(lines):
        code = fences.is_code(line)
        if defining and _begins_terms(lines[at : at + _MOST_TERMS + 1]):
            parted_lines.append("")
            defining = False
        parted_lines.append(line)
        defining = not code and bool(line) and (defining or _MARKED.match(line) is not None)
    return "\n".join(parted_lines)


def _begins_terms(lines: Sequence[str]) -> bool:
    """Whether lines are terms up to one that is marked as a definition."""
    for number, line in enumerate(lines):
        if _MARKED.match(line):
            return number > 0
        if not line or line[0].isspace() or not _is_one_of_several(line.rstrip()):
            return False
    return False


def _last_term(state: StateBlock, start: int, end: int) -> int | None:
    """The line of the last of the terms that begin at ``start``; None if that is no term."""
    for line in range(start, min(start + _MOST_TERMS, end - 1)):
        text = _text(state, line)
        if not _is_term(text) or (line > start and not _is_one_of_several(text)):
            return None
        if _has_mark(state, line + 1):
            return line
        if state.isEmpty(line + 1):
            last = line == start and line + 2 < end and _has_mark(state, line + 2)
            return line if last else None
        if not _is_one_of_several(text) or _begins_block(state, line + 1, end):
            return None
    return None


def _is_term(text: str) -> bool:
    """Whether a line above a definition may be its term: it is no sentence."""
    if _MARK.match(text) or len(text) > LONGEST_NAME:
        return False
    return " " not in text or _SENTENCE_END.search(text) is None  # "approx." is none


def _is_one_of_several(text: str) -> bool:
    """Whether a line next to another may be a term: prose was not broken there."""
    return len(text) <= _SHORT_TERM and _SENTENCE_END.search(text) is None


def _end(state: StateBlock, line: int, end: int) -> int:
    """The line behind the definitions of one term, the first of which is at ``line`` or below."""
    inside: int | None = None  # the column from which a line belongs to the definition above it
    blank = True
    for at in range(line, end):
        if state.isEmpty(at):
            blank = True
            continue
        if inside is None or state.sCount[at] < inside:
            if _has_mark(state, at):
                inside = state.sCount[at] + 2
            elif blank or _begins_block(state, at, end):
                return at
        blank = False
    return end


def _begins_block(state: StateBlock, line: int, end: int) -> bool:
    """Whether a line ends the paragraph above it."""
    rules = state.md.block.ruler.getRules("paragraph")
    return any(rule(state, line, end, True) for rule in rules)


def _has_mark(state: StateBlock, line: int) -> bool:
    begin = state.bMarks[line] + state.tShift[line]
    return _MARK.match(state.src, begin, state.eMarks[line]) is not None


def _text(state: StateBlock, line: int) -> str:
    return state.getLines(line, line + 1, state.blkIndent, False).strip()


def _term(state: StateBlock, line: int) -> list[Token]:
    """The tokens of a term of the list that has just been closed."""
    level, lines = state.level + 1, [line, line]
    text = Token("inline", "", 0, level=level + 1, map=lines, content=_text(state, line))
    text.children = []
    return [
        Token("dt_open", "dt", 1, level=level, map=lines),
        text,
        Token("dt_close", "dt", -1, level=level),
    ]
