"""The BM25 index on disk: one folder a generation, replaced as a whole.

    index/CURRENT               the name of the generation to use, replaced atomically
    index/<generation>/         terms.txt, the posting arrays and the passages' vectors as .npy,
                                meta.json

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.bm25 import Bm25, Postings, build_postings, top
from retriever.errors import SearchIndexError
from retriever.ranking import Ranked, combine, rarest_idf, upper_bound

#: Grows when the files or the analysis change, so that an older index is built again.
FORMAT = 2

_ARRAYS = ("offsets", "documents", "frequencies", "lengths", "passages", "collections", "vectors")


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """What the index is built from: a passage's id, its collection, its terms and its vector."""

    passage_id: int
    collection_id: int
    terms: Sequence[str]
    vector: NDArray[np.float32] | None = None


class Scorer(Protocol):
    """BM25 over the passages of an index."""

    def idf(self, term: str) -> float:
        """The weight of a term; 0 for one that is nowhere."""
        ...

    def matches(self, query: Sequence[str]) -> NDArray[np.bool_]:
        """Which passages hold a term of the query, bool of shape (passages,)."""
        ...

    def scores(self, query: Sequence[str]) -> NDArray[np.float64]:
        """The score of every passage, float64 of shape (passages,)."""
        ...


class PassageIndex:
    """One state of the index: ranks passages for a question's terms and vector.

    Args:
        passages: ids, int64 of shape (passages,).
        collections: their collections' ids, of the same shape.
        vectors: float16 of shape (passages, dimensions); no dimensions without an encoder.
        encoder: the name of the encoder that made them, or None.
    """

    def __init__(
        self,
        scorer: Scorer,
        passages: NDArray[np.int64],
        collections: NDArray[np.int64],
        vectors: NDArray[np.float16],
        *,
        encoder: str | None,
        content_version: int,
    ) -> None:
        self._scorer = scorer
        self._passages = passages
        self._collections = collections
        self._vectors = vectors.astype(np.float32)  # half precision has no fast product
        self.encoder = encoder
        self.content_version = content_version

    def __len__(self) -> int:
        return len(self._passages)

    def search(
        self,
        terms: Sequence[str],
        k: int,
        collections: frozenset[int] | None = None,
        vector: NDArray[np.float32] | None = None,
    ) -> list[Ranked]:
        """The k best passages, best first.

        Args:
            collections: the only ones to search; None for all.
            vector: the question's, by the index's encoder; without it BM25 alone ranks, and only
                passages that hold a word of the question are found.
        """
        bm25 = self._scorer.scores(terms)
        allowed = (
            np.ones(len(self), dtype=bool)
            if collections is None
            else np.isin(self._collections, list(collections))
        )
        if vector is None or not self._vectors.size:
            cosine = np.zeros(len(self), dtype=np.float32)
            allowed &= self._scorer.matches(terms)
        else:
            cosine = self._vectors @ vector
        scores = combine(bm25, cosine, upper_bound(self.weights(terms)))
        return [
            Ranked(int(self._passages[n]), float(scores[n]), float(bm25[n]))
            for n in top(scores, k, allowed)
        ]

    def weights(self, terms: Sequence[str]) -> list[float]:
        """The idf of each term; one that no passage holds weighs as one that a single one does."""
        rarest = rarest_idf(len(self))
        return [self._scorer.idf(term) or rarest for term in terms]

    def known_vectors(self, encoder: str) -> dict[int, NDArray[np.float32]]:
        """The vectors by passage id, if they are this encoder's."""
        if self.encoder != encoder or not self._vectors.size:
            return {}
        return dict(zip(self._passages.tolist(), self._vectors, strict=True))


def build_arrays(
    passages: Sequence[IndexedPassage],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float16]]:
    """Ids, collections and vectors of passages, as :class:`PassageIndex` takes them."""
    vectors = [passage.vector for passage in passages if passage.vector is not None]
    return (
        np.asarray([passage.passage_id for passage in passages], dtype=np.int64),
        np.asarray([passage.collection_id for passage in passages], dtype=np.int64),
        np.asarray(vectors, dtype=np.float16).reshape(len(passages), -1)
        if len(vectors) == len(passages) and vectors
        else np.zeros((len(passages), 0), dtype=np.float16),
    )


def write_index(
    folder: Path,
    passages: Sequence[IndexedPassage],
    *,
    content_version: int,
    encoder: str | None = None,
) -> None:
    """Build a generation and make it the current one.

    Args:
        encoder: the name of the encoder that made the passages' vectors, if they have any.

    Raises:
        SearchIndexError: the folder cannot be written, or the disk is full; the generation that
            was current stays so.
    """
    postings = build_postings(passage.terms for passage in passages)
    ids, collections, vectors = build_arrays(passages)
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
            "passages": ids,
            "collections": collections,
            "vectors": vectors,
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
            "encoder": encoder,
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


def open_index(folder: Path, generation: str) -> PassageIndex | None:
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
            == len(arrays["vectors"])
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
        return PassageIndex(
            Bm25(postings),
            arrays["passages"],
            arrays["collections"],
            arrays["vectors"],
            encoder=meta["encoder"],
            content_version=int(meta["content_version"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
