"""One stage of one engine, in a process of its own.

    python -m bench.stages ENGINE build|query|update JOB.json

``bench.retriever`` starts it, with the Python in which the engine is installed; it prints one line
of JSON. What an engine cannot do is null there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench.engines import ENGINES, Engine, Spanbot


def _lines(path: Path, first: int, count: int) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [line.rstrip("\n") for line in islice(file, first, first + count)]


def _memory() -> dict[str, float]:
    """Of this process, MiB: all that is resident, and the part that is no mapped file."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = dict(re.findall(r"(VmRSS|RssAnon):\s+(\d+)", status))
    return {"rss": int(found["VmRSS"]) / 1024, "anonymous": int(found["RssAnon"]) / 1024}


@contextlib.contextmanager
def _timed(into: dict[str, Any], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    into[name] = time.perf_counter() - begin


def build(engine: Engine, job: dict[str, Any]) -> dict[str, Any]:
    """Build, tokenizing included, and write; seconds, MiB."""
    store, texts = Path(job["store"]), _lines(Path(job["passages"]), 0, job["count"])
    result: dict[str, Any] = {}
    before = _memory()["rss"]
    with _timed(result, "build_s"):
        engine.build(texts, store)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["build_peak_mib"] = peak - before
    disk = 0
    if engine.on_disk:
        disk = sum(f.stat().st_size for f in store.rglob("*") if f.is_file())
    result["disk_mib"] = disk / 2**20 if engine.on_disk else None
    if isinstance(engine, Spanbot):
        with _timed(result, "compile_s"):
            engine.compile()
    return result


def _opened(engine: Engine, job: dict[str, Any]) -> None:
    if engine.on_disk:
        engine.open(Path(job["store"]))
    else:
        engine.build(_lines(Path(job["passages"]), 0, job["count"]), Path(job["store"]))


def query(engine: Engine, job: dict[str, Any]) -> dict[str, Any]:
    """Open, and search for every question once, after others have warmed it; ms, MiB."""
    questions = _lines(Path(job["queries"]), 0, job["questions"] + job["warm"])
    timed, warm = questions[: job["questions"]], questions[job["questions"] :]
    result: dict[str, Any] = {"imports_mib": _memory()["rss"]}
    with _timed(result, "open_s"):
        _opened(engine, job)
        engine.search(engine.prepare(warm[0]))
    for question in warm:
        engine.search(engine.prepare(question))
    whole, alone, found = [], [], []
    for question in timed:
        begin = time.perf_counter()
        prepared = engine.prepare(question)
        middle = time.perf_counter()
        hits = engine.search(prepared)
        end = time.perf_counter()
        whole.append((end - begin) * 1e3)
        alone.append((end - middle) * 1e3)
        found.append(hits)
    for name, times in (("search", alone), ("question", whole)):
        times.sort()
        result[f"{name}_p50_ms"] = times[len(times) // 2]
        result[f"{name}_p95_ms"] = times[len(times) * 95 // 100]
    memory = _memory()
    result["rss_mib"], result["anonymous_mib"] = memory["rss"], memory["anonymous"]
    result["found"] = sum(map(len, found))
    return result


def update(engine: Engine, job: dict[str, Any]) -> dict[str, Any]:
    """Add 1,000 passages and delete 1,000; ms until the next question sees it."""
    if not engine.changes:
        return {"add_ms": None, "delete_ms": None}
    count, size = job["count"], job["changed"]
    path = Path(job["passages"])
    old, new = _lines(path, 0, size), _lines(path, count, size)
    _opened(engine, job)
    ask = engine.prepare(new[0])
    engine.search(ask)
    result: dict[str, Any] = {}
    with _timed(result, "add_s"):
        engine.add(new, count + 1)
        hits = engine.search(engine.prepare(new[0]))
    if count + 1 not in hits:
        raise ValueError(f"passage {count + 1} was added and is not found: {hits}")
    with _timed(result, "delete_s"):
        engine.delete(list(range(1, size + 1)), old)
        hits = engine.search(engine.prepare(old[0]))
    if 1 in hits:
        raise ValueError("passage 1 was deleted and is found")
    return {"add_ms": result["add_s"] * 1e3, "delete_ms": result["delete_s"] * 1e3}


def main() -> None:
    stages = {"build": build, "query": query, "update": update}
    parser = argparse.ArgumentParser(description="One stage of one engine, for bench.retriever.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("job", type=Path, help="JSON")
    given = parser.parse_args()
    job = json.loads(given.job.read_text(encoding="utf-8"))
    begin = time.perf_counter()
    engine = ENGINES[given.engine]()
    imports = time.perf_counter() - begin
    result = stages[given.stage](engine, job)
    result["imports_s"] = imports
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)  # some engines' threads take their time to end


if __name__ == "__main__":
    main()
