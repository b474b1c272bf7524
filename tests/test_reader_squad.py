from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from reader.errors import DatasetError
from reader.groups import load_training
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
    expected = [Example("q1", "How long?", "For 12 hours.", (GoldAnswer("12 hours", 4),), "T")]
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
        ("[" * 100_000, "d.json cannot be read: its brackets are nested too deeply"),
        ('{"data": ' + "9" * 5000 + "}", "d.json cannot be read: a number in it is too long"),
        (json.dumps({"data": [{}]}), r'data\[0\]: the field "paragraphs"'),
        (json.dumps(dataset(question=5)), r'qas\[0\]: "question" is int, expected str'),
        (json.dumps(dataset(answers=[{"text": "x"}])), '"answer_start" is missing'),
        (
            json.dumps(dataset(answers=[{"text": "x", "answer_start": 99}])),
            "answer_start 99 with 1 characters does not lie in the context of 13",
        ),
        (
            json.dumps(dataset(question="\ud800 what")),
            r'line 1, column \d+: .*qas\[0\]: "question" holds \\ud800 at character 0, ',
        ),
        (
            json.dumps(dataset(answers=[{"text": "x\udfff", "answer_start": 0}])),
            r'answers\[0\]: "text" holds \\udfff at character 1',
        ),
        (json.dumps(dataset(id="\udc80")), r'"id" holds \\udc80 at character 0'),
        (
            json.dumps(dataset(is_impossible="yes")),
            r'column \d+: .*qas\[0\]: question "q1": "is_impossible" is str; write true or false',
        ),
        (json.dumps(dataset(is_impossible=None)), '"is_impossible" is NoneType; write true or'),
        (json.dumps({"data": []}), "d.json holds no questions; give a SQuAD file that does"),
        (json.dumps({"data": [{"paragraphs": []}]}), "d.json holds no questions"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_squad(path)


def test_two_questions_of_one_id_are_refused_with_the_second_s_place(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    record = dataset()
    record["data"].append(dataset()["data"][0])
    path.write_text(json.dumps(record))
    with pytest.raises(
        DatasetError, match=r"data\[1\]\.paragraphs\[0\]\.qas\[0\]: another question"
    ):
        load_squad(path)
    record["data"][1]["paragraphs"][0]["qas"][0]["id"] = "q2"
    path.write_text(json.dumps(record))
    assert [example.id for example in load_squad(path)] == ["q1", "q2"]


def test_whole_characters_outside_the_first_plane_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    text = json.dumps(dataset(question="\U0001f600?"))  # as a surrogate pair
    assert r"\ud83d\ude00" in text
    path.write_text(text)
    assert load_squad(path)[0].question == "\U0001f600?"


def answered(context: str, *answers: tuple[str, int]) -> dict[str, Any]:
    given = [{"text": text, "answer_start": start} for text, start in answers]
    qa = {"id": "q9", "question": "How long?", "answers": given}
    return {"data": [{"paragraphs": [{"context": context, "qas": [qa]}]}]}


@pytest.mark.parametrize(
    ("context", "answer", "message"),
    [
        (
            "For 12 hours.",
            ("12 hours", 3),
            'question "q9": the answer is "12 hours", but the context has " 12 hour" at '
            "answer_start 3; it stands at 4 (characters, from 0)",
        ),
        # The texts are compared as they stand: case counts.
        ("For 12 Hours.", ("12 hours", 4), "the context does not hold this text"),
        ("For 12 hours.", ("12 hours", 9), "does not lie in the context of 13 characters; it stan"),
        ("a b a b a b a b a", ("a", 2), "it stands at 0, 4, 8 and further on (characters"),
        ("a b a", ("a", 1), "it stands at 0, 4 (characters"),
        ("x" * 300, ("y" * 200, 5), f'the answer is "{"y" * 79}…", but the context has "xxx'),
        # Bytes in the place of characters.
        ("Größe: 12 hours.", ("12 hours", 9), "it stands at 7 (characters"),
    ],
)
def test_an_answer_that_stands_elsewhere_is_refused(
    tmp_path: Path, context: str, answer: tuple[str, int], message: str
) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps(answered(context, answer)), encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load_squad(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line 1, column ")
    with pytest.raises(DatasetError, match="answers"):
        load_training(path)  # what is evaluated and what is trained on
    # Of a question that is said to have no answer, nothing is looked at.
    record = answered(context, answer)
    record["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = True
    path.write_text(json.dumps(record), encoding="utf-8")
    assert load_squad(path)[0].answers == ()


def test_every_answer_is_looked_at_and_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    good = answered("Für 12 hours, für 12 hours.", ("12 hours", 4), ("12 hours", 18), ("hours", 7))
    text = json.dumps(good, indent=1)
    path.write_text(text, encoding="utf-8")
    assert [answer.start for answer in load_squad(path)[0].answers] == [4, 18, 7]
    lines = text.splitlines()
    (wrong,) = (number for number, line in enumerate(lines) if '"answer_start": 7' in line)
    lines[wrong] = lines[wrong].replace("7", "8")
    path.write_text("\n".join(lines), encoding="utf-8")
    column = lines[wrong].index("8") + 1
    where = f"{path}, line {wrong + 1}, column {column}: data[0].paragraphs[0].qas[0].answers[2]: "
    with pytest.raises(DatasetError) as caught:
        load_squad(path)
    assert str(caught.value).startswith(where + 'question "q9"')


def test_the_line_of_a_record_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    good = json.dumps(answered("x", ("x", 0))["data"][0])
    lines = ['{"version": "{[",', '"data" :', "[", good, ",", '{"title": "]", "paragraphs": 5}']
    path.write_text("\n".join([*lines, "]}"]), encoding="utf-8")
    column = lines[-1].index("5") + 1
    with pytest.raises(DatasetError, match=rf'line 6, column {column}: data\[1\]: "paragraphs" is'):
        load_squad(path)
    lines[-1] = '{"paragraphs": [{"qas": []}]}'
    path.write_text("\n".join([*lines, "]}"]), encoding="utf-8")
    with pytest.raises(DatasetError, match=r'line 6, column 17: .*\[0\]: the field "context" is'):
        load_squad(path)


@pytest.mark.parametrize(
    ("lines", "line", "column"),
    [
        (['{"data": [{"paragraphs": [],', '"paragraphs": [{}]}]}'], 2, 16),
        (['{"data": [{"paragraphs": [{"qas": []}],', '"title": "]", "paragraphs": [{}]}]}'], 2, 30),
        (['{"data": 5, "data": [],', '"data" : [{"paragraphs": [ { } ]', "}]}"], 2, 28),
    ],
)
def test_of_equal_names_the_last_is_the_one_that_is_read(
    lines: list[str], line: int, column: int, tmp_path: Path
) -> None:
    path = tmp_path / "d.json"
    path.write_text("\n".join(lines), encoding="utf-8")
    where = rf"line {line}, column {column}: data\[0\]\.paragraphs\[0\]: the field \"context\" is"
    with pytest.raises(DatasetError, match=where):
        load_squad(path)


def test_an_empty_answer_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    lines = json.dumps(answered("For 12 hours.", ("12 hours", 4), ("", 8)), indent=1).splitlines()
    path.write_text("\n".join(lines), encoding="utf-8")
    (wrong,) = (number for number, line in enumerate(lines, 1) if '"text": ""' in line)
    with pytest.raises(DatasetError, match=rf'line {wrong}, .*question "q9": the answer is empty'):
        load_squad(path)
    path.write_text(json.dumps(answered("For 12 hours.")), encoding="utf-8")
    assert load_squad(path)[0].answers == ()


def test_a_line_of_groups_that_is_more_than_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    good = '{"question": "who?", "passages": [{"text": "a"}]}\n'
    for wrong, message in (("[" * 100_000, "nested too deeply"), ("9" * 5000, "is too long")):
        path.write_text(good + wrong, encoding="utf-8")
        with pytest.raises(DatasetError, match=f"line 2: .*{message}"):
            load_training(path)


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
