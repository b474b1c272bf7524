"""``spanbot doctor`` of an installation that works, but has something left to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from retriever.parsing import TEXT_VERSION
from retriever.store.database import Database
from retriever.store.models import Document
from retriever.store.runs import start_run
from tests.command_line import spanbot
from tests.documents import NOTES, write_pages
from tests.older_database import make_first
from tests.store_rows import NOW

pytestmark = pytest.mark.usefixtures("light_models")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder that has been added."""
    folder = write_pages(tmp_path / "notes", NOTES)
    assert spanbot("add", folder).code == 0
    return folder


@pytest.fixture
def database(notes: Path, home: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{home / 'spanbot.db'}")) as opened:
        yield opened


def check(name: str) -> tuple[int, str, str]:
    """The exit status, and the state and detail of one check."""
    ran = spanbot("doctor", "--json")
    [found] = [found for found in json.loads(ran.out) if found["check"] == name]
    return ran.code, found["state"], found["detail"]


# -- documents --------------------------------------------------------------------------------


def set_version(database: Database, name: str, version: int) -> None:
    """The note of that name was read by that version."""
    with database.write() as session:
        own = Document.uri.endswith(f"/{name}.md")
        session.execute(update(Document).where(own).values(text_version=version))


def test_documents_that_an_earlier_version_read_are_counted_until_they_are_read_again(
    database: Database,
) -> None:
    read_now = (0, "ok", "3 documents, 3 passages")
    assert check("documents") == read_now
    for name in ("parking", "lunch"):
        set_version(database, name, TEXT_VERSION - 1)
    set_version(database, "wifi", TEXT_VERSION + 1)  # which no reindex changes
    assert check("documents") == (
        0,
        "warning",
        "3 documents, 3 passages; 2 read by an earlier version of spanbot and waiting to be read "
        "again; run: spanbot reindex",
    )
    assert spanbot("reindex").code == 0
    assert check("documents") == read_now


def test_what_can_no_longer_be_read_does_not_wait_for_a_reindex(
    database: Database, notes: Path
) -> None:
    (notes / "wifi.md").write_text("")
    for name in ("lunch", "wifi"):
        set_version(database, name, 0)
    assert "; 2 read by an earlier version" in check("documents")[2]
    assert spanbot("reindex").code == 0
    told = "3 documents, 3 passages, 1 with errors: spanbot docs list shows them"
    assert check("documents") == (0, "ok", told)
    set_version(database, "lunch", 0)
    assert check("documents")[2].startswith(f"{told}; 1 read by an earlier version")


def test_documents_wait_after_an_upgrade(home: Path) -> None:
    home.mkdir(mode=0o700)
    make_first(home / "spanbot.db")
    assert spanbot("db", "upgrade").code == 0
    _, state, detail = check("documents")
    assert (state, detail.startswith("1 document, 1 passage; 1 read by an")) == ("warning", True)


# -- the search index -------------------------------------------------------------------------


def test_an_index_that_is_behind_is_told_and_left_as_it_is(
    database: Database, home: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("search index") == (0, "ok", "3 passages")
    manifest = (home / "index" / "MANIFEST").read_bytes()
    step = "; run: spanbot reindex (the next question would wait for it)"
    (notes / "wifi.md").unlink()
    with monkeypatch.context() as other:  # one that keeps its index in memory
        other.setenv("SPANBOT_RETRIEVER", "rank_bm25")
        assert spanbot("reindex").code == 0
        assert check("search index") == (0, "ok", "2 passages")
    changed = f"3 passages, of documents that have changed since{step}"
    assert check("search index") == (0, "warning", changed)
    (home / "synonyms.txt").write_text("wifi, wireless\n")
    _, state, detail = check("search index")
    assert (state, detail.endswith(step)) == ("warning", True)
    assert detail.startswith("3 passages, with the words of another language, other synonyms or")
    assert (home / "index" / "MANIFEST").read_bytes() == manifest
    assert spanbot("reindex").code == 0
    assert check("search index") == (0, "ok", "2 passages")
    (home / "index" / "MANIFEST").unlink()
    assert check("search index") == (0, "warning", f"there is none yet{step}")


# -- the last reindexing ----------------------------------------------------------------------


def test_a_reindexing_whose_process_was_killed_is_cut_off(database: Database) -> None:
    with database.write() as session:
        start_run(session, trigger="schedule", now=NOW, lease=timedelta(minutes=5))
    assert check("last reindexing") == (
        1,
        "problem",
        "begun 2026-03-02 09:30 UTC, schedule: cut off: its process ended before it was done; "
        "run: spanbot reindex",
    )
    assert spanbot("reindex").code == 0
    code, state, detail = check("last reindexing")
    assert (code, state, detail.endswith(" UTC, cli: done")) == (0, "ok", True)


def test_a_reindexing_that_goes_on_is_told_with_its_beginning(database: Database) -> None:
    now = datetime.now(UTC)
    with database.write() as session:
        start_run(session, trigger="cli", now=now, lease=timedelta(minutes=5))
    told = f"begun {now:%Y-%m-%d %H:%M} UTC, cli: running"
    assert check("last reindexing") == (0, "ok", told)
