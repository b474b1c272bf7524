"""Kill a process at random moments of adding, deleting and merging, and look at what is left.

    python -m bench.crash --rounds 200
    python -m bench.crash --rounds 0 --readers 10 --seconds 120

A round starts a process that changes an index and says so after every change, kills it with
``kill -9`` at a random moment, and opens the index: every passage whose addition was acknowledged
must be found, none whose deletion was, and the scores must be those of a new index of the same
passages. The second command has processes search while one writes; a torn read would show as a
passage that is found by another one's word, or as an error. Results go to ``bench/results``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from reader.arguments import positive, whole
from retriever.index.build import IndexedPassage, SegmentBuilder
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex

_BATCH = 20
_COMMON = [f"common{number}" for number in range(30)]
_CONTEXT = multiprocessing.get_context("forkserver")


def _passage(number: int) -> IndexedPassage:
    """A passage with a word of its own, and others that depend on its number alone."""
    words = random.Random(number).choices(_COMMON, k=12)
    return IndexedPassage(number, 1 + number % 3, [f"only{number}", *words])


def _change(folder: IndexFolder, added: Sequence[int], deleted: Sequence[int]) -> None:
    builder = SegmentBuilder()
    for number in added:
        builder.add(_passage(number))
    with folder.writer():
        index = folder.open()
        folder.update(
            index,
            new=builder.segment() if added else None,
            gone=np.array(deleted, dtype=np.int64),
            content_version=1 if index is None else index.content_version + 1,
        )


def _write(path: Path, present: set[int], first: int, seed: int, pipe: Connection) -> None:
    """Change the index without end; say what is begun and what is done."""
    source = random.Random(seed)
    folder = IndexFolder(path)
    number = first
    while True:
        if present and source.random() < 0.4:
            gone = source.sample(sorted(present), min(len(present), source.randint(1, _BATCH)))
            pipe.send(("begin", [], gone))
            _change(folder, [], gone)
            pipe.send(("done", [], gone))
            present.difference_update(gone)
        else:
            new = list(range(number, number + source.randint(1, _BATCH)))
            number += len(new)
            pipe.send(("begin", new, []))
            _change(folder, new, [])
            pipe.send(("done", new, []))
            present.update(new)
        if folder.merge():
            pipe.send(("merged", [], []))


def crash_rounds(path: Path, *, rounds: int, seed: int, show: bool = False) -> dict[str, object]:
    """Kill a writer so many times; what was seen."""
    source = random.Random(seed)
    present: set[int] = set()
    errors: list[str] = []
    first = 1
    changes = merges = in_the_middle = 0
    for number in range(rounds):
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        writer = _CONTEXT.Process(
            target=_write, args=(path, set(present), first, source.randrange(2**32), theirs)
        )
        writer.start()
        theirs.close()
        ours.poll(60)  # until it has begun
        time.sleep(source.uniform(0.0, 0.3))
        writer.kill()
        writer.join()
        maybe: tuple[set[int], set[int]] = (set(), set())
        try:
            while True:
                word, added, deleted = ours.recv()
                first = max([first, *(n + 1 for n in added)])
                if word == "begin":
                    maybe = (set(added), set(deleted))
                elif word == "done":
                    present = (present | set(added)) - set(deleted)
                    maybe = (set(), set())
                    changes += 1
                else:
                    merges += 1
        except EOFError:
            pass
        in_the_middle += bool(maybe[0] or maybe[1])
        try:
            found = _look(path)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            errors.append(f"round {number}: {type(error).__name__}: {error}")
            continue
        # What was begun and not acknowledged may have been done, but as a whole or not at all.
        after = (present | maybe[0]) - maybe[1]
        if found not in (present, after):
            lost, back = sorted(present - found - maybe[1]), sorted(found - present - maybe[0])
            errors.append(f"round {number}: lost {lost[:5]}, came back {back[:5]}")
        present = found
        if show:
            sys.stderr.write(f"\r{number + 1} of {rounds} kills, {len(errors)} errors")
    if show:
        sys.stderr.write("\n")
    return {
        "rounds": rounds,
        "seed": seed,
        "changes": changes,
        "merges": merges,
        "killed_in_a_change": in_the_middle,
        "passages": len(present),
        "errors": errors,
    }


def _look(path: Path) -> set[int]:
    """Which passages the index has, each found by its own word; scores as of a new index."""
    index = IndexFolder(path).open()
    if index is None:
        return set()
    ids = [int(number) for number in index.passages]
    for number in ids:
        hits = [hit.passage_id for hit in index.search_bm25([f"only{number}"], 5)]
        if hits != [number]:
            raise ValueError(f"only{number} finds {hits}")
    if ids:
        builder = SegmentBuilder()
        for number in ids:
            builder.add(_passage(number))
        with tempfile.TemporaryDirectory() as folder:
            fresh = IndexFolder(Path(folder)).update(None, new=builder.segment(), content_version=1)
        for query in (["common1"], ["common2", "common3", "common4"]):
            if index.search_bm25(query, 10) != fresh.search_bm25(query, 10):
                raise ValueError(f"{query} finds other passages than in a new index")
    return set(ids)


def _read(path: Path, seconds: float, seed: int, pipe: Connection) -> None:
    source = random.Random(seed)
    folder = IndexFolder(path)
    index: PassageIndex | None = None
    queries = generations = 0
    stamp = None
    until: float | None = None  # from the first answer on: loading the kernel takes its time
    while until is None or time.monotonic() < until:
        try:
            if folder.stamp() != stamp:
                stamp = folder.stamp()
                index = folder.open(index)
                generations += 1
            if index is None or not len(index):
                continue
            number = int(source.choice(index.passages))
            for hit in index.search_bm25([f"only{number}", *source.choices(_COMMON, k=2)], 10)[:1]:
                if hit.passage_id != number:
                    pipe.send(f"only{number} finds {hit.passage_id}")
            queries += 1
            until = until or time.monotonic() + seconds
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            pipe.send(f"{type(error).__name__}: {error}")
            break
    pipe.send((queries, generations))


def read_while_writing(
    path: Path, *, readers: int, seconds: float, seed: int, show: bool = False
) -> dict[str, object]:
    """Search in several processes while another writes; what was seen."""
    _change(IndexFolder(path), list(range(1, 200)), [])
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    present = set(range(1, 200))
    writer = _CONTEXT.Process(target=_write, args=(path, present, 200, seed, theirs))
    writer.start()
    theirs.close()
    pipes = []
    processes = []
    for number in range(readers):
        out, into = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=_read, args=(path, seconds, seed + number, into))
        process.start()
        into.close()
        pipes.append(out)
        processes.append(process)
    changes = 0
    while any(process.is_alive() for process in processes):
        if ours.poll(0.05):
            changes += ours.recv()[0] == "done"
        if show:
            running = sum(process.is_alive() for process in processes)
            sys.stderr.write(f"\r{changes} changes, {running} processes search")
    if show:
        sys.stderr.write("\n")
    errors: list[str] = []
    queries = generations = 0
    for out, process in zip(pipes, processes, strict=True):
        try:
            while isinstance(message := out.recv(), str):
                errors.append(message)
            queries += message[0]
            generations += message[1]
        except EOFError:
            errors.append("a reader died")
        process.join()
    writer.kill()
    writer.join()
    return {
        "readers": readers,
        "seconds": seconds,
        "changes": changes,
        "queries": queries,
        "generations_opened": generations,
        "errors": errors,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a writer of the index at random moments.")
    parser.add_argument("--rounds", type=whole(0), default=200)
    parser.add_argument("--readers", type=whole(0), default=0, help="processes that search")
    parser.add_argument("--seconds", type=positive, default=120.0, help="how long they do")
    parser.add_argument("--seed", type=whole(0), default=1)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        if options.readers:
            IndexFolder(Path(folder) / "read").compile()
        if options.rounds:
            result = crash_rounds(
                Path(folder) / "killed", rounds=options.rounds, seed=options.seed, show=True
            )
            failed |= _note(options.results / "index-crash.json", result)
        if options.readers:
            result = read_while_writing(
                Path(folder) / "read",
                readers=options.readers,
                seconds=options.seconds,
                seed=options.seed,
                show=True,
            )
            failed |= _note(options.results / "index-readers.json", result)
    return int(failed)


def _note(path: Path, result: dict[str, object]) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return bool(result["errors"])


if __name__ == "__main__":
    sys.exit(main())
