"""The migrations: that they lead to the models, keep every row, and change nothing by halves."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

import migrations
from migrations.__main__ import new_migration
from retriever.errors import SchemaError, StoreError
from retriever.records import Failure
from retriever.reports import IngestReport
from retriever.store import schema
from retriever.store.database import Database
from retriever.store.models import Base
from retriever.store.runs import finish_run, last_look, start_run
from tests.documents import open_store, write_pages
from tests.older_database import FIRST, dump, make_first
from tests.store_rows import NOW, fill

ROOT = Path(__file__).parent.parent
TABLES = sorted(Base.metadata.tables)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spanbot.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{path}")) as database:
        yield database


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that is used in their place."""
    copy = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "SCRIPTS", str(copy))
    return copy


def add_migration(scripts: Path, body: str) -> str:
    """Write one more migration; its revision."""
    revision = f"{int(migrations.HEAD) + 1:04d}"
    head = f"""
        import sqlalchemy as sa
        from alembic import op

        revision = "{revision}"
        down_revision = "{migrations.HEAD}"


        def upgrade() -> None:
    """
    code = dedent(head).rstrip() + "\n" + "".join(f"    {line}\n" for line in body.splitlines())
    (scripts / "versions" / f"{revision}_next.py").write_text(code)
    return revision


def rows(
    path: Path, tables: Sequence[str] = (*TABLES, "alembic_version")
) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()
            for table in tables
        }


def rebuild(table: str) -> str:
    """A migration's lines that rebuild a table, one column wider."""
    keep = table in {"documents", "passages"}
    more = ', table_kwargs={"sqlite_autoincrement": True}' if keep else ""
    return (
        f'with op.batch_alter_table("{table}", recreate="always"{more}) as batch:\n'
        f'    batch.add_column(sa.Column("extra", sa.Text()))'
    )


