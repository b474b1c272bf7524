"""Options with a limited choice of values, which help shows and errors name."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

_Number = int | float


def whole(*names: str, least: int, most: int | None = None, help: str) -> Any:
    """An option for a whole number from ``least`` to ``most``, both included."""
    return _number(names, int, "whole number", least, most, help)


def real(*names: str, least: float | None = None, most: float | None = None, help: str) -> Any:
    """An option for a number from ``least`` to ``most``, both included."""
    return _number(names, float, "number", least, most, help)


def one_of(values: type[StrEnum], *names: str, help: str) -> Any:
    """An option for one of some values."""
    allowed = [value.value for value in values]

    def parse(value: str) -> StrEnum:
        try:
            return values(value)
        except ValueError as error:
            raise typer.BadParameter(f'it is "{value}"; use {" or ".join(allowed)}') from error

    return typer.Option(*names, parser=parse, metavar="|".join(allowed), help=help)


def _number(
    names: tuple[str, ...],
    convert: Callable[[str], _Number],
    kind: str,
    least: _Number | None,
    most: _Number | None,
    help: str,
) -> Any:
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    if least is None:
        shown, wanted = "NUMBER", kind
    elif most is None:
        shown, wanted = f"{_text(least)} OR MORE", f"{kind}, {_text(least)} or more"
    else:
        bounds = _text(least), _text(most)
        shown, wanted = " TO ".join(bounds), f"{kind} from {' to '.join(bounds)}"

    def parse(value: Any) -> _Number:
        try:
            number = convert(str(value))
        except ValueError:
            number = math.nan
        if not low <= number <= high or number in (math.inf, -math.inf):
            raise typer.BadParameter(f'it is "{value}"; use a {wanted}')
        return number

    return typer.Option(*names, parser=parse, metavar=shown, help=help)


def _text(number: _Number) -> str:
    """Whole ones in full: rounded, one would be another."""
    return str(number) if isinstance(number, int) else f"{number:g}"
