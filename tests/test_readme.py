"""The README against the program: what it names exists, and what exists is named."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bot.answering import AnswerOptions, AnswerSpan, Reply
from bot.cli.main import app
from bot.cli.output import reply_record
from bot.evaluation import GoldQuestion, Outcome, load_questions, measure
from bot.settings import VARIABLES, from_environment
from bot.slack import kb
from reader.recipes import RECIPES
from retriever.parsing import MAX_FILE_BYTES, SUFFIXES, parse
from retriever.parsing.html import MAX_HTML_BYTES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANIFEST = json.loads((ROOT / "bot" / "slack" / "manifest.json").read_text(encoding="utf-8"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
#: A command with --json, and what it prints.
JSON_EXAMPLE = re.compile(r"```sh\n(spanbot [^\n]*--json)\n```\n```json\n(.*?)```", re.DOTALL)


# The command line


@dataclass(frozen=True)
class Command:
    """A command of the program or a group of them; ``path`` is what is typed after spanbot."""

    path: tuple[str, ...]
    click: Any

    @property
    def is_group(self) -> bool:
        return hasattr(self.click, "commands")

    @property
    def options(self) -> set[str]:
        found = {"--help"}
        for parameter in self.click.params:
            if parameter.param_type_name == "option":
                found.update(parameter.opts, parameter.secondary_opts)
        return found

    def __str__(self) -> str:
        return " ".join(("spanbot", *self.path))


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """The program's commands and groups, itself first."""
    command = command or typer.main.get_command(app)
    yield Command(path, command)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = {command.path: command for command in commands()}


def command_words(line: str) -> list[str] | None:
    """What is typed after spanbot; None for a line that runs something else."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if not words or words[0] not in ("spanbot", ".venv/bin/spanbot"):
        return None
    return words[1:]


def find_command(words: list[str]) -> tuple[Command, list[str]]:
    """The command that words name, and its arguments."""
    path: tuple[str, ...] = ()
    while len(path) < len(words) and (*path, words[len(path)]) in COMMANDS:
        path = (*path, words[len(path)])
    return COMMANDS[path], words[len(path) :]


def shell_lines() -> list[str]:
    """Every line of the blocks of shell commands."""
    blocks = [body for language, body in FENCE.findall(README) if language == "sh"]
    return [line.strip() for body in blocks for line in body.splitlines() if line.strip()]


def inline_code() -> list[str]:
    """Every piece of code within the text."""
    return CODE.findall(FENCE.sub("", README))


def typed_commands() -> list[str]:
    return [line for line in shell_lines() if command_words(line) is not None]


def named_commands() -> list[str]:
    return [code for code in inline_code() if code.startswith("spanbot ")]


@pytest.mark.parametrize("line", typed_commands())
def test_a_command_in_a_shell_block_can_be_typed_as_it_stands(line: str) -> None:
    words = command_words(line)
    assert words is not None
    command, arguments = find_command(words)
    assert not command.is_group, f"{line}: {command} is no command by itself"
    # Parses the arguments and runs nothing; wrong ones raise a usage error.
    command.click.make_context(str(command), list(arguments))


@pytest.mark.parametrize("code", sorted(set(named_commands())))
def test_a_command_in_the_text_exists_with_its_options(code: str) -> None:
    command, arguments = find_command(shlex.split(code)[1:])
    given = {word.split("=")[0] for word in arguments if word.startswith("-")}
    assert given <= command.options
    words = [word for word in arguments if not word.startswith("-")]
    assert not (command.is_group and words), f"{command} has no command {words}"


@pytest.mark.parametrize("path", sorted(COMMANDS.keys() - {()}))
def test_every_command_is_in_the_table(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    if command.is_group:
        return
    named = [
        find_command(shlex.split(cells[0].strip("`"))[1:])[0].path for cells in table("Commands")
    ]
    assert named.count(path) == 1


def test_every_option_is_named_and_every_named_option_exists() -> None:
    existing = {o for c in COMMANDS.values() for o in c.options if o.startswith("--")}
    # --no-half turns off what is off already; one name of an option will do.
    negatives = {
        name for c in COMMANDS.values() for p in c.click.params for name in p.secondary_opts
    }
    in_text = _options(inline_code())
    others = {"--write", "--home", "--found"}  # of bench.calibrate
    calibrate = (ROOT / "bench" / "calibrate.py").read_text(encoding="utf-8")
    assert all(f'"{option}"' in calibrate for option in others)
    assert existing - negatives <= in_text | _options(typed_commands())
    assert in_text <= existing | others


def _options(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split() if re.fullmatch(r"--[a-z\d-]+", word)}


# What the commands print


def shape(value: Any) -> Any:
    """The keys of a JSON value at every depth; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return None


def example(command: str) -> Any:
    """What the README says a command prints with --json."""
    found = [
        body for line, body in JSON_EXAMPLE.findall(README) if line.startswith(f"spanbot {command}")
    ]
    assert len(found) == 1
    return json.loads(found[0])


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.stdout, result.exception
    return json.loads(result.stdout)


