"""Running the command line in this process: what it prints, and how it exits."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from bot.cli.main import main


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What was printed, as JSON; the command has succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def error(self) -> str:
        """The one line that says what was wrong; nothing else was printed."""
        lines = self.err.splitlines()
        assert (self.code, self.out, len(lines)) == (1, "", 1), (self.code, self.out, self.err)
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")


def spanbot(*arguments: object, stdin: str = "") -> Ran:
    """Run ``spanbot`` with these arguments, without a terminal.

    Errors that the program does not foresee are raised.
    """
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["spanbot", *map(str, arguments)]),
        patch.object(sys, "stdin", io.StringIO(stdin)),
    ):
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    return Ran(code, out.getvalue(), err.getvalue())
