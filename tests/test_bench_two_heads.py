"""What one network for both gives and costs: the command at a tiny size."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from bench import recipe_data, two_heads
from reader.ranker import load_ranker
from tests.reader_models import checkpoint
from tests.squad_files import write_squad
from tests.test_recipe import HANDBOOK, PARAGRAPHS, written

ASKED = [
    ("book", "how long is the token good for", ["leave.md"], True),
    ("book", "vpn broken what now", ["vpn.md"], True),
    ("book", "may i bring a dog", [], False),
    ("other", "who has the code", ["leave.md"], True),
]


def test_both_trainings_are_scored_and_their_vectors_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    train, _ = recipe_data.READER_SETS["SQuAD 1.1 train, reconstructed"]
    for name in (train, recipe_data.DEV, recipe_data.QED):
        write_squad(data / f"{name}.json", PARAGRAPHS)
    start = checkpoint(tmp_path / "start", head=False)
    archive, asked = tmp_path / "book.tar.xz", tmp_path / "asked.jsonl"
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(written(tmp_path / "book", HANDBOOK), "book")
    keys = ("kb", "question", "documents", "answerable")
    asked.write_text("".join(json.dumps(dict(zip(keys, a, strict=True))) + "\n" for a in ASKED))
    words = f"--data {data} --start {start} --out {out} --questions 3 --device cpu".split()
    words += ["--handbooks", str(archive), "--asked", str(asked)]
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
    assert list(report["ranking"]) == ["dev-v1.1", "qed-nq-dev", "handbooks"]
    sizes = {name: (f["questions"], f["passages"]) for name, f in report["ranking"].items()}
    assert sizes == {"dev-v1.1": (3, 3), "qed-nq-dev": (3, 3), "handbooks": (2, 4)}
    # There are two documents: whatever the order of the four passages, both are among the first 5.
    assert report["ranking"]["handbooks"]["vectors"]["two heads"]["success@5"] == [1, 1, 1]
    assert "handbooks: vectors, success@5" in shown
    for found in report["ranking"].values():
        assert found["gain over the start weights"]["start weights"]["success@1"] == [0, 0, 0]
        assert set(found["vectors"]) == {"start weights", "reading alone", "two heads"}
    load_ranker(out / "two-heads" / "model", device="cpu")
    # Given again, it trains no more and finds the same.
    two_heads.main(words)
    again = json.loads((out / "two-heads.json").read_text())
    assert again["trainings"]["two heads"]["cost"] is None
    assert again["ranking"] == report["ranking"]


def test_what_is_missing_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    train, _ = recipe_data.READER_SETS["SQuAD 1.1 train, reconstructed"]
    for name in (train, recipe_data.DEV):
        write_squad(data / f"{name}.json", PARAGRAPHS)
    start = checkpoint(tmp_path / "start", head=False)
    words = f"--data {data} --start {start} --out {out} --device cpu".split()
    with pytest.raises(SystemExit, match=r"there is no .*qed-nq-dev\.json\.xz"):
        two_heads.main(words)
    write_squad(data / f"{recipe_data.QED}.json", PARAGRAPHS)
    archive, asked = tmp_path / "book.tar.xz", tmp_path / "asked.jsonl"
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(written(tmp_path / "book", HANDBOOK), "book")
    asked.write_text('{"kb": "other", "question": "who", "documents": ["leave.md"]}\n')
    with pytest.raises(SystemExit, match=r"no question in .*asked\.jsonl is on a document of"):
        two_heads.main([*words, "--handbooks", str(archive), "--asked", str(asked)])
    asked.write_text('{"kb": "book", "question": "who", "documents": []}\n{"kb": "book"}\n')
    with pytest.raises(SystemExit, match=r"asked\.jsonl, line 2: no question with .*'question'"):
        two_heads.main([*words, "--handbooks", str(archive), "--asked", str(asked)])
    assert list(out.iterdir()) == []
