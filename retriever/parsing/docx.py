"""DOCX files, by way of HTML. Run in a process of its own: see ``isolate``."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape

import mammoth
from selectolax.lexbor import LexborHTMLParser, LexborNode

from retriever.errors import ParseError
from retriever.parsing.builder import TextBuilder, one_line
from retriever.parsing.html import check_depth
from retriever.parsing.limits import DEFAULT_LIMITS, Limits
from retriever.parsing.media_types import DOCX
from retriever.parsing.titles import first_title, heading_title, name_title, says_something
from retriever.parsing.walker import Walker
from retriever.records import ParsedDocument

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Heading 7'] => h6:fresh
p[style-name='Heading 8'] => h6:fresh
p[style-name='Heading 9'] => h6:fresh
p[style-name^='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
"""
_TITLE = re.compile(rb"<dc:title[^>]*>(.*?)</dc:title>", re.DOTALL)


def parse_docx(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> ParsedDocument:
    """Read a DOCX file. Raises: ParseError."""
    metadata = _check(data, name, limits)
    try:
        html = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map=_STYLES,
            # The alternative text is all that is wanted of an image.
            convert_image=mammoth.images.img_element(lambda image: {"src": ""}),
        ).value
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ParseError(f"{name} is damaged ({error}); save it anew") from error
    builder = TextBuilder()
    try:
        check_depth(html)
        tree = LexborHTMLParser(f"<!DOCTYPE html><body><article>{html}</article>")
        if tree.body is not None:
            Walker(builder, slugger=_no_slug, guess_headers=True).walk(tree.body)
    except ParseError as error:
        raise ParseError(f"{name}: {error}; simplify its tables") from error
    title = first_title(
        [
            heading_title(builder.headings),
            metadata if says_something(metadata) else "",
            name_title(name),
        ]
    )
    return builder.build(
        title=title,
        media_type=DOCX,
    )


def _no_slug(heading: LexborNode, text: str) -> None:
    """A Word document cannot be opened at a heading."""


def _check(data: bytes, name: str, limits: Limits) -> str:
    """The title in the file's properties, once it is known to be a sound Word document."""
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise ParseError(f"{name} is encrypted; remove the password and add it again")
        raise ParseError(f"{name} is in the format of Word 97-2003; save it as .docx")
    if not data.startswith(b"PK"):
        raise ParseError(f"{name} is not a Word document (no zip archive); name it by what it is")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_sizes(members, len(data), name, limits)
            names = {member.filename for member in members}
            if "[Content_Types].xml" not in names or not any(
                re.fullmatch(r"/?word/document\d*\.xml", member) for member in names
            ):
                raise ParseError(f"{name} is not a Word document (no word/document.xml in it)")
            if any(member.flag_bits & 1 for member in members):
                raise ParseError(f"{name} is encrypted; remove the password and add it again")
            core = archive.read("docProps/core.xml") if "docProps/core.xml" in names else b""
    except (zipfile.BadZipFile, EOFError) as error:
        raise ParseError(f"{name} is truncated or damaged ({error}); copy it again") from error
    title = _TITLE.search(core)
    return one_line(unescape(title[1].decode("utf-8", "replace"))) if title else ""


def _check_sizes(members: list[zipfile.ZipInfo], size: int, name: str, limits: Limits) -> None:
    """Refuse an archive made to exhaust memory, by the sizes that it declares."""
    expanded = sum(member.file_size for member in members)
    text = sum(
        member.file_size for member in members if member.filename.endswith((".xml", ".rels"))
    )
    if expanded > limits.expanded_bytes:
        raise ParseError(
            f"{name} expands to {expanded / 1024**2:.0f} MB; up to "
            f"{limits.expanded_bytes // 1024**2} MB are read: split it or shrink its images"
        )
    if text > limits.ratio_bytes and text > limits.expanded_ratio * size:
        raise ParseError(
            f"{name} expands to {text // max(size, 1)} times its size; save it anew or split it"
        )
