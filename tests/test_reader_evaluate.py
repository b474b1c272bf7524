"""What evaluation writes of a reader's answers, and what the files score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reader.evaluate import (
    evaluate,
    load_no_answer,
    load_predictions,
    refused,
    save_n_best,
    save_no_answer,
    save_predictions,
)
from reader.features import Window
from reader.metrics import squad_scores
from reader.reader import Passage, Reader, ReaderOptions
from reader.squad import Example, GoldAnswer
from tests.reader_models import tokenizer

TOKENS = tokenizer()


class ByWord:
    """Logits of words wherever they stand, and a null score for windows that hold a word.

    ``marks`` gives a word's start and end logit, ``nulls`` half of the null score; the words are
    whole pieces.
    """

    def __init__(
        self, marks: Mapping[str, tuple[float, float]], nulls: Mapping[str, float] | None = None
    ) -> None:
        self._marks = {TOKENS.pieces(word).ids[0]: pair for word, pair in marks.items()}
        self._nulls = {TOKENS.pieces(word).ids[0]: half for word, half in (nulls or {}).items()}

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shape = (2, len(batch), max(len(window) for window in batch))
        logits = np.zeros(shape, dtype=np.float32)
        for row, window in enumerate(batch):
            for place, piece in enumerate(window.ids[window.first : -1], start=window.first):
                logits[:, row, place] = self._marks.get(piece, (-9.0, -9.0))
                if piece in self._nulls:
                    logits[:, row, 0] = self._nulls[piece]
        return logits[0], logits[1]


def example(name: str, context: str, answer: str = "") -> Example:
    golds = (GoldAnswer(answer, context.index(answer)),) if answer else ()
    return Example(name, "who?", context, golds)


# Spans as they were proposed


def test_candidates_overlap_and_each_text_comes_once() -> None:
    reader = Reader(TOKENS, ByWord({"code": (5, 1), "valid": (4, 4), "hours": (0, 3)}))
    text = "code is valid for hours code"
    (found,) = reader.candidates([("who?", [Passage("a", 10, text)])], top_k=7)
    shown = [(span.text, span.start, span.end, span.score) for span in found.spans[:3]]
    assert shown == [
        ("code is valid", 10, 23, 9.0),
        ("code is valid for hours", 10, 33, 8.0),
        ("valid", 18, 23, 8.0),
    ]
    texts = [span.text for span in found.spans]
    assert len(texts) == len(set(texts)) == 7
    # Once, though it stands at both ends, and where it was found first.
    assert (texts.index("code"), found.spans[4].start) == (4, 10)
    assert found.spans == sorted(found.spans, key=lambda span: -span.score)
    # Each has its own probability alone.
    ratio = found.spans[0].probability / found.spans[1].probability
    assert ratio == pytest.approx(math.exp(1.0))
    best, *_ = reader.read("who?", [Passage("a", 10, text)])
    assert (best.text, best.start, best.score) == ("code is valid", 10, 9.0)
    assert best.probability > found.spans[0].probability


def test_there_are_as_many_candidates_as_are_wanted_or_can_be() -> None:
    reader = Reader(TOKENS, ByWord({}))
    text = "abcdef the code is valid for hours days token vpn reset ask"
    asked = [("who?", [Passage("a", 0, text)]), ("who?", [Passage("b", 0, "the code")])]
    many, few = reader.candidates(asked, top_k=20)
    assert len(many.spans) == 20
    assert sorted(span.text for span in few.spans) == ["code", "the", "the code"]
    (nothing,) = reader.candidates([("who?", [])])
    assert (nothing.spans, nothing.null_score) == ([], math.inf)


def test_no_answer_scores_what_the_window_that_believes_least_in_it_says() -> None:
    text = "code " + "ask who " * 30 + "vpn " + "ask who " * 30 + "token"
    nulls = {"code": 2.0, "vpn": -3.0, "token": 1.0}
    reader = Reader(
        TOKENS,
        ByWord({"code": (5, 5)}, nulls),
        options=ReaderOptions(max_length=48, overlap=4),
    )
    passages = [Passage("a", 0, text, prior=0.5)]
    (found,) = reader.candidates([("who?", passages)], top_k=3)
    assert found.null_score == -6.0 + 0.5
    # Beside a span stands what its own window says, also where a passage has a prior.
    best = found.spans[0]
    assert (best.text, best.score, best.null_score) == ("code", 10.5, 4.5)
    assert reader.read("who?", passages)[0].null_score == 4.5


# Files of predictions


MIXED = [
    example("right", "the code is valid", "code"),
    example("doubted", "the token is valid", "token"),
    example("none", "the hours"),
    example("none too", "the days"),
]
MARKS = {"code": (5.0, 5.0), "token": (1.0, 1.0), "hours": (2.0, 2.0), "days": (1.0, 1.0)}
NULLS = {"code": 1.0, "token": 3.0, "hours": 2.5, "days": 4.0}  # odds -8, 4, 1, 6


def mixed_reader() -> Reader:
    return Reader(TOKENS, ByWord(MARKS, NULLS))


def test_the_best_answers_stay_where_no_answer_is_likelier() -> None:
    found = evaluate(mixed_reader(), MIXED)
    assert found.predictions == {
        "right": "code", "doubted": "token", "none": "hours", "none too": "days"
    }  # fmt: skip
    assert found.no_answer == {"right": -8.0, "doubted": 4.0, "none": 1.0, "none too": 6.0}
    assert found.scores["exact"] == 75.0
    assert refused(found.predictions, found.no_answer, 0.0) == {
        "right": "code", "doubted": "", "none": "", "none too": ""
    }  # fmt: skip
    assert refused(found.predictions, found.no_answer, 4.0)["doubted"] == "token"
    assert refused(found.predictions, {}, 0.0) == found.predictions


@pytest.mark.parametrize(("threshold", "exact"), [(-9.0, 50.0), (0.0, 75.0), (4.0, 75.0)])
def test_the_files_score_what_the_evaluation_did(
    tmp_path: Path, threshold: float, exact: float
) -> None:
    # Of a reader that refuses too much: only a threshold above 0 gets all but one right.
    found = evaluate(mixed_reader(), MIXED, threshold=threshold)
    assert found.scores["exact"] == exact
    assert (found.scores["best_exact"], found.scores["best_exact_thresh"]) == (75.0, -8.0)
    save_predictions(found.predictions, tmp_path / "a.json")
    save_no_answer(found.no_answer, tmp_path / "odds.json")
    again = squad_scores(
        MIXED,
        load_predictions(tmp_path / "a.json"),
        load_no_answer(tmp_path / "odds.json"),
        threshold=threshold,
    )
    assert again == found.scores


def test_a_threshold_that_the_files_find_is_the_best_one(tmp_path: Path) -> None:
    # Both answers are refused at 0 and right at 6: the search must still see them.
    nulls = {"code": 8.0, "token": 4.0, "hours": 6.0, "days": 9.0}
    found = evaluate(Reader(TOKENS, ByWord(MARKS, nulls)), MIXED[:2] + MIXED[3:])
    assert found.no_answer == {"right": 6.0, "doubted": 6.0, "none too": 16.0}
    assert found.scores["exact"] == pytest.approx(100 / 3)
    save_predictions(found.predictions, tmp_path / "a.json")
    saved = load_predictions(tmp_path / "a.json")
    again = squad_scores(MIXED[:2] + MIXED[3:], saved, found.no_answer, threshold=0.0)
    assert (again["best_exact"], again["best_exact_thresh"]) == (100.0, 6.0)
    assert again == found.scores


def test_the_null_score_of_all_windows_decides() -> None:
    long = "code " + "ask who " * 40 + "vpn"
    options = ReaderOptions(max_length=48, overlap=4)
    # The window of the answer says no by 2, another one says yes.
    reader = Reader(TOKENS, ByWord({"code": (5, 5)}, {"code": 6.0, "vpn": -1.0}), options=options)
    found = evaluate(reader, [example("a", long, "code"), example("b", "vpn")])
    assert found.no_answer["a"] == -12.0
    assert found.scores["HasAns_exact"] == 100.0


def test_where_every_question_has_an_answer_none_is_refused() -> None:
    found = evaluate(mixed_reader(), MIXED[:2])
    assert found.no_answer == {"right": 0.0, "doubted": 0.0}
    assert found.scores["exact"] == 100.0


def test_the_candidates_of_each_question_are_written(tmp_path: Path) -> None:
    found = evaluate(mixed_reader(), MIXED, n_best=20)
    assert found.predictions == evaluate(mixed_reader(), MIXED).predictions
    save_n_best(found.n_best, tmp_path / "n.json")
    record = json.loads((tmp_path / "n.json").read_text())
    assert list(record) == [one.id for one in MIXED]
    for one in MIXED:
        spans = record[one.id]
        words = len(one.context.split())
        assert len(spans) == words * (words + 1) // 2  # every run of words
        assert spans[0]["text"] == found.predictions[one.id]
        assert all(one.context[s["start"] : s["end"]] == s["text"] for s in spans)
        assert [s["score"] for s in spans] == sorted((s["score"] for s in spans), reverse=True)
        assert sum(s["probability"] for s in spans) == pytest.approx(1.0)
