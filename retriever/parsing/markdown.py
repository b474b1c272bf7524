"""Markdown files, as CommonMark with tables, strikethrough, footnotes and definition lists."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin
from selectolax.lexbor import LexborHTMLParser, LexborNode

from retriever.errors import ParseError
from retriever.parsing.builder import TextBuilder, clean
from retriever.parsing.definitions import definitions_plugin, parted
from retriever.parsing.encoding import decode
from retriever.parsing.fences import Fences
from retriever.parsing.html import check_depth
from retriever.parsing.templates import Tags
from retriever.parsing.titles import first_title, heading_title, name_title
from retriever.parsing.walker import Walker
from retriever.records import ParsedDocument

# Elements that inline or block HTML in Markdown may bring. Other names in angle brackets are
# placeholders that somebody has forgotten to put into a code span, so they are text.
_ELEMENTS = frozenset(
    "a abbr acronym address article aside audio b bdi bdo big blockquote br button canvas caption "
    "center cite code col colgroup dd del details dfn dialog dir div dl dt em embed fieldset "
    "figcaption figure font footer form h1 h2 h3 h4 h5 h6 header hgroup hr i iframe img input ins "
    "kbd label legend li link main map mark menu meta meter nav noscript object ol p picture pre "
    "progress q rp rt ruby s samp script section select small source span strike strong style sub "
    "summary sup svg table tbody td template textarea tfoot th thead time tr tt u ul var video "
    "wbr path g circle rect line polygon option param track".split()
)
# Elements that take everything up to their end tag, to the end of the document if there is none.
_TAKERS = frozenset(
    "script style textarea iframe template svg select noscript object audio video canvas nav aside "
    "header footer form button dialog map del s strike".split()
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_MAX_NESTING = 150
_ONLY_TAGS = re.compile(r"(\s*</?[a-zA-Z][^<>]*>\s*)+")
_ALERT = re.compile(
    r"^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION|INFO|DANGER)\][ \t]*\n?", re.IGNORECASE
)
_ADMONITION = re.compile(
    r"^(?P<indent>[ ]{0,3})(?:!!!|\?\?\?\+?)[ ]+[\w -]+?(?:[ ]+\"(?P<title>[^\"\n]*)\")?[ ]*$"
)
_CONTAINER = re.compile(
    r"^[ ]{0,3}:::+[ ]*(?:[\w-]+[ ]*(?:\[(?P<a>[^\]\n]*)\]|(?P<b>[^\n{]*)))?(?:\{[^}\n]*\})?[ ]*$"
)
_TOC = re.compile(r"^[ ]{0,3}(?:[-*+]|\d+[.)])[ ]+.*\n[ ]{0,3}\{:toc\}[ ]*$", re.MULTILINE)
_TOC_LINE = re.compile(r"^[ ]{0,3}\[{1,2}_?toc_?\]{1,2}[ ]*$", re.MULTILINE | re.IGNORECASE)
_KEY = re.compile(r"^[\w-][\w -]*:(\s|$)", re.MULTILINE)
_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)\n\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)


def parse_markdown(data: bytes, name: str, encoding: str | None = None) -> ParsedDocument:
    """Read a Markdown file. Raises: ParseError."""
    source = clean(decode(data, name, encoding))
    meta_title = ""
    if toml := _TOML.match(source):
        meta_title = _toml_title(toml[1])
        source = source[toml.end() :]
    tags = Tags()
    hidden = tags.hide(parted(_unwrap(_TOC_LINE.sub("", _TOC.sub("", source)))))
    try:
        parser = _parser()
        tokens = parser.parse(hidden)
        if tokens and tokens[0].type == "front_matter":
            if _KEY.search(tokens[0].content):
                meta_title = _yaml_title(tags.in_code(tokens[0].content))
            else:  # two rules with text between them
                tokens = parser.disable("front_matter").parse(hidden)
        if any(token.level >= _MAX_NESTING - 1 for token in tokens):
            # What is deeper has been left out, and nobody should find that out from the answers.
            raise ParseError("its lists or quotations are nested too deeply")
        tokens = list(_prepared(tokens, tags))
        html = parser.renderer.render(tokens, parser.options, {})
        check_depth(html)
        builder = TextBuilder()
        tree = LexborHTMLParser(f"<!DOCTYPE html><body><article>{html}</article>")
        if tree.body is not None:
            Walker(builder, slugger=GitHubSlugs()).walk(tree.body)
        if not builder.length:  # a page that only leads elsewhere
            builder.add(meta_title)
    except RecursionError as error:
        raise ParseError(f"{name}: its lists or quotations are nested too deeply") from error
    except ParseError as error:
        raise ParseError(f"{name}: {error}; simplify it") from error
    title = first_title([meta_title, heading_title(builder.headings), name_title(name)])
    return builder.build(title=title, media_type="text/markdown")


def _parser() -> MarkdownIt:
    # The preset's own limit of 20 leaves out text on the tenth level of a list.
    parser = MarkdownIt("commonmark", {"html": True, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"]).use(front_matter_plugin).use(footnote_plugin)
    parser.use(definitions_plugin)
    return parser


class GitHubSlugs:
    """Ids of headings as GitHub gives them: "Set up a VPN?" is ``set-up-a-vpn``.

    A heading's own id comes before. The second heading with the same text gets ``-1``.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, heading: LexborNode, text: str) -> str | None:
        if heading.id:
            return heading.id
        slug = "".join(
            "-" if character == " " else character
            for character in text.lower()
            if character in " -_"
            or character.isalnum()
            or unicodedata.category(character)[0] == "M"
        )
        if not slug.strip("-"):
            return None
        count = self._seen.get(slug)
        unique = slug
        while unique in self._seen:
            count = (count or 0) + 1
            unique = f"{slug}-{count}"
        self._seen[slug] = count or 0
        self._seen.setdefault(unique, 0)
        return unique


