"""Bytes of a text file to characters."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise

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

# Where a letter or symbol beyond ASCII stands beside another letter, the two are of one script and
# case in nearly all text; with bytes at random they are not, half the time and more. A few odd
# pairs, however often, are units or names.
_MANY_CHANGES = 0.25
_ODD_PAIRS = 8
_CHUNK = 4096
_NEUTRAL = frozenset("°ªº¹²³µ")
# By the first words of their names; the long vowel of "サーバー" is KATAKANA-HIRAGANA.
_CJK = frozenset("CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA HALFWIDTH FULLWIDTH IDEOGRAPHIC".split())


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
    if wide := bom or _wide(data):
        return _plausible(_decode_as(data, name, wide), name)
    _refuse_binary(data, name)
    if declared is not None:
        try:
            text = data.decode(declared)
        except (LookupError, ValueError):  # of the latter kind is "undefined", an encoding's name
            pass  # it says what it is not; find out like any other text
        else:
            return _plausible(text, name)
    try:
        return data.decode("utf-8")  # that bytes are by chance hardly ever
    except UnicodeDecodeError:
        return _plausible(_guess(data, name), name)


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
        raise _no_text(name)
    best = matches[0]
    # Of guesses that are equally good the first in the alphabet wins; most files of the kind are
    # western European.
    western = next((match for match in matches if match.encoding == "cp1252"), None)
    if western is not None and western.chaos <= best.chaos:
        best = western
    return str(best)


def _plausible(text: str, name: str) -> str:
    """``text``, unless a part of it is what bytes at random look like in some encoding."""
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        if chunk.isascii():
            continue
        places = changes = odd = 0
        for (one, other), count in Counter(pairwise(chunk)).items():
            before, after = _kind(one), _kind(other)
            if before and after and not (one.isascii() and other.isascii()):
                places += count
                if before != after and not _is_capital(before, after):
                    changes += count
                    odd += 1
        if odd >= _ODD_PAIRS and changes > _MANY_CHANGES * places:
            raise _no_text(name)
    return text


@cache
def _kind(character: str) -> tuple[str, bool] | None:
    """Script and whether upper case, of a letter; ("", False) for a symbol; None for the rest."""
    category = unicodedata.category(character)
    if character in _NEUTRAL or character.isspace():
        return None
    if category[0] in "SC" and category != "Cf":
        # Signs of Unicode's own, such as emoji, may stand beside anything.
        signs = category[0] == "S" and character > "\xff"
        return None if character.isascii() or category == "Sc" or signs else ("", False)
    if category[0] != "L":
        return None
    script = unicodedata.name(character, "").split(" ")[0]
    return "CJK" if script in _CJK else script, category == "Lu"


def _is_capital(before: tuple[str, bool], after: tuple[str, bool]) -> bool:
    """Whether a capital stands before a small letter of its script."""
    return before == (after[0], True)


def _no_text(name: str) -> ParseError:
    return ParseError(
        f"{name} is not text in any encoding that is known; "
        "save it as UTF-8, or name it by what it is"
    )
