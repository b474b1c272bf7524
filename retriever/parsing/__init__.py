"""Files as clean reading text with anchors.

``parse`` is the package's one entrance. The modules of the formats are imported when a file of
theirs is met, so importing this package costs nothing.

    text.py, markdown.py, html.py, pdf.py, docx.py   one format each
    walker.py                      HTML elements to blocks, for HTML, Markdown and DOCX
    elements.py, footnotes.py      what the walk knows of elements, and of notes
    pdf_layout.py                  lines on a page to paragraphs and tables
    templates.py, definitions.py, fences.py          what Markdown has beside CommonMark
    tables.py, tasks.py, titles.py, encoding.py      what the formats share
    media_types.py                 what is read, by suffix
    signatures.py                  files of another kind than their name says
    builder.py                     blocks to the canonical text and its anchors
    isolate.py, child.py           a process of its own for formats that need one
    limits.py                      what that process may take
"""

from __future__ import annotations

from pathlib import Path

from retriever.errors import ParseError
from retriever.parsing.limits import DEFAULT_LIMITS, Limits
from retriever.parsing.media_types import SUFFIXES
from retriever.parsing.signatures import refuse_misnamed
from retriever.records import ParsedDocument

__all__ = ["MAX_FILE_BYTES", "SUFFIXES", "TEXT_VERSION", "media_type_of", "parse"]

#: Which text is made of a file, counted up from 1. Raise it with every release in which the text,
#: the title or the anchors that are made of the same file are others than before, or the passages
#: that are cut from them: what has been read under a lower one is then read again, changed or not.
TEXT_VERSION = 2

MAX_FILE_BYTES = 50 * 1024 * 1024

# Text and markup from this size on are parsed in a process of its own: a few kinds of broken ones
# take quadratic time, and beside a large file's the start-up of a process no longer counts.
_ISOLATE_BYTES = 32 * 1024


def parse(path: Path, *, encoding: str | None = None) -> ParsedDocument:
    """Read a file as a document.

    Args:
        path: a file whose suffix is one of ``SUFFIXES``, in any case.
        encoding: the character encoding of a text, Markdown or HTML file, where it is known;
            otherwise it is found out from the file. PDF and DOCX files say their own.

    Raises:
        ParseError: the file cannot be read as a document; the message begins with its name and
            says why and what to do.
    """
    media_type = media_type_of(path)
    size = _check(path)
    if media_type in ("application/pdf", SUFFIXES[".docx"]) or size >= _ISOLATE_BYTES:
        from retriever.parsing.isolate import parse_isolated

        return parse_isolated(path, media_type, encoding)
    try:
        return parse_here(path, media_type, encoding)
    except (ParseError, MemoryError):
        raise
    except Exception as error:  # whatever a library raises, the file is at fault
        raise unexpected(path, error) from error


def media_type_of(path: Path) -> str:
    """The media type of a file by its suffix. Raises: ParseError: files of that are not read."""
    media_type = SUFFIXES.get(path.suffix.lower())
    if media_type is None:
        kind = f"files of the type {path.suffix}" if path.suffix else "files without a suffix"
        raise ParseError(f"{path.name}: {kind} are not read; those read are {', '.join(SUFFIXES)}")
    return media_type


def parse_here(
    path: Path, media_type: str, encoding: str | None, limits: Limits = DEFAULT_LIMITS
) -> ParsedDocument:
    """Parse a file that has been checked, in this process. Raises: ParseError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    refuse_misnamed(data, path.name, media_type)
    document: ParsedDocument
    match media_type:
        case "text/plain":
            from retriever.parsing.text import parse_text

            document = parse_text(data, path.name, encoding)
        case "text/markdown":
            from retriever.parsing.markdown import parse_markdown

            document = parse_markdown(data, path.name, encoding)
        case "text/html":
            from retriever.parsing.html import parse_html

            document = parse_html(data, path.name, encoding)
        case "application/pdf":
            from retriever.parsing.pdf import parse_pdf

            document = parse_pdf(data, path.name)
        case _:
            from retriever.parsing.docx import parse_docx

            document = parse_docx(data, path.name, limits)
    if not document.text:
        raise ParseError(f"{path.name} is empty: there is no text in it to find or quote")
    return document


def unexpected(path: Path, error: Exception) -> ParseError:
    """The error for a file with which a parser does not get on."""
    if isinstance(error, RecursionError):
        return ParseError(f"{path.name} is nested too deeply; simplify it")
    reason = f"{type(error).__name__}: {error}"[:200]
    return ParseError(f"{path.name} could not be read ({reason}); export it anew")


def _check(path: Path) -> int:
    """The file's size in bytes, once it is known to be one that can be read."""
    try:
        if not path.is_file():
            if path.exists():
                raise ParseError(f"{path.name} is not a file; give the path of a document")
            raise ParseError(f"{path.name} does not exist; check the path {path}")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise _unreadable(path, error) from error
    if size == 0:
        raise ParseError(f"{path.name} is empty (0 bytes); fill it or remove it")
    if size > MAX_FILE_BYTES:
        raise ParseError(
            f"{path.name} has {size / 1024**2:.0f} MB; files of up to "
            f"{MAX_FILE_BYTES // 1024**2} MB are read: split it"
        )
    return size


def _unreadable(path: Path, error: OSError) -> ParseError:
    reason = error.strerror or type(error).__name__
    if isinstance(error, PermissionError):
        reason = "permission denied; let the account that spanbot runs under read it"
    return ParseError(f"{path.name} cannot be read: {reason}")
