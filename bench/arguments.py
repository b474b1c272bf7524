"""Arguments that several commands here share; see also :mod:`reader.arguments`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bot.errors import SpanbotError
from bot.settings import Settings, from_environment
from reader.arguments import told
from reader.errors import ReaderError
from retriever.errors import RetrieverError


@contextmanager
def foreseen() -> Iterator[None]:
    """What is raised on purpose ends the command with its message alone."""
    with told(SpanbotError, RetrieverError, ReaderError):
        yield


def named_home(value: str) -> tuple[str, str]:
    """``NAME=HOME``: a knowledge base, and the home folder of an installation that holds it."""
    name, sign, home = value.partition("=")
    if not (name and sign and home):
        raise ArgumentTypeError(f'"{value}" is not of the form NAME=HOME')
    return name, home


def settings_of(home: str | Path) -> Settings:
    """The environment's settings with another home folder."""
    folder = Path(home).absolute()
    return replace(
        from_environment(), home=folder, database_url=f"sqlite:///{folder / 'spanbot.db'}"
    )
