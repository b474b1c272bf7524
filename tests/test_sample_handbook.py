"""The sample handbook: its files, its questions, and how well they are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.evaluation import load_questions, measure, run_questions
from bot.installation import Installation
from bot.settings import from_environment
from retriever.parsing import parse
from tests.sample_handbook.build import build_all

SAMPLE = Path(__file__).parent.parent / "bot" / "sample"
FILES = sorted(path for path in (SAMPLE / "handbook").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("sample")
    with Installation(from_environment({"SPANBOT_HOME": str(home)})) as made:
        report = made.knowledge.add([SAMPLE / "handbook"])
        assert report.failed == ()
        assert report.added == len(FILES)
        yield made


def test_it_is_a_handbook_in_five_formats() -> None:
    assert len(FILES) >= 15
    assert {path.suffix for path in FILES} == {".md", ".txt", ".html", ".pdf", ".docx"}


def test_the_pdf_and_docx_files_are_those_that_the_script_builds(tmp_path: Path) -> None:
    build_all(tmp_path)
    built = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")}
    shipped = {
        path.relative_to(SAMPLE / "handbook") for path in FILES if path.suffix in {".pdf", ".docx"}
    }
    assert built == shipped
    for name in built:
        assert parse(tmp_path / name).text == parse(SAMPLE / "handbook" / name).text


def test_every_gold_answer_stands_in_its_document() -> None:
    texts = {
        path.relative_to(SAMPLE / "handbook").as_posix(): " ".join(parse(path).text.split())
        for path in FILES
    }
    lines = (SAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) >= 60
    assert sum(not record["answerable"] for record in records) >= 15
    assert len({record["id"] for record in records}) == len(records)
    for record in records:
        for name in record["documents"]:
            assert any(answer in texts[name] for answer in record["answers"]), record["id"]


def test_the_questions_are_answered(installation: Installation) -> None:
    questions = load_questions(SAMPLE / "questions.jsonl")
    outcomes = run_questions(questions, installation.retriever, installation.answerer)
    figures = measure(outcomes)
    # What is reached today less one question: no change may lose it again. The aim is 0.95 for
    # ``success@5``, one question more, and 0.75 for ``contains``, which takes a better reader.
    assert figures["success@1"] >= 0.82
    assert figures["success@5"] >= 0.91
    assert figures["contains"] >= 0.63
    assert figures["contains@3"] >= 0.65
    assert figures["silent"] >= 0.88
    for outcome in outcomes:
        for answer in outcome.reply.answers:
            start = answer.start - answer.sentence_start
            assert answer.sentence[start : start + len(answer.text)] == answer.text
