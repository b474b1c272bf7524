"""Long commands that stop by themselves after some minutes and go on when they are given again."""

from __future__ import annotations

import time
from dataclasses import dataclass


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
