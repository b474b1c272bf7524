"""Documents into the store and found again: real files, a real database, the index on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, event, func, select, update

from retriever import intake
from retriever.errors import IngestError, StorageFullError
from retriever.index.folder import IndexFolder
from retriever.parsing import MAX_FILE_BYTES, TEXT_VERSION, parse
from retriever.records import ParsedDocument
from retriever.removal import Removed
from retriever.reports import IngestReport, Step
from retriever.store import documents
from retriever.store.models import Document
from retriever.store.sources import ensure_source, list_sources
from tests.documents import (
    FACTS,
    NOTES,
    Fact,
    Store,
    check_hits,
    check_store,
    make_pdf,
    open_store,
    write_handbook,
    write_pages,
)
from tests.permissions import unprivileged

Look = Callable[[], IngestReport]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        yield opened
        check_store(opened)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_pages(tmp_path / "notes", NOTES)


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_handbook(tmp_path_factory.mktemp("written") / "handbook")


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory, handbook: Path
) -> Iterator[tuple[Store, IngestReport]]:
    """A store that holds the handbook; tests that share it change nothing."""
    with open_store(tmp_path_factory.mktemp("filled")) as opened:
        yield opened, opened.ingestor.add([handbook])


# -- every format -----------------------------------------------------------------------------


def test_a_folder_goes_in_with_every_format(filled: tuple[Store, IngestReport]) -> None:
    store, report = filled
    assert report == IngestReport(added=5, skipped=1)  # the picture; hidden files do not count
    check_store(store)
    with store.database.read() as session:
        found = documents.list_documents(session)
    assert {Path(d.uri).suffix for d in found} == {".md", ".html", ".txt", ".pdf", ".docx"}
    assert all(d.passages > 0 and d.state == "ready" and d.version == 1 for d in found)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.sentence[:24])
def test_a_hit_leads_to_the_place_of_its_sentence(
    filled: tuple[Store, IngestReport], handbook: Path, fact: Fact
) -> None:
    store, _ = filled
    hits = store.retriever.search(fact.question)
    check_hits(store, hits)
    hit = hits[0]
    assert hit.document == f"{handbook}/{fact.document}"
    assert fact.sentence in hit.text
    assert (hit.section, hit.page) == (fact.section, fact.page)
    assert hit.url is not None
    parts = urlsplit(hit.url)
    assert (parts.scheme, Path(unquote(parts.path))) == ("file", handbook / fact.document)
    assert (parts.fragment or None) == fact.fragment
    if fact.fragment and fact.page is None:
        source = (handbook / fact.document).read_text(encoding="utf-8")
        assert fact.document.endswith(".md") or f'id="{fact.fragment}"' in source


def test_links_lead_to_where_the_documents_are_published(
    store: Store, handbook: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "with space"
    shutil.copytree(handbook, copied)
    store.ingestor.add([copied], base_url="https://example.com/handbook/")
    urls = {store.best(fact.question).url for fact in FACTS if fact.fragment}
    assert urls == {
        f"https://example.com/handbook/{fact.document}#{fact.fragment}"
        for fact in FACTS
        if fact.fragment
    }
    # Another address for the same files is taken over without reading them again.
    report = store.ingestor.add([copied], base_url="https://example.com/new")
    assert report == IngestReport(unchanged=5, relinked=5, skipped=1)
    assert {str(store.best(f.question).url).split("handbook/")[0] for f in FACTS} == {
        f"https://example.com/new/{f.document}" + (f"#{f.fragment}" if f.fragment else "")
        for f in FACTS
    }


def test_a_single_files_link_ends_in_its_name(store: Store, tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "x", {"Größe & Maß.md": "# Sizes\n\nOurs is a medium.\n"})
    store.ingestor.add([folder / "Größe & Maß.md"], base_url="https://example.com/docs")
    hit = store.best("medium")
    assert hit.url == "https://example.com/docs/Gr%C3%B6%C3%9Fe%20%26%20Ma%C3%9F.md#sizes"


@pytest.mark.parametrize(
    "wrong", ["handbook.example.com", "ftp://example.com/", "https://", "", "https://[x"]
)
def test_a_base_url_that_is_none_is_refused(store: Store, notes: Path, wrong: str) -> None:
    with pytest.raises(IngestError, match="is not a web address"):
        store.ingestor.add([notes], base_url=wrong)
    assert store.document_ids() == {}


# -- what changes -----------------------------------------------------------------------------


def test_what_has_not_changed_is_not_read_again(store: Store, notes: Path) -> None:
    assert store.ingestor.add([notes]) == IngestReport(added=3)
    ids, passages = store.document_ids(), store.passage_ids()
    assert store.ingestor.add([notes]) == IngestReport(unchanged=3)
    assert store.ingestor.reindex() == IngestReport(unchanged=3)
    os.utime(notes / "wifi.md", (0, 0))  # a new date alone is no change
    assert store.ingestor.reindex() == IngestReport(unchanged=3)
    assert (store.document_ids(), store.passage_ids()) == (ids, passages)


def test_a_changed_file_replaces_its_earlier_text(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    before = store.best("guest wifi")
    (notes / "wifi.md").write_text("# Wifi\n\nThe guest wifi was switched off.\n")
    assert store.ingestor.reindex() == IngestReport(changed=1, unchanged=2)
    after = store.best("guest wifi")
    assert after.text.endswith("The guest wifi was switched off.")
    assert after.document_id == before.document_id
    assert after.passage_id > before.passage_id
    assert store.found("twelve hours") == []
    with store.database.read() as session:
        assert documents.find_document(session, "wifi.md").version == 2


def test_new_files_go_in_and_deleted_ones_are_forgotten(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    (notes / "lunch.md").unlink()
    (notes / "dogs.md").write_text("# Dogs\n\nDogs are welcome on Fridays.\n")
    assert store.ingestor.reindex() == IngestReport(added=1, unchanged=2, removed=1)
    assert store.found("When is lunch served in the canteen?") == []
    assert store.found("dogs") == [f"{notes}/dogs.md"]


def test_a_single_file_that_is_deleted_is_forgotten(store: Store, notes: Path) -> None:
    store.ingestor.add([notes / "wifi.md", notes / "lunch.md"])
    (notes / "lunch.md").unlink()
    assert store.ingestor.reindex() == IngestReport(unchanged=1, removed=1)
    assert set(store.document_ids()) == {f"{notes}/wifi.md"}
    assert store.ingestor.reindex() == IngestReport(unchanged=1)


def test_a_folder_that_is_gone_takes_nothing_with_it(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    away = notes.rename(notes.with_name("elsewhere"))
    report = store.ingestor.reindex()
    assert (report.removed, report.unchanged) == (0, 0)
    [failure] = report.failed
    assert failure.uri == str(notes)
    assert "does not exist" in failure.message
    assert "nothing of it was changed" in failure.message
    assert store.found("guest wifi") == [f"{notes}/wifi.md"]
    away.rename(notes)
    assert store.ingestor.reindex() == IngestReport(unchanged=3)


@pytest.mark.parametrize("added", ["folder", "file"])
def test_a_disk_that_is_not_mounted_takes_nothing_with_it(
    store: Store, notes: Path, added: str
) -> None:
    source = notes if added == "folder" else notes / "wifi.md"
    store.ingestor.add([source])
    before = store.document_ids()
    away = notes.rename(notes.with_name("elsewhere"))
    notes.mkdir()  # what is left where a disk was
    report = store.ingestor.reindex()
    assert (report.removed, report.unchanged) == (0, 0)
    [failure] = report.failed
    assert failure.uri == str(source)
    assert "nothing was forgotten" in failure.message
    assert store.document_ids() == before
    notes.rmdir()
    away.rename(notes)
    assert store.ingestor.reindex() == IngestReport(unchanged=len(before))


def test_a_file_that_cannot_be_looked_at_is_told(store: Store, notes: Path) -> None:
    below = write_pages(notes / "below", {"deep.md": "# Deep\n\nThe well is nine metres deep.\n"})
    store.ingestor.add([notes])
    (below / "deep.md").unlink()
    (below / "deep.md").symlink_to("x" * 300)  # longer than a name may be: an error to ask for
    report = store.ingestor.reindex()
    assert (report.removed, report.unchanged, report.skipped) == (0, 3, 0)
    assert [failure.uri for failure in report.failed] == [str(below / "deep.md")]
    assert "too long" in report.failed[0].message
    assert store.found("How deep is the well?") == [f"{below}/deep.md"]
    assert store.errors() == {f"{below}/deep.md": report.failed[0].message}
    (below / "deep.md").unlink()
    write_pages(below, {"deep.md": "# Deep\n\nThe well is nine metres deep.\n"})
    assert store.ingestor.reindex() == IngestReport(unchanged=4)
    assert store.errors() == {}


def test_a_path_that_cannot_be_looked_at_adds_nothing(store: Store, notes: Path) -> None:
    with pytest.raises(IngestError, match="too long; nothing was added"):
        store.ingestor.add([notes, notes / ("x" * 300)])
    assert store.document_ids() == {}


def test_a_folder_that_cannot_be_listed_takes_nothing_with_it(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = write_pages(notes / "below", {"deep.md": "# Deep\n\nThe well is nine metres deep.\n"})
    store.ingestor.add([notes])
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == below:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    (notes / "lunch.md").unlink()
    report = store.ingestor.reindex()
    assert (report.removed, report.unchanged) == (0, 2)
    assert [failure.uri for failure in report.failed] == [str(below)]
    assert "Permission denied" in report.failed[0].message
    assert store.found("How deep is the well?") == [f"{below}/deep.md"]


def test_a_path_that_does_not_exist_adds_nothing(store: Store, notes: Path) -> None:
    with pytest.raises(IngestError, match=r"nowhere does not exist; nothing was added"):
        store.ingestor.add([notes, notes / "nowhere"])
    assert store.document_ids() == {}
    assert store.ingestor.reindex() == IngestReport()


def test_the_progress_of_a_run_is_told(store: Store, notes: Path) -> None:
    steps: list[Step] = []
    store.ingestor.add([notes], progress=steps.append)
    read = [step for step in steps if step.stage == "documents"]
    assert [(step.done, step.total) for step in read] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [Path(step.item).name for step in read[:3]] == ["lunch.md", "parking.md", "wifi.md"]
    assert steps[-1].stage == "index"
    assert steps[-1].done == steps[-1].total == 3


# -- what cannot be read ----------------------------------------------------------------------


def test_what_cannot_be_read_is_told_and_the_rest_goes_in(store: Store, notes: Path) -> None:
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (notes / "empty.txt").write_bytes(b"")
    report = store.ingestor.add([notes])
    assert report.added == 3
    assert [Path(f.uri).name for f in report.failed] == ["broken.pdf", "empty.txt"]
    for failure in report.failed:
        assert failure.message.startswith(Path(failure.uri).name)
    with store.database.read() as session:
        failed = [d for d in documents.list_documents(session) if d.state == "failed"]
    assert [(Path(d.uri).name, d.passages, d.error) for d in failed] == [
        (Path(f.uri).name, 0, f.message) for f in report.failed
    ]
    # Tried again by every run, and taken in once it can be read.
    assert len(store.ingestor.reindex().failed) == 2
    (notes / "broken.pdf").write_bytes(make_pdf([["The lift stops on every floor."]]))
    (notes / "empty.txt").unlink()
    assert store.ingestor.reindex() == IngestReport(added=1, unchanged=3, removed=1)
    assert store.best("lift").page == 1


def test_the_version_before_is_served_when_the_new_one_cannot_be_read(
    store: Store, notes: Path
) -> None:
    good = make_pdf([["The lift stops on every floor."]])
    (notes / "lift.pdf").write_bytes(good)
    store.ingestor.add([notes])
    (notes / "lift.pdf").write_bytes(good[: len(good) // 3])
    report = store.ingestor.reindex()
    assert [Path(failure.uri).name for failure in report.failed] == ["lift.pdf"]
    assert (report.unchanged, report.changed, report.removed) == (3, 0, 0)
    assert store.best("lift").text == "The lift stops on every floor."
    with store.database.read() as session:
        summary = documents.find_document(session, "lift.pdf")
    assert (summary.state, summary.version, summary.error) == ("ready", 1, report.failed[0].message)
    (notes / "lift.pdf").write_bytes(good)
    assert store.ingestor.reindex() == IngestReport(unchanged=4)
    with store.database.read() as session:
        assert documents.find_document(session, "lift.pdf").error is None


def read_by_an_earlier_version(store: Store, old: str, new: str) -> None:
    """Have the store hold what an earlier version would have made of the same files.

    It read ``old``, where ``new`` stands, which is as long; texts had no versions.
    """
    assert len(old) == len(new)
    with store.database.write() as session:
        session.execute(
            update(Document).values(text=func.replace(Document.text, new, old), text_version=0)
        )


def text_versions(store: Store) -> set[int]:
    with store.database.read() as session:
        return set(session.scalars(select(Document.text_version)))


def versions(store: Store) -> dict[str, int]:
    with store.database.read() as session:
        return {found.uri: found.version for found in documents.list_documents(session)}


def test_what_an_earlier_version_read_is_read_again(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    assert text_versions(store) == {TEXT_VERSION}
    looks: list[Look] = [store.ingestor.reindex, lambda: store.ingestor.add([notes])]
    for look in looks:
        read_by_an_earlier_version(store, "twelue", "twelve")
        assert "twelue hours" in store.text(f"{notes}/wifi.md")
        assert look() == IngestReport(changed=1, unchanged=2)
        assert store.text(f"{notes}/wifi.md").endswith("valid for twelve hours.")
        assert store.best("guest wifi").text.endswith("valid for twelve hours.")
        assert text_versions(store) == {TEXT_VERSION}
        assert look() == IngestReport(unchanged=3)


def test_what_is_read_as_before_stays_the_same_version(store: Store, notes: Path) -> None:
    """Nothing that was made of it, such as its vectors, has to be made again."""
    store.ingestor.add([notes])
    before = versions(store)
    with store.database.write() as session:
        session.execute(update(Document).values(text_version=0))
    (notes / "wifi.md").write_text((notes / "wifi.md").read_text() + "\n\n")
    assert store.ingestor.reindex() == IngestReport(unchanged=3)
    assert versions(store) == before
    assert text_versions(store) == {TEXT_VERSION}


@pytest.mark.parametrize(
    "other",
    [
        "# Guest wifi\n\nThe code is valid for twelve hours!\n",  # the text
        "---\ntitle: Wireless\n---\n\n# Wifi\n\nThe code is valid for twelve hours.\n",
        # An anchor alone.
        "## Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
    ],
)
def test_what_is_read_otherwise_is_another_version(store: Store, notes: Path, other: str) -> None:
    store.ingestor.add([notes])
    before = versions(store)
    (notes / "wifi.md").write_text(other)
    assert store.ingestor.reindex() == IngestReport(changed=1, unchanged=2)
    assert versions(store) == before | {f"{notes}/wifi.md": 2}


def test_what_could_not_be_read_before_is_another_version(store: Store, notes: Path) -> None:
    page = (notes / "wifi.md").read_bytes()
    (notes / "wifi.md").write_bytes(b"")
    assert len(store.ingestor.add([notes]).failed) == 1
    (notes / "wifi.md").write_bytes(page)
    assert store.ingestor.reindex() == IngestReport(added=1, unchanged=2)
    assert store.best("guest wifi").text.endswith("valid for twelve hours.")


def test_a_file_that_another_process_adds_meanwhile_goes_in_once(
    tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path / "home") as one, open_store(tmp_path / "home") as two:
        reports: list[IngestReport] = []

        def parse_while_another_adds(path: Path) -> ParsedDocument:
            if not reports:
                reports.append(IngestReport())
                reports[0] = two.ingestor.add([notes])
            return parse(path)

        monkeypatch.setattr(intake, "parse", parse_while_another_adds)
        assert one.ingestor.add([notes]) == IngestReport(unchanged=3)
        assert reports == [IngestReport(added=3)]
        assert set(versions(one).values()) == {1}
        check_store(one)


def test_what_a_later_version_read_is_left(store: Store, notes: Path) -> None:
    """Two that share a store would read everything again in turn."""
    store.ingestor.add([notes])
    with store.database.write() as session:
        session.execute(update(Document).values(text_version=TEXT_VERSION + 1))
    assert store.ingestor.reindex() == IngestReport(unchanged=3)
    assert text_versions(store) == {TEXT_VERSION + 1}


def test_what_only_an_earlier_version_could_read_is_served(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    (notes / "wifi.md").write_bytes(picture)
    digest = hashlib.sha256(picture).hexdigest()
    with store.database.write() as session:
        session.execute(
            update(Document)
            .where(Document.uri == f"{notes}/wifi.md")
            .values(content_sha256=digest, text_version=0)
        )
    for _ in range(2):
        report = store.ingestor.reindex()
        assert [failure.uri for failure in report.failed] == [f"{notes}/wifi.md"]
        assert (report.changed, report.unchanged) == (0, 2)
        assert store.best("guest wifi").text.endswith("valid for twelve hours.")


def test_a_file_that_may_not_be_read_is_told_and_its_text_is_served(open_folder: Path) -> None:
    open_folder.chmod(0o777)
    with unprivileged(), open_store(open_folder / "home") as store:
        notes = write_pages(open_folder / "notes", NOTES)
        store.ingestor.add([notes])
        (notes / "lunch.md").chmod(0)
        (notes / "new.md").touch(mode=0)
        for _ in range(2):
            report = store.ingestor.reindex()
            assert (report.unchanged, report.added, report.removed) == (2, 0, 0)
            told = {failure.uri: failure.message for failure in report.failed}
            assert told == {
                f"{notes}/{name}": f"{notes}/{name} cannot be read: Permission denied"
                for name in ("lunch.md", "new.md")
            }
            assert store.errors() == told
            assert store.found("lunch") == [f"{notes}/lunch.md"]
            with store.database.read() as session:
                summary = documents.find_document(session, "lunch.md")
            assert (summary.state, summary.version) == ("ready", 1)
        (notes / "lunch.md").chmod(0o644)
        (notes / "new.md").unlink()
        assert store.ingestor.reindex() == IngestReport(unchanged=3, removed=1)
        assert store.errors() == {}
        check_store(store)


def test_a_file_name_that_is_not_utf8_is_told(store: Store, notes: Path) -> None:
    odd = os.fsencode(notes) + b"/caf\xe9.md"
    try:
        with open(odd, "wb") as file:  # noqa: PTH123 - a path of bytes
            file.write(b"# Coffee\n\nThe coffee machine is cleaned daily.\n")
    except OSError:
        pytest.skip("this file system takes no such names")
    report = store.ingestor.add([notes])
    assert report.added == 3
    [failure] = report.failed
    assert "caf" in failure.message
    failure.message.encode()
    failure.uri.encode()
    assert store.ingestor.reindex().removed == 0


def test_a_file_that_is_too_large_is_not_read(store: Store, notes: Path) -> None:
    with (notes / "huge.md").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    report = store.ingestor.add([notes])
    assert report.added == 3
    [failure] = report.failed
    assert "files of up to 50 MB are read" in failure.message
    with store.database.read() as session:
        rows = session.execute(select(Document.uri, Document.content_sha256))
        hashed = {uri: digest for uri, digest in rows}  # noqa: C416 - rows are no pairs to mypy
    assert hashed.pop(f"{notes}/huge.md") == ""
    assert all(len(digest) == 64 for digest in hashed.values())


def test_what_has_not_changed_is_not_written(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert store.ingestor.reindex() == IngestReport(unchanged=3)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert statements
    assert [text for text in statements if not text.startswith(("SELECT", "BEGIN"))] == []


# -- several paths to one file ----------------------------------------------------------------


def test_two_names_of_one_file_are_one_document(store: Store, notes: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias.md"
    alias.symlink_to(notes / "wifi.md")
    assert store.ingestor.add([alias, notes / "wifi.md"]) == IngestReport(added=1, unchanged=1)
    assert store.found("guest wifi") == [str(alias)]
    alias.unlink()
    assert store.ingestor.reindex() == IngestReport(unchanged=1)


def test_however_a_path_is_typed_its_documents_are_shown_in_one_way(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (notes.parent / "link").symlink_to(notes)
    failed = ["notes/broken.pdf"]
    monkeypatch.chdir(notes.parent)
    assert [one.uri for one in store.ingestor.add([Path("notes")]).failed] == failed
    before = store.document_ids()
    assert all(uri.startswith("notes/") for uri in before)
    for folder, typed in (
        (notes.parent, "notes/."),
        (notes.parent, "link/../notes"),
        (notes.parent, "link"),
        (notes.parent, str(notes)),
        (notes, "."),
        (notes, "../notes"),
    ):
        monkeypatch.chdir(folder)
        report = store.ingestor.add([Path(typed)])
        assert (report.added, report.unchanged) == (0, 3)
        assert [one.uri for one in report.failed] == failed
    with store.database.read() as session:
        assert len(list_sources(session)) == 1
    # A file by itself is a source of its own, and no other document.
    for typed in ("wifi.md", "broken.pdf", str(notes / "broken.pdf")):
        report = store.ingestor.add([Path(typed)])
        assert (report.added, [one.uri for one in report.failed]) in ((0, []), (0, failed))
    assert [one.uri for one in store.ingestor.reindex().failed] == failed
    assert store.document_ids() == before
    assert store.found("guest wifi") == ["notes/wifi.md"]


@pytest.mark.parametrize("typed", ["notes", "absolute"])
def test_what_cannot_be_looked_at_is_told_under_its_document_s_name(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(notes.parent)
    label = Path("notes") if typed == "notes" else notes
    store.ingestor.add([label / "wifi.md", label])
    for name in ("wifi.md", "lunch.md"):
        (notes / name).unlink()
        (notes / name).symlink_to("x" * 300)  # longer than a name may be: an error to ask for
    told = [(one.uri, one.message) for one in store.ingestor.reindex().failed]
    assert {uri for uri, _ in told} == {f"{label}/wifi.md", f"{label}/lunch.md"}
    assert all(message.startswith(f"{uri} cannot be") for uri, message in told)
    assert store.errors().items() <= set(told)
    assert len(store.errors()) == 2
    away = notes.rename(notes.with_name("elsewhere"))
    missing = {one.uri: one.message for one in store.ingestor.reindex().failed}
    assert set(missing) == {f"{label}/wifi.md", str(label)}
    assert all("does not exist; nothing of it was changed" in one for one in missing.values())
    assert store.errors()[f"{label}/wifi.md"] == missing[f"{label}/wifi.md"]
    away.rename(notes)
    for name in ("wifi.md", "lunch.md"):
        (notes / name).unlink()
        (notes / name).write_text(NOTES[name])
    assert store.ingestor.reindex().failed == ()
    assert store.errors() == {}


def test_links_in_a_folder_are_documents_and_broken_ones_are_left_aside(
    store: Store, notes: Path
) -> None:
    # Five in all: BM25 gives a word that stands in half of the passages no weight.
    (notes / "dogs.md").write_text("# Dogs\n\nDogs are welcome on Fridays.\n")
    (notes / "internet.md").symlink_to(notes / "wifi.md")
    (notes / "gone.md").symlink_to(notes / "nowhere.md")
    (notes / "loop").symlink_to(notes, target_is_directory=True)
    assert store.ingestor.add([notes]) == IngestReport(added=5, skipped=2)
    assert sorted(store.found("guest wifi")) == [f"{notes}/internet.md", f"{notes}/wifi.md"]
    (notes / "internet.md").unlink()
    assert store.ingestor.reindex() == IngestReport(unchanged=4, removed=1, skipped=2)
    assert store.found("guest wifi") == [f"{notes}/wifi.md"]


def test_a_file_of_two_sources_is_one_document(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    assert store.ingestor.add([notes / "wifi.md"]) == IngestReport(unchanged=1)
    assert len(store.document_ids()) == 3
    (notes / "wifi.md").unlink()
    assert store.ingestor.reindex().removed == 1
    assert len(store.document_ids()) == 2


@pytest.mark.parametrize("names", [("", "wifi.md"), ("wifi.md", "")])
def test_a_deleted_file_of_two_sources_is_forgotten_by_both(
    store: Store, notes: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        store.ingestor.add([notes / name], base_url=f"https://example.com/{name}")
    for name in names:
        store.ingestor.add([notes / name])
    (notes / "wifi.md").unlink()
    assert store.ingestor.reindex() == IngestReport(unchanged=2, removed=1)
    assert store.ingestor.reindex() == IngestReport(unchanged=2)
    # Also where only the folder, which has it, was looked at.
    (notes / "wifi.md").write_text(NOTES["wifi.md"])
    store.ingestor.add([notes, notes / "wifi.md"])
    (notes / "wifi.md").unlink()
    assert store.ingestor.add([notes]) == IngestReport(unchanged=2, removed=1)
    assert store.ingestor.reindex() == IngestReport(unchanged=2)


@pytest.mark.parametrize("names", [("", "wifi.md"), ("wifi.md", "")])
def test_a_file_of_two_sources_is_removed_by_its_path(
    store: Store, notes: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        store.ingestor.add([notes / name])
    path = str(notes / "wifi.md")
    assert store.ingestor.remove([path]) == [Removed(path, 1)]
    assert path not in store.document_ids()
    with store.database.read() as session:
        assert [source.location for source in list_sources(session)] == [str(notes)]


def test_a_file_of_two_sources_keeps_the_link_that_it_was_given_last(
    store: Store, notes: Path
) -> None:
    store.ingestor.add([notes])
    store.ingestor.add([notes / "wifi.md"], base_url="https://old.example.com/")
    report = store.ingestor.add([notes], base_url="https://new.example.com/")
    assert report == IngestReport(unchanged=3, relinked=3)
    for _ in range(2):
        assert store.ingestor.reindex() == IngestReport(unchanged=3)
        assert store.best("guest wifi").url == "https://new.example.com/wifi.md#wifi"
    # Without the source that has it, it is the other's.
    store.ingestor.remove([str(notes)])
    assert store.ingestor.reindex() == IngestReport(added=1)
    assert store.best("guest wifi").url == "https://old.example.com/wifi.md#wifi"


def test_a_link_stays_when_its_sources_are_added_again_without_a_base_url(
    store: Store, notes: Path
) -> None:
    def url() -> str | None:
        return store.best("guest wifi").url

    own, folders = "https://y.example.com/wifi.md#wifi", "https://z.example.com/wifi.md#wifi"
    wifi = notes / "wifi.md"
    store.ingestor.add([wifi], base_url="https://y.example.com")
    assert url() == own
    report = store.ingestor.add([notes], base_url="https://z.example.com")
    assert (report, url()) == (IngestReport(added=2, unchanged=1, relinked=1), folders)
    for _ in range(2):
        assert (store.ingestor.add([wifi]), url()) == (IngestReport(unchanged=1), folders)
        assert (store.ingestor.add([notes]), url()) == (IngestReport(unchanged=3), folders)
        assert (store.ingestor.reindex(), url()) == (IngestReport(unchanged=3), folders)
    # The other way round too: who gives an address is heeded, and then it stays.
    report = store.ingestor.add([wifi], base_url="https://y.example.com")
    assert (report, url()) == (IngestReport(unchanged=1, relinked=1), own)
    for _ in range(2):
        assert (store.ingestor.add([notes]), url()) == (IngestReport(unchanged=3), own)
        assert (store.ingestor.add([wifi]), url()) == (IngestReport(unchanged=1), own)
        assert (store.ingestor.reindex(), url()) == (IngestReport(unchanged=3), own)
    # Its new version has the link of the one before, and so has a failure.
    store.ingestor.add([notes], base_url="https://z.example.com")
    wifi.write_text("# Wifi\n\nThe guest wifi is off.\n")
    assert (store.ingestor.add([wifi]), url()) == (IngestReport(changed=1), folders)
    wifi.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    assert (len(store.ingestor.add([wifi]).failed), url()) == (1, folders)
    wifi.write_text("# Wifi\n\nThe guest wifi is off.\n")
    assert (store.ingestor.reindex(), url()) == (IngestReport(unchanged=3), folders)
    # The file's own address was not forgotten: it is used where the folder gives none any more.
    store.ingestor.remove([str(notes)])
    assert (store.ingestor.reindex(), url()) == (IngestReport(added=1), own)


def test_a_folder_that_cannot_be_listed_keeps_its_links(open_folder: Path) -> None:
    """What another source reads of it meanwhile stays the folder's."""
    open_folder.chmod(0o777)
    with unprivileged(), open_store(open_folder / "home") as store:
        notes = write_pages(open_folder / "notes", NOTES)
        store.ingestor.add([notes / "wifi.md"], base_url="https://y.example.com")
        store.ingestor.add([notes], base_url="https://z.example.com")
        notes.chmod(0o300)
        report = store.ingestor.reindex()
        assert [failure.uri for failure in report.failed] == [str(notes)]
        assert (report.unchanged, report.relinked) == (1, 0)
        notes.chmod(0o700)
        assert store.ingestor.reindex() == IngestReport(unchanged=3)
        assert store.best("guest wifi").url == "https://z.example.com/wifi.md#wifi"


