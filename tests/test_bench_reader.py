"""The benchmark of readers: what it reads, what it prints, and one engine for real."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.reader import Row, draw, measure, passages, table, with_ratios
from bench.rounds import Asked, outcome, stopped
from reader.bert import Shape
from reader.reader import Passage, Span
from reader.squad import Example, GoldAnswer
from reader.throughput import forward_flops
from tests.reader_models import checkpoint

ROWS = [
    Row("m", "cpu", "pipeline, fp32", passages_per_second=10.0),
    Row("m", "cpu", "spanbot, int8", passages_per_second=25.0, f1=77.9),
    Row("m", "cpu", "Haystack, fp32"),
]


def squad(path: Path) -> Path:
    paragraphs = [
        {
            "context": " ".join(f"w{number}{index}" for index in range(30)),
            "qas": [
                {
                    "id": f"q{number}",
                    "question": f"what is {number}",
                    "answers": [{"text": f"w{number}0", "answer_start": 0}],
                }
            ],
        }
        for number in range(4)
    ]
    path.write_text(
        json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})
    )
    return path


def test_passages_have_the_words_that_were_asked_for(tmp_path: Path) -> None:
    found = passages(squad(tmp_path / "dev.json"), questions=2, count=3, words=25)
    assert [question for question, _ in found] == ["what is 0", "what is 2"]
    for _, texts in found:
        assert [len(text.split()) for text in texts] == [25, 25, 25]
    assert found[1][1][0].startswith("w20 w21")


def test_ratios_are_to_the_pipeline_and_nothing_is_estimated(tmp_path: Path) -> None:
    rows = with_ratios(ROWS)
    assert [row.ratio for row in rows] == [1.0, 2.5, None]
    assert [row.ratio for row in with_ratios(ROWS[1:])] == [None, None]
    lines = table(rows).splitlines()
    assert lines[3].startswith("| m | cpu | spanbot, int8 | 25.0 | 2.50 | not measured |")
    assert lines[4].count("not measured") == 5
    draw(rows, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_an_engine_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    spec = {
        "model": str(checkpoint(tmp_path / "m")),
        "device": "cpu",
        "precision": "fp32",
        "together": False,
        "threads": 1,
        "repeats": 3,
        "questions": [["who?", ["ask the code", "the vpn token"]]],
    }
    record = measure(sys.executable, "ours", spec, tmp_path)
    assert len(record["seconds"]) == 3
    assert record["threads"] == 1
    assert record["answers"][0]
    assert record["answers"][0] in "ask the code the vpn token"
    with pytest.raises(RuntimeError, match=r"ours with .* failed"):
        measure(sys.executable, "ours", {**spec, "model": str(tmp_path / "none")}, tmp_path)


def test_arithmetic_of_reading() -> None:
    shape = Shape(
        layers=2, hidden=4, heads=1, inner=8, vocabulary=9, positions=9, types=2,
        epsilon=0.1, activation="gelu",
    )  # fmt: skip
    # A piece of a text of 3: four 4x4 maps, two 4x8 maps, and 3 products of length 4 twice.
    assert forward_flops(shape, [3]) == 2 * 3 * 2 * (4 * 16 + 2 * 32 + 2 * 3 * 4)
    assert forward_flops(shape, [3, 3]) == 2 * forward_flops(shape, [3])


def test_what_a_ceiling_would_have_read() -> None:
    def span(number: int, score: float) -> Span:
        return Span(number, str(number), 0, 1, f"answer {number}", score, 0.0, 0.5)

    example = Example("q", "who?", "answer 1", (GoldAnswer("answer 1", 0),))
    kept = [Passage(str(number), 0, "x", prior=-float(number)) for number in range(3)]
    one = Asked(example, kept, [span(0, 7.0), span(1, 9.0), None])
    assert stopped(one, None, 1) == ("answer 1", 3)
    assert stopped(one, 10.0, 1) == ("answer 1", 2)  # 9 is not beaten by 10 - 2; 7 is by 10 - 1
    assert stopped(one, 8.0, 1) == ("answer 0", 1)
    assert stopped(one, 8.0, 2) == ("answer 1", 2)
    found = outcome([one], 8.0, 1)
    assert (found.passages, found.exact, found.same) == (1.0, 0.0, 0.0)
    assert outcome([one], None, 1).f1 == 100.0
