"""Looking at the index as it is, without making anything of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from retriever.analysis import AnalysisOptions, Analyzer
from retriever.indexing import IndexKeeper
from retriever.standing import Standing
from tests.documents import Store, open_store, write_pages
from tests.test_retriever_indexing import Synonyms

NOTES = {
    "wifi.md": "# Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
    "lunch.md": "# Lunch\n\nLunch is served at noon in the canteen.\n",
}
FRESH = Standing(2, None)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "notes", NOTES)


@pytest.fixture
def store(tmp_path: Path, notes: Path) -> Iterator[Store]:
    """A store that holds the notes, with vectors."""
    with open_store(tmp_path / "home", encoder=Synonyms) as opened:
        opened.ingestor.add([notes])
        yield opened


def files(store: Store) -> dict[str, bytes]:
    folder = store.home / "index"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}


def standing(
    store: Store,
    *,
    analyzer: Analyzer | None = None,
    encoder: Callable[[], Synonyms] | None = Synonyms,
) -> Standing:
    """As another process finds it, which leaves every file as it is."""
    store.keeper.close()  # what it does behind is done
    before = files(store)
    folder = store.home / "index"
    with closing(
        IndexKeeper(store.database, folder, analyzer or Analyzer(), encoder=encoder)
    ) as keeper:
        found = keeper.standing()
    assert files(store) == before
    return found


def test_an_index_of_what_is_there_is_not_behind(store: Store) -> None:
    assert standing(store) == store.keeper.standing() == FRESH


def test_nothing_has_to_be_made_where_nothing_was_added(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as empty:
        assert empty.keeper.standing() == Standing(0, None)
        assert not (tmp_path / "home" / "index").exists()


def test_an_index_of_earlier_documents_is_behind(store: Store, notes: Path) -> None:
    (notes / "wifi.md").unlink()
    with open_store(store.home, backend="rank_bm25") as other:  # which leaves the index alone
        assert other.ingestor.reindex().removed == 1
        assert other.keeper.standing() == Standing(1, None)
    assert standing(store) == Standing(2, "of documents that have changed since")
    store.keeper.rebuild()
    assert standing(store) == Standing(1, None)


def test_an_index_of_other_words_is_behind(store: Store) -> None:
    for options in (
        AnalysisOptions(language="french"),
        AnalysisOptions(synonyms=(("wifi", "wireless"),)),
    ):
        found = standing(store, analyzer=Analyzer(options))
        assert found.passages == 2
        assert str(found.behind).startswith("with the words of another language, other synonyms")


def test_an_index_of_other_vectors_is_behind(store: Store) -> None:
    unused = Standing(2, "with the vectors of a ranker that is not used now")
    assert standing(store, encoder=None) == unused
    assert standing(store, encoder=lambda: Synonyms("others")) == unused
    with open_store(store.home) as plain:
        plain.keeper.rebuild()
    assert standing(store) == Standing(2, "without the vectors of the ranker")


def test_an_index_that_is_lost_or_damaged_is_told(store: Store) -> None:
    [segment] = (store.home / "index").glob("segment-*")
    kept = segment.read_bytes()
    segment.write_bytes(kept[:-1])
    damaged = standing(store)
    assert damaged.passages is None
    assert str(segment) in str(damaged.behind)
    segment.write_bytes(kept)
    assert standing(store) == FRESH
    shutil.rmtree(store.home / "index")
    assert standing(store) == Standing(None, "there is none yet")
