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
    assert json.loads(capsys.readouterr().out) == report
    own = report["own"]
    assert (own["paragraphs"], own["questions"]) == (3, 3)
    assert own["both"]["success@1"] == [1.0, 1.0, 1.0]
    assert own["vectors"]["success@1"][0] == 1.0
    assert own["BM25"]["success@5"][0] == 1.0
