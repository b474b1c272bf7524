"""The child process of ``isolate``: one order on stdin, one answer on stdout, both JSON."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retriever.errors import ParseError
from retriever.parsing.limits import Limits

#: Extensions in C that get no memory do not always say so: the interpreter then finds no error set.
_OUT_OF_MEMORY = (MemoryError, SystemError)


def main() -> int:
    order = json.load(sys.stdin)
    limits = Limits(**order["limits"])
    # Libraries that print must not spoil the answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds)
    _limit(resource.RLIMIT_CORE, 0)
    answer = ""
    with contextlib.suppress(*_OUT_OF_MEMORY):
        answer = json.dumps(_answer(order, limits))
    if not answer:  # written here, where the error and all that it kept in memory are gone
        memory = limits.memory_bytes // 1024**2
        name = Path(order["path"]).name
        answer = json.dumps({"error": f"{name} needs more than {memory} MiB of memory; split it"})
    with answers:
        answers.write(answer)
    return 0


def _answer(order: dict[str, Any], limits: Limits) -> dict[str, Any]:
    from retriever.parsing import parse_here, unexpected

    path = Path(order["path"])
    try:
        document = parse_here(path, order["media_type"], order["encoding"], limits)
    except ParseError as error:
        return {"error": str(error)}
    except _OUT_OF_MEMORY:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the file is at fault
        return {"error": str(unexpected(path, error))}
    if len(document.text) > limits.characters:
        return {"error": f"{path.name} has more than {limits.characters:,} characters; split it"}
    return asdict(document)


def _limit(kind: int, wanted: int) -> None:
    """Lower a limit of this process, as far as the system has it."""
    _, hard = resource.getrlimit(kind)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    # Between the two limits of processor time the signal is the one that names the reason.
    top = soft + 5 if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(kind, (soft, top))
    except (ValueError, OSError):
        return  # a system without this limit


if __name__ == "__main__":
    raise SystemExit(main())
