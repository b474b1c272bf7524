"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from retriever.errors import ParseError
from retriever.parsing.media_types import DOCX, SUFFIXES

# The first of each is the one to use.
_SUFFIXES = {media_type: suffix for suffix, media_type in [*SUFFIXES.items()][::-1]}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# No text holds these, so that one about file formats may begin as a file of the format does.
_UNSEEN = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_RIFF = re.compile(rb"RIFF.{4}(?:WEBP|WAVE|AVI )", re.DOTALL)
_HEADER = 512  # bytes of that of a tar archive
_OBJECT = re.compile(rb"(?<![^\r\n])\d{1,10} \d{1,5} obj\s*(?:[\r\n]|<<|\[)")
_WORD_97, _ENCRYPTED = "WordDocument".encode("utf-16-le"), "EncryptedPackage".encode("utf-16-le")
_UNPACK = "unpack it and add what is in it"
_IMAGE = "images are not read: write down what it shows"
_SOUND = "recordings are not read: write down what is said"
_EXPORT = "export it as PDF or HTML"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        name: with its article, as in "a PDF".
        media_type: that of a kind which is read, "" of one which is not.
        advice: what to do with a kind that is not read.
    """

    name: str
    media_type: str = ""
    advice: str = "export it as text"


# A beginning counts with a byte of _UNSEEN in it or soon after it.
_BEGINNINGS: Mapping[bytes, Kind] = {
    b"\x89PNG\r\n\x1a\n": Kind("a PNG image", advice=_IMAGE),
    b"\xff\xd8\xff": Kind("a JPEG image", advice=_IMAGE),
    b"GIF87a": Kind("a GIF image", advice=_IMAGE),
    b"GIF89a": Kind("a GIF image", advice=_IMAGE),
    b"II*\0": Kind("a TIFF image", advice=_IMAGE),
    b"MM\0*": Kind("a TIFF image", advice=_IMAGE),
    b"\x1f\x8b\x08": Kind("a gzip archive", advice=_UNPACK),
    b"BZh91AY&SY": Kind("a bzip2 archive", advice=_UNPACK),
    b"\xfd7zXZ\0": Kind("an xz archive", advice=_UNPACK),
    b"\x28\xb5\x2f\xfd": Kind("a Zstandard archive", advice=_UNPACK),
    b"7z\xbc\xaf\x27\x1c": Kind("a 7z archive", advice=_UNPACK),
    b"Rar!\x1a\x07": Kind("a RAR archive", advice=_UNPACK),
    b"\x7fELF": Kind("a program"),
    b"MZ\x90\0": Kind("a program"),
    b"SQLite format 3\0": Kind("an SQLite database"),
    b"OggS\0": Kind("a recording", advice=_SOUND),
    b"ID3\x03": Kind("a recording", advice=_SOUND),
    b"ID3\x04": Kind("a recording", advice=_SOUND),
    b"bplist00": Kind("a property list"),
}
_ZIP = Kind("a zip archive", advice=_UNPACK)
_PAGE = re.compile(rb"\s*(?:<!doctype html|<html[\s>])", re.IGNORECASE)


def kind_of(data: bytes) -> Kind | None:
    """What a file's bytes say that it is, None if they do not."""
    for beginning, kind in _BEGINNINGS.items():
        if data.startswith(beginning) and _UNSEEN.search(data, 0, 64):
            return kind
    if data.startswith(b"PK\x03\x04"):
        return _zipped(data)
    if data.startswith(_OLE):
        return _compound(data)
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:5] == b"%PDF-" and _has_objects(data):
        return Kind("a PDF", "application/pdf")
    if data.startswith(b"{\\rtf1\\"):
        return Kind("an RTF file", advice="save it as .docx")
    if _RIFF.match(data) and _UNSEEN.search(data, 0, _HEADER):
        return Kind("an image or a recording", advice="write down what it shows or says")
    if data[4:8] == b"ftyp" and data[:1] == b"\0":
        return Kind("a video or an image", advice="write down what it shows")
    if data[257:262] == b"ustar" and _UNSEEN.search(data, 0, _HEADER):
        return Kind("a tar archive", advice=_UNPACK)
    return None


def refuse_misnamed(data: bytes, name: str, media_type: str) -> None:
    """Raise ParseError for a file whose bytes say that it is not of ``media_type``."""
    kind = kind_of(data)
    if kind is None and media_type in ("application/pdf", DOCX) and _PAGE.match(data):
        kind = Kind("an HTML page", "text/html")  # as text it may be meant to be seen
    if kind is None or kind.media_type == media_type:
        return
    if media_type == DOCX and (kind is _ZIP or data.startswith(_OLE)):
        return  # what is wrong with these, the parser of Word documents knows better
    dot = name.rfind(".")
    named = f"{name} is {kind.name} named {name[dot:]}" if dot >= 0 else f"{name} is {kind.name}"
    suffix = _SUFFIXES.get(kind.media_type)
    raise ParseError(f"{named}; {f'rename it to {suffix}' if suffix else kind.advice}")


def _has_objects(data: bytes) -> bool:
    """Whether objects of a PDF are in it, which begin on lines of their own."""
    return _OBJECT.search(data) is not None and (b"endobj" in data or b"stream" in data)


def _zipped(data: bytes) -> Kind:
    """The kind of an archive by the names of what is in it, which stand in it as they are."""
    if b"word/document" in data:
        return Kind("a Word document", DOCX)
    if b"xl/workbook" in data:
        return Kind("an Excel workbook", advice=_EXPORT)
    if b"ppt/presentation" in data:
        return Kind("a PowerPoint presentation", advice=_EXPORT)
    if b"mimetypeapplication/vnd.oasis.opendocument" in data[:100]:
        return Kind("an OpenDocument file", advice="save it as .docx or export it as PDF")
    if b"mimetypeapplication/epub" in data[:100]:
        return Kind("an e-book", advice=_EXPORT)
    return _ZIP


def _compound(data: bytes) -> Kind:
    if _ENCRYPTED in data:
        return Kind("an encrypted office file", advice="remove the password and save it as .docx")
    if _WORD_97 in data:
        return Kind("a document of Word 97-2003", advice="save it as .docx")
    return Kind("an office file of an old format", advice="save it as .docx or export it as PDF")