def test_a_source_without_a_base_url_leaves_the_link_that_another_gives(
    store: Store, notes: Path
) -> None:
    below = write_pages(notes / "a b", {"deep.md": "# Deep\n\nThe well is nine metres deep.\n"})
    hidden = write_pages(notes / ".drafts", {"roof.md": "# Roof\n\nThe roof is of slate.\n"})
    store.ingestor.add([notes], base_url="https://docs.example.com/")
    report = store.ingestor.add([notes / "wifi.md", below, hidden])
    assert report == IngestReport(added=1, unchanged=2)
    wifi = "https://docs.example.com/wifi.md#wifi"
    deep = "https://docs.example.com/a%20b/deep.md#deep"
    for _ in range(2):
        assert store.best("guest wifi").url == wifi
        assert store.best("How deep is the well?").url == deep
        # The folder leaves hidden ones aside, so that its address has nothing of them.
        assert store.best("slate roof").url == f"{(hidden / 'roof.md').as_uri()}#roof"
        assert store.ingestor.reindex() == IngestReport(unchanged=5)
    # A new version has the link as well, and one of the file's own comes first.
    (notes / "wifi.md").write_text("# Wifi\n\nThe guest wifi is off.\n")
    assert store.ingestor.add([notes / "wifi.md"]).changed == 1
    assert store.best("guest wifi").url == wifi
    store.ingestor.add([notes / "wifi.md"], base_url="https://wifi.example.com")
    assert store.best("guest wifi").url == "https://wifi.example.com/wifi.md#wifi"
    # In another collection nobody says where it is published.
    store.ingestor.add([notes / "lunch.md"], collection="other")
    [hit] = store.retriever.search("lunch", collections=["other"])
    assert hit.url == f"{(notes / 'lunch.md').as_uri()}#lunch"