# --- before parsing ----------------------------------------------------------------------------


def _unwrap(source: str) -> str:
    """The text with the admonitions of MkDocs (``!!!``) and Docusaurus (``:::``) as paragraphs."""
    if not re.search(r"^[ ]{0,3}(!!!|\?\?\?|:::)", source, re.MULTILINE):
        return source
    lines: list[str] = []
    fences = Fences()
    inside = -1  # the column that the lines of an admonition are moved to, -1 outside one
    for line in source.split("\n"):
        if inside >= 0 and line.strip():
            if line.startswith(" " * (inside + 4)):
                line = line[:inside] + line[inside + 4 :]
            else:
                inside = -1
        if not fences.is_code(line):
            if match := _ADMONITION.match(line):
                inside = len(match["indent"])
                lines += ["", match["indent"] + (match["title"] or ""), ""]
                continue
            if match := _CONTAINER.match(line):
                lines += ["", (match["a"] or match["b"] or "").strip(), ""]
                continue
        lines.append(line)
    return "\n".join(lines)


def _yaml_title(content: str) -> str:
    """The value of ``title`` in YAML front matter: plain, quoted, or a folded block."""
    match = re.search(r"^title[ \t]*:[ \t]*(.*(?:\n[ \t]+\S.*)*)", content, re.MULTILINE)
    if match is None:
        return ""
    value = re.sub(r"\s+", " ", match[1]).strip()
    if quoted := re.match(r'"((?:[^"\\]|\\.)*)"', value):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if quoted := re.match(r"'((?:[^']|'')*)'", value):
        return quoted[1].replace("''", "'")
    value = re.sub(r"^[|>][+-]?\d? ", "", value)
    return re.sub(r"(^|\s)#.*$", "", value).strip()


def _toml_title(content: str) -> str:
    match = re.search(r"""^title\s*=\s*(["'])(.*?)\1\s*(?:#.*)?$""", content, re.MULTILINE)
    return match[2] if match else ""


# --- between parsing and rendering -------------------------------------------------------------


def _prepared(tokens: list[Token], tags: Tags) -> Iterator[Token]:
    """The tokens with template tags resolved, ids on headings and HTML made safe to nest."""
    raw = [
        token
        for outer in tokens
        for token in [outer, *(outer.children or [])]
        if token.type in ("html_block", "html_inline")
    ]
    _tame(raw)
    heading: Token | None = None  # the heading that an attribute list may follow
    opened: Token | None = None
    skipping = False
    for at, token in enumerate(tokens):
        if skipping:  # the paragraph that was only an attribute list
            skipping = token.type != "paragraph_close"
            continue
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.type == "paragraph_open" and following is not None:
            if tags.is_tags_only(following.content):
                anchor = tags.take_anchor(following.content)[1]
                if heading is not None and anchor is not None:
                    heading.attrSet("id", anchor)
                    skipping = True
                    continue
            heading = None
        if token.type == "heading_open":
            opened = token
        elif token.type == "heading_close":
            heading, opened = opened, None
        elif token.type == "code_block" and _ONLY_TAGS.fullmatch(token.content):
            # Tags that were indented for the eye, below a blank line.
            token.type = "html_block"
        elif token.type in ("fence", "code_block"):
            token.content = tags.in_code(token.content)
        elif token.type == "html_block":
            token.content = tags.in_prose(token.content)
        elif token.type == "inline":
            _prepare_inline(token, tags, opened)
        yield token


def _prepare_inline(inline: Token, tags: Tags, heading: Token | None) -> None:
    children = inline.children or []
    for at, token in enumerate(children):
        if token.type == "code_inline":
            token.content = tags.in_code(token.content)
        elif token.type == "image":
            for child in token.children or []:
                child.content = tags.in_prose(child.content)
        elif token.type == "html_inline":
            token.content = tags.in_prose(token.content)
        elif token.type == "text":
            if heading is not None:
                token.content, anchor = tags.take_anchor(token.content)
                if anchor is not None:
                    heading.attrSet("id", anchor)
            if at == 0:
                token.content = _alert_text(token, children)
            token.content = tags.in_prose(token.content)


def _alert_text(first: Token, children: list[Token]) -> str:
    """The beginning of a quotation that GitHub shows as an alert, with its kind as a word."""
    match = _ALERT.match(first.content)
    if match is None:
        return first.content
    rest = first.content[match.end() :]
    if not rest and len(children) > 1 and children[1].type == "softbreak":
        children[1].type = "text"
        children[1].content = ""
    return f"{match[1].capitalize()}: {rest}"


def _tame(tokens: list[Token]) -> None:
    """Make text of placeholders, and drop tags that would take the rest of the document."""
    ends: dict[str, int] = {}
    for token in tokens:
        for match in _TAG.finditer(token.content):
            if match[1]:
                ends[match[2].lower()] = ends.get(match[2].lower(), 0) + 1

    def tame_one(match: re.Match[str]) -> str:
        name = match[2].lower()
        if name not in _ELEMENTS and "-" not in name:
            return match[0].replace("<", "&lt;", 1)
        if match[1]:
            ends[name] -= 1
        elif name in _TAKERS and ends.get(name, 0) < 1:
            return ""
        return match[0]

    for token in tokens:
        token.content = _TAG.sub(tame_one, token.content)