def facts(connection: Connection) -> dict[str, dict[str, object]]:
    """What a database says of its tables, the names of all constraints included."""
    inspector = inspect(connection)
    found: dict[str, dict[str, object]] = {}
    for table in inspector.get_table_names():
        if table in {"alembic_version", "sqlite_sequence"}:
            continue
        sql = connection.scalar(
            text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"),
            {"name": table},
        )
        found[table] = {
            "columns": {
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(inspector.get_foreign_keys(table), key=str),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "checks": sorted(inspector.get_check_constraints(table), key=str),
            "indexes": sorted(inspector.get_indexes(table), key=str),
            "autoincrement": "AUTOINCREMENT" in str(sql),
        }
    return found


def nameless(found: dict[str, dict[str, object]]) -> list[str]:
    """Tables with a constraint that no later migration could name.

    The primary key of an autoincrement table is part of its column and never has a name.
    """
    return [
        table
        for table, what in found.items()
        if str(what).count("'name': None") != str(what).count("'autoincrement': True")
    ]


# -- the schema -------------------------------------------------------------------------------


def test_the_needed_revision_is_alembics_head() -> None:
    directory = ScriptDirectory.from_config(schema.alembic_config())
    assert directory.get_heads() == [migrations.HEAD]


def test_a_migrated_database_is_what_the_models_say(database: Database, tmp_path: Path) -> None:
    database.upgrade()
    (tmp_path / "models.db").touch()
    with (
        closing(Database(f"sqlite:///{tmp_path}/models.db")) as made,
        made.migrating() as connection,
    ):
        Base.metadata.create_all(connection)
        expected = facts(connection)
    with database.migrating() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        found = facts(connection)
    assert found == expected
    assert sorted(found) == TABLES
    assert nameless(found) == []


def test_statements_written_out_make_the_same_tables(database: Database, tmp_path: Path) -> None:
    config = schema.alembic_config()
    config.output_buffer = io.StringIO()
    config.set_main_option("sqlalchemy.url", "sqlite://")
    command.upgrade(config, "head", sql=True)
    other = tmp_path / "written.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript(config.output_buffer.getvalue())
    database.upgrade()
    with closing(Database(f"sqlite:///{other}")) as written:
        written.check_schema()
        with written.read() as one, database.read() as two:
            assert facts(one.connection()) == facts(two.connection())


# -- upgrading --------------------------------------------------------------------------------


def test_upgrade_tells_the_revisions_and_may_be_repeated(database: Database, path: Path) -> None:
    assert database.upgrade() == (None, migrations.HEAD)
    before = rows(path)
    assert database.upgrade() == (migrations.HEAD, migrations.HEAD)
    assert rows(path) == before


def test_an_empty_database_is_behind(database: Database, path: Path) -> None:
    path.touch()
    with pytest.raises(
        SchemaError, match=f"{path} is behind: it has no tables.*needs \\d+; run: spa"
    ):
        database.check_schema()
    with closing(sqlite3.connect(path)) as connection:  # at Alembic's "base"
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    with pytest.raises(SchemaError, match="is behind"):
        database.check_schema()
    assert database.upgrade() == (None, migrations.HEAD)
    database.check_schema()


def test_a_database_of_an_earlier_release_is_behind(
    database: Database, scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.upgrade()
    following = add_migration(scripts, 'op.add_column("collections", sa.Column("x", sa.Text()))')
    monkeypatch.setattr(schema, "HEAD", following)
    with pytest.raises(
        SchemaError,
        match=f"is behind: its schema is at revision {migrations.HEAD}, this spanbot needs "
        f"{following}; run: spanbot db upgrade .it saves a copy of an SQLite file first.",
    ):
        database.check_schema()
    assert database.upgrade() == (migrations.HEAD, following)
    database.check_schema()


def test_what_comes_first_sees_an_older_database_as_it_was_and_nobody_else_writes(
    database: Database, path: Path, tmp_path: Path
) -> None:
    make_first(path)
    before = dump(path)
    copy, seen = tmp_path / "copy.db", []

    def first(revision: str) -> None:
        seen.append(revision)
        database.backup(copy)
        with (
            closing(Database(f"sqlite:///{path}", busy_timeout=0)) as other,
            pytest.raises(StoreError, match="busy with another writer"),
            other.write(),
        ):
            pass

    assert database.upgrade(first=first) == ("0001", migrations.HEAD)
    assert database.upgrade(first=first) == (migrations.HEAD, migrations.HEAD)
    assert seen == ["0001"]
    assert dump(copy) == before


def test_what_comes_first_and_fails_leaves_an_older_database_as_it_is(
    database: Database, path: Path
) -> None:
    make_first(path)
    before = dump(path)

    def first(_: str) -> None:
        raise StoreError("no copy")

    with pytest.raises(StoreError, match="no copy"):
        database.upgrade(first=first)
    assert dump(path) == before


def test_nothing_comes_first_of_a_database_that_is_not_upgraded(
    database: Database, path: Path
) -> None:
    seen: list[str] = []
    assert database.upgrade(first=seen.append) == (None, migrations.HEAD)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError, match="newer spanbot"):
        database.upgrade(first=seen.append)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alembic_version")
        connection.commit()
    with pytest.raises(StoreError, match="another program's tables"):
        database.upgrade(first=seen.append)
    assert seen == []


def test_a_newer_database_is_left_as_it_is(database: Database, path: Path) -> None:
    database.upgrade()
    with database.write() as session:
        fill(session)
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    before = path.read_bytes()
    for use in (database.check_schema, database.upgrade):
        with pytest.raises(
            SchemaError,
            match=f"{path} was written by a newer spanbot .revision 9999.; update spanbot",
        ):
            use()
    database.close()
    assert path.read_bytes() == before


def test_another_programs_database_is_left_as_it_is(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    with pytest.raises(StoreError, match=f"{path} holds another program's tables .invoices.; name"):
        database.upgrade()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("invoices",)]


def test_processes_may_upgrade_at_once(database: Database, path: Path) -> None:
    script = (
        "from retriever.store.database import Database;"
        f"d = Database('sqlite:///{path}'); print(d.upgrade()[0]); d.check_schema(); d.close()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    printed = [process.communicate()[0].decode().strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(printed) == sorted(["None", *[migrations.HEAD] * 3])
    assert len(rows(path)["store_state"]) == 1


# -- rows -------------------------------------------------------------------------------------


def test_a_rebuilt_table_keeps_the_rows_that_refer_to_it(
    database: Database, path: Path, scripts: Path
) -> None:
    database.upgrade()
    with database.write() as session:
        fill(session)
    before = rows(path)
    assert all(before.values())  # a row in every table

    with database.read() as session:
        tables = facts(session.connection())
    following = add_migration(scripts, "\n".join(map(rebuild, TABLES)))
    database.upgrade()

    after = rows(path)
    assert after.pop("alembic_version") == [(following,)]
    for table in TABLES:
        assert after[table] == [(*row, None) for row in before[table]]
    with database.read() as session:
        rebuilt = facts(session.connection())
    for table in TABLES:
        for kind in ("primary key", "foreign keys", "unique", "checks", "indexes"):
            assert rebuilt[table][kind] == tables[table][kind], (table, kind)
    with database.write() as session:  # and enforces them again
        assert session.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        session.execute(text("DELETE FROM collections"))
    assert rows(path)["passages"] == []


def test_a_rebuilt_table_does_not_use_ids_twice(database: Database, scripts: Path) -> None:
    database.upgrade()
    with database.write() as session:
        gone = fill(session)
        session.execute(text("DELETE FROM documents"))
        session.execute(text("DELETE FROM slack_events"))
        session.execute(text("DELETE FROM collections WHERE name = 'filled'"))
    add_migration(scripts, rebuild("documents"))
    database.upgrade()
    with database.write() as session:
        assert fill(session) > gone


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'with op.batch_alter_table("documents", recreate="always") as batch:\n'
            '    batch.add_column(sa.Column("extra", sa.Text()))',
            "documents was rebuilt without AUTOINCREMENT",
        ),
        ('op.execute("DELETE FROM documents")', "rows refer to nothing.*missing row of documents"),
        ('op.execute("DELETE FROM questions")\nraise RuntimeError("halfway")', "halfway"),
    ],
)
def test_a_migration_that_fails_changes_nothing(
    database: Database, path: Path, scripts: Path, body: str, message: str
) -> None:
    database.upgrade()
    with database.write() as session:
        fill(session)
    before = rows(path)
    add_migration(scripts, 'op.create_table("more", sa.Column("id", sa.Integer()))\n' + body)
    with pytest.raises((StoreError, RuntimeError), match=message):
        database.upgrade()
    assert rows(path) == before
    database.check_schema()
    with database.read() as session:
        assert "more" not in inspect(session.connection()).get_table_names()


