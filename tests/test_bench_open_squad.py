"""SQuAD asked of all its paragraphs: the command, and what it makes of a reading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import open_squad
from bench.open_questions import Question
from bench.open_report import choose_ceiling, first_answers, in_rounds, scores
from bench.reader_engines import Asked, ours, until
from bench.rounds import stopped
from reader.checkpoint import EMBEDDED
from reader.reader import Passage, load_reader
from reader.squad import Example, GoldAnswer

ASKED = {
    "The warranty of the pump lasts five years from the date of delivery.": (
        "How long does the warranty of the pump last?",
        "five years",
    ),
    "Lunch is served at noon in the canteen on the ground floor.": (
        "When is lunch served in the canteen?",
        "noon",
    ),
    "Printers stand on the second floor, beside the library.": (
        "On which floor do printers stand?",
        "second floor",
    ),
    "The warranty of the boiler was signed by Mary Jones in March.": (
        "Who signed the warranty of the boiler?",
        "Mary Jones",
    ),
}
MORE = "The canteen, the library and the printers have no warranty."


def squad(path: Path, asked: dict[str, tuple[str, str]]) -> str:
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": f"{path.name}-{number}",
                    "question": question,
                    "answers": [{"text": answer, "answer_start": text.index(answer)}],
                }
            ],
        }
        for number, (text, (question, answer)) in enumerate(asked.items())
    ]
    data = {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def questions() -> list[Question]:
    """Every question on every paragraph, with a ranking that puts the right one second."""
    found = []
    for number, (text, (question, answer)) in enumerate(ASKED.items()):
        example = Example(f"q{number}", question, text, (GoldAnswer(answer, text.index(answer)),))
        passages = tuple((number - 1 + place) % len(ASKED) for place in range(len(ASKED)))
        found.append(Question(example, passages, (0.0, -1.5, -3.0, -4.5), number))
    return found


SPEC = {"model": str(EMBEDDED), "device": "cpu", "precision": "fp32", "together": False}


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    unfound = {"Zebras graze at dawn.": ("What is septicemia?", "dawn")}
    dev = squad(tmp_path / "dev.json", {**ASKED, **unfound})
    more = squad(tmp_path / "train.json", {MORE: ("What has no warranty?", "canteen")})
    work, out = tmp_path / "work", tmp_path / "open.json"
    given = [dev, "--more", more, "--work", str(work), "--out", str(out)]
    open_squad.main([*given, "--questions", "2"])
    open_squad.main(given)
    shown = capfd.readouterr().out
    report = json.loads(out.read_text(encoding="utf-8"))
    assert (report["questions"], report["paragraphs"], report["passages"]) == (5, 6, 10)
    assert report["retrieval"]["success@1"][0] == 80
    fp32 = report["readers"]["spanbot, fp32"]
    assert fp32["scores"]["f1"] > 50
    assert fp32["scores"]["f1_of_3"] >= fp32["scores"]["f1"]
    assert fp32["less_ours"]["f1"] == [0.0, 0.0, 0.0]
    assert 1 < fp32["passages_read"] <= 5
    assert report["readers"]["pipeline"] is None
    assert report["fewer"]["passages_read"] <= fp32["passages_read"]
    assert "5 questions, 6 paragraphs, 10 read" in shown
    assert "| Haystack | not measured |" in shown

    # What was cut off is asked again, and nothing else.
    [kept] = work.glob("*/spanbot-fp32.jsonl")
    before = kept.read_text(encoding="utf-8").splitlines()
    assert len(before) == 4
    kept.write_text("\n".join(before)[:-20], encoding="utf-8")
    open_squad.main(given)
    after = kept.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in after[:3]] == [json.loads(line) for line in before[:3]]
    assert json.loads(after[3])["answers"] == json.loads(before[3])["answers"]
    assert json.loads(after[3])["seconds"] != json.loads(before[3])["seconds"]


def test_it_asks_for_what_makes_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev = squad(tmp_path / "dev.json", ASKED)
    with pytest.raises(SystemExit):
        open_squad.main([dev, "--work", str(tmp_path / "work"), "--passages", "21"])
    assert "--passages is 21; read 1 to 20" in capsys.readouterr().err


def test_what_one_reading_tells_of_others() -> None:
    texts = list(ASKED)
    asked = questions()
    read, _ = ours({**SPEC, "answers": 1000})
    found = read([Asked(q.example.question, [texts[n] for n in q.passages]) for q in asked])
    kept = {
        q.example.id: {"answers": answers.found, "read": answers.read}
        for q, answers in zip(asked, found, strict=True)
    }
    reader = load_reader(device="cpu", precision="fp32")
    whole = first_answers(asked, kept, prior=True)
    for question, answers in zip(asked, whole, strict=True):
        passages = [
            Passage(str(place), 0, texts[number], prior)
            for place, (number, prior) in enumerate(
                zip(question.passages, question.priors, strict=True)
            )
        ]
        spans = reader.read(question.example.question, passages, top_k=3)
        assert answers == [span.text for span in spans]
    assert whole != first_answers(asked, kept)

    rounds = in_rounds(asked, kept)
    ceiling = choose_ceiling(rounds, 1)
    stop, _ = until({**SPEC, "answers": 3, "round": 1})
    fewer = stop(
        [
            Asked(q.example.question, [texts[n] for n in q.passages], q.priors, ceiling)
            for q in asked
        ]
    )
    assert [(one.found[0].text, one.read) for one in fewer] == [
        stopped(one, ceiling, 1) for one in rounds
    ]
    assert any(one.read < 4 for one in fewer)


def test_the_best_of_three_counts() -> None:
    asked = questions()
    answers = [["five years", "x"], ["x", "y", "at noon"], ["x", "y", "z", "second floor"], []]
    found = scores(asked, answers)
    expected = np.zeros((4, 4))
    expected[0] = 1
    expected[1, 3] = 2 / 3  # a third answer counts, a fourth does not
    assert np.allclose(found, expected)
