"""The command line: every command, its JSON, its exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from sqlalchemy import delete

import migrations
from bot.cli.main import app
from bot.cli.reader import SHORTEST_WINDOW
from reader import checkpoint as checkpoints
from reader.recipes import RECIPES
from reader.throughput import prefers_bf16
from retriever.records import Failure
from retriever.store.database import Database
from retriever.store.models import RunError
from retriever.store.runs import RunCounts, finish_run, start_run
from tests.command_line import spanbot
from tests.documents import FACTS, write_handbook, write_pages
from tests.older_database import dump, make_first
from tests.reader_models import checkpoint
from tests.slack_server import SlackServer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_handbook(tmp_path_factory.mktemp("written") / "handbook")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader that answers at random, in no time."""
    return checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    """A tiny reader that is always sure enough, and BM25 alone."""
    monkeypatch.setenv("SPANBOT_READER", str(model))
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    monkeypatch.setenv("SPANBOT_PRECISION", "0")


@pytest.fixture
def filled(light: None, handbook: Path, home: Path) -> Path:
    """A home folder that holds the handbook."""
    assert spanbot("add", handbook).code == 0
    return home


def stored_text(home: Path, document: str) -> str:
    with sqlite3.connect(home / "spanbot.db") as connection:
        query = "SELECT text FROM documents WHERE uri = ?"
        [(text,)] = connection.execute(query, [document]).fetchall()
    connection.close()
    return str(text)