def test_the_examples_of_json_are_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    monkeypatch.setenv("SPANBOT_READER", str(tmp_path / "none"))
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nUp to six days may be carried over.\n", "utf-8")
    (folder / "broken.pdf").write_bytes(b"no PDF")
    assert shape(run("add", str(folder))) == shape(example("reindex"))
    assert shape(run("reindex")) == shape(example("reindex"))
    assert shape(run("search", "carried over")) == shape(example("search"))
    assert shape(run("docs", "list")) == shape(example("docs list"))
    checks = run("doctor")
    assert shape(checks) == shape(example("doctor"))
    assert {check["state"] for check in checks} == {"ok", "problem", "off"}


def is_shortened(shown: Any, printed: Any) -> bool:
    """Whether an example is what was printed, but for rounded numbers, the ends of long texts and
    left-out elements of lists.
    """
    if isinstance(shown, dict):
        return list(shown) == list(printed) and all(
            is_shortened(shown[key], printed[key]) for key in shown
        )
    if isinstance(shown, list):
        rest = iter(printed)
        return all(any(is_shortened(one, other) for other in rest) for one in shown)
    if isinstance(shown, float):  # the reader computes as the processor does best
        return bool(printed == pytest.approx(shown, abs=0.02))
    if isinstance(shown, str) and shown.endswith(" ..."):
        return bool(printed.startswith(shown.removesuffix(" ...")))
    return bool(shown == printed)


def test_the_examples_of_the_sample_handbook_are_what_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    [added] = [code for code in inline_code() if code.startswith("spanbot add bot/sample/handbook")]
    assert run(*shlex.split(added)[1:])["failed"] == []
    shown, printed = example("ask"), run("ask", example("ask")["question"])
    assert shown.pop("ms").keys() == printed.pop("ms").keys()
    assert is_shortened(shown, printed), printed
    assert shown["answers"]
    for answer in shown["answers"]:
        text = run("docs", "show", answer["document"])["text"]
        assert text[answer["start"] : answer["end"]] == answer["text"]
    for command in ("search", "docs list"):
        [line] = [line for line, _ in JSON_EXAMPLE.findall(README) if f"spanbot {command} " in line]
        printed = run(*shlex.split(line.removesuffix("--json"))[1:])
        assert example(command)
        assert is_shortened(example(command), printed), printed


def a_reply() -> Reply:
    answer = AnswerSpan(
        text="six",
        confidence=0.9,
        sentence="Up to six days.",
        sentence_start=0,
        document="leave.md",
        title="Leave",
        section=None,
        page=None,
        url=None,
        start=6,
        end=9,
        document_id=1,
        document_version=1,
    )
    return Reply(
        question="How many?",
        answered=True,
        answers=(answer,),
        closest=(),
        retrieve_ms=1.0,
        read_ms=1.0,
        total_ms=2.0,
        question_id=1,
    )


def test_the_example_of_an_answer_is_what_ask_prints() -> None:
    assert shape(reply_record(a_reply())) == shape(example("ask"))


def test_the_example_of_a_comparison_is_what_compare_prints(tmp_path: Path) -> None:
    answers, data = tmp_path / "a.json", tmp_path / "dev.json"
    answers.write_text('{"q": "six"}', encoding="utf-8")
    qa = {"id": "q", "question": "How many?", "answers": [{"text": "six", "answer_start": 0}]}
    data.write_text(json.dumps({"data": [{"paragraphs": [{"context": "six", "qas": [qa]}]}]}))
    printed = run("reader", "compare", str(data), str(answers), str(answers))
    assert shape(printed) == shape(example("reader compare"))


def test_the_call_on_model_cards_can_be_made() -> None:
    (body,) = [body for language, body in FENCE.findall(README) if language == "python"]
    model = 'model="mrm8488/spanbert-finetuned-squadv1"'
    assert model in body
    code, shown = body.replace(model, "device=-1").split("# ")
    *setup, call = code.strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(setup), names)
    answer = eval(call, names)
    assert shown.strip() == str({**answer, "score": ...}).replace("Ellipsis", "...")


def test_the_examples_of_questions_can_be_asked(tmp_path: Path) -> None:
    (body,) = [body for language, body in FENCE.findall(README) if language == "jsonl"]
    file = tmp_path / "questions.jsonl"
    file.write_text(body, encoding="utf-8")
    questions = load_questions(file)
    assert {question.answerable for question in questions} == {True, False}
    sample = load_questions(ROOT / "bot" / "sample" / "questions.jsonl")
    assert f"{len(sample)} questions" in README


def test_the_figures_of_an_evaluation_are_explained() -> None:
    asked = [
        GoldQuestion("How many?", ("six",), ("leave.md",), answerable=True),
        GoldQuestion("Why?", (), (), answerable=False),
    ]
    figures = measure([Outcome(gold, (), a_reply()) for gold in asked])
    counts = {"questions", "answerable", "unanswerable"}
    explained = [
        name
        for cells in table("Measuring on your own questions")
        for name in CODE.findall(cells[0])
    ]
    assert sorted(explained) == sorted(set(figures) - counts)


