from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from reader.errors import DatasetError
from reader.metrics import exact_match, f1, normalise_answer, squad_scores, squad_v1_scores
from reader.squad import Example, GoldAnswer, load_squad, spread


def dataset(**changes: Any) -> dict[str, Any]:
    qa = {"id": "q1", "question": "How long?", "answers": [{"text": "12 hours", "answer_start": 4}]}
    qa.update(changes)
    context = "For 12 hours."
    return {"data": [{"title": "T", "paragraphs": [{"context": context, "qas": [qa]}]}]}


def test_plain_and_compressed_files_load(tmp_path: Path) -> None:
    plain, packed = tmp_path / "d.json", tmp_path / "d.json.xz"
    plain.write_text(json.dumps(dataset()))
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    expected = [Example("q1", "How long?", "For 12 hours.", (GoldAnswer("12 hours", 4),))]
    assert load_squad(plain) == load_squad(packed) == expected


def test_an_impossible_question_has_no_answers(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps(dataset(is_impossible=True)))
    assert load_squad(path)[0].answers == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: line 1, column 2"),
        ("[]", 'the field "data" is missing'),
        (json.dumps({"data": [{}]}), r'data\[0\]: the field "paragraphs"'),
        (json.dumps(dataset(question=5)), r'qas\[0\]: "question" is int, expected str'),
        (json.dumps(dataset(answers=[{"text": "x"}])), '"answer_start" is missing'),
        (
            json.dumps(dataset(answers=[{"text": "x", "answer_start": 99}])),
            "answer_start 99 with 1 characters does not lie in the context of 13",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_squad(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        load_squad(tmp_path / "nowhere.json")
    broken = tmp_path / "d.json.xz"
    broken.write_bytes(lzma.compress(b"{}" * 1000)[:30])
    with pytest.raises(DatasetError, match="not a whole xz file"):
        load_squad(broken)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat, and a dog!", "cat and dog"),
        ("an apple-pie", "applepie"),
        ("THE", ""),
        ("90 %", "90"),
        ("“quoted”", "“quoted”"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise_answer(text) == expected


def test_f1_and_exact_match() -> None:
    assert exact_match("the 12 hours", "12 hours.") == 1.0
    assert f1("up to 12 hours", "12 hours") == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert f1("a b b", "b c") == pytest.approx(2 * (1 / 2) * (1 / 2) / 1)
    assert f1("the", "the") == 1.0
    assert f1("x", "") == 0.0


def example(number: int, *answers: str) -> Example:
    return Example(f"q{number}", "?", " ".join(answers), tuple(GoldAnswer(a, 0) for a in answers))


def test_the_figures_of_squad_1() -> None:
    examples = [example(1, "12 hours", "twelve hours"), example(2, "Lena Holm"), example(3, "x")]
    scores = squad_scores(examples, {"q1": "twelve hours", "q2": "Lena"})
    assert scores["exact"] == pytest.approx(100 / 3)
    assert scores["f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert scores["total"] == scores["HasAns_total"] == 3
    assert scores["best_f1"] == pytest.approx(scores["f1"])
    assert list(scores) == [
        "exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total",
        "best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh",
    ]  # fmt: skip


def test_unanswerable_questions_and_the_best_threshold() -> None:
    examples = [example(1, "yes"), example(2), example(3), example(4, "no")]
    predictions = {"q1": "yes", "q2": "", "q3": "wrong", "q4": "no"}
    odds = {"q1": -3.0, "q2": 2.0, "q3": 0.5, "q4": -1.0}
    scores = squad_scores(examples, predictions, odds)
    assert scores["exact"] == 75.0
    assert (scores["NoAns_exact"], scores["NoAns_total"]) == (50.0, 2)
    # Refusing whatever is less likely than q4 gets all four right.
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100.0, -1.0)


# The edges of the two scripts, worked by hand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A.B. the-C", "ab thec"),  # punctuation goes first, and glues what it parted
        ("a theatre", "theatre"),  # articles are whole words
        ("the\u00a0end\u2003\n", "end"),  # every white space of Unicode is one space
        ("Straße ÄÖ", "straße äö"),  # lower case, no folding
        ("_an_", ""),  # the underscore is punctuation, and what it hid an article
        ("¿qué?", "¿qué"),  # punctuation outside ASCII stays
        ("$5,000.00", "500000"),
    ],
)
def test_normalisation_at_its_edges(text: str, expected: str) -> None:
    assert normalise_answer(text) == expected


def test_answers_of_which_nothing_is_left() -> None:
    examples = [example(1, "The"), example(2, "?", "12 hours")]
    # 2.0: "The" leaves no reference, so "" is right; "?" is left out beside another reference.
    assert squad_scores(examples, {"q1": "", "q2": "!"})["exact"] == 50.0
    assert squad_scores(examples, {"q1": "a", "q2": "12 hours"})["f1"] == 100.0
    # It still counts as answerable.
    assert squad_scores(examples, {})["HasAns_total"] == 2
    # 1.1: every reference counts, and two empty texts match exactly with F1 0.
    assert squad_v1_scores(examples, {"q1": "a", "q2": "!"}) == {"exact_match": 100.0, "f1": 0.0}


def test_the_figures_of_the_first_script() -> None:
    examples = [example(1, "12 hours", "twelve hours"), example(2, "Lena Holm"), example(3, "x")]
    scores = squad_v1_scores(examples, {"q1": "Twelve hours!", "q2": "Lena", "more": "ignored"})
    assert scores["exact_match"] == pytest.approx(100 / 3)
    assert scores["f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert list(scores) == ["exact_match", "f1"]
    assert squad_v1_scores([], {}) == {"exact_match": 0.0, "f1": 0.0}
    with pytest.raises(DatasetError, match='"q4" has no answers'):
        squad_v1_scores([example(4)], {"q4": ""})


def test_a_question_without_a_prediction_scores_nothing() -> None:
    examples = [example(1, "yes"), example(2)]
    scores = squad_scores(examples, {})
    assert (scores["exact"], scores["HasAns_exact"], scores["NoAns_exact"]) == (0.0, 0.0, 0.0)
    assert scores["total"] == 2
    assert squad_scores(examples, {"q2": ""})["NoAns_exact"] == 100.0


def test_the_best_of_several_references_counts_for_each_figure_alone() -> None:
    # F1 with "a b c d" is 2/3, with "b x" 1/2; neither matches exactly.
    scores = squad_scores([example(1, "k b c d", "b x")], {"q1": "b c"})
    assert scores["exact"] == 0.0
    assert scores["f1"] == pytest.approx(100 * 2 / 3)


def test_answers_above_the_threshold_count_as_none() -> None:
    examples = [example(1, "yes"), example(2), example(3, "no")]
    predictions, odds = {"q1": "yes", "q2": "x", "q3": "no"}, {"q1": 0.1, "q2": 0.9, "q3": 0.8}
    at = [
        squad_scores(examples, predictions, odds, threshold=t)["exact"] for t in (1.0, 0.9, 0.8, 0)
    ]
    assert at == pytest.approx([200 / 3, 200 / 3, 100.0, 100 / 3])
    # The search looks at the answers before the threshold.
    for threshold in (1.0, 0.0):
        found = squad_scores(examples, predictions, odds, threshold=threshold)
        assert (found["best_exact"], found["best_exact_thresh"]) == (100.0, 0.8)
        assert (found["best_f1"], found["best_f1_thresh"]) == (100.0, 0.8)


def test_refusing_everything_can_be_the_best() -> None:
    found = squad_scores([example(1), example(2)], {"q1": "x", "q2": "y"}, {"q1": 1.0, "q2": 2.0})
    assert (found["exact"], found["best_exact"], found["best_exact_thresh"]) == (0.0, 100.0, 0.0)


def test_questions_are_taken_from_all_over_the_file() -> None:
    examples = [Example(name, "who?", "", ()) for name in "abcd"]
    assert [example.id for example in spread(examples, 2)] == ["a", "c"]
    assert [example.id for example in spread(examples, 3)] == ["a", "b", "c"]
    assert spread(examples, 0) == spread(examples, 9) == examples
