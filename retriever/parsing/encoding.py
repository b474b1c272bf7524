"""Bytes of a text file to characters."""

from __future__ import annotations

import codecs
import re

from retriever.errors import ParseError

_BOMS = (
    # UTF-32 LE begins with the mark of UTF-16 LE, so it is asked for first.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Everything but tab, line feed, vertical tab, form feed, carriage return, Ctrl-Z (the end of
# files from DOS) and escape (colours of terminals).
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f\x7f]")
_MANY_CONTROLS = 0.003

# Encodings that office files have been written in. The longer list of charset-normalizer has it
# take French for Baltic and English with a pound sign for Icelandic.
_LEGACY = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r",
    "cp932", "euc_jp", "gb18030", "big5", "euc_kr",
]  # fmt: skip


def decode(data: bytes, name: str, encoding: str | None = None, declared: str | None = None) -> str:
    """The characters of a text file.

    In this order: ``encoding``, a byte order mark, ``declared`` (what the file says of itself),
    strict UTF-8, and the most likely older encoding.

    Raises:
        ParseError: binary data, an encoding that does not fit or is not known.
    """
    bom = next((codec for mark, codec in _BOMS if data.startswith(mark)), None)
    if encoding is not None:
        return _decode_as(data, name, encoding).removeprefix("\ufeff")
    if bom is not None:
        return _decode_as(data, name, bom)
    wide = _wide(data)
    if wide is not None:
        return _decode_as(data, name, wide)
    _refuse_binary(data, name)
    if declared is not None:
        try:
            return data.decode(declared)
        except (LookupError, ValueError):  # of the latter kind is "undefined", an encoding's name
            pass  # it says what it is not; find out like any other text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guess(data, name)


def _decode_as(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ParseError(
            f"{name} is not {encoding} (byte {error.start}); "
            "correct the encoding or save the file as UTF-8"
        ) from error
    except (LookupError, ValueError) as error:
        raise ParseError(f"{name}: {encoding!r} is no text encoding; try utf-8") from error


def _wide(data: bytes) -> str | None:
    """UTF-16 without a byte order mark, as Windows programs write it: every second byte is 0."""
    sample = data[:4096]
    half = len(sample) // 2
    if half < 4 or len(data) % 2:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.7 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 * half and odd < 0.05 * half else None


def _refuse_binary(data: bytes, name: str) -> None:
    first = _CONTROL.search(data)
    if first is None:
        return
    if b"\0" in data or len(_CONTROL.findall(data)) > _MANY_CONTROLS * len(data):
        raise ParseError(
            f"{name} is not text (binary data at byte {first.start()}); "
            "export it as text, or name it by what it is"
        )


def _guess(data: bytes, name: str) -> str:
    from charset_normalizer import from_bytes

    matches = list(from_bytes(data, cp_isolation=_LEGACY))
    if not matches:
        raise ParseError(f"{name} has an unknown encoding; save it as UTF-8 or give its encoding")
    best = matches[0]
    # Of guesses that are equally good the first in the alphabet wins; most files of the kind are
    # western European.
    western = next((match for match in matches if match.encoding == "cp1252"), None)
    if western is not None and western.chaos <= best.chaos:
        best = western
    return str(best)
