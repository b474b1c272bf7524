"""What is new in the database, made ready for the index: analysed, and encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from retriever.analysis import Analyzer
from retriever.changes import Changes
from retriever.index.build import NumberedPassages, SegmentBuilder
from retriever.index.segment import Segment
from retriever.passage_terms import TermsOfPassages, index_text
from retriever.ranking import Encoder
from retriever.store.passages import search_texts

#: Vectors by passage id and signature, each of shape (width,).
KeptVectors = Mapping[tuple[int, int], NDArray[np.float16]]
#: Gets how many passages are done, and their total.
Progress = Callable[[int, int], None]

#: So many passages are analysed and encoded at a time.
_BATCH = 4096


def new_segment(
    session: Session,
    changes: Changes,
    analyzer: Analyzer,
    encoder: Callable[[], Encoder] | None,
    kept: KeptVectors,
    progress: Progress | None,
) -> Segment | None:
    """As :func:`new_passages`, as one segment; None when there are none."""
    terms_of = TermsOfPassages(analyzer)
    builder = SegmentBuilder(terms_of.vocabulary)
    for batch in new_passages(session, changes, terms_of, encoder, kept, progress):
        builder.extend(batch)
    return builder.segment() if len(builder) else None


def new_passages(
    session: Session,
    changes: Changes,
    terms_of: TermsOfPassages,
    encoder: Callable[[], Encoder] | None,
    kept: KeptVectors,
    progress: Progress | None,
) -> Iterator[NumberedPassages]:
    """The new passages of the database, some thousands at a time.

    Args:
        terms_of: makes their terms, and gives these their numbers.
        encoder: makes what encodes them; None for no vectors.
        kept: vectors that need not be made again.
        progress: counts those that an index has already as done.
    """
    signatures = dict(zip(changes.new.tolist(), changes.signatures.tolist(), strict=True))
    done = changes.total - len(signatures)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, changes.total)

    advance(0)
    texts = (
        text for text in search_texts(session, changes.documents) if text.passage_id in signatures
    )
    encoding = None if encoder is None else encoder()
    while batch := list(islice(texts, _BATCH)):
        rows = None
        if encoding is not None:
            given: list[NDArray[np.floating[Any]] | None] = [
                kept.get((p.passage_id, signatures[p.passage_id])) for p in batch
            ]
            missing = [at for at, vector in enumerate(given) if vector is None]
            advance(len(batch) - len(missing))
            if missing:
                made = encoding.encode([index_text(batch[at]) for at in missing], progress=advance)
                for at, vector in zip(missing, made, strict=True):
                    given[at] = vector
            rows = np.array(given, dtype=np.float32)
        ids = [passage.passage_id for passage in batch]
        yield NumberedPassages(
            np.array(ids, dtype=np.int64),
            np.array([passage.collection_id for passage in batch], dtype=np.int64),
            np.array([signatures[number] for number in ids], dtype=np.uint32),
            terms_of.of(batch),
            rows,
        )
        if encoding is None:
            advance(len(batch))
