"""The masking experiment: its comparison worked out by hand, and the whole of it at a tiny size."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.masking_experiment import compare, main, paired_interval
from reader.squad import Example, GoldAnswer
from tests.reader_models import checkpoint

CONTEXT = "the code is valid for 12 hours"
DEV = [Example(name, "how many hours?", CONTEXT, (GoldAnswer("12 hours", 22),)) for name in "abcd"]


def result(arm: str, seed: int, *answers: str) -> dict[str, Any]:
    predictions = dict(zip("abcd", answers, strict=True))
    return {
        "arm": arm, "seed": seed, "scores": {"f1": 0.0}, "machine": {}, "last_report": {},
        "predictions": predictions,
    }  # fmt: skip


def test_the_difference_is_of_the_same_questions_and_seeds() -> None:
    right, wrong = "12 hours", "the code"
    report = compare(
        [
            result("spans", 1, right, right, right, wrong),
            result("pieces", 1, right, wrong, wrong, wrong),
            result("spans", 2, right, right, wrong, wrong),
            result("pieces", 2, right, right, wrong, wrong),
            result("spans", 3, right, right, right, right),  # its pair is not there yet
        ],
        DEV,
    )
    assert report["seeds"] == [1, 2]
    for name in ("f1", "exact"):
        found = report["difference"][name]
        assert {seed: one["mean"] for seed, one in found["by_seed"].items()} == {"1": 50, "2": 0}
        assert found["mean"] == 25
        low, high = found["interval_95"]
        assert low <= 25 <= high
        assert found["by_seed"]["2"]["interval_95"] == (0, 0)
    assert compare([result("spans", 1, *"abcd")], DEV)["difference"] == {}


def test_the_interval_is_that_of_the_mean() -> None:
    """1,000 draws of deviation 10: the mean's error is 0.316, the interval 1.96 of it each way."""
    values = np.random.default_rng(1).normal(0, 10, size=1000)
    low, high = paired_interval(values, np.random.default_rng(2))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.05)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 1000**0.5, rel=0.05)


def test_the_whole_experiment_at_a_tiny_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = checkpoint(tmp_path / "start")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the code is valid for hours\n\nask who is valid\n" * 30, "utf-8")
    qas = [
        {"id": name, "question": "how many hours?",
         "answers": [{"text": "12 hours", "answer_start": 22}]}
        for name in "ab"
    ]  # fmt: skip
    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas}]}]}))
    words = (
        f"--start {start} --corpus {corpus} --train {squad} --dev {squad} --out {tmp_path / 'out'} "
        "--device cpu --steps 2 --rows 2 --length 16 --seeds 1 --save-every 1"
    ).split()

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["masking_experiment", *words, *more])
        main()
        return capsys.readouterr().err

    assert "The time is up" in run("--minutes", "0")
    results = tmp_path / "out" / "results"
    assert list(results.iterdir()) == []
    run()
    report = json.loads((results / "masking.json").read_text())
    assert report["complete"] is True
    assert set(report["difference"]["f1"]["by_seed"]) == {"1"}
    assert (results / "masking.png").read_bytes().startswith(b"\x89PNG")
    assert run() == ""  # all is there: nothing is trained again
    with pytest.raises(SystemExit, match="another recipe"):
        run("--epochs", "2")
