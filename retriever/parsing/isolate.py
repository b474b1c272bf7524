"""A file parsed in a process of its own, under limits of memory, processor time and time.

PDF and DOCX files come from anywhere, a small one can ask for gigabytes, and the PDF library is
not thread-safe; large text can keep a parser busy for long. The child can only fail; what it says
is checked here.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import retriever
from retriever.errors import ParseError
from retriever.parsing.limits import DEFAULT_LIMITS, Limits
from retriever.records import Anchor, ParsedDocument


def parse_isolated(
    path: Path, media_type: str, encoding: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> ParsedDocument:
    """Parse a file that has been checked in a child process.

    Raises:
        ParseError: what the child reports, or the limit that it ran into.
    """
    order = {
        "path": str(path.absolute()),
        "media_type": media_type,
        "encoding": encoding,
        "limits": asdict(limits),
    }
    root = Path(retriever.__file__).resolve().parents[1]
    # -P keeps the current folder's files from being imported; the environment is empty so that
    # no variable changes what a parser does.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "retriever.parsing.child"]
    try:
        result = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(root), "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"},
            timeout=limits.wall_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ParseError(
            f"{path.name} took more than {limits.wall_seconds:g} seconds to read; split it"
        ) from error
    if result.returncode != 0:
        raise ParseError(f"{path.name} {_stopped(result.returncode, limits)}")
    try:
        answer: dict[str, Any] = json.loads(result.stdout)
    except ValueError as error:
        raise ParseError(f"{path.name} could not be read: its reader gave no answer") from error
    if "error" in answer:
        raise ParseError(str(answer["error"]))
    anchors = tuple(
        Anchor(**{**anchor, "path": tuple(anchor["path"])}) for anchor in answer.pop("anchors")
    )
    return ParsedDocument(**answer, anchors=anchors)


def _stopped(code: int, limits: Limits) -> str:
    """Why a child ended without an answer, as the rest of a sentence."""
    if code == -signal.SIGXCPU:
        return f"took more than {limits.cpu_seconds} seconds of processor time; split it"
    memory = f"{limits.memory_bytes // 1024**2} MiB of memory"
    if code == -signal.SIGKILL:
        return f"could not be read: its reader was killed, perhaps for want of memory ({memory})"
    if code < 0:
        name = signal.Signals(-code).name
        return (
            f"could not be read: its reader crashed ({name}); the file is damaged "
            f"or needs more than {memory}"
        )
    return f"could not be read: its reader ended with status {code}; check the installation"
