"""An index of texts that are in no database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.analysis import Analyzer
from retriever.index.build import IndexedPassage, segment_of
from retriever.index.folder import IndexFolder
from retriever.index.generation import PassageIndex


def index_of_texts(
    folder: Path,
    texts: Sequence[str],
    analyzer: Analyzer,
    vectors: NDArray[np.float32] | None = None,
    encoder: str | None = None,
) -> PassageIndex:
    """An index of texts in a folder that is empty; a passage's id is its number."""
    passages = (
        IndexedPassage(
            number, 1, analyzer.terms(text), None if vectors is None else vectors[number]
        )
        for number, text in enumerate(texts)
    )
    index = IndexFolder(folder)
    with index.writer():
        return index.update(None, new=segment_of(passages), content_version=1, encoder=encoder)
