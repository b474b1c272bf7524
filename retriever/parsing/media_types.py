"""The files that are read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".md": "text/markdown",
        ".markdown": "text/markdown",
        ".txt": "text/plain",
        ".text": "text/plain",
        ".html": "text/html",
        ".htm": "text/html",
        ".pdf": "application/pdf",
        ".docx": DOCX,
    }
)
"""The suffixes that are read, in lower case, and the media type of each."""