def test_a_link_that_was_replaced_by_one_to_the_disk_comes_back(store: Store, notes: Path) -> None:
    store.ingestor.add([notes / "wifi.md"])
    assert str(store.best("guest wifi").url).startswith("file://")
    with store.database.write() as session:  # as the folder's address is given later
        source = list_sources(session)[0]
        ensure_source(
            session,
            collection_id=source.collection_id,
            kind="path",
            location=str(notes),
            label=str(notes),
            base_url="https://docs.example.com/",
        )
    assert store.ingestor.reindex() == IngestReport(added=2, unchanged=1, relinked=1)
    assert store.best("guest wifi").url == "https://docs.example.com/wifi.md#wifi"
    # Without the folder nothing says so any more.
    store.ingestor.remove([str(notes)])
    assert store.ingestor.reindex() == IngestReport(unchanged=1, relinked=1)
    assert str(store.best("guest wifi").url).startswith("file://")


# -- uploads ----------------------------------------------------------------------------------


MENU = (
    "# Menu\n\nCooked by Ada.\n\n## Monday\n\nSoup on Mondays.\n\n## Friday\n\nFish on Fridays.\n"
)


def upload(store: Store, folder: Path, name: str, content: bytes | str) -> IngestReport:
    """Hand a file over as Slack's side does: from a temporary place, under its name."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    report = store.ingestor.add_upload(path, name=name, link="https://files.example.com/F1")
    path.unlink()
    return report


def test_an_upload_is_kept_and_found(store: Store, tmp_path: Path) -> None:
    report = upload(store, tmp_path / "in", "menu.md", MENU)
    assert report == IngestReport(added=1)
    kept = store.home / "uploads" / "default" / "menu.md"
    assert kept.read_text().startswith("# Menu")
    hit = store.best("fish")
    assert (hit.document, hit.section) == ("menu.md", "Friday")
    assert hit.url is not None
    assert hit.url.startswith("https://files.example.com/F1")
    assert store.ingestor.reindex() == IngestReport(unchanged=1)
    assert store.best("fish").url == hit.url


def test_an_upload_replaces_the_one_of_its_name(store: Store, tmp_path: Path) -> None:
    upload(store, tmp_path / "in", "menu.md", "Fish on Fridays.\n")
    assert upload(store, tmp_path / "in", "menu.md", "Soup on Fridays.\n") == IngestReport(
        changed=1
    )
    assert upload(store, tmp_path / "in", "menu.md", "Soup on Fridays.\n") == IngestReport(
        unchanged=1
    )
    assert store.found("fish") == []
    assert store.best("soup").text == "Soup on Fridays."
    assert [p.name for p in (store.home / "uploads" / "default").iterdir()] == ["menu.md"]


def test_an_upload_that_an_earlier_version_read_is_read_again(store: Store, tmp_path: Path) -> None:
    fish = "Fish on Fridays.\n"
    upload(store, tmp_path / "in", "menu.md", fish)
    looks: list[Look] = [
        store.ingestor.reindex,
        lambda: upload(store, tmp_path / "in", "menu.md", fish),
    ]
    for look in looks:
        read_by_an_earlier_version(store, "Fisk", "Fish")
        assert store.text("menu.md") == "Fisk on Fridays."
        assert look() == IngestReport(changed=1)
        assert store.text("menu.md") == store.best("fish").text == "Fish on Fridays."
        assert look() == IngestReport(unchanged=1)


def test_an_upload_that_cannot_be_read_leaves_the_one_before(store: Store, tmp_path: Path) -> None:
    good = make_pdf([["The lift stops on every floor."]])
    upload(store, tmp_path / "in", "lift.pdf", good)
    report = upload(store, tmp_path / "in", "lift.pdf", b"%PDF-1.4 no more")
    assert (report.added, report.changed) == (0, 0)
    [failure] = report.failed
    assert failure.uri == "lift.pdf"
    assert store.best("lift").text == "The lift stops on every floor."
    kept = list((store.home / "uploads" / "default").iterdir())
    assert [(p.name, p.read_bytes()) for p in kept] == [("lift.pdf", good)]
    report = upload(store, tmp_path / "in", "other.pdf", b"")
    assert len(report.failed) == 1
    assert len(list((store.home / "uploads" / "default").iterdir())) == 1


def test_an_upload_that_cannot_be_stored_leaves_the_one_before(
    store: Store, tmp_path: Path
) -> None:
    upload(store, tmp_path / "in", "menu.md", "Fish on Fridays.\n")
    kept = store.home / "uploads" / "default"

    def refuse(_connection: object) -> None:
        raise StorageFullError("the disk is full")

    event.listen(Engine, "commit", refuse)
    try:
        for name in ("menu.md", "new.md"):
            with pytest.raises(StorageFullError):
                upload(store, tmp_path / "in", name, "Soup on Fridays.\n")
    finally:
        event.remove(Engine, "commit", refuse)
    assert [(p.name, p.read_text()) for p in kept.iterdir()] == [("menu.md", "Fish on Fridays.\n")]
    assert store.best("fish").text == "Fish on Fridays."
    assert store.ingestor.reindex() == IngestReport(unchanged=1)


def test_an_upload_whose_name_is_too_long_leaves_nothing(store: Store, tmp_path: Path) -> None:
    content = write_pages(tmp_path / "in", {"menu.md": "Fish on Fridays.\n"}) / "menu.md"
    with pytest.raises(IngestError, match=r"cannot be kept in .*too long"):
        store.ingestor.add_upload(content, name="x" * 260 + ".md", link=None)
    assert list((store.home / "uploads" / "default").iterdir()) == []
    assert store.document_ids() == {}


@pytest.mark.parametrize("name", ["", "..", ".", "a/b.md", "../b.md", "/b.md", "a\x00.md"])
def test_an_upload_is_not_named_out_of_its_folder(store: Store, tmp_path: Path, name: str) -> None:
    content = tmp_path / "content.md"
    content.write_text("Fish on Fridays.\n")
    with pytest.raises(IngestError, match="not a plain file name"):
        store.ingestor.add_upload(content, name=name, link=None)
    assert store.document_ids() == {}


# -- removing ---------------------------------------------------------------------------------


def test_a_document_is_removed_by_its_path_or_its_end_or_its_id(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    store.ingestor.remove([f"{notes}/lunch.md"])
    store.ingestor.remove(["wifi.md"])
    store.ingestor.remove([str(store.document_ids()[f"{notes}/parking.md"])])
    assert store.document_ids() == {}
    assert store.found("guest wifi") == []
    # The files are there, and so is their folder's source.
    assert store.ingestor.reindex() == IngestReport(added=3)


def test_a_removed_single_file_does_not_come_back(store: Store, notes: Path) -> None:
    store.ingestor.add([notes / "wifi.md"])
    store.ingestor.remove(["wifi.md"])
    assert store.ingestor.reindex() == IngestReport()
    assert (notes / "wifi.md").exists()


def test_a_removed_upload_is_deleted(store: Store, tmp_path: Path) -> None:
    upload(store, tmp_path / "in", "menu.md", "Fish on Fridays.\n")
    assert store.ingestor.remove(["menu.md"]) == [Removed("menu.md", 1)]
    assert list((store.home / "uploads" / "default").iterdir()) == []
    assert store.ingestor.reindex() == IngestReport()


def test_an_upload_that_cannot_be_deleted_is_not_forgotten(store: Store, tmp_path: Path) -> None:
    upload(store, tmp_path / "in", "menu.md", "Fish on Fridays.\n")
    kept = store.home / "uploads" / "default" / "menu.md"
    kept.unlink()
    kept.mkdir()  # what unlink refuses, whoever asks
    for remove in (
        lambda: store.ingestor.remove(["menu.md"]),
        lambda: store.ingestor.remove_collection("default"),
    ):
        with pytest.raises(IngestError, match=r"menu\.md cannot be deleted: .*nothing was removed"):
            remove()
    assert list(store.document_ids()) == ["menu.md"]


def test_a_file_stays_in_the_other_collections_when_it_is_removed_from_one(
    store: Store, notes: Path
) -> None:
    for collection in ("main", "guests"):
        store.ingestor.add([notes / "wifi.md"], collection=collection)
    with store.database.read() as session:
        [main] = documents.list_documents(session, "main")
    store.ingestor.remove([str(main.id)])
    (notes / "wifi.md").write_text("The guest wifi was switched off.\n")
    assert store.ingestor.reindex() == IngestReport(changed=1)
    with store.database.read() as session:
        assert [d.collection for d in documents.list_documents(session)] == ["guests"]


def test_an_added_folder_is_removed_with_its_documents(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    assert store.ingestor.remove([f"{notes}/"]) == [Removed(f"{notes}/", 3)]
    assert store.document_ids() == {}
    assert store.ingestor.reindex() == IngestReport()


def test_a_missing_file_that_was_added_is_removed_by_its_path(store: Store, notes: Path) -> None:
    store.ingestor.add([notes / "wifi.md"])
    with store.database.write() as session:
        documents.remove_documents(session, list(store.document_ids().values()))
    (notes / "wifi.md").unlink()
    assert len(store.ingestor.reindex().failed) == 1
    assert store.ingestor.remove([f"{notes}/wifi.md"]) == [Removed(f"{notes}/wifi.md", 0)]
    assert store.ingestor.reindex() == IngestReport()


def test_all_names_are_removed_or_none(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    with pytest.raises(IngestError, match=r'no document "nowhere\.md"'):
        store.ingestor.remove(["wifi.md", "nowhere.md"])
    assert len(store.document_ids()) == 3
    removed = store.ingestor.remove(["wifi.md", "lunch.md"])
    assert [Path(one.name).name for one in removed] == ["wifi.md", "lunch.md"]
    assert list(store.document_ids()) == [f"{notes}/parking.md"]


def test_a_source_that_is_removed_during_a_run_is_left_alone(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    for name in NOTES:
        (notes / name).write_text("Something else.\n")
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")

    def remove(step: Step) -> None:
        if step.stage == "documents" and step.done == 1:
            store.ingestor.remove([str(notes)])

    report = store.ingestor.reindex(progress=remove)
    assert (report.added, report.changed, report.unchanged) == (0, 0, 0)
    assert store.document_ids() == {}


def test_what_cannot_be_told_apart_is_not_removed(store: Store, notes: Path) -> None:
    write_pages(notes / "more", {"wifi.md": "The wifi of the annex is slow.\n"})
    store.ingestor.add([notes])
    with pytest.raises(IngestError, match=r'"wifi.md" fits 2 documents: .*give the id'):
        store.ingestor.remove(["wifi.md"])
    with pytest.raises(IngestError, match=r'no document "ifi\.md"'):
        store.ingestor.remove(["ifi.md"])
    assert len(store.document_ids()) == 4


def test_collections_limit_the_search_and_go_as_a_whole(
    store: Store, notes: Path, tmp_path: Path
) -> None:
    annex = write_pages(tmp_path / "annex", {"wifi.md": "The wifi of the annex is slow.\n"})
    (notes / "dogs.md").write_text("# Dogs\n\nDogs are welcome on Fridays.\n")
    store.ingestor.add([notes], collection="main")
    store.ingestor.add([annex], collection="annex")
    main, other = f"{notes}/wifi.md", f"{annex}/wifi.md"
    assert set(store.found("wifi")) == {main, other}
    assert store.found("wifi", ["main"]) == [main]
    assert store.found("wifi", ["annex"]) == [other]
    assert set(store.found("wifi", ["annex", "main"])) == {main, other}
    assert store.found("wifi", []) == []
    with pytest.raises(IngestError, match=r'no collection "anex"; there are: .*annex.*main'):
        store.found("wifi", ["anex"])
    assert store.ingestor.remove_collection("main") == 4
    assert store.found("wifi") == [other]
    assert store.ingestor.reindex() == IngestReport(unchanged=1)
    with pytest.raises(IngestError, match='no collection "nowhere"'):
        store.ingestor.remove_collection("nowhere")


def test_one_file_may_be_in_two_collections(store: Store, notes: Path) -> None:
    store.ingestor.add([notes / "wifi.md"], collection="main")
    store.ingestor.add([notes / "wifi.md"], collection="guests")
    assert len(store.retriever.search("wifi")) == 2
    store.ingestor.remove_collection("main")
    assert [hit.document for hit in store.retriever.search("wifi")] == [f"{notes}/wifi.md"]


@pytest.mark.parametrize(
    "name", ["", "  ", " main", "x" * 101, "../x", "a/b", "..", "a\x00", "\udcff"]
)
def test_a_collection_has_a_sensible_name(store: Store, notes: Path, name: str) -> None:
    with pytest.raises(IngestError, match="cannot name a collection"):
        store.ingestor.add([notes], collection=name)


# -- the index --------------------------------------------------------------------------------


def lose(index: Path) -> None:
    shutil.rmtree(index)


def lose_manifest(index: Path) -> None:
    (index / "MANIFEST").unlink()


def name_another_version(index: Path) -> None:
    body = b'{"format":1}'
    (index / "MANIFEST").write_bytes(b"%08x\n" % zlib.crc32(body) + body)


def name_garbage(index: Path) -> None:
    (index / "MANIFEST").write_bytes(b"\xff\xfe\x00")


def lose_segment(index: Path) -> None:
    (segment,) = index.glob("segment-*")
    segment.unlink()


def truncate(index: Path) -> None:
    (segment,) = index.glob("segment-*")
    segment.write_bytes(segment.read_bytes()[:-40])


def overwrite(index: Path) -> None:
    (segment,) = index.glob("segment-*")
    segment.write_bytes(b"\x00" * segment.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [lose, lose_manifest, name_another_version, name_garbage, lose_segment, truncate, overwrite],
)
def test_an_index_that_is_lost_or_damaged_is_built_again(
    tmp_path: Path,
    notes: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with open_store(tmp_path / "home") as store:
        store.ingestor.add([notes])
        before = store.retriever.search("guest wifi")
    damage(tmp_path / "home" / "index")
    with open_store(tmp_path / "home") as store:
        assert store.retriever.search("guest wifi") == before
        said = "the search index cannot be used and is built again" in caplog.text
        assert said == (damage not in (lose, lose_manifest))
        assert store.ingestor.reindex() == IngestReport(unchanged=3)
        check_store(store)


def test_an_index_that_is_behind_is_built_again(tmp_path: Path, notes: Path) -> None:
    index = tmp_path / "home" / "index"
    with open_store(tmp_path / "home") as store:
        store.ingestor.add([notes])
        shutil.copytree(index, tmp_path / "old")
        (notes / "wifi.md").write_text("The guest wifi was switched off.\n")
        store.ingestor.reindex()
    shutil.rmtree(index)
    (tmp_path / "old").rename(index)
    with open_store(tmp_path / "home") as store:
        assert store.best("guest wifi").text == "The guest wifi was switched off."
        assert store.found("twelve hours") == []


def test_another_process_sees_what_one_has_added(tmp_path: Path, notes: Path) -> None:
    with open_store(tmp_path / "home") as one, open_store(tmp_path / "home") as other:
        assert other.found("guest wifi") == []
        one.ingestor.add([notes])
        assert other.found("guest wifi") == [f"{notes}/wifi.md"]
        one.ingestor.remove(["wifi.md"])
        assert other.found("guest wifi") == []


def test_ids_are_never_used_again(store: Store, notes: Path) -> None:
    store.ingestor.add([notes])
    ids, passages = set(store.document_ids().values()), store.passage_ids()
    store.ingestor.remove_collection("default")
    assert store.passage_ids() == set()
    store.ingestor.add([notes])
    assert min(store.document_ids().values()) > max(ids)
    assert min(store.passage_ids()) > max(passages)


def test_rank_bm25_finds_the_same(tmp_path: Path, handbook: Path) -> None:
    with open_store(tmp_path / "home") as ours:
        ours.ingestor.add([handbook])
        found = [ours.retriever.search(fact.question) for fact in FACTS]
    with open_store(tmp_path / "home", backend="rank_bm25") as theirs:
        for fact, hits in zip(FACTS, found, strict=True):
            again = theirs.retriever.search(fact.question)
            assert [h.passage_id for h in again] == [h.passage_id for h in hits]
            assert np.allclose([h.score for h in again], [h.score for h in hits])


class CountingEncoder:
    """Vectors that say which letters a text holds; ``seen`` are the texts it was given."""

    name = "letters"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        self.seen.extend(texts)
        vectors = np.array(
            [[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for text in texts],
            dtype=np.float32,
        ).reshape(len(texts), 26)
        if progress is not None:
            progress(len(texts))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        result: NDArray[np.float32] = (vectors / norms).astype(np.float32)
        return result


def long_notes(folder: Path, count: int, word: str = "kettle") -> Path:
    """So many documents of three hundred passages or more, each with its own number."""
    texts = {
        f"{number}.md": "\n\n".join(
            f"The {word} {number} of line {line} is rinsed. " * 12 for line in range(320)
        )
        for number in range(count)
    }
    return write_pages(folder, texts)


def test_what_a_long_run_has_stored_can_be_found_before_its_end(
    tmp_path: Path, store: Store
) -> None:
    folder = long_notes(tmp_path / "long", 5)
    waiting: list[int] = []

    def look(step: Step) -> None:
        if step.stage == "documents":
            index = IndexFolder(store.home / "index").open()
            waiting.append(len(store.passage_ids()) - (0 if index is None else len(index)))

    store.ingestor.add([folder], progress=look)
    document = len(store.passage_ids()) // 5
    assert document > 256
    # Two documents wait, then they are in the index.
    assert waiting == [0, document, 0, document, 0, document]


def test_a_run_that_is_cut_off_leaves_little_to_encode_again(tmp_path: Path) -> None:
    folder = long_notes(tmp_path / "long", 5)
    encoder = CountingEncoder()

    def stop(step: Step) -> None:
        if step.stage == "documents" and step.done == 4:
            raise KeyboardInterrupt

    with open_store(tmp_path / "home", encoder=lambda: encoder) as store:
        with pytest.raises(KeyboardInterrupt):
            store.ingestor.add([folder], progress=stop)
        encoded = len(encoder.seen)
        encoder.seen.clear()
        store.ingestor.reindex()
        check_store(store)
        assert encoded == 4 * len(encoder.seen)
    assert "kettle 4" in encoder.seen[0]


def test_rank_bm25_is_built_once_in_a_long_run(tmp_path: Path) -> None:
    folder = long_notes(tmp_path / "long", 3)
    encoder = CountingEncoder()
    with open_store(tmp_path / "home", encoder=lambda: encoder, backend="rank_bm25") as store:
        store.ingestor.add([folder])
        assert len(encoder.seen) == len(store.passage_ids())


def test_only_new_passages_are_encoded(tmp_path: Path, notes: Path) -> None:
    encoder = CountingEncoder()
    with open_store(tmp_path / "home", encoder=lambda: encoder) as store:
        store.ingestor.add([notes])
        assert len(encoder.seen) == 3
        encoder.seen.clear()
        (notes / "wifi.md").write_text("The guest wifi was switched off.\n")
        store.ingestor.reindex()
        assert [text.splitlines()[-1] for text in encoder.seen] == [
            "The guest wifi was switched off."
        ]
        # Passages are found that hold no word of the question.
        hits = store.retriever.search("zzz")
        check_hits(store, hits)
        assert len(hits) == 3
        check_store(store)
    encoder.seen.clear()
    with open_store(tmp_path / "home") as store:  # BM25 alone has an index of its own
        assert store.found("zzz") == []
    with open_store(tmp_path / "home", encoder=lambda: encoder) as store:
        assert len(store.retriever.search("zzz")) == 3
