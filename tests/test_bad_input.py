"""What goes wrong is told in one line, and nothing that was there is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine, event

from tests.command_line import spanbot
from tests.documents import NOTES, make_pdf, write_docx, write_pages
from tests.permissions import unprivileged
from tests.reader_models import checkpoint
from tests.slack_server import SlackServer

pytestmark = pytest.mark.usefixtures("light_models")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder that has been added."""
    folder = write_pages(tmp_path / "notes", NOTES)
    assert spanbot("add", folder).code == 0
    return folder


@contextmanager
def nothing_is_lost() -> Iterator[None]:
    """Documents and what a search finds are the same before and after."""

    def state() -> tuple[object, object]:
        listed = spanbot("docs", "list", "--json").json()
        hits = spanbot("search", "guest wifi", "--json").json()
        return [d for d in listed if d["state"] == "ready"], hits

    before = state()
    assert before[0]
    assert before[1]
    yield
    assert state() == before


# -- files ------------------------------------------------------------------------------------


def encrypted_pdf() -> bytes:
    return make_pdf([["Everybody is paid alike."]], password="secret")


def truncated_pdf() -> bytes:
    whole = make_pdf([["Everybody is paid alike."]] * 20)
    return whole[: len(whole) // 3]


def truncated_docx(folder: Path) -> bytes:
    write_docx(folder / "whole.docx", [(1, "Pay"), (0, "Everybody is paid alike.")])
    whole = (folder / "whole.docx").read_bytes()
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.md", lambda _: b"", "is empty (0 bytes)"),
        ("blank.txt", lambda _: b" \n\n\t\n", "is empty"),
        ("empty.pdf", lambda _: b"", "is empty (0 bytes)"),
        ("locked.pdf", lambda _: encrypted_pdf(), "password"),
        ("cut.pdf", lambda _: truncated_pdf(), "truncated"),
        ("cut.docx", truncated_docx, "damaged"),
        ("fake.docx", lambda _: b"PK\x03\x04 is all there is", "damaged"),
        ("fake.pdf", lambda _: b"<html>Log in</html>", "an HTML page named .pdf"),
        ("binary.txt", lambda _: bytes(range(256)) * 40, "text"),
        ("empty.html", lambda _: b"<html><body></body></html>", "is empty"),
        ("picture.png", lambda _: b"\x89PNG\r\n\x1a\n", "files of the type .png are not read"),
    ],
)
def test_a_file_that_cannot_be_read(
    notes: Path, tmp_path: Path, name: str, content: Callable[[Path], bytes], message: str
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    path = bad / name
    path.write_bytes(content(tmp_path))
    with nothing_is_lost():
        ran = spanbot("add", path)
    assert (ran.code, ran.out) == (1, "Documents: 1 failed\n")
    [line] = ran.err.splitlines()
    assert line.strip().startswith(f"{path}: {name}")
    assert message in line
    # Among others it keeps none of them from going in.
    write_pages(bad, {"good.md": "# Good\n\nEverything here is in order.\n"})
    ran = spanbot("add", bad)
    assert ran.code == 0
    assert "1 added" in ran.out
    assert spanbot("search", "everything order", "--json").json()[0]["title"] == "Good"


def test_a_folder_that_does_not_exist(notes: Path, tmp_path: Path) -> None:
    with nothing_is_lost():
        message = spanbot("add", notes, tmp_path / "nowhere").error()
    assert message == f"{tmp_path}/nowhere does not exist; nothing was added"


def test_a_folder_without_documents(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with nothing_is_lost():
        ran = spanbot("add", tmp_path / "bare")
    assert (ran.code, ran.out) == (0, "Documents: none\n")
    assert "There is no file to read; those that are end in .md, " in ran.err


def test_a_wrong_base_url(notes: Path) -> None:
    with nothing_is_lost():
        assert "is not a web address" in spanbot("add", notes, "--base-url", "handbook").error()


# -- questions --------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   ", "?!"])
def test_an_empty_question(notes: Path, question: str) -> None:
    told = spanbot("ask", question).error()
    assert "The question is empty" in told
    assert spanbot("search", question).error() == told
    assert spanbot("search", question, "--json").error() == told


def test_a_question_of_ten_thousand_characters(notes: Path) -> None:
    question = "wifi " * 2000
    message = spanbot("ask", question).error()
    assert "has 9,999 characters, the limit is 1,000" in message
    assert spanbot("search", question, "--json").json()[0]["title"] == "Wifi"
    assert "has 10,000 characters" in spanbot("ask", "x" * 10_000).error()


@pytest.mark.parametrize(
    "question", ["wifi \udcff code", "wifi \x00 code", "wifi \u202e code", "wifi %s {} ' \" ; --"]
)
def test_a_question_of_odd_characters(notes: Path, question: str) -> None:
    ran = spanbot("ask", question, "--json")
    assert ran.json()["question"].startswith("wifi ")
    assert spanbot("search", question, "--json").json()[0]["title"] == "Wifi"


# -- the home folder and its database ---------------------------------------------------------

COMMANDS = [["docs", "list"], ["ask", "wifi?"], ["search", "wifi"], ["reindex"], ["db", "upgrade"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_home_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    for home in (tmp_path / "file" / "home", tmp_path / "file"):
        monkeypatch.setenv("SPANBOT_HOME", str(home))
        message = spanbot(*command).error()
        assert message.startswith(f"the home folder {home} cannot be made")
        assert "SPANBOT_HOME" in message
    assert (tmp_path / "file").read_text() == "not a folder"


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder with all in it, for a user who may read it and write nothing."""
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path, mode in modes.items():
        path.chmod(0o555 if stat.S_ISDIR(mode) else 0o444)
    try:
        with unprivileged():
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(stat.S_IMODE(mode))


def test_a_home_folder_that_becomes_read_only(
    open_folder: Path, tiny_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, reader = open_folder / "home", shutil.copytree(tiny_reader, open_folder / "tiny")
    for path in reader.iterdir():
        path.chmod(0o644)
    monkeypatch.setenv("SPANBOT_HOME", str(home))
    monkeypatch.setenv("SPANBOT_READER", str(reader))
    notes = write_pages(open_folder / "notes", NOTES)
    assert spanbot("add", notes).code == 0
    assert spanbot("ask", "wifi?").code == spanbot("doctor").code == 0
    before = rows(home / "spanbot.db")
    (notes / "wifi.md").write_text("# Wifi\n\nThe guest wifi is off.\n")
    with nothing_is_lost():
        with read_only(home):
            for command in (["add", str(notes)], *COMMANDS):
                message = spanbot(*command).error()
                assert message.startswith(f"{home}/spanbot.db or its folder is not writable")
                assert message.endswith("check the permissions of both")
            ran = spanbot("doctor", "--json")
            found = {check["check"]: check for check in json.loads(ran.out)}
        assert ran.code == 1
        problems = {name for name, check in found.items() if check["state"] == "problem"}
        assert problems == {"home folder", "database"}
        assert found["home folder"]["detail"].startswith(f"{home} cannot be written; set SPANBOT_")
        assert "is not writable" in found["database"]["detail"]
        assert rows(home / "spanbot.db") == before
    # When it may be written again, everything goes on.
    assert spanbot("add", notes, "--json").json()["changed"] == 1
    assert spanbot("doctor").code == 0


@pytest.mark.parametrize("words", ["doctor", "docs list", "ask why", "db upgrade", "reindex"])
def test_a_home_folder_of_another_user(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    home = open_folder / "home"
    monkeypatch.setenv("SPANBOT_HOME", str(home))
    assert spanbot("db", "upgrade").code == 0
    home.chmod(0)
    try:
        with unprivileged():
            ran = spanbot(*words.split())
    finally:
        home.chmod(0o700)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"Error: {home}")
    assert ran.err.rstrip().endswith("or set SPANBOT_HOME to another folder")


def test_a_home_folder_in_one_that_is_read_only(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_HOME", str(open_folder / "new"))
    with read_only(open_folder):
        for command in COMMANDS:
            message = spanbot(*command).error()
            assert message.startswith(f"the home folder {open_folder}/new cannot be made")
    assert list(open_folder.iterdir()) == []


def rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        tables = ["documents", "passages", "anchors", "sources", "collections", "questions"]
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables
        }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_of_a_newer_schema(notes: Path, home: Path, command: list[str]) -> None:
    path = home / "spanbot.db"
    before = rows(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        [(known,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    message = spanbot(*command).error()
    assert message == (
        f"the database {path} was written by a newer spanbot (revision 9999); update spanbot"
    )
    assert rows(path) == before
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [known])
    assert spanbot("search", "guest wifi", "--json").json()


def test_a_database_that_was_not_made_to_the_end_is_made(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "spanbot.db").touch()  # what is left when the first command is killed
    assert spanbot("docs", "list", "--json").json() == []


def test_a_file_that_is_no_database(notes: Path, home: Path) -> None:
    (home / "spanbot.db").write_bytes(b"not a database, but notes of somebody's " * 100)
    content = (home / "spanbot.db").read_bytes()
    for suffix in ("-wal", "-shm"):
        (home / f"spanbot.db{suffix}").unlink(missing_ok=True)
    assert "is not a database or is damaged" in spanbot("docs", "list").error()
    assert (home / "spanbot.db").read_bytes() == content


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", '"nonsense" is not a database URL; write one like sqlite:///'),
        ("sqlite://", '"sqlite://" does not name a database file; write sqlite:///'),
        ("mysql+nothing://x/y", '"mysql+nothing://x/y": there is no such kind of database'),
    ],
)
def test_a_database_url_that_is_none(
    monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("SPANBOT_DATABASE_URL", url)
    for command in (["docs", "list"], ["db", "upgrade"], ["db", "backup", "copy.db"]):
        error = spanbot(*command).error()
        assert error.startswith(f"SPANBOT_DATABASE_URL is wrong: {message}")


def test_a_database_whose_driver_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBOT_DATABASE_URL", "oracle://x")
    message = spanbot("docs", "list").error()
    assert message.startswith(
        "oracle://x needs the Python module oracledb, which is not installed; run: pip install"
    )


@contextmanager
def full_disk() -> Iterator[None]:
    """Databases that are opened inside cannot grow by a single page."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # not below what there is

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


def test_a_full_disk(notes: Path, home: Path, tmp_path: Path) -> None:
    long = " ".join(f"Regulation number {n} was superseded." for n in range(4000))
    more = write_pages(tmp_path / "more", {"rules.txt": long})
    with nothing_is_lost():
        with full_disk():
            message = spanbot("add", more).error()
        assert message.startswith(f"the disk that holds {home}/spanbot.db is full")
        assert "free some space" in message
    # With space again, everything goes on.
    ran = spanbot("add", more)
    assert ran.code == 0
    assert "1 added" in ran.out
    assert spanbot("search", "regulation", "--json").json()


def test_a_full_disk_at_the_first_start(home: Path) -> None:
    with full_disk():
        message = spanbot("docs", "list").error()
    assert "is full" in message
    # With space again, the database is made.
    assert spanbot("docs", "list", "--json").json() == []


# -- settings and tokens ----------------------------------------------------------------------


def test_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("SPANBOT_PRECISION", "high")
    for command in [*COMMANDS, ["serve"], ["demo"]]:
        assert 'SPANBOT_PRECISION is "high"' in spanbot(*command).error()
    assert not home.exists()
    ran = spanbot("doctor", "--json")
    first, *others = json.loads(ran.out)
    assert (ran.code, first["check"], first["state"]) == (1, "settings", "problem")
    assert first["detail"].startswith('SPANBOT_PRECISION is "high"')
    assert {check["state"] for check in others} == {"ok", "off", "warning"}


def test_a_device_that_is_not_there(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBOT_DEVICE", "abacus")
    message = spanbot("ask", "wifi?").error()
    assert message == 'SPANBOT_DEVICE is "abacus"; use auto, cpu or cuda'


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the device is there")
def test_a_gpu_that_is_not_there(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBOT_DEVICE", "cuda")
    message = spanbot("ask", "wifi?").error()
    assert message.startswith('SPANBOT_DEVICE is "cuda"')
    assert message.endswith("torch sees no CUDA device; use auto or cpu")


def test_a_model_that_is_damaged(
    notes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = checkpoint(tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    monkeypatch.setenv("SPANBOT_READER", str(damaged))
    message = spanbot("ask", "wifi?").error()
    assert message == (
        f'SPANBOT_READER is "{damaged}": {weights} is cut off or damaged (1,000 bytes); copy or '
        "download it again"
    )


def test_serve_without_tokens(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    message = spanbot("serve").error()
    assert message.startswith("SLACK_BOT_TOKEN is not set; take the Bot User OAuth Token (xoxb-…)")
    assert "And neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set; set" in message
    assert "under Basic Information of your app" in message
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1-hush")
    message = spanbot("serve").error()
    assert message.startswith("SLACK_BOT_TOKEN is not set")
    assert "SLACK_APP_TOKEN" not in message
    assert not home.exists()  # nothing was made for a bot that cannot run


def test_ask_names_every_wrong_setting(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("SPANBOT_REINDEX_CRON", "daily")
    monkeypatch.setenv("SPANBOT_DATABASE_URL", "spanbot.db")
    monkeypatch.setenv("SPANBOT_DEVICE", "gpu")
    message = spanbot("ask", "how long?").error()
    for problem in (
        'SPANBOT_REINDEX_CRON is "daily", which is no cron expression',
        'SPANBOT_DATABASE_URL is wrong: "spanbot.db" is not a database URL',
        'SPANBOT_DEVICE is "gpu"; use auto, cpu or cuda',
    ):
        assert message.count(problem) == 1
    assert not home.exists()


def test_serve_names_all_that_is_missing_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxp-1-hush")
    monkeypatch.setenv("SPANBOT_REINDEX_CRON", "daily")
    monkeypatch.setenv("SPANBOT_DEVICE", "gpu")
    message = spanbot("serve").error()
    for problem in (
        "SLACK_BOT_TOKEN begins with 'xoxp'",
        "neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set",
        'SPANBOT_REINDEX_CRON is "daily"',
        'SPANBOT_DEVICE is "gpu"; use auto, cpu or cuda',
    ):
        assert message.count(problem) == 1
    assert "SLACK_BOT_TOKEN is not set" not in message
    assert "hush" not in message


def test_serve_without_a_way_to_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-hush")
    message = spanbot("serve").error()
    assert message.startswith("neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set")


@pytest.mark.parametrize(
    ("variable", "value"), [("SLACK_BOT_TOKEN", "xoxp-1-hush"), ("SLACK_APP_TOKEN", "xoxb-1-hush")]
)
def test_serve_with_a_token_of_another_kind(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-hush")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "0123")
    monkeypatch.setenv(variable, value)
    message = spanbot("serve").error()
    assert message.startswith(f"{variable} begins with '{value[:4]}'")
    assert "hush" not in message


def test_serve_with_a_token_that_slack_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with SlackServer() as slack:
        monkeypatch.setenv("SLACK_API_URL", slack.api_url)
        monkeypatch.setenv("SLACK_APP_TOKEN", slack.app_token)
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-hush")
        message = spanbot("serve").error()
        assert message.startswith("Slack refuses SLACK_BOT_TOKEN (invalid_auth: ")
        assert "hush" not in message
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.bot_token)
        monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1-hush")
        message = spanbot("serve").error()
        assert message.startswith("Slack refuses SLACK_APP_TOKEN (")
        assert "hush" not in message


def test_serve_with_a_wrong_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-hush")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1-hush")
    monkeypatch.setenv("SPANBOT_REINDEX_CRON", "daily")
    assert spanbot("serve").error().startswith('SPANBOT_REINDEX_CRON is "daily"')