def test_the_recipes_of_fine_tuning_are_those_of_the_program() -> None:
    fields = {"--length": "max_length"}
    rows = [[cell.strip("`") for cell in cells[:3]] for cells in table("Training a reader")]
    differ = {
        key
        for key, value in asdict(RECIPES["base"]).items()
        if value != asdict(RECIPES["small"])[key]
    }
    shown = {fields.get(row[0], row[0].strip("-").replace("-", "_")): row[1:] for row in rows}
    assert differ <= shown.keys()
    for key, (base, small) in shown.items():
        assert float(base) == getattr(RECIPES["base"], key)
        assert float(small) == getattr(RECIPES["small"], key)


# Settings, Slack, make, files


def section(heading: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL
    )
    assert found, f"the README has no heading {heading}"
    return found[1]


def table(heading: str) -> list[list[str]]:
    """The rows of a section's table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_variable_is_in_the_table_in_order() -> None:
    assert [cells[0].strip("`") for cells in table("Configuration")] == list(VARIABLES)


def test_every_variable_named_is_one_of_the_settings() -> None:
    assert set(re.findall(r"\b(?:SPANBOT|SLACK)_[A-Z_]+\b", README)) == set(VARIABLES)


def test_the_defaults_are_those_of_the_settings() -> None:
    default = {cells[0].strip("`"): cells[1].strip("`") for cells in table("Configuration")}
    settings = from_environment({})
    assert settings.database_url.endswith(f"/{default['SPANBOT_DATABASE_URL'].split('`')[0]}")
    assert default["SPANBOT_DEVICE"] == settings.device
    assert default["SPANBOT_RANKER"] == settings.ranker_mode
    assert default["SPANBOT_RETRIEVER"] == settings.retriever
    assert default["SPANBOT_LANGUAGE"] == settings.language
    assert default["SPANBOT_PRECISION"] == str(settings.precision)
    assert default["SPANBOT_HTTP_HOST"] == settings.http_host
    assert default["SPANBOT_HTTP_PORT"] == str(settings.http_port)
    assert default["SLACK_API_URL"] == settings.slack_api_url
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        assert default[name] == "none"
        assert getattr(settings, name.lower()) is None


def test_the_scopes_are_those_of_the_manifest() -> None:
    explained = [cells[0].strip("`") for cells in table("Scopes")]
    assert explained == MANIFEST["oauth_config"]["scopes"]["bot"]


def test_the_slash_commands_are_those_of_the_manifest_and_the_help() -> None:
    named = {code.split()[0] for code in inline_code() if re.match(r"/[a-z]+\b(?!/)", code)}
    ours = {command["command"] for command in MANIFEST["features"]["slash_commands"]}
    assert named == ours | {"/invite", "/health"}
    actions = {code for code in inline_code() if code.startswith("/kb ")}
    assert actions == set(re.findall(r"^/kb \w+", kb.HELP, re.MULTILINE))


def test_make_has_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    lines = [line for line in [*shell_lines(), *inline_code()] if line.startswith("make ")]
    named = {word for line in lines for word in line.split()[1:] if "=" not in word}
    assert named == targets


def test_links_lead_somewhere() -> None:
    anchors = {anchor.slug for anchor in parse(ROOT / "README.md").anchors}
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", README))
    assert targets
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https://"):
            assert (ROOT / target).is_file(), f"there is no {target}"


def test_places_in_the_readme_that_messages_name_exist() -> None:
    files = [
        path
        for package in ("bot", "retriever", "reader")
        for path in (ROOT / package).rglob("*.py")
    ]
    named = {
        heading
        for path in files
        for heading in re.findall(r"README: ([A-Z][\w ]+)", path.read_text(encoding="utf-8"))
    }
    assert named
    for heading in named:
        assert section(heading)


def test_every_file_format_and_limit_is_named() -> None:
    text = section("Adding documents")
    assert {code for code in CODE.findall(text) if re.fullmatch(r"\.[a-z]+", code)} == set(SUFFIXES)
    assert f"{MAX_FILE_BYTES // 1024**2} MB" in text
    assert f"HTML {MAX_HTML_BYTES // 1024**2} MB" in text


def test_numbers_of_the_pipeline_are_those_of_the_program() -> None:
    pipeline = " ".join(section("How it answers").split())
    assert f"best {AnswerOptions().passages} passages" in pipeline
    handbook = ROOT / "bot" / "sample" / "handbook"
    files = [path for path in handbook.rglob("*") if path.is_file()]
    assert f"{len(files)} files" in section("Try it")


def test_the_versions_agree() -> None:
    version = PYPROJECT["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.split(r"^## ", changelog, flags=re.MULTILINE)[1]
    assert newest.startswith((f"[{version}] - ", "[Unreleased]"))
    assert version in newest
    torch = re.search(
        r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE
    )
    assert torch
    assert re.findall(r"torch==(\S+)", README) == [torch[1]]


def test_nothing_is_left_to_do() -> None:
    assert not re.findall(r"TODO[\w-]*", README)
