"""Fenced code in Markdown's source, for what is done to the source before it is parsed."""

from __future__ import annotations

import re

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")


class Fences:
    """Tells code from text, given one line after the other."""

    def __init__(self) -> None:
        self._open: str | None = None

    def is_code(self, line: str) -> bool:
        """Whether a line is of fenced code, or begins or ends it."""
        mark = _FENCE.match(line)
        if mark and (self._open is None or mark[1].startswith(self._open)):
            self._open = mark[1] if self._open is None else None
            return True
        return self._open is not None
