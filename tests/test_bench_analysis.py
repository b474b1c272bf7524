from __future__ import annotations

import json
import lzma
import random
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench import analysis
from bench.analysis import ranks, values
from bench.question_sets import Collection
from bench.sparse import Sparse, feedback, near_duplicates, neighbours
from retriever.okapi import OkapiIndex
from tests.index_parts import random_passages


def test_its_scores_are_those_of_the_index() -> None:
    passages = random_passages(random.Random(3), 200, vocabulary=500)
    index = Sparse([passage.terms for passage in passages])
    okapi = OkapiIndex(passages, encoder=None, content_version=0)
    for terms in (["t7", "t90", "t90"], ["t400"], ["nowhere"]):
        expected = okapi.scores(terms)
        assert np.allclose(index.scores(Counter(terms)), expected)


def test_the_first_right_passage_counts_and_ties_go_by_order() -> None:
    scores = np.array([1.0, 3.0, 2.0, 2.0, 0.0])
    right = tuple(np.array(numbers) for numbers in ([3, 0], [1], [4]))
    collection = Collection((), ("a", "b", "c"), right, np.array([0, 0, 1, 1, 2]))
    places = ranks(collection, lambda _: scores)
    assert places[:2].tolist() == [2, 0]
    assert values(places).tolist()[0] == pytest.approx([0, 1, 1, 1 / 3])
    assert values(places).tolist()[2] == [0, 0, 0, 0]  # without a word of the question
    same = np.array([0, 1, 2, 2, 4])
    assert ranks(collection, lambda _: scores, same)[0] == 1
    by_document = Collection((), ("a",), (np.array([3]),), collection.documents, True)
    assert ranks(by_document, lambda _: scores).tolist() == [1]


def test_feedback_brings_the_words_of_what_was_found() -> None:
    passages = [["vpn", "tunnel"], ["vpn", "tunnel"], *(["lunch", f"day{n}"] for n in range(9))]
    wider = feedback(Sparse(passages), passages, {"vpn": 1.0}, 0.3)
    assert wider["tunnel"] > 0
    assert sum(wider.values()) == pytest.approx(1.3)
    assert "lunch" not in wider


def test_neighbours() -> None:
    assert neighbours(["b", "a", "c"], 1) == ["b a", "a c"]
    assert neighbours(["b", "a", "c"], 2) == ["a b", "b c", "a c"]


def test_what_nearly_repeats_another_is_known() -> None:
    text = "the quick brown fox jumps over the lazy dog at noon every day".split()
    other = "nothing here is like what stands above in any of its words".split()
    assert near_duplicates([text, other, [*text[1:], "again"], other]).tolist() == [0, 1, 0, 1]


def test_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("squad", "qa", "kb"):
        (tmp_path / folder).mkdir()
    asked = {
        "The VPN needs a token.": "which tokens",
        "Lunch is at noon.": "lunch",
        "Ask the desk.": "desk",
        "Printers are upstairs.": "printers",
    }
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": text,
                    "question": question,
                    "answers": [{"text": text[:3], "answer_start": 0}],
                }
            ],
        }
        for text, question in asked.items()
    ]
    data = json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})
    for name in ("squad/dev-v1.1", "squad/train-reconstructed-v1.1", "qa/qed-nq-dev"):
        (tmp_path / f"{name}.json.xz").write_bytes(lzma.compress(data.encode()))
    page = tmp_path / "page.md"
    page.write_text(
        "# VPN\n\n## Tokens\n\nEvery one lasts.\n\n## Desk\n\nFloor two.\n\n## Lunch\n\nAt noon.\n"
    )
    with tarfile.open(tmp_path / "kb" / "book.tar.xz", "w:xz") as packed:
        packed.add(page, "book/page.md")
    questions = tmp_path / "ours.jsonl"
    # With a line separator, which ends no line.
    asked_for = "how long is\u2028a token good"
    record = {"kb": "book", "question": asked_for, "documents": ["page.md"]}
    questions.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    arguments = ["--data", str(tmp_path), "--results", str(tmp_path), "--questions", str(questions)]
    analysis.main(arguments)
    report = json.loads((tmp_path / "analysis.json").read_text())
    assert list(report) == list(analysis.COLLECTIONS)
    squad = report["SQuAD-dev-open"]
    assert squad["defaults"]["success@1"][0] == 100
    assert squad["bare"]["success@1"][0] == 25  # without stems, and with "Lunch" not "lunch"
    assert squad["left_out"]["stemming"]["success@1"][0] == 25
    assert report["headings"]["questions"] == 2  # the first is of a passage under the title
    assert report["colleagues"]["questions"] == 1
    assert "left out: stemming" in capsys.readouterr().out
