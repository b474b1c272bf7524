"""SQuAD files of a few questions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write_squad(path: Path, paragraphs: Mapping[str, tuple[str, str]]) -> None:
    """Write a file of paragraphs, each with its question and the answer in it."""
    written = [
        {
            "context": context,
            "qas": [
                {
                    "id": f"{path.name}-{number}",
                    "question": question,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                }
            ],
        }
        for number, (context, (question, answer)) in enumerate(paragraphs.items())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": [{"paragraphs": written}]}), encoding="utf-8")
