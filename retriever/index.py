"""The BM25 index on disk: one folder a generation, replaced as a whole.

    index/CURRENT               the name of the generation to use, replaced atomically
    index/<generation>/         terms.txt, the posting arrays as .npy, meta.json

A generation is complete before ``CURRENT`` names it and is never changed after. A process that
still reads an older one keeps it mapped until it looks at ``CURRENT`` again. The database is the
truth: an index that is lost, damaged or of another format is built again from it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import Bm25, Postings, build_postings, top
from retriever.errors import SearchIndexError

#: Grows when the files or the analysis change, so that an older index is built again.
FORMAT = 1

_ARRAYS = ("offsets", "documents", "frequencies", "lengths", "passages", "collections")


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """What the index is built from: a passage's id, its collection and its terms."""

    passage_id: int
    collection_id: int
    terms: Sequence[str]


class PassageIndex(Protocol):
    """Anything that ranks passages for a query's terms."""

    @property
    def content_version(self) -> int: ...

    def __len__(self) -> int: ...

    def search(
        self, terms: Sequence[str], k: int, collections: frozenset[int] | None = None
    ) -> list[tuple[int, float]]:
        """The k best passage ids with their scores, best first."""
        ...


class Bm25Index:
    """A generation of the index, opened for searching."""

    def __init__(
        self,
        postings: Postings,
        passages: NDArray[np.int64],
        collections: NDArray[np.int64],
        content_version: int,
    ) -> None:
        self._bm25 = Bm25(postings)
        self._passages = passages
        self._collections = collections
        self._content_version = content_version

    @property
    def content_version(self) -> int:
        return self._content_version

    def __len__(self) -> int:
        return len(self._passages)

    def search(
        self, terms: Sequence[str], k: int, collections: frozenset[int] | None = None
    ) -> list[tuple[int, float]]:
        allowed = None if collections is None else np.isin(self._collections, list(collections))
        scores = self._bm25.scores(terms)
        return [
            (int(self._passages[number]), float(scores[number]))
            for number in top(scores, k, allowed)
        ]

    def idf(self, term: str) -> float:
        """The weight of a term in this index; 0 for one that is nowhere."""
        return self._bm25.idf(term)


def write_index(folder: Path, passages: Iterable[IndexedPassage], *, content_version: int) -> None:
    """Build a generation and make it the current one.

    Raises:
        SearchIndexError: the folder cannot be written, or the disk is full; the generation that
            was current stays so.
    """
    ids: list[int] = []
    collections: list[int] = []

    def corpus() -> Iterable[Sequence[str]]:
        for passage in passages:
            ids.append(passage.passage_id)
            collections.append(passage.collection_id)
            yield passage.terms

    postings = build_postings(corpus())
    generation = f"{content_version:08d}-{uuid.uuid4().hex[:8]}"
    target = folder / generation
    try:
        target.mkdir(parents=True)
        (target / "terms.txt").write_text("\n".join(postings.terms), encoding="utf-8")
        arrays: dict[str, NDArray[Any]] = {
            "offsets": postings.offsets,
            "documents": postings.documents,
            "frequencies": postings.frequencies,
            "lengths": postings.lengths,
            "passages": np.asarray(ids, dtype=np.int64),
            "collections": np.asarray(collections, dtype=np.int64),
        }
        for name, array in arrays.items():
            with (target / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        meta = {
            "format": FORMAT,
            "content_version": content_version,
            "passages": len(ids),
            "bytes": {file.name: file.stat().st_size for file in target.iterdir()},
        }
        (target / "meta.json").write_text(json.dumps(meta) + "\n", encoding="utf-8")
        pointer = folder / f"CURRENT.{uuid.uuid4().hex[:8]}"
        pointer.write_text(generation + "\n", encoding="utf-8")
        pointer.replace(folder / "CURRENT")
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise SearchIndexError(
            f"the search index in {folder} cannot be written: {reason}; free space or check the "
            "folder's permissions, then run: spanbot reindex"
        ) from error
    for old in folder.iterdir():
        if old.is_dir() and old.name != generation:
            shutil.rmtree(old, ignore_errors=True)


def current_generation(folder: Path) -> str | None:
    """The name of the current generation, or None when there is no index."""
    try:
        return (folder / "CURRENT").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def open_index(folder: Path, generation: str) -> Bm25Index | None:
    """Open a generation with its arrays memory-mapped; None when it is lost or damaged."""
    place = folder / generation
    try:
        meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            return None
        for name, size in meta["bytes"].items():
            if (place / name).stat().st_size != size:
                return None
        content = (place / "terms.txt").read_text(encoding="utf-8")
        terms = content.split("\n") if content else []
        arrays = {
            name: np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in _ARRAYS
        }
        consistent = (
            len(arrays["offsets"]) == len(terms) + 1
            and int(arrays["offsets"][-1]) == len(arrays["documents"]) == len(arrays["frequencies"])
            and len(arrays["lengths"])
            == len(arrays["passages"])
            == len(arrays["collections"])
            == int(meta["passages"])
        )
        if not consistent:
            return None
        postings = Postings(
            terms=terms,
            offsets=arrays["offsets"],
            documents=arrays["documents"],
            frequencies=arrays["frequencies"],
            lengths=arrays["lengths"],
        )
        return Bm25Index(
            postings, arrays["passages"], arrays["collections"], int(meta["content_version"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
