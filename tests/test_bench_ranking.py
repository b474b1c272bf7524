from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import ranking


def test_it_says_how_often_a_question_finds_its_own_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paragraphs = [
        ("The warranty lasts five years from the date of delivery.", "how long is the guarantee"),
        ("Lunch is served at noon in the canteen.", "when is lunch served"),
        ("Printers stand on the second floor.", "where can i print"),
    ]
    data = [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": text,
                    "qas": [
                        {
                            "id": str(number),
                            "question": question,
                            "answers": [{"text": text[:3], "answer_start": 0}],
                        }
                    ],
                }
                for number, (text, question) in enumerate(paragraphs)
            ],
        }
    ]
    (tmp_path / "own.json").write_text(json.dumps({"version": "1.1", "data": data}))
    ranking.main([str(tmp_path / "own.json"), "--out", str(tmp_path / "out.json")])
    report = json.loads((tmp_path / "out.json").read_text())
    own = report["own"]
    assert "| both | 100.0 (100.0 to 100.0) |" in capsys.readouterr().out
    assert (own["passages"], own["questions"]) == (3, 3)
    ways = own["ways"]
    assert ways["both"]["success@1"] == [1.0, 1.0, 1.0]
    assert ways["vectors"]["success@1"][0] == 1.0
    # "guarantee" and "print" are no words of their paragraphs: BM25 finds one question's alone,
    # and so does whoever ranks nothing else.
    assert ways["BM25"]["success@5"][0] == pytest.approx(1 / 3, abs=1e-3)
    assert ways["both, of BM25's first 100"]["success@5"][0] == pytest.approx(1 / 3, abs=1e-3)
    assert own["gain over BM25"]["both"]["success@1"][0] == pytest.approx(2 / 3, abs=1e-3)
