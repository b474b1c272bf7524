"""Arguments of ``python -m reader.NAME`` and ``python -m bench.NAME``: a wrong one is named.

The functions are for ``type=`` of argparse, which puts the argument's name before their messages.
"""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """A whole number from ``least`` on."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f'"{value}" is no whole number from {least} on; give one')
        return number

    return parse


def positive(value: str) -> float:
    """A number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f'"{value}" is no number above 0; give one')
    return number


def rate(value: str) -> float:
    """A learning rate; above 1 no network is left after a step, and far above no float holds it."""
    number = positive(value)
    if number > 1:
        raise ArgumentTypeError(f'"{value}" is no number from 0 to 1; give one')
    return number


def existing_file(value: str) -> Path:
    """A file that is there."""
    if not Path(value).is_file():
        raise ArgumentTypeError(f'there is no file "{value}"; give the path of one')
    return Path(value)


def program(value: str) -> str:
    """A program that can be run, by its path or its name."""
    if shutil.which(value) is None:
        raise ArgumentTypeError(f'"{value}" is no program; give the path of one')
    return value


@contextmanager
def told(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds end the command with their message alone, and exit status 1."""
    try:
        yield
    except kinds as error:
        sys.exit(f"error: {error}")