def test_a_connection_that_would_lose_rows_is_refused(database: Database, scripts: Path) -> None:
    database.upgrade()
    add_migration(scripts, 'op.create_table("more", sa.Column("id", sa.Integer()))')
    with (
        database.write() as session,
        pytest.raises(CommandError, match=r"foreign keys are on.*spanbot db upgrade"),
    ):
        command.upgrade(schema.alembic_config(session.connection()), "head")
    with pytest.raises(CommandError, match="no connection to migrate; run: spanbot db upgrade"):
        command.upgrade(schema.alembic_config(), "head")


def test_the_first_schema_is_upgraded_with_all_its_rows(
    database: Database, path: Path, tmp_path: Path
) -> None:
    make_first(path)
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
    before = rows(path, tables)
    assert all(before.values())
    with pytest.raises(SchemaError, match="is behind: its schema is at revision 0001"):
        database.check_schema()
    assert database.upgrade() == ("0001", migrations.HEAD)
    after = rows(path, tables)
    assert after.pop("alembic_version") == [(migrations.HEAD,)]
    del before["alembic_version"]
    # Their texts are of no version yet, so that they are made again.
    before["documents"] = [(*row, 0) for row in before["documents"]]
    assert after == before
    with closing(Database(f"sqlite:///{tmp_path}/new.db")) as new:
        new.upgrade()
        with new.read() as one, database.read() as two:
            assert facts(two.connection()) == facts(one.connection())
    # What is new is used, and goes with what it belongs to.
    with database.write() as session:
        run_id = start_run(session, trigger="cli", now=NOW, lease=timedelta(minutes=5))
        failures = [Failure("handbook/scan.pdf", "scan.pdf is empty")]
        finish_run(session, run_id, now=NOW, failures=failures)
        look = last_look(session, now=NOW)
        assert look is not None
        assert (look.failed, look.failures) == (1, tuple(failures))
        session.execute(text("DELETE FROM index_runs"))
    assert rows(path)["run_errors"] == []


def test_an_upgraded_installation_reads_its_documents_again(tmp_path: Path) -> None:
    page = "# Leave\n\nEveryone has thirty-one days of leave.\n"
    handbook = write_pages(tmp_path / "handbook", {"leave.md": page})
    first = FIRST.read_text(encoding="utf-8").replace("/srv/handbook", str(handbook))
    home = tmp_path / "home"
    home.mkdir()
    with closing(sqlite3.connect(home / "spanbot.db")) as connection:
        connection.executescript(first)
        # The file is as it was then: by its content alone nothing has changed.
        digest = hashlib.sha256(page.encode()).hexdigest()
        connection.execute("UPDATE documents SET content_sha256 = ?", (digest,))
        connection.commit()
    with open_store(home) as store:
        assert store.database.upgrade() == ("0001", migrations.HEAD)
        assert store.text("handbook/leave.md").endswith("thirty days of leave.")
        assert store.ingestor.reindex() == IngestReport(changed=1)
        assert store.text("handbook/leave.md").endswith("thirty-one days of leave.")
        assert store.ingestor.reindex() == IngestReport(unchanged=1)


# -- making migrations ------------------------------------------------------------------------


def test_a_new_migration_is_written_from_the_models(
    database: Database, scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = new_migration("Nothing at all")
    following = f"{int(migrations.HEAD) + 1:04d}"
    assert nothing == scripts / "versions" / f"{following}_nothing_at_all.py"
    assert str(nothing.name) in capsys.readouterr().out.replace("\n", "")
    assert "pass" in nothing.read_text()
    assert database.upgrade() == (None, following)
    nothing.unlink()

    # Whatever the first migration lacks is found.
    first = next((scripts / "versions").glob("0001_*.py"))
    column = '        sa.Column("base_url", sa.Text(), nullable=True),\n'
    assert column in first.read_text()
    first.write_text(first.read_text().replace(column, ""))
    column = '        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),\n'
    first.write_text(first.read_text().replace(column, ""))
    written = new_migration("Links for sources").read_text()
    assert f'revision = "{following}"' in written
    assert f'down_revision = "{migrations.HEAD}"' in written
    assert "sa.Column('base_url', sa.Text(), nullable=True)" in written
    assert "sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True)" in written
