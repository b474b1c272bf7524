"""Long commands that stop by themselves after some minutes and go on when they are given again."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reader.output import write_text

TIME_IS_UP = "The time is up; give the same command again to go on."


class OutOfTimeError(Exception):
    """The command's time is up; what is saved is taken up by the next one."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Raises :class:`OutOfTimeError` when asked after ``deadline`` (monotonic seconds)."""

    deadline: float

    @classmethod
    def of_minutes(cls, minutes: float) -> Clock:
        """From now on."""
        return cls(time.monotonic() + 60 * minutes)

    def check(self, *_: object) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTimeError


def keep(value: Any, path: Path) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def say(line: str) -> None:
    """A line about how it goes, to standard error."""
    sys.stderr.write(line + "\n")
