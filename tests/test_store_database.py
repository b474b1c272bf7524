"""The database's transactions, errors, schema check and backup, on real files."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from retriever.errors import SchemaError, StorageFullError, StoreError
from retriever.store.database import Database
from retriever.store.log import claim_event, log_question
from retriever.store.models import (
    Answer,
    Collection,
    Document,
    Feedback,
    Question,
    SlackEvent,
    StoreState,
)
from tests.full_disk import refused, room_for
from tests.permissions import unprivileged
from tests.store_rows import NOW, fill, question

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spanbot.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with opened(path) as database:
        database.upgrade()
        yield database


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{path}", **options)) as database:
        yield database


def counted(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(StoreState.content_version)).one()


def count_up(session: Session) -> None:
    """Read, then write what was read and one more."""
    before = session.scalars(select(StoreState.content_version)).one()
    session.execute(update(StoreState).values(content_version=before + 1))


@contextmanager
def small_disk(pages: int) -> Iterator[None]:
    """Connections opened inside let their database grow to so many pages only."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


# -- making and opening -----------------------------------------------------------------------


def test_upgrade_makes_the_folder_and_the_file_and_nothing_does_before(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "spanbot.db"
    with opened(path) as database:
        for use in (database.read, database.write):
            with (
                pytest.raises(SchemaError, match=f"no database at {path}; run: spanbot db upgrade"),
                use(),
            ):
                pass
        with pytest.raises(SchemaError, match="run: spanbot db upgrade"):
            database.check_schema()
        assert not path.parent.exists()

        assert database.upgrade()[0] is None
        database.check_schema()
        assert path.exists()
        with database.read() as session:
            assert session.scalars(select(Collection.name)).all() == ["default"]
            assert session.scalars(select(StoreState.content_version)).all() == [0]


def test_connections_are_set_up(database: Database) -> None:
    def pragmas(session: Session) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        return {name: session.execute(text(f"PRAGMA {name}")).scalar_one() for name in names}

    common = {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 10_000}
    with database.read() as session:
        assert pragmas(session) == {**common, "query_only": 1}
    with database.write() as session:
        assert pragmas(session) == {**common, "query_only": 0}


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? ünd [more].db"
    url = "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    with closing(Database(url)) as database:
        database.upgrade()
        assert database.path is not None
        name = database.path.name
        assert sorted(entry.name for entry in tmp_path.iterdir() if "-" not in entry.name) == [name]


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Database("sqlite:///spanbot.db")) as database:
        monkeypatch.chdir("/")
        database.upgrade()
    assert (tmp_path / "spanbot.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("spanbot.db", '"spanbot.db" is not a database URL'),
        ("sqlite://", "does not name a database file"),
        ("sqlite:///:memory:", "does not name a database file"),
        ("sqlite:////x/y.db?mode=memory", "does not name a database file"),
        ("sqlite:////x/y.db?cache=shared", "does not name a database file"),
        ("paradox://x/y", "no such kind of database as paradox; write one like"),
        ("postgresql://bot:secret@h:abc/x", r'"postgresql://bot:\*\*\*@h:abc/x" is not a database'),
    ],
)
def test_a_wrong_url_is_named(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Database(url)


def test_a_database_without_tables_is_new(database: Database, tmp_path: Path) -> None:
    assert not database.is_new()
    with closing(Database(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        assert other.is_new()
        (tmp_path / "other.db").touch()
        assert other.is_new()
        other.upgrade()
        assert not other.is_new()


def test_a_missing_driver_is_named_on_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    database = Database("postgresql://bot:secret@db.example/spanbot?password=secret")
    uses: list[Callable[[], object]] = [
        lambda: database.read().__enter__(),
        lambda: database.write().__enter__(),
        database.check_schema,
        database.upgrade,
        lambda: database.backup(Path("x")),
    ]
    for use in uses:
        with pytest.raises(StoreError, match=r'pip install "psycopg\[binary\]"') as caught:
            use()
        assert "secret" not in str(caught.value)
    database.close()


def test_importing_and_checking_do_not_load_alembic(database: Database, path: Path) -> None:
    script = (
        "import sys; from retriever.store.database import Database;"
        f"d = Database('sqlite:///{path}'); d.check_schema(); d.close();"
        "assert not any(name.partition('.')[0] == 'alembic' for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


# -- transactions -----------------------------------------------------------------------------


def test_an_error_rolls_everything_back(database: Database) -> None:
    def fail_after_writing() -> None:
        with database.write() as session:
            count_up(session)
            session.flush()
            raise LookupError("on purpose")

    with pytest.raises(LookupError):
        fail_after_writing()
    assert counted(database) == 0


def test_objects_outlive_their_session(database: Database) -> None:
    with database.write() as session:
        collection = Collection(name="legal", created_at=NOW)
        session.add(collection)
    assert (collection.name, collection.created_at) == ("legal", NOW)
    with database.read() as session:
        loaded = session.scalars(select(Collection).where(Collection.name == "legal")).one()
    assert (loaded.id, loaded.created_at) == (collection.id, NOW)


def test_a_reader_sees_one_state_and_does_not_block_a_writer(database: Database) -> None:
    with database.read() as session:
        first = session.scalars(select(StoreState.content_version)).one()
        with database.write() as other:
            count_up(other)
        session.expire_all()
        assert session.scalars(select(StoreState.content_version)).one() == first
    assert counted(database) == first + 1


def test_a_read_session_cannot_write(database: Database) -> None:
    with (
        pytest.raises(StoreError, match=r"read\(\) tried to write"),
        database.read() as session,
    ):
        count_up(session)

    # Not even by changing an object and leaving it at that.
    with (
        pytest.raises(StoreError, match=r"read\(\) tried to write"),
        database.read() as session,
    ):
        session.scalars(select(StoreState)).one().content_version = 7
    assert counted(database) == 0


def test_foreign_keys_cascade(database: Database) -> None:
    with database.write() as session:
        fill(session)
    with database.write() as session:
        session.execute(text("DELETE FROM questions"))
    with database.read() as session:
        for table in (Question, Answer, Feedback):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert session.scalar(select(func.count()).select_from(Document)) == 1


def test_ids_of_documents_are_not_used_twice(database: Database) -> None:
    with database.write() as session:
        fill(session)
        first = session.scalars(select(Document.id)).one()
        session.execute(text("DELETE FROM documents"))
    with database.write() as session:
        second = Document(
            collection_id=1,
            uri="new.md",
            location="/srv/new.md",
            title="New",
            media_type="text/markdown",
            state="failed",
            version=0,
            text="",
            text_sha256="",
            content_sha256="",
            size=0,
            created_at=NOW,
            updated_at=NOW,
        )
        session.add(second)
    assert second.id > first


def test_mistakes_in_statements_stay_what_they_are(database: Database) -> None:
    with pytest.raises(OperationalError, match="syntax error"), database.read() as session:
        session.execute(text("SELEKT"))
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Collection(name="default", created_at=NOW))


def test_an_earlier_problem_is_not_told_again(database: Database, path: Path) -> None:
    with opened(path.with_name("missing.db")) as missing:
        try:
            missing.check_schema()
        except SchemaError:
            with pytest.raises(IntegrityError), database.write() as session:
                session.add(Collection(name="default", created_at=NOW))


def test_error_messages_do_not_carry_documents(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.write() as session:
        session.add(Collection(name="default", created_at=datetime(1987, 6, 5, tzinfo=UTC)))
    assert "1987" not in str(caught.value)


# -- many at once -----------------------------------------------------------------------------


def test_read_then_write_never_fails_among_threads(database: Database) -> None:
    threads, rounds = 8, 25
    together = threading.Barrier(threads)

    def work() -> None:
        together.wait()
        for _ in range(rounds):
            with database.write() as session:
                count_up(session)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    assert counted(database) == threads * rounds


def test_read_then_write_never_fails_among_connections(database: Database, path: Path) -> None:
    """As above, but each thread has a database of its own, as if it were a process."""
    threads, rounds = 8, 25
    together = threading.Barrier(threads)

    def work() -> None:
        with opened(path) as own:
            together.wait()
            for _ in range(rounds):
                with own.write() as session:
                    count_up(session)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    assert counted(database) == threads * rounds


def test_read_then_write_never_fails_among_processes(database: Database, path: Path) -> None:
    script = f"""
from sqlalchemy import select, update
from retriever.store.database import Database
from retriever.store.models import StoreState
database = Database("sqlite:///{path}")
for _ in range(25):
    with database.write() as session:
        before = session.scalars(select(StoreState.content_version)).one()
        session.execute(update(StoreState).values(content_version=before + 1))
database.close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counted(database) == 75


def test_readers_go_on_while_another_writes(database: Database) -> None:
    started, stop = threading.Event(), threading.Event()

    def hold() -> None:
        with database.write() as session:
            count_up(session)
            started.set()
            assert stop.wait(30)

    with ThreadPoolExecutor(9) as pool:
        writer = pool.submit(hold)
        assert started.wait(30)
        readers = [pool.submit(counted, database) for _ in range(8)]
        assert [reader.result() for reader in readers] == [0] * 8
        stop.set()
        writer.result()
    assert counted(database) == 1


def test_a_writer_that_waited_too_long_is_told_to_try_again(database: Database, path: Path) -> None:
    told = pytest.raises(StoreError, match=f"{path} is busy with another writer; try again")
    with opened(path, busy_timeout=0.05) as impatient:
        with database.write(), told, impatient.write():  # as if of another process
            pass
        with impatient.write(), told, impatient.write():  # one of our own
            pass


# -- disks and permissions --------------------------------------------------------------------


def test_a_full_disk_is_told_and_nothing_is_half_written(database: Database, path: Path) -> None:
    with database.read() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()

    def fill_with_collections(full: Database) -> None:
        with full.write() as session:
            count_up(session)
            for number in range(10_000):
                session.add(Collection(name=f"collection {number}", created_at=NOW))
                session.flush()

    def fill_with_events(full: Database) -> None:
        with full.write() as session:
            for number in range(10_000):
                claim_event(session, [f"event:{number}:{'x' * 150}"], NOW)

    with small_disk(pages + 4), opened(path) as full:
        with pytest.raises(StorageFullError, match=f"{path} is full.*free some space"):
            fill_with_collections(full)
        assert counted(full) == 0
        # A savepoint that the full disk took away does not hide why.
        with pytest.raises(StorageFullError, match=f"{path} is full"):
            fill_with_events(full)
        with full.read() as session:
            assert session.scalar(select(func.count()).select_from(SlackEvent)) == 0

    # With space again, all is well.
    with database.write() as session:
        count_up(session)
    assert counted(database) == 1


def test_a_disk_too_full_for_the_tables_leaves_none_of_them(path: Path) -> None:
    with opened(path) as database:
        with small_disk(10), pytest.raises(StorageFullError, match=str(path)):
            database.upgrade()
        with pytest.raises(SchemaError, match="no tables yet"):
            database.check_schema()
        assert database.upgrade()[0] is None


def test_a_database_opened_for_reading_says_so(database: Database, path: Path) -> None:
    with closing(Database(f"sqlite:///{path}?mode=ro")) as fixed:
        fixed.check_schema()
        assert counted(fixed) == 0
        with (
            pytest.raises(StoreError, match=f"{path} or its folder is not writable"),
            fixed.write() as session,
        ):
            count_up(session)


def test_a_file_that_may_not_be_written_is_named(open_folder: Path) -> None:
    path = open_folder / "spanbot.db"
    with opened(path) as database:
        database.upgrade()
        with database.write() as session:
            count_up(session)
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with unprivileged(), opened(path) as database:
        with (
            pytest.raises(StoreError, match=f"{path} or its folder is not writable"),
            database.write() as session,
        ):
            count_up(session)
        with pytest.raises(StoreError, match=f"{path} or its folder is not writable"):
            database.check_schema()  # write-ahead mode needs files beside the database


def test_a_folder_that_may_not_be_written_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with unprivileged():
        for path in (open_folder / "spanbot.db", open_folder / "new" / "spanbot.db"):
            with (
                opened(path) as database,
                pytest.raises(StoreError, match=f"{path.parent} is not writable .*denied"),
            ):
                database.upgrade()
            assert not path.exists()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        opened(tmp_path / "file" / "spanbot.db") as database,
        pytest.raises(StoreError, match=f"{tmp_path / 'file'} is not writable"),
    ):
        database.upgrade()


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_text("Minutes of the meeting. " * 100)
    with opened(path) as database:
        for use in (database.check_schema, database.upgrade):
            with pytest.raises(StoreError, match=f"{path} is not a database or is damaged"):
                use()
    assert path.read_text().startswith("Minutes")


def test_a_damaged_database_is_told(database: Database, path: Path) -> None:
    with database.write() as session:
        for number in range(2000):
            session.add(Collection(name=f"collection {number}", created_at=NOW))
    database.close()
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : -4096] = os.urandom(len(raw) - 4096 * 4)
    path.write_bytes(raw)
    with (
        pytest.raises(StoreError, match=f"{path} is not a database or is damaged.*backup"),
        database.read() as session,
    ):
        session.scalars(select(Collection)).all()


def test_a_database_without_our_tables_says_what_to_run(path: Path) -> None:
    path.touch()
    with (
        opened(path) as database,
        pytest.raises(SchemaError, match="run: spanbot db upgrade"),
        database.read() as session,
    ):
        session.scalars(select(Collection)).all()


# -- backup -----------------------------------------------------------------------------------


def test_a_backup_is_a_whole_database(database: Database, path: Path, tmp_path: Path) -> None:
    with database.write() as session:
        fill(session)
        log_question(session, question("How long is the notice period?"))
    path.chmod(0o640)
    target = tmp_path / "backups"
    target.mkdir()
    target /= "today.db"

    with database.write() as session:  # not yet committed, and in nobody's way
        count_up(session)
        database.backup(target)

    assert [entry.name for entry in target.parent.iterdir()] == ["today.db"]
    assert target.stat().st_mode & 0o777 == 0o640
    with opened(target) as restored:
        restored.check_schema()
        assert counted(restored) == 0
        with restored.read() as session:
            assert session.scalars(select(Document.uri)).all() == ["handbook/leave.md"]
            assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        with restored.write() as session:
            assert session.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_a_backup_replaces_nothing(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "precious.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match=f"{target} exists; name a new file"):
        database.backup(target)
    assert target.read_text() == "precious"


def test_of_two_backups_to_one_name_one_is_refused(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    together = threading.Barrier(4)

    def back_up() -> bool:
        together.wait()
        try:
            database.backup(target)
        except StoreError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(back_up) for _ in range(4)]
        assert sorted(each.result() for each in done) == [False, False, False, True]
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.glob(".*.part"))


def test_a_backup_that_cannot_be_written_names_its_place(
    database: Database, tmp_path: Path
) -> None:
    target = tmp_path / "nowhere" / "backup.db"
    with pytest.raises(StoreError, match=f"{target} cannot be written: No such file"):
        database.backup(target)


def test_a_backup_that_does_not_fit_is_told_by_its_name_and_leaves_nothing(
    database: Database, tmp_path: Path
) -> None:
    with database.write() as session:
        fill(session)
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    with (
        room_for(40_000),
        pytest.raises(StoreError, match=f"the backup {target} cannot be written: disk I/O error"),
    ):
        database.backup(target)
    assert not list(target.parent.iterdir())
    database.backup(target)


@pytest.mark.parametrize("rows", [1, 400])  # of 400 SQLite writes some before it has all
@pytest.mark.parametrize(
    ("calls", "error", "kind", "message"),
    [
        (["pwrite64"], errno.ENOSPC, StorageFullError, "the disk that holds {} is full"),
        (["pwrite64"], errno.EIO, StoreError, "the backup {} cannot be written: disk I/O error"),
        (["fsync", "fdatasync"], errno.EIO, StoreError, "the backup {} cannot be written: disk"),
    ],
)
def test_a_disk_that_fails_is_told_by_the_name_of_the_backup(
    database: Database,
    tmp_path: Path,
    rows: int,
    calls: list[str],
    error: int,
    kind: type[StoreError],
    message: str,
) -> None:
    with database.write() as session:
        names = (f"{number}{'x' * 4000}" for number in range(rows))
        session.add_all([Collection(name=name, created_at=NOW) for name in names])
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    with pytest.raises(StoreError, match=message.format(target)) as caught:
        refused(lambda: database.backup(target), error, *calls)
    assert type(caught.value) is kind
    assert not list(target.parent.iterdir())


def test_a_backup_of_nothing_is_refused(path: Path, tmp_path: Path) -> None:
    with opened(path) as database, pytest.raises(SchemaError, match="no database at"):
        database.backup(tmp_path / "backup.db")
    assert not list(tmp_path.iterdir())