def commands(group: Any, *above: str) -> dict[tuple[str, ...], Any]:
    """Every command below a group, by its words."""
    found: dict[tuple[str, ...], Any] = {above: group}
    for name, command in getattr(group, "commands", {}).items():
        found.update(commands(command, *above, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


# -- help -------------------------------------------------------------------------------------


def test_these_are_the_commands() -> None:
    assert {" ".join(words) for words in COMMANDS if words} == {
        "add",
        "ask",
        "chat",
        "db",
        "db backup",
        "db upgrade",
        "demo",
        "docs",
        "docs list",
        "docs remove",
        "docs show",
        "doctor",
        "evaluate",
        "reader",
        "reader compare",
        "reader evaluate",
        "reader finetune",
        "reader pretrain",
        "reader score",
        "reindex",
        "search",
        "serve",
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...], home: Path) -> None:
    ran = spanbot(*words, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: " in ran.out
    assert " ".join(words) in ran.out
    command = COMMANDS[words]
    assert command.help
    assert command.help.split("\n")[0].split(".")[0].split()[0] in ran.out
    for parameter in command.params:
        for option in parameter.opts:
            assert not option.startswith("--") or option in ran.out
    assert not home.exists()


def test_without_a_command_there_is_help() -> None:
    ran = spanbot()
    assert "Usage: " in ran.out + ran.err
    assert "search" in ran.out + ran.err


def test_the_version_is_told() -> None:
    ran = spanbot("--version")
    assert ran.code == 0
    assert ran.out.startswith("spanbot 0.")


def test_a_wrong_option_is_a_usage_error(home: Path) -> None:
    for arguments in (["search", "--nonsense", "x"], ["search"], ["search", "-k", "0", "x"]):
        ran = spanbot(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "search --help" in ran.err
    assert not home.exists()


NUMBERS = [
    (words, parameter)
    for words, command in COMMANDS.items()
    for parameter in command.params
    if (isinstance(parameter.default, int | float) and not parameter.is_flag)
    or re.search(" OR MORE| TO ", str(parameter.metavar))
]
OUT_OF_RANGE = [
    (words, parameter, value)
    for words, parameter in NUMBERS
    for value in ("-1", "many", "nan", "inf")
    if (value, parameter.opts[0]) != ("-1", "--threshold")  # logits may be negative
]


@pytest.mark.parametrize(
    ("words", "parameter", "value"),
    OUT_OF_RANGE,
    ids=[f"{' '.join(words)} {p.opts[0]} {value}" for words, p, value in OUT_OF_RANGE],
)
def test_a_number_out_of_range_is_told_with_the_range(
    words: tuple[str, ...], parameter: Any, value: str, home: Path
) -> None:
    ran = spanbot(*words, "x", "x", f"{parameter.opts[0]}={value}")
    assert (ran.code, ran.out) == (2, "")
    assert f"'{parameter.opts[0]}'" in unboxed(ran.err)
    assert f'it is "{value}"; use a ' in unboxed(ran.err)
    assert not home.exists()


def test_what_an_option_takes_is_in_its_message_and_in_the_help() -> None:
    for value in ("0", "1001", "2.5"):
        told = unboxed(spanbot("search", "-k", value, "x").err)
        assert f'it is "{value}"; use a whole number from 1 to 1000' in told
    assert "1 TO 1000" in spanbot("search", "--help").out
    # More than a float can hold.
    assert "use a whole number from 1 to 1000" in unboxed(
        spanbot("search", "-k", "9" * 400, "x").err
    )
    assert "use a whole number, 1 or more" in unboxed(
        spanbot("reader", "finetune", "x", "--epochs", "-" + "9" * 400).err
    )
    told = unboxed(spanbot("reader", "finetune", "x", "--epochs", "0").err)
    assert 'it is "0"; use a whole number, 1 or more' in told
    told = unboxed(spanbot("reader", "score", "x", "x", "--script", "3").err)
    assert 'it is "3"; use 1.1 or 2.0' in told


def unboxed(message: str) -> str:
    """A message that is shown in a box, in one line."""
    return " ".join(message.replace("│", " ").split())


def test_the_program_starts_in_a_process_of_its_own(home: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "bot.cli.main"]
    ran = subprocess.run(
        [*command, "docs", "list", "--json"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")
    ran = subprocess.run([*command, "ask", "?"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("Error: The question is empty")


# -- documents --------------------------------------------------------------------------------


def test_documents_are_added_listed_and_removed(light: None, handbook: Path) -> None:
    assert spanbot("add", handbook, "--json").json() == {
        "added": 5,
        "changed": 0,
        "unchanged": 0,
        "relinked": 0,
        "removed": 0,
        "failed": [],
        "skipped": 1,
    }
    assert spanbot("reindex", "--json").json()["unchanged"] == 5
    listed = spanbot("docs", "list", "--json").json()
    assert [d["document"] for d in listed] == sorted(
        {f"{handbook}/{fact.document}" for fact in FACTS}
    )
    for document in listed:
        keys = {"document", "id", "title", "collection", "state", "passages", "error"}
        assert set(document) == keys
        assert (document["collection"], document["state"]) == ("default", "ready")
        assert document["passages"] >= 1
        assert document["error"] is None
    assert [d["title"] for d in listed] == ["Travel", "Linnet", "Leave", "Onboarding", "Safety"]
    ran = spanbot("docs", "remove", "leave.html", "glossary.txt")
    assert ran.code == 0
    assert f"Removed {handbook}/leave.html" in ran.out
    assert len(spanbot("docs", "list", "--json").json()) == 3
    shown = spanbot("docs", "list")
    assert "travel.md" in shown.out
    assert "leave.html" not in shown.out


def test_another_base_url_gives_unchanged_documents_new_links(
    filled: Path, tmp_path: Path, handbook: Path
) -> None:
    def link() -> str:
        [hit] = spanbot("search", "unused holidays", "-k", "1", "--json").json()
        return str(hit["url"])

    for base_url in ("https://old.example.com/", "https://new.example.com/docs"):
        ran = spanbot("add", handbook, "--base-url", base_url)
        assert ran.out.startswith("Documents: 5 unchanged, 5 with a new link")
        assert link() == f"{base_url.rstrip('/')}/leave.html#carry-over"
    again = spanbot("add", handbook, "--base-url", base_url, "--json").json()
    assert (again["unchanged"], again["relinked"]) == (5, 0)
    assert spanbot("reindex", "--json").json()["relinked"] == 0
    # A version that goes on being served, as the newer one cannot be read, has moved as well.
    copied = tmp_path / "leave.html"
    copied.write_bytes((handbook / "leave.html").read_bytes())
    spanbot("docs", "remove", handbook)
    assert spanbot("add", copied, "--base-url", "https://old.example.com/").code == 0
    copied.write_bytes(b"")
    assert spanbot("add", copied, "--base-url", "https://new.example.com/").code == 1
    assert link() == "https://new.example.com/leave.html#carry-over"


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run ``spanbot`` in a process of its own on a terminal: exit status, and all that it shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bot.cli.main", *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = bytearray()
        with suppress(OSError):  # so it ends once the program has closed its side
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    return process.returncode, shown.decode()


def test_the_phases_of_adding_are_shown_on_a_terminal(
    light: None, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_RETRIEVER", "rank_bm25")  # there is nothing to compile
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    code, shown = on_a_terminal("add", handbook)
    assert code == 0
    for phase in ("Reading documents", "5/5", "Indexing passages", "Finishing the search index"):
        assert phase in shown
    assert "Documents: 5 added" in shown
    monkeypatch.setenv("SPANBOT_RANKER", "on")
    code, shown = on_a_terminal("add", handbook / "leave.html", "--collection", "people")
    assert code == 0
    assert "Encoding passages" in shown
    assert "Indexing passages" not in shown


def test_collections(light: None, handbook: Path) -> None:
    spanbot("add", handbook / "leave.html", "--collection", "people")
    spanbot("add", handbook / "food", handbook / "glossary.txt", "--collection", "rest")
    listed = spanbot("docs", "list", "--collection", "people", "--json").json()
    assert [(d["title"], d["collection"]) for d in listed] == [("Leave", "people")]
    hits = spanbot("search", "holidays", "--collection", "people", "--json").json()
    assert hits
    assert spanbot("search", "holidays", "--collection", "rest", "--json").json() == []
    assert 'no collection "nowhere"' in spanbot("search", "x", "--collection", "nowhere").error()
    ran = spanbot("docs", "remove", "--collection", "people")
    assert (ran.code, ran.out) == (0, "Removed 1 document of the collection people\n")
    assert "name the documents" in spanbot("docs", "remove").error()
    told = spanbot("docs", "remove", "glossary.txt", "--collection", "rest").error()
    assert "leave it out to remove single documents" in told
    assert len(spanbot("docs", "list", "--json").json()) > 1  # nothing was removed


def test_an_emptied_collection_is_told_apart_from_one_that_is_forgotten(
    light: None, tmp_path: Path
) -> None:
    notes = write_pages(tmp_path / "notes", {"wifi.md": "# Wifi\n\nIt is free.\n", "x.png": "x"})
    assert spanbot("add", notes, "--collection", "our notes").code == 0
    (notes / "wifi.md").unlink()
    assert spanbot("reindex").code == 0
    removed = [spanbot("docs", "remove", "--collection", "our notes") for _ in range(2)]
    assert [ran.code for ran in removed] == [0, 0]
    assert [ran.out for ran in removed] == [
        f"Removed {notes}; there was no document of the collection our notes in it\n",
        "The collection our notes holds no documents; there was nothing to remove\n",
    ]
    assert spanbot("reindex").err.startswith("There is no file to read")  # the folder is forgotten
    told = spanbot("docs", "remove", "--collection", "nowhere").error()
    assert told.startswith('there is no collection "nowhere"')


def test_a_collection_in_the_place_of_a_document_is_told_apart(light: None, handbook: Path) -> None:
    spanbot("add", handbook / "leave.html", "--collection", "our notes")
    before = spanbot("docs", "list", "--json").out
    for command in ("show", "remove"):
        told = spanbot("docs", command, "our notes").error()
        assert told.startswith('"our notes" is no document but a collection; ')
        assert spanbot("docs", command, "yours").error().startswith('there is no document "yours"')
    assert spanbot("docs", "list", "--json").out == before
    look, forget = re.findall(r"spanbot ([^;]*--collection '[^']*')", told)
    assert spanbot(*shlex.split(look), "--json").out == before
    assert spanbot(*shlex.split(forget)).out == "Removed 1 document of the collection our notes\n"


def test_a_document_is_named_by_the_path_that_leads_to_it(
    light: None, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handbook.parent)
    spanbot("add", f"{handbook.name}/leave.html", handbook.name)
    monkeypatch.chdir("/")
    assert spanbot("docs", "show", handbook / "leave.html", "--json").json()["title"] == "Leave"
    ran = spanbot("docs", "remove", handbook / "glossary.txt")
    assert ran.code == 0
    assert ran.out.startswith("Removed ")
    assert "glossary.txt" in ran.out


def test_a_document_of_two_collections_is_named_by_the_id_that_the_list_shows(
    light: None, handbook: Path
) -> None:
    for collection in ("people", "rest"):
        spanbot("add", handbook / "leave.html", "--collection", collection)
    assert "give the id" in spanbot("docs", "show", "leave.html").error()
    ids = {d["collection"]: d["id"] for d in spanbot("docs", "list", "--json").json()}
    head, *lines = spanbot("docs", "list").out.splitlines()
    assert head.split()[-1] == "Id"
    assert {line.split()[-1] for line in lines} == {str(number) for number in ids.values()}
    assert spanbot("docs", "show", ids["rest"], "--json").json()["collection"] == "rest"
    assert spanbot("docs", "remove", ids["people"]).code == 0
    assert [d["id"] for d in spanbot("docs", "list", "--json").json()] == [ids["rest"]]


def test_a_document_is_shown_as_it_is_stored(filled: Path, handbook: Path) -> None:
    shown = spanbot("docs", "show", "leave.html", "--json").json()
    text = stored_text(filled, f"{handbook}/leave.html")
    assert shown["text"] == text
    assert (shown["title"], shown["media_type"], shown["version"]) == ("Leave", "text/html", 1)
    anchors = {tuple(anchor["path"]): anchor for anchor in shown["anchors"]}
    anchor = anchors["Leave", "Carrying over"]
    assert (anchor["kind"], anchor["slug"], anchor["page"]) == ("heading", "carry-over", None)
    assert text[anchor["start"] : anchor["end"]].startswith("Carrying over\n\nUnused holidays")
    assert text in spanbot("docs", "show", "leave.html").out
    assert 'no document "nowhere.md"' in spanbot("docs", "show", "nowhere.md").error()


def test_failures_are_told_and_only_count_where_nothing_went_in(
    light: None, tmp_path: Path, handbook: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "empty.txt").write_bytes(b"")
    ran = spanbot("add", folder, "--json")
    assert ran.code == 1
    [failure] = json.loads(ran.out)["failed"]
    assert failure["document"] == f"{folder}/empty.txt"
    assert failure["error"].startswith("empty.txt is empty")
    ran = spanbot("add", folder, handbook / "leave.html")
    assert ran.code == 0
    assert "1 added, 1 failed" in ran.out
    assert f"{folder}/empty.txt: empty.txt is empty" in ran.err
    listed = spanbot("docs", "list", "--json").json()
    assert [(d["state"], d["passages"]) for d in listed if d["error"]] == [("failed", 0)]
    assert "empty.txt is empty" in spanbot("docs", "list").out


def test_a_file_of_a_kind_that_is_not_read_leaves_nothing(
    light: None, tmp_path: Path, handbook: Path
) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>", encoding="utf-8")
    alias = tmp_path / "alias.md"
    alias.symlink_to(logo)
    for path in (logo, alias):
        ran = spanbot("add", path, "--collection", "pictures")
        assert (ran.code, ran.out) == (1, "Documents: 1 failed\n")
        assert ran.err.startswith(f"  {path}: logo.svg: files of the type .svg are not read; ")
        assert ".md, .markdown, .txt" in ran.err
    assert spanbot("docs", "list", "--json").json() == []
    assert "no collection" in spanbot("docs", "list", "--collection", "pictures").error()
    # The others go in all the same, and the next run does not speak of it any more.
    ran = spanbot("add", logo, handbook / "leave.html", "--json")
    assert (ran.json()["added"], len(ran.json()["failed"])) == (1, 1)
    assert [d["title"] for d in spanbot("docs", "list", "--json").json()] == ["Leave"]
    again = spanbot("reindex", "--json").json()
    assert (again["unchanged"], again["failed"]) == (1, [])


def test_the_error_of_a_document_that_failed_is_shown(light: None, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(b"no PDF")
    assert spanbot("add", path).code == 1
    ran = spanbot("docs", "show", "scan.pdf")
    assert ran.code == 1
    assert str(path) in ran.out
    assert ran.err.startswith("State: failed; it has no text. scan.pdf ")
    ran = spanbot("docs", "show", "scan.pdf", "--json")
    shown = json.loads(ran.out)
    assert (ran.code, shown["state"], shown["text"]) == (1, "failed", "")
    assert shown["error"].startswith("scan.pdf ")


def test_a_document_whose_newer_version_failed_is_shown(light: None, tmp_path: Path) -> None:
    path = tmp_path / "leave.txt"
    path.write_text("Unused holidays lapse in March.\n", encoding="utf-8")
    assert spanbot("add", path).code == 0
    path.write_bytes(b"")
    spanbot("reindex")
    ran = spanbot("docs", "show", "leave.txt")
    assert ran.code == 0
    assert "Unused holidays lapse in March." in ran.out
    assert "leave.txt is empty" in ran.err


# -- search, ask, chat ------------------------------------------------------------------------


@pytest.mark.parametrize("retriever", ["bm25", "rank_bm25"])
def test_search_gives_passages(
    filled: Path, handbook: Path, retriever: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_RETRIEVER", retriever)
    hits = spanbot("search", "When do", "unused holidays lapse?", "--json").json()
    keys = "rank score document title section page url start end text".split()
    assert [list(hit) for hit in hits] == [keys] * len(hits)
    first = hits[0]
    assert (first["rank"], first["document"]) == (1, f"{handbook}/leave.html")
    assert (first["title"], first["section"], first["page"]) == ("Leave", "Carrying over", None)
    assert first["url"] == f"{handbook.as_uri()}/leave.html#carry-over"
    assert first["score"] > 0
    for hit in hits:
        text = stored_text(filled, hit["document"])
        assert text[hit["start"] : hit["end"]] == hit["text"]
    assert len(spanbot("search", "leave company code", "-k", "1", "--json").json()) == 1
    shown = spanbot("search", "unused holidays")
    assert "Leave › Carrying over" in shown.out
    assert "leave.html#carry-over" in shown.out
    nothing = spanbot("search", "zebra", "--json")
    assert nothing.json() == []
    assert "Nothing was found" in spanbot("search", "zebra").out


def test_ask_gives_sentences_with_their_places(filled: Path) -> None:
    reply = spanbot("ask", "Where do the defibrillators hang?", "--json").json()
    assert list(reply) == ["question", "answered", "answers", "ms"]
    assert reply["question"] == "Where do the defibrillators hang?"
    assert reply["answered"] is True
    assert list(reply["ms"]) == ["retrieve", "read", "total"]
    assert all(isinstance(value, float) for value in reply["ms"].values())
    keys = "text confidence sentence document title section page url start end".split()
    assert 1 <= len(reply["answers"]) <= 3
    for answer in reply["answers"]:
        assert list(answer) == keys
        text = stored_text(filled, answer["document"])
        assert text[answer["start"] : answer["end"]] == answer["text"]
        assert answer["text"] in answer["sentence"]
        assert answer["sentence"] in text
        assert 0 <= answer["confidence"] <= 1
    answer = reply["answers"][0]
    shown = spanbot("ask", "Where do the defibrillators hang?")
    assert f"“{answer['sentence']}”" in shown.out
    assert f"— {answer['title']}" in shown.out


def test_ask_without_an_answer_names_the_closest_places(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_PRECISION", "1")
    reply = spanbot("ask", "Where do the defibrillators hang?", "--json").json()
    assert (reply["answered"], reply["answers"]) == (False, [])
    shown = spanbot("ask", "Where do the defibrillators hang?")
    assert shown.code == 0
    assert "I found no answer in the documents." in shown.out
    assert "Safety › First aid, page 2" in shown.out


def test_no_closest_place_is_listed_twice(
    light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_PRECISION", "1")
    pages = {
        "wifi-a.md": "# Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
        "wifi-b.md": "# Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
        "wifi-c.md": "# Wifi\n\nThe guest wifi of the old office has no code.\n",
    }
    folder = write_pages(tmp_path / "notes", pages)
    spanbot("add", folder)
    lines = spanbot("ask", "guest wifi code").out.splitlines()
    assert lines[:2] == ["I found no answer in the documents.", "The closest places:"]
    assert lines[2] == "    — Wifi"
    # The copy is left out; another document of that title is not.
    links = [line.strip() for line in lines[3:]]
    assert len(links) == 2
    assert (folder / "wifi-c.md").as_uri() in {link.split("#")[0] for link in links}


def test_questions_from_a_pipe_are_shown_above_their_answers(filled: Path) -> None:
    asked = ["Where do the defibrillators hang?", "When do unused holidays lapse?"]
    ran = spanbot("chat", stdin="\n".join(asked))
    assert ran.code == 0
    first, second, rest = ran.out.split("\n\n> ")[0], ran.out.split("> ")[2], ran.out[-2:]
    assert first.splitlines()[0] == f"> {asked[0]}"
    assert "Safety" in first
    assert second.splitlines()[0] == asked[1]
    assert rest == "\n\n"


def test_questions_are_logged(filled: Path) -> None:
    spanbot("ask", "Where are the defibrillators?")
    spanbot("chat", stdin="And the canteen?\n???\n\nnever asked\n")
    with sqlite3.connect(filled / "spanbot.db") as connection:
        rows = connection.execute("SELECT text, via FROM questions ORDER BY id").fetchall()
    connection.close()
    assert rows == [("Where are the defibrillators?", "cli"), ("And the canteen?", "chat")]


def test_chat_goes_on_after_a_question_it_cannot_take(filled: Path) -> None:
    ran = spanbot("chat", stdin="???\nWhere do the defibrillators hang?\n")
    assert ran.code == 0
    assert "The question is empty" in ran.err
    assert "Safety" in ran.out


# -- evaluate ---------------------------------------------------------------------------------


def test_evaluate_measures_a_file_of_questions(filled: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    records: list[dict[str, Any]] = [
        {"question": f.question, "answers": [f.sentence], "documents": [f.document]} for f in FACTS
    ]
    records.append({"question": "Who is the zebra?", "answerable": False})
    questions.write_text("".join(json.dumps(record) + "\n" for record in records))
    result = spanbot("evaluate", questions, "--json").json()
    assert set(result) == {
        "questions",
        "answerable",
        "unanswerable",
        "success@1",
        "success@5",
        "success@10",
        "contains",
        "contains@3",
        "exact",
        "f1",
        "f1@3",
        "answered",
        "silent",
    }
    assert (result["questions"], result["answerable"], result["unanswerable"]) == (9, 8, 1)
    assert result["success@1"] == result["answered"] == result["silent"] == 1.0
    assert 0 <= result["contains"] <= result["contains@3"] <= 1
    assert 0 <= result["exact"] <= result["f1"] <= result["f1@3"] <= 1
    shown = spanbot("evaluate", questions, "--details")
    assert shown.code == 0
    assert "success@1" in shown.out
    assert "Who is the zebra?" in shown.out
    assert "wanted: no answer" in shown.out
    questions.write_text('{"question": "?"}\n')
    assert f"{questions}, line 1" in spanbot("evaluate", questions).error()
    questions.write_text(
        '{"question": "Who is the zebra?", "answerable": false}\n{"question": " "}\n'
    )
    assert f"{questions}, line 2: The question is empty" in spanbot("evaluate", questions).error()


def write_questions(path: Path, *documents: str) -> Path:
    """A question for each gold document."""
    lines = [
        json.dumps({"question": "Unused holidays?", "answers": ["x"], "documents": [name]})
        for name in documents
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_evaluate_names_gold_documents_that_are_not_there(filled: Path, tmp_path: Path) -> None:
    file = write_questions(tmp_path / "q.jsonl", "leave.html", "glossary.txt")
    assert spanbot("evaluate", file, "--json").err == ""
    names = ["a.md", "leave.html", "b.md", "c.md", "d.md", "b.md", "e.md"]
    ran = spanbot("evaluate", write_questions(file, *names), "--json")
    assert ran.json()["questions"] == 7
    assert ran.err == (
        f"Note: 5 of the 6 documents that {file} names are not in {filled}: a.md, b.md, c.md and "
        "2 more\n"
    )
    ran = spanbot("evaluate", write_questions(file, "a.md", "b.md"), "--json")
    assert ran.code == 0
    assert ran.err == (
        f"Note: none of the 2 documents that {file} names is in {filled} (a.md, b.md); probably "
        "another file of questions is meant, or another SPANBOT_HOME\n"
    )


def test_evaluate_looks_into_the_collections_named(
    light: None, handbook: Path, tmp_path: Path
) -> None:
    spanbot("add", handbook / "leave.html", "--collection", "people")
    spanbot("add", handbook / "glossary.txt", "--collection", "rest")
    file = write_questions(tmp_path / "q.jsonl", "leave.html")
    ask = ["evaluate", file, "--json", "--collection"]
    ran = spanbot(*ask, "people")
    assert (ran.json()["success@1"], ran.err) == (1.0, "")
    ran = spanbot(*ask, "rest")
    assert ran.json()["success@10"] == 0.0
    assert "none of the 1 documents" in ran.err
    assert "the collections rest of" in ran.err
    assert spanbot(*ask, "rest", "--collection", "people").json()["success@10"] == 1.0
    assert 'no collection "nowhere"' in spanbot(*ask, "nowhere").error()


def test_evaluate_without_documents_says_so(light: None, home: Path, tmp_path: Path) -> None:
    ran = spanbot("evaluate", write_questions(tmp_path / "q.jsonl", "a.md"))
    assert ran.err.startswith(f"There are no documents in {home} yet")
    assert len(ran.err.splitlines()) == 1


# -- the database -----------------------------------------------------------------------------


def test_the_database_is_made_and_upgraded(home: Path) -> None:
    ran = spanbot("db", "upgrade")
    assert home.stat().st_mode & 0o777 == 0o700  # every text and question is in there
    assert ran.code == 0
    assert ran.out == f"Made a new database (schema {migrations.HEAD}): {home / 'spanbot.db'}\n"
    assert (home / "spanbot.db").exists()
    assert "up to date" in spanbot("db", "upgrade").out


def test_a_backup_can_be_used_in_the_databases_place(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backup.db"
    ran = spanbot("db", "backup", target)
    assert ran.code == 0
    assert f"Wrote {target}" in ran.out
    before = spanbot("docs", "list", "--json").out
    content = target.read_bytes()
    assert "exists" in spanbot("db", "backup", target).error()
    assert target.read_bytes() == content
    monkeypatch.setenv("SPANBOT_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("SPANBOT_DATABASE_URL", f"sqlite:///{target}")
    assert spanbot("docs", "list", "--json").out == before
    assert spanbot("search", "defibrillators", "--json").json()[0]["page"] == 2


def test_a_backup_of_nothing_is_refused(home: Path, tmp_path: Path) -> None:
    assert "spanbot db upgrade" in spanbot("db", "backup", tmp_path / "b.db").error()
    assert not (tmp_path / "b.db").exists()


def test_an_older_database_is_backed_up_before_its_upgrade(home: Path, tmp_path: Path) -> None:
    home.mkdir(mode=0o700)
    make_first(home / "spanbot.db")
    before = dump(home / "spanbot.db")
    told = spanbot("docs", "list").error()
    assert "is behind: its schema is at revision 0001" in told
    assert told.endswith("; run: spanbot db upgrade (it saves a copy of an SQLite file first)")
    copy = tmp_path / "before-upgrade.db"
    assert f"Wrote {copy}" in spanbot("db", "backup", copy).out
    assert dump(copy) == dump(home / "spanbot.db") == before
    assert "from schema 0001 to " in spanbot("db", "upgrade").out
    assert spanbot("docs", "list").code == 0
    # The way back, and forward again.
    copy.replace(home / "spanbot.db")
    assert "from schema 0001 to " in spanbot("db", "upgrade").out


def test_a_newer_a_damaged_or_an_empty_database_is_not_backed_up(
    home: Path, tmp_path: Path
) -> None:
    database, copy = home / "spanbot.db", tmp_path / "copy.db"
    assert spanbot("db", "upgrade").code == 0
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "was written by a newer spanbot" in spanbot("db", "backup", copy).error()
    for file in home.glob("spanbot.db*"):
        file.unlink()
    database.touch()
    assert spanbot("db", "backup", copy).error().endswith("; run: spanbot db upgrade")
    database.write_bytes(b"this is no database" * 100)
    assert "is not a database or is damaged" in spanbot("db", "backup", copy).error()
    assert not copy.exists()


# -- doctor -----------------------------------------------------------------------------------


def states(*arguments: str) -> tuple[int, dict[str, str], dict[str, str]]:
    ran = spanbot("doctor", "--json", *arguments)
    checks = json.loads(ran.out)
    assert all(set(check) == {"check", "state", "detail"} for check in checks)
    return (
        ran.code,
        {check["check"]: check["state"] for check in checks},
        {check["check"]: check["detail"] for check in checks},
    )


def test_doctor_finds_nothing_wrong(filled: Path) -> None:
    code, state, detail = states()
    assert code == 0
    assert {state.pop("Slack"), state.pop("schedule"), state.pop("ranker")} == {"off"}
    assert "SPANBOT_RANKER is off" in detail["ranker"]
    assert state.pop("confidence") == "warning"  # a reader of the tests', without one of its own
    assert set(state.values()) == {"ok"}
    assert set(state) == {
        "settings",
        "home folder",
        "database",
        "documents",
        "last reindexing",
        "search index",
        "reader",
    }
    assert detail["last reindexing"] == "none yet"
    assert detail["home folder"] == str(filled)
    assert detail["documents"].startswith("5 documents, ")
    assert "tiny" in detail["reader"]
    shown = spanbot("doctor")
    assert shown.code == 0
    assert "reader" in shown.out


def test_doctor_names_what_is_wrong(
    filled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPANBOT_READER", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SPANBOT_REINDEX_CRON", "every day")
    code, state, detail = states()
    assert code == 1
    assert (state["reader"], state["settings"], state["database"]) == ("problem", "problem", "ok")
    assert "nowhere" in detail["reader"]
    assert 'SPANBOT_REINDEX_CRON is "every day"' in detail["settings"]
    assert (state["schedule"], detail["schedule"]) == (
        "off",
        "not checked, as SPANBOT_REINDEX_CRON cannot be read",
    )
    assert spanbot("doctor").code == 1


@pytest.mark.parametrize(("ranker", "command"), [("off", "ask"), ("auto", "search")])
def test_the_folder_of_a_run_is_told_apart_from_the_model_in_it(
    filled: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ranker: str,
    command: str,
) -> None:
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    monkeypatch.setenv("SPANBOT_READER", str(run))
    monkeypatch.setenv("SPANBOT_RANKER", ranker)
    assert spanbot(command, "leave").error().endswith("; it is not a checkpoint")
    (run / "model").symlink_to(model)
    told = spanbot(command, "leave").error()
    assert told.startswith(f'SPANBOT_READER is "{run}": {run} holds no config.json')
    assert told.endswith(f"; did you mean {run}/model?")
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    code, state, detail = states()
    assert (code, state["reader"], detail["reader"]) == (1, "problem", told)
    monkeypatch.setenv("SPANBOT_READER", f"{run}/model")
    assert states()[1]["reader"] == "ok"


def test_doctor_tells_what_the_last_reindexing_could_not_read(light: None, tmp_path: Path) -> None:
    notes = write_pages(tmp_path / "notes", {"wifi.md": "# Wifi\n\nIt is free.\n"})
    assert spanbot("add", notes).code == 0
    for number in range(7):
        (notes / f"scan{number}.pdf").touch()
    assert spanbot("reindex").code == 0
    code, state, detail = states()
    assert (code, state["last reindexing"]) == (0, "ok")
    assert detail["documents"].startswith("8 documents, 1 passage, 7 with errors: spanbot docs li")
    told = detail["last reindexing"]
    assert ", cli: done; 7 failed: " in told
    assert f"; {notes}/scan1.pdf: scan1.pdf is empty" in told
    assert told.endswith("; and 2 more")
    # With the whole folder gone, nothing could be read.
    notes.rename(tmp_path / "elsewhere")
    spanbot("reindex")
    code, state, detail = states()
    assert (code, state["last reindexing"]) == (1, "problem")
    assert f"1 failed: {notes}: {notes} does not exist" in detail["last reindexing"]
    (tmp_path / "elsewhere").rename(notes)
    for scan in notes.glob("*.pdf"):
        scan.unlink()
    assert spanbot("reindex").code == 0
    code, state, detail = states()
    assert (code, state["last reindexing"]) == (0, "ok")
    assert detail["last reindexing"].endswith(" UTC, cli: done")


def test_doctor_counts_failures_of_which_none_are_kept(filled: Path) -> None:
    """As of a run of a version that only counted them."""
    with closing(Database(f"sqlite:///{filled / 'spanbot.db'}")) as database:
        now = datetime.now(UTC)
        with database.write() as session:
            run_id = start_run(session, trigger="cli", now=now, lease=timedelta(minutes=5))
            failures = [Failure("scan.pdf", "scan.pdf is empty")]
            counts = RunCounts(unchanged=5)
            finish_run(session, run_id, now=now, counts=counts, failures=failures)
            session.execute(delete(RunError))
    code, state, detail = states()
    assert (code, state["last reindexing"]) == (0, "ok")
    assert detail["last reindexing"].endswith(" UTC, cli: done; 1 failed")


def test_doctor_tells_why_the_last_reindexing_failed(filled: Path) -> None:
    with closing(Database(f"sqlite:///{filled / 'spanbot.db'}")) as database:
        now = datetime.now(UTC)
        with database.write() as session:
            run_id = start_run(session, trigger="cli", now=now, lease=timedelta(minutes=5))
            finish_run(session, run_id, now=now, error="the disk is full")
    code, state, detail = states()
    assert (code, state["last reindexing"]) == (1, "problem")
    assert detail["last reindexing"].endswith(" UTC, cli: failed: the disk is full")


def test_doctor_loads_the_ranker(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    code, state, detail = states()
    assert (code, state["ranker"], state["confidence"]) == (0, "ok", "ok")
    assert detail["ranker"].endswith(" on cpu")
    assert detail["documents"] == "none yet; add some: spanbot add FOLDER"


def test_doctor_names_wrong_settings_and_goes_on(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_DEVICE", "gpu")
    monkeypatch.setenv("SPANBOT_LANGUAGE", "klingon")
    ran = spanbot("doctor", "--json")
    found = [(c["check"], c["state"]) for c in json.loads(ran.out)]
    assert (ran.code, found) == (
        1,
        [
            ("settings", "problem"),
            ("settings", "problem"),
            ("home folder", "ok"),
            ("database", "ok"),
            ("documents", "ok"),
            ("last reindexing", "ok"),
            ("search index", "off"),  # another language's would have to be made anew
            ("reader", "ok"),
            ("ranker", "off"),
            ("confidence", "warning"),
            ("Slack", "off"),
            ("schedule", "off"),
        ],
    )
    assert 'SPANBOT_DEVICE is "gpu"; use auto, cpu or cuda' in ran.out.replace('\\"', '"')
    assert "not checked, as SPANBOT_LANGUAGE cannot be read" in ran.out


def test_doctor_makes_no_other_home_than_the_one_that_is_meant(
    light: None, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SPANBOT_HOME", "~nosuchuser/x")
    code, state, _ = states()
    assert (code, state["settings"], state["home folder"]) == (1, "problem", "off")
    assert (state["database"], state["search index"], state["reader"]) == ("off", "off", "ok")
    assert not (tmp_path / "data").exists()


def test_doctor_makes_no_other_database_than_the_one_that_is_meant(
    light: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_DATABASE_URL", "spanbot.db")
    code, state, detail = states()
    assert (code, state["settings"], state["home folder"]) == (1, "problem", "ok")
    assert 'SPANBOT_DATABASE_URL is wrong: "spanbot.db" is not' in detail["settings"]
    assert {state[name] for name in ("database", "documents", "search index")} == {"off"}
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("given", "missing", "there"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN", "SLACK_BOT_TOKEN"),
        ({"SLACK_APP_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"),
        ({"SLACK_SIGNING_SECRET": "0123"}, "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"),
    ],
)
def test_doctor_names_the_token_that_is_missing(
    light: None,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    missing: str,
    there: str,
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    code, state, detail = states()
    assert (code, state["Slack"]) == (1, "problem")
    assert missing in detail["Slack"]
    assert there not in detail["Slack"]


def test_doctor_asks_slack(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SlackServer() as slack:
        monkeypatch.setenv("SLACK_API_URL", slack.api_url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.bot_token)
        code, state, detail = states()
        assert (code, state["Slack"]) == (1, "problem")
        assert "SLACK_APP_TOKEN" in detail["Slack"]
        monkeypatch.setenv("SLACK_APP_TOKEN", slack.app_token)
        code, state, detail = states()
        assert (code, state["Slack"]) == (0, "ok")
        assert "Socket Mode" in detail["Slack"]
        monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1-A0-1-revoked")
        code, state, detail = states()
        assert (code, state["Slack"]) == (1, "problem")
        assert "Slack refuses SLACK_APP_TOKEN (invalid_auth)" in detail["Slack"]
        assert "revoked" not in detail["Slack"]
        monkeypatch.setenv("SLACK_APP_TOKEN", slack.app_token)
        slack.revoke_token()
        code, state, detail = states()
        assert (code, state["Slack"]) == (1, "problem")
        assert "Slack refuses SLACK_BOT_TOKEN" in detail["Slack"]
        assert slack.bot_token not in spanbot("doctor").out


def test_doctor_names_a_home_folder_that_others_may_read(
    light: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "our home"
    monkeypatch.setenv("SPANBOT_HOME", str(home))
    home.mkdir()
    for mode in (0o755, 0o711):
        home.chmod(mode)
        code, state, detail = states()
        assert (code, state["home folder"], state["database"]) == (1, "problem", "ok")
        assert f"has the mode {mode:o}: every user of this machine" in detail["home folder"]
        assert home.stat().st_mode & 0o777 == mode  # it is for its owner to change
    command = detail["home folder"].split("; run: ")[1]
    subprocess.run(shlex.split(command), check=True)
    assert states()[1]["home folder"] == "ok"
    home.chmod(0o750)  # as where a group makes the backups
    assert states()[1]["home folder"] == "ok"


def test_doctor_works_where_the_database_does_not(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "spanbot.db").write_bytes(b"this is no database" * 100)
    code, state, detail = states()
    assert (code, state["home folder"], state["database"]) == (1, "ok", "problem")
    assert "not a database" in detail["database"]
    assert (state["reader"], state["ranker"], state["schedule"]) == ("ok", "ok", "off")


def test_doctor_of_an_older_schema_names_the_command(home: Path) -> None:
    home.mkdir()
    database = Database(f"sqlite:///{home / 'spanbot.db'}")
    database.upgrade()
    database.close()
    with closing(sqlite3.connect(home / "spanbot.db")) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.commit()
    code, state, detail = states()
    assert (code, state["database"]) == (1, "problem")
    assert "spanbot db upgrade" in detail["database"]


# -- the reader -------------------------------------------------------------------------------


SQUAD_CONTEXT = "the code is valid for 12 hours. the token is valid for 90 days."


def squad(path: Path, *, unanswerable: bool = False, after: str = "") -> Path:
    """A SQuAD file of two questions, and a third without an answer; ``after`` ends the text."""
    asked: list[dict[str, Any]] = [
        {
            "id": name,
            "question": question,
            "answers": [{"text": text, "answer_start": SQUAD_CONTEXT.index(text)}],
        }
        for name, question, text in (
            ("a", "how many hours?", "12 hours"),
            ("b", "how many days?", "90 days"),
        )
    ]
    if unanswerable:
        asked.append({"id": "c", "question": "who?", "answers": [], "is_impossible": True})
    paragraph = {"context": SQUAD_CONTEXT + after, "qas": asked}
    record = {"version": "1.1", "data": [{"title": "x", "paragraphs": [paragraph]}]}
    path.write_text(json.dumps(record))
    return path


CARD = {
    "exact",
    "f1",
    "total",
    "HasAns_exact",
    "HasAns_f1",
    "HasAns_total",
    "best_exact",
    "best_exact_thresh",
    "best_f1",
    "best_f1_thresh",
}


def test_a_reader_is_scored(model: Path, tmp_path: Path) -> None:
    data, target = squad(tmp_path / "dev.json"), tmp_path / "predictions.json"
    scores = spanbot("reader", "evaluate", data, "--model", model, "--predictions", target).json()
    assert set(scores) == CARD
    assert (scores["total"], scores["HasAns_total"]) == (2, 2)
    predictions = json.loads(target.read_text())
    assert set(predictions) == {"a", "b"}
    assert all(text and text in SQUAD_CONTEXT for text in predictions.values())
    limited = spanbot("reader", "evaluate", data, "--model", model, "--limit", "1").json()
    assert limited["total"] == 1
    data = squad(tmp_path / "dev2.json", unanswerable=True)
    scores = spanbot("reader", "evaluate", data, "--model", model).json()
    assert set(scores) == CARD | {"NoAns_exact", "NoAns_f1", "NoAns_total"}


def test_a_model_of_no_name_is_not_the_embedded_reader(model: Path, tmp_path: Path) -> None:
    data = squad(tmp_path / "dev.json")
    for name in ("", " "):
        told = spanbot("reader", "evaluate", data, "--model", name).error()
        assert told.startswith("--model is empty; name a folder or a hub id like owner/name, or")
        told = spanbot("reader", "finetune", data, "--start", name, "--run", tmp_path / "r").error()
        assert told.startswith("a model's name is empty; give a folder or a hub id")
    assert not (tmp_path / "r").exists()


def test_data_without_questions_is_refused(model: Path, tmp_path: Path) -> None:
    empty, data, run = tmp_path / "empty.json", squad(tmp_path / "train.json"), tmp_path / "run"
    empty.write_text('{"data": []}')
    (tmp_path / "answers.json").write_text("{}")
    start = ["--start", model, "--run", run]
    for words in (
        ["evaluate", empty, "--model", model],
        ["score", empty, tmp_path / "answers.json"],
        ["finetune", data, *start, "--dev", empty],
        ["finetune", data, empty, *start],
    ):
        told = spanbot("reader", *words).error()
        assert told == f"{empty} holds no questions; give a SQuAD file that does"
    assert not run.exists()


@pytest.mark.parametrize("option", ["--predictions", "--no-answer", "--n-best"])
def test_where_nothing_can_be_written_nothing_is_read(
    option: str, model: Path, tmp_path: Path
) -> None:
    data = squad(tmp_path / "dev.json")
    asked = ["reader", "evaluate", data, "--model", model, option]
    nowhere = tmp_path / "none" / "a.json"
    assert spanbot(*asked, nowhere).error() == (
        f"cannot write {nowhere}: there is no folder {nowhere.parent}; make it first"
    )
    assert spanbot(*asked, tmp_path).error() == (
        f"cannot write {tmp_path}: it is a folder; give a file"
    )


def test_two_results_in_one_file_are_refused(model: Path, tmp_path: Path) -> None:
    asked = ["reader", "evaluate", squad(tmp_path / "dev.json"), "--model", model]
    one = tmp_path / "a.json"
    ran = spanbot(*asked, "--predictions", one, "--n-best", one)
    assert ran.error() == f"--predictions and --n-best both name {one}; give each a file of its own"
    assert not one.exists()


def test_a_run_below_a_file_is_told(model: Path, tmp_path: Path) -> None:
    data = squad(tmp_path / "train.json")
    run = data / "run"
    ran = spanbot("reader", "finetune", data, "--start", model, "--run", run, "--no-bf16")
    assert (ran.code, ran.out) == (1, "")
    told = unboxed(ran.err)
    assert f"cannot make the folder {run}" in told
    assert "Not a directory" in told


def test_the_windows_of_an_evaluation(model: Path, tmp_path: Path) -> None:
    from reader.features import MAX_QUESTION_PIECES
    from reader.reader import ReaderOptions

    # The longest question, [CLS], two separators, and a piece of the paragraph.
    assert SHORTEST_WINDOW == MAX_QUESTION_PIECES + 4
    data = squad(tmp_path / "dev.json", after=" ask who" * 60)
    asked = ["reader", "evaluate", data, "--model", model, "--n-best", tmp_path / "n.json"]

    def candidates(*options: object) -> Any:
        spanbot(*asked, *options).json()
        return json.loads((tmp_path / "n.json").read_text())

    default = candidates()
    # The model reads 128 pieces, and a window shares at most half of them with the next one.
    assert candidates("--length", "128", "--overlap", "128") == default
    assert ReaderOptions().overlap == 128
    assert candidates("--length", "80") != default
    assert candidates("--overlap", "0") != default
    message = spanbot(*asked, "--length", "129").error()
    assert message == (
        f"--length is 129, but {model} reads at most 128 word pieces at once; give no more than "
        "that"
    )
    assert spanbot(*asked, "--length", "67").code == 2
    long = squad(tmp_path / "long.json")
    record = json.loads(long.read_text())
    record["data"][0]["paragraphs"][0]["qas"][0]["question"] = "who " * 100
    long.write_text(json.dumps(record))
    shortest = ["--model", model, "--length", "68"]
    assert spanbot("reader", "evaluate", long, *shortest).json()["total"] == 2


@pytest.mark.parametrize("threshold", [None, "-0.05", "99"])
def test_what_a_reader_answered_is_written_and_scored_again(
    model: Path, tmp_path: Path, threshold: str | None
) -> None:
    data = squad(tmp_path / "dev.json", unanswerable=True)
    files = {name: tmp_path / f"{name}.json" for name in ("predictions", "no-answer", "n-best")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    at = ["--threshold", threshold] if threshold else []
    scores = spanbot("reader", "evaluate", data, "--model", model, *options, *at).json()
    record = {name: json.loads(path.read_text()) for name, path in files.items()}
    assert all(set(answers) == {"a", "b", "c"} for answers in record.values())
    for key, proposals in record["n-best"].items():
        assert len(proposals) == 20
        assert all(SQUAD_CONTEXT[p["start"] : p["end"]] == p["text"] for p in proposals)
        assert record["predictions"][key] == proposals[0]["text"]
    again = spanbot(
        "reader", "score", data, files["predictions"],
        "--no-answer", files["no-answer"], "--threshold", threshold or "0",
    ).json()  # fmt: skip
    assert again == scores


def test_predictions_are_scored_without_a_model(tmp_path: Path) -> None:
    data, answers = squad(tmp_path / "dev.json"), tmp_path / "answers.json"
    answers.write_text(json.dumps({"a": "The 12 hours", "b": "days"}))
    old = spanbot("reader", "score", data, answers, "--script", "1.1").json()
    assert old == {"exact_match": 50.0, "f1": pytest.approx(100 * (1 + 2 / 3) / 2)}
    odds = tmp_path / "odds.json"
    odds.write_text(json.dumps({"a": 0.2, "b": 0.9}))
    new = spanbot(
        "reader", "score", data, answers, "--no-answer", odds, "--threshold", "0.1"
    ).json()
    assert set(new) == CARD
    assert (new["exact"], new["best_exact"], new["best_exact_thresh"]) == (0.0, 50.0, 0.2)
    answers.write_text(json.dumps({"a": "12 hours"}))
    ran = spanbot("reader", "score", data, answers)
    assert ran.json()["exact"] == 50.0
    assert 'no answer to 1 of 2 questions, "b" among them' in ran.err
    assert (
        spanbot("reader", "score", data, answers, "--script", "1.1", "--no-answer", odds).code == 2
    )


def test_two_runs_are_compared(tmp_path: Path) -> None:
    data = squad(tmp_path / "dev.json", unanswerable=True)
    runs = [tmp_path / "a.json", tmp_path / "b.json"]
    runs[0].write_text(json.dumps({"a": "12 hours", "b": "x", "c": "x"}))
    runs[1].write_text(json.dumps({"a": "12 hours", "b": "90 days", "c": ""}))
    found = {
        one["metric"]: one for one in spanbot("reader", "compare", data, *runs, "--json").json()
    }
    assert [*found] == ["exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"]
    assert found["exact"]["difference"] == pytest.approx(200 / 3)
    shown = spanbot("reader", "compare", data, *runs)
    assert "+66.67" in shown.out
    assert "NoAns_f1" in shown.out
    odds = tmp_path / "odds.json"
    odds.write_text(json.dumps({"b": 0.5, "c": 0.9}))

    def figures(*options: object) -> dict[str, tuple[float, float]]:
        compared = spanbot("reader", "compare", data, *runs, "--json", *options).json()
        return {one["metric"]: (one["a"], one["b"]) for one in compared}

    asked = ["--no-answer-a", odds, "--threshold", "0.5"]
    assert figures(*asked)["NoAns_exact"] == (100.0, 100.0)
    assert figures(*asked)["HasAns_exact"] == (50.0, 100.0)
    asked = ["--no-answer-b", odds, "--threshold", "0.4"]
    assert figures(*asked)["NoAns_exact"] == (0.0, 100.0)
    assert figures(*asked)["HasAns_exact"] == (50.0, 50.0)
    runs[1].write_text("[1]")
    assert "b.json holds a list" in spanbot("reader", "compare", data, *runs).error()


def test_a_reader_is_trained_and_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light: None
) -> None:
    data, run = squad(tmp_path / "train.json"), tmp_path / "run"
    # More pieces than the model has positions: it is read in windows that fit.
    dev = squad(tmp_path / "dev.json", after=" ask who" * 200)
    arguments = ["reader", "finetune", data, "--start", model, "--run", run, "--no-bf16"]
    ran = spanbot(
        *arguments, "--epochs", "2", "--batch-pieces", "40", "--dev", dev, "--half",
        "--evaluate-every", "2",
    )  # fmt: skip
    trained = Path(ran.json()["model"])
    assert "dev F1" in ran.err
    assert "loss" in ran.err
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    history = json.loads((run / "history.json").read_text())
    assert history["evaluations"]
    for folder in (trained, run / "model-fp16"):
        scores = spanbot("reader", "evaluate", data, "--model", folder).json()
        assert scores["total"] == 2
    half = (run / "model-fp16" / "model.safetensors").stat().st_size
    assert half < 0.6 * (trained / "model.safetensors").stat().st_size
    # The same run with another configuration would not be the same run.
    assert "another configuration" in spanbot(*arguments, "--epochs", "3").err


def config_of(run: Path) -> dict[str, Any]:
    """The configuration of a training run."""
    found = json.loads((run / "history.json").read_text())["config"]
    assert isinstance(found, dict)
    return found


def test_the_recipe_suits_the_start_and_options_change_it(tmp_path: Path) -> None:
    data = squad(tmp_path / "train.json")
    starts = {
        "base": checkpoint(tmp_path / "wide", hidden=768),
        "small": checkpoint(tmp_path / "narrow", hidden=736),
    }
    for name, other in (("base", "small"), ("small", "base")):
        run = tmp_path / name
        common = ["reader", "finetune", data, "--start", starts[name], "--no-bf16", "--epochs", "1"]
        ran = spanbot(*common, "--run", run)
        hidden = checkpoints.read(starts[name]).shape.hidden
        why = f"as the start's hidden size is {hidden} (base is for 768 and more)"
        assert f"Recipe {name}, {why}: learning rate" in unboxed(ran.err)
        assert config_of(run) == asdict(replace(RECIPES[name], epochs=1))
        ran = spanbot(*common, "--run", run / "other", "--recipe", other)
        assert f"Recipe {other}, as --recipe says: learning rate" in unboxed(ran.err)
        assert config_of(run / "other") == asdict(replace(RECIPES[other], epochs=1))


def test_a_run_ends_without_its_picture_and_says_when_it_was_complete(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = squad(tmp_path / "train.json"), tmp_path / "run"
    asked = ["reader", "finetune", data, "--start", model, "--run", run, "--no-bf16"]
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "matplotlib", None)
        ran = spanbot(*asked)
    assert ran.json() == {"model": str(run / "model")}
    assert "is not drawn, for matplotlib is not installed: pip install" in unboxed(ran.err)
    assert not (run / "curve.png").exists()
    ran = spanbot(*asked, "--dev", data)
    assert ran.json() == {"model": str(run / "model")}
    assert "was complete before; nothing was trained, and --dev was not used" in unboxed(ran.err)
    assert (run / "curve.png").exists()


def test_a_length_that_the_network_does_not_read_is_refused(model: Path, tmp_path: Path) -> None:
    data, run = squad(tmp_path / "train.json"), tmp_path / "run"
    asked = ["reader", "finetune", data, "--start", model, "--run", run, "--no-bf16"]
    assert spanbot(*asked, "--length", "129").error() == (
        f"--length is 129, but {model} reads at most 128 word pieces at once; give no more than "
        "that"
    )
    assert not run.exists()
    # The recipe's own is for larger networks: what is used in its place is told.
    told = unboxed(spanbot(*asked).err)
    assert "length 128 (the network reads no more; the recipe has 384), overlap 128" in told
    told = unboxed(spanbot(*asked[:-2], tmp_path / "other", "--no-bf16", "--length", "128").err)
    assert "length 128, overlap 128" in told


def test_each_setting_of_a_recipe_has_its_option(model: Path, tmp_path: Path) -> None:
    changed = {
        "epochs": 2, "learning_rate": 1e-3, "warmup": 0.3, "weight_decay": 0.5, "clip_norm": 0.25,
        "batch_pieces": 77, "accumulate": 3, "max_length": 128, "overlap": 9, "dropout": 0.2,
        "final_rate": 0.1, "no_answer": 0.7, "seed": 4,
    }  # fmt: skip
    options = {"max_length": "length"}
    words = [
        part
        for name, value in changed.items()
        for part in (f"--{options.get(name, name).replace('_', '-')}", value)
    ]
    run = tmp_path / "run"
    spanbot(
        "reader", "finetune", squad(tmp_path / "train.json"), "--start", model, "--run", run,
        "--no-bf16", *words,
    ).json()  # fmt: skip
    assert config_of(run) == asdict(RECIPES["small"]) | changed


def test_the_precision_is_that_of_the_option_or_what_is_fast_here(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    data = squad(tmp_path / "train.json")
    fast = prefers_bf16(torch.device("cpu"))
    for options, expected in ((["--bf16"], True), (["--no-bf16"], False), ([], fast)):
        run = tmp_path / "_".join(["run", *options])
        spanbot("reader", "finetune", data, "--start", model, "--run", run, *options).json()
        assert config_of(run)["bf16"] is expected


def test_so_many_questions_of_the_dev_file_are_asked(model: Path, tmp_path: Path) -> None:
    data = squad(tmp_path / "train.json")
    dev = squad(tmp_path / "dev.json", unanswerable=True)  # of three questions
    common = ["reader", "finetune", data, "--start", model, "--no-bf16", "--dev", dev]
    for count, asked in ((2, 2), (3, 3), (500, 3)):
        ran = spanbot(*common, "--run", tmp_path / str(count), "--dev-questions", count)
        assert re.search(rf"dev F1 [\d.]+ on {asked} questions", unboxed(ran.err))


def test_from_questions_without_an_answer_something_is_learnt(model: Path, tmp_path: Path) -> None:
    data = squad(tmp_path / "train.json", unanswerable=True)
    plain = squad(tmp_path / "plain.json")
    common = ["--start", model, "--no-bf16", "--run"]
    ran = spanbot("reader", "finetune", data, *common, tmp_path / "asked")
    assert "1 of 3 questions have no answer; learning that weighs 0.3" in unboxed(ran.err)
    assert config_of(tmp_path / "asked")["no_answer"] == 0.3
    ran = spanbot("reader", "finetune", data, *common, tmp_path / "off", "--no-answer", "0")
    assert "nothing is learnt from them while the weight of no answer is 0" in unboxed(ran.err)
    assert config_of(tmp_path / "off")["no_answer"] == 0.0
    ran = spanbot("reader", "finetune", plain, *common, tmp_path / "plain")
    assert "no answer" not in unboxed(ran.err)
    assert config_of(tmp_path / "plain")["no_answer"] == 0.0


def test_an_encoder_is_pre_trained_on_text_and_on_the_documents(
    filled: Path, model: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the code is valid for hours\n\nask who is valid\n" * 30, "utf-8")
    short = ["--start", model, "--steps", "2", "--rows", "2", "--length", "16", "--seed", "3"]
    ran = spanbot("reader", "pretrain", corpus, *short, "--run", tmp_path / "text")
    trained = Path(ran.json()["model"])
    assert "step 2 of 2  loss" in ran.err
    assert (tmp_path / "text" / "curve.png").exists()
    assert (trained / "model.safetensors").exists()
    run = tmp_path / "documents"
    ran = spanbot("reader", "pretrain", "--from-documents", *short, "--run", run)
    documents = spanbot("docs", "list", "--json").json()
    history = json.loads((run / "history.json").read_text())
    assert history["corpus"]["documents"] == len(documents)
    assert history["config"]["seed"] == 3
    spanbot("reader", "pretrain", corpus, "--from-documents", *short, "--run", run / "both").json()
    history = json.loads((run / "both" / "history.json").read_text())
    assert history["corpus"]["documents"] == len(documents) + 31
    message = spanbot("reader", "pretrain", *short, "--run", run).error()
    assert "--from-documents" in message
    wrong = spanbot("reader", "pretrain", tmp_path / "no.txt", *short, "--run", run).error()
    assert "cannot read the corpus" in wrong


def test_a_row_that_the_network_does_not_read_is_refused(model: Path, tmp_path: Path) -> None:
    corpus, run = tmp_path / "corpus.txt", tmp_path / "run"
    corpus.write_text("the code is valid for hours\n\nask who is valid\n" * 30, "utf-8")
    asked = [
        "reader", "pretrain", corpus, "--start", model, "--run", run, "--steps", 1, "--rows", 1,
    ]  # fmt: skip
    assert spanbot(*asked, "--length", "129").error() == (
        f"--length is 129, but {model} reads at most 128 word pieces at once; give no more than "
        "that"
    )
    assert not run.exists()
    # The default is for larger networks: what is used in its place is told.
    told = "Note: rows of 128 word pieces; the network reads no more than that at once"
    assert told in unboxed(spanbot(*asked).err)
    assert config_of(run)["length"] == 512
    asked[6] = tmp_path / "other"
    ran = spanbot(*asked, "--length", "128")
    assert (ran.code, told in unboxed(ran.err)) == (0, False)


def test_a_reader_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = squad(tmp_path / "dev.json")
    message = spanbot("reader", "evaluate", data, "--model", tmp_path / "nowhere")
    assert message.code == 1
    assert "nowhere" in message.error()
    assert "dev3.json" in spanbot("reader", "evaluate", tmp_path / "dev3.json").error()


# -- demo -------------------------------------------------------------------------------------


def readme_demo() -> str:
    """What the README says that the demo prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"<!-- demo output -->\n```text\n(.*?)```", readme, re.DOTALL)
    return str(block)


def as_in_the_readme(printed: str, home: Path) -> str:
    """Without further answers, and with the README's places in the place of this machine's."""
    shown = re.sub(r"\nFurther answers:\n(?:.+\n)*", "", printed)
    return shown.replace(str(home), "~/.local/share/spanbot").replace(ROOT.as_uri(), "file:///…")


def test_the_demo_answers_as_the_readme_says_and_doubles_nothing(home: Path) -> None:
    told = readme_demo()
    assert told.count("\n> ") == told.count("\n  “") == told.count("\n      file:///…/") == 3
    ran = spanbot("demo")
    assert ran.code == 0, ran.err
    assert as_in_the_readme(ran.out, home) == told
    ids = [document["id"] for document in spanbot("docs", "list", "--json").json()]
    assert len(ids) == 22
    # Once more on the same home folder.
    again = spanbot("demo")
    assert again.code == 0, again.err
    assert as_in_the_readme(again.out, home) == told.replace("22 added", "22 unchanged")
    listed = spanbot("docs", "list", "--json").json()
    assert [document["id"] for document in listed] == ids
    assert {(document["collection"], document["state"]) for document in listed} == {
        ("sample", "ready")
    }
    with closing(sqlite3.connect(home / "spanbot.db")) as connection:
        [(sources,)] = connection.execute("SELECT count(*) FROM sources").fetchall()
        [(questions,)] = connection.execute("SELECT count(*) FROM questions").fetchall()
    assert (sources, questions) == (1, 6)


def test_who_asks_where_nothing_was_added_is_told(light: None, home: Path) -> None:
    for command in ("ask", "search"):
        result = spanbot(command, "how long is parental leave")
        assert result.code == 0
        assert f"There are no documents in {home} yet; add some" in result.err


def test_doctor_names_a_setting_that_there_is_not(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_PRECISON", "0.9")
    result = spanbot("doctor")
    assert result.code == 1
    assert "SPANBOT_PRECISON is no setting; did you mean SPANBOT_PRECISION?" in result.out


@pytest.mark.parametrize(
    "words",
    [
        "add HANDBOOK --json",
        "reindex --json",
        "docs list --json",
        "docs show travel.md --json",
        "search lift --json",
        "ask lift --json",
        "evaluate QUESTIONS --json",
    ],
)
def test_a_mistyped_setting_is_told_once_and_beside_the_output(
    filled: Path, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "is there a yacht", "answerable": false}\n')
    named = {"HANDBOOK": str(handbook), "QUESTIONS": str(questions)}
    command = [named.get(word, word) for word in words.split()]
    before = spanbot(*command)
    monkeypatch.setenv("SPANBOT_PERCISION", "1")
    after = spanbot(*command)
    told = "Warning: SPANBOT_PERCISION is no setting; did you mean SPANBOT_PRECISION?"
    assert (before.code, after.code) == (0, 0)
    assert told not in before.err
    assert after.err.splitlines().count(told) == 1
    assert after.json() is not None
    assert "SPANBOT_PERCISION" not in after.out


@pytest.mark.parametrize("words", ["docs remove travel.md", "chat", "db upgrade", "db backup COPY"])
def test_a_mistyped_setting_stops_nothing(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("SPANBOT_HOEM", "/srv/spanbot")
    ran = spanbot(*words.replace("COPY", str(tmp_path / "copy.db")).split())
    told = "Warning: SPANBOT_HOEM is no setting; did you mean SPANBOT_HOME?"
    assert (ran.code, ran.err.splitlines().count(told)) == (0, 1)
    assert "SPANBOT_HOEM" not in ran.out


def test_a_mistyped_setting_is_told_before_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANBOT_DEVCE", "cpu")
    monkeypatch.setenv("SPANBOT_DEVICE", "gpu")
    for command in (["docs", "list"], ["serve"]):
        ran = spanbot(*command)
        warning, error = ran.err.splitlines()
        assert (ran.code, ran.out) == (1, "")
        assert warning.endswith("SPANBOT_DEVCE is no setting; did you mean SPANBOT_DEVICE?")
        assert 'SPANBOT_DEVICE is "gpu"' in error


def test_the_list_has_a_line_for_each_document_in_a_pipe(filled: Path) -> None:
    documents = json.loads(spanbot("docs", "list", "--json").out)
    lines = spanbot("docs", "list").out.splitlines()
    assert len(lines) == 1 + len(documents)
    assert all(one["document"] in line for one, line in zip(documents, lines[1:], strict=True))
