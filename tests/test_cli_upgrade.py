"""``spanbot db upgrade`` of an older database: a copy of it first, or nothing."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import migrations
from bot.cli.database import copy_first
from retriever.store.database import Database
from tests.command_line import spanbot
from tests.full_disk import room_for
from tests.older_database import dump, make_first
from tests.permissions import unprivileged

ROOT = Path(__file__).parent.parent


def make_older(home: Path) -> Path:
    """A home folder whose database has the first schema; the database."""
    home.mkdir(mode=0o700, exist_ok=True)
    path = home / "spanbot.db"
    make_first(path)
    return path


def remedy(home: Path) -> str:
    """What is to be done where no copy can be saved; where they are cannot be set."""
    return (
        f"make {home}/backups a folder that spanbot can write, with room for the copy, or a link "
        "to one; then run: spanbot db upgrade"
    )


def test_a_copy_is_saved_before_the_upgrade_and_is_the_way_back(home: Path) -> None:
    path = make_older(home)
    path.chmod(0o600)
    before = dump(path)
    ran = spanbot("db", "upgrade")
    [copy] = (home / "backups").iterdir()
    assert re.fullmatch(r"spanbot-0001-\d{8}T\d{6}\.\d{6}Z\.db", copy.name)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"Saved a copy of the database as it was: {copy}",
        f"The database went from schema 0001 to {migrations.HEAD}",
    ]
    assert dump(copy) == before != dump(path)
    assert (home / "backups").stat().st_mode & 0o777 == 0o700
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.replace(path)
    assert "from schema 0001 to " in spanbot("db", "upgrade").out
    assert spanbot("docs", "list").code == 0


def test_what_a_killed_upgrade_left_of_its_copy_goes(home: Path) -> None:
    make_older(home)
    folder = home / "backups"
    folder.mkdir()
    for name in (
        ".spanbot-0001-20260101T000000.000000Z.db.x.part",
        ".spanbot-0001-a.db.y.part-journal",
    ):
        (folder / name).write_text("half")
    (folder / "mine.part").write_text("kept")
    assert spanbot("db", "upgrade").code == 0
    left = sorted(path.name for path in folder.iterdir())
    assert left[0] == "mine.part"
    assert [name.endswith("Z.db") for name in left] == [False, True]


# An upgrade that is not done with its copy until it reads a line.
SLOW = """
import sys
from bot.cli import database
from bot.cli.main import main

def save_copy(*given):
    copy = saved(*given)
    print("copying", flush=True)
    sys.stdin.readline()
    return copy

saved, database.save_copy = database.save_copy, save_copy
sys.argv = ["spanbot", "db", "upgrade"]
main()
"""

# One that waits for another writer of the database no longer than a second.
IMPATIENT = """
import sys
from functools import partial
from bot import installation
from bot.cli.main import main
from retriever.store.database import Database

installation.Database = partial(Database, busy_timeout=1)
sys.argv = ["spanbot", "db", "upgrade"]
main()
"""


@contextmanager
def program(code: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own, which in the end is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("ending", ["done", "killed"])
def test_of_two_upgrades_at_once_one_waits_for_the_other(home: Path, ending: str) -> None:
    path = make_older(home)
    before = dump(path)
    with program(SLOW) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "copying\n"
        with program(IMPATIENT) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == (
                "Note: another spanbot db upgrade is under way; waiting until it is done\n"
            )
            if ending == "killed":
                first.kill()
            else:
                assert "from schema 0001 to " in first.communicate("go on\n")[0]
            out, err = second.communicate()
    assert (second.returncode, err) == (0, "")
    copies = sorted((home / "backups").iterdir())
    if ending == "killed":
        assert "from schema 0001 to " in out
        assert [dump(copy) for copy in copies] == [before, before]
    else:
        assert out == f"The database is up to date (schema {migrations.HEAD})\n"
        assert [dump(copy) for copy in copies] == [before]


def test_nothing_is_copied_that_is_not_upgraded(home: Path) -> None:
    path = home / "spanbot.db"
    assert "Made a new database" in spanbot("db", "upgrade").out
    assert "up to date" in spanbot("db", "upgrade").out
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "newer spanbot" in spanbot("db", "upgrade").error()
    for file in home.glob("spanbot.db*"):
        file.unlink()
    path.touch()
    assert "Made a new database" in spanbot("db", "upgrade").out
    assert not (home / "backups").exists()


def test_where_the_copy_does_not_fit_nothing_is_upgraded(home: Path) -> None:
    path = make_older(home)
    before = dump(path)
    with room_for(40_000):
        told = spanbot("db", "upgrade").error()
    assert re.fullmatch(
        rf"the database {path} was not upgraded: no copy of it can be saved first; the backup "
        rf"{home}/backups/spanbot-0001-[\w.]+\.db cannot be written: disk I/O error, "
        rf"there or where {path} is; " + re.escape(remedy(home)),
        told,
    )
    assert dump(path) == before
    assert not list((home / "backups").iterdir())
    assert "from schema 0001 to " in spanbot("db", "upgrade").out  # with room again


def test_where_the_folder_of_copies_cannot_be_used_nothing_is_upgraded(home: Path) -> None:
    path = make_older(home)
    before = dump(path)
    folder = home / "backups"
    folder.write_text("a file")
    told = spanbot("db", "upgrade").error()
    assert told.endswith(
        f"saved first; the folder {folder} cannot be made: File exists; {remedy(home)}"
    )
    assert dump(path) == before
    # As it says: a link to a folder will do.
    folder.unlink()
    elsewhere = home.with_name("elsewhere")
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    assert "from schema 0001 to " in spanbot("db", "upgrade").out
    [copy] = elsewhere.iterdir()
    assert dump(copy) == before


def test_where_no_copy_may_be_written_nothing_is_upgraded(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_HOME", str(open_folder))
    path = make_older(open_folder)
    before = dump(path)
    folder = open_folder / "backups"
    folder.mkdir(mode=0o555)
    open_folder.chmod(0o777)
    path.chmod(0o666)
    with unprivileged():
        told = spanbot("db", "upgrade").error()
    assert "was not upgraded: no copy of it can be saved first" in told
    assert re.search(
        rf"{folder}/spanbot-0001-[\w.]+\.db cannot be written: Permission denied; "
        + re.escape(remedy(open_folder)),
        told,
    )
    assert dump(path) == before


def test_that_no_copy_is_made_of_a_database_on_a_server_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database("postgresql+psycopg://spanbot:secret@db.example.com/spanbot")
    copy_first(database, tmp_path / "backups", "0001")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "Note: no copy of postgresql+psycopg://spanbot:***@db.example.com/spanbot was made: "
        "it is no SQLite file\n"
    )
    assert not (tmp_path / "backups").exists()
