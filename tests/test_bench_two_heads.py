"""What one network for both gives and costs: the command at a tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import recipe_data, two_heads
from reader.ranker import load_ranker
from tests.reader_models import checkpoint
from tests.squad_files import write_squad
from tests.test_recipe import PARAGRAPHS


def test_both_trainings_are_scored_and_their_vectors_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    train, _ = recipe_data.READER_SETS["SQuAD 1.1 train, reconstructed"]
    for name in (train, recipe_data.DEV, recipe_data.QED):
        write_squad(data / f"{name}.json", PARAGRAPHS)
    start = checkpoint(tmp_path / "start", head=False)
    words = f"--data {data} --start {start} --out {out} --questions 3 --device cpu".split()
    two_heads.main(words)
    shown = capsys.readouterr().out
    report = json.loads((out / "two-heads.json").read_text())
    assert report["questions"] == 3
    alone, both = (report["trainings"][name] for name in ("reading alone", "two heads"))
    assert (alone["ranking"], both["ranking"]) == (0.0, 1.0)
    assert alone["steps"] == both["steps"] == 1
    assert both["cost"] > 0
    assert f"| two heads | {both['scores']['f1']:.2f} | {both['cost']} |" in shown
    exact, f1 = report["two heads less reading alone"]
    assert (exact["metric"], f1["metric"]) == ("exact", "f1")
    assert f1["difference"] == pytest.approx(both["scores"]["f1"] - alone["scores"]["f1"])
    for found in report["ranking"].values():
        assert (found["questions"], found["passages"]) == (3, 3)
        assert found["gain over the start weights"]["start weights"]["success@1"] == [0, 0, 0]
        assert set(found["vectors"]) == {"start weights", "reading alone", "two heads"}
    load_ranker(out / "two-heads" / "model", device="cpu")
    # Given again, it trains no more and finds the same.
    two_heads.main(words)
    again = json.loads((out / "two-heads.json").read_text())
    assert again["trainings"]["two heads"]["cost"] is None
    assert again["ranking"] == report["ranking"]
