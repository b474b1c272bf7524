from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reader.compare import bootstrap_means, compare
from reader.errors import DatasetError
from reader.evaluate import load_no_answer, load_predictions, save_no_answer, save_predictions
from reader.squad import Example, GoldAnswer


def example(number: int, *answers: str) -> Example:
    return Example(f"q{number}", "?", " ".join(answers), tuple(GoldAnswer(a, 0) for a in answers))


def test_the_difference_of_two_runs_and_its_interval() -> None:
    examples = [example(i, "yes") for i in range(100)]
    a = {f"q{i}": "yes" if i < 50 else "no" for i in range(100)}
    b = {f"q{i}": "yes" if i < 60 else "no" for i in range(100)}
    exact, f1 = compare(examples, a, b)
    assert (exact.metric, exact.questions, exact.a, exact.b) == ("exact", 100, 50.0, 60.0)
    assert exact.difference == pytest.approx(10.0)
    # Ten of a hundred differ, all for b: mean 0.1, standard error sqrt(0.1 * 0.9 / 100) = 0.03.
    assert exact.low == pytest.approx(10 - 5.9, abs=1)
    assert exact.high == pytest.approx(10 + 5.9, abs=1)
    assert exact.b_better > 0.99
    assert (f1.low, f1.high) == (exact.low, exact.high)
    assert compare(examples, a, b) == [exact, f1]


def test_equal_runs_do_not_differ() -> None:
    same = {"q1": "yes", "q2": "no"}
    for one in compare([example(1, "yes"), example(2, "yes")], same, same):
        assert (one.difference, one.low, one.high, one.b_better) == (0.0, 0.0, 0.0, 0.5)


def test_parts_and_missing_answers() -> None:
    examples = [example(1, "yes"), example(2)]
    found = {one.metric: one for one in compare(examples, {}, {"q1": "yes", "q2": ""})}
    assert found["NoAns_f1"].a == 0.0
    assert {one.b for one in found.values()} == {100.0}
    assert [found[name].questions for name in ("f1", "HasAns_f1", "NoAns_exact")] == [2, 1, 1]
    metrics = {one.metric for one in compare([example(2)], {}, {})}
    assert metrics == {"exact", "f1", "NoAns_exact", "NoAns_f1"}
    with pytest.raises(DatasetError, match="no questions"):
        compare([], {}, {})


def test_resamples_have_the_spread_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(size=(3000, 2))
    means = bootstrap_means(values, 2000, np.random.default_rng(2))
    assert means.shape == (2000, 2)
    assert means.std(axis=0) == pytest.approx(values.std(axis=0) / np.sqrt(3000), rel=0.1)


def test_files_of_predictions(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    save_predictions({"q1": "Größe", "q2": ""}, path)
    assert load_predictions(path) == {"q1": "Größe", "q2": ""}
    save_no_answer({"q1": -1.5}, path)
    assert load_no_answer(path) == {"q1": -1.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"q1": "a",\n"q2" "b"}', "is not JSON: line 2, column 6"),
        (b"[]", "holds a list, expected an object"),
        (json.dumps({"q1": "a", "q2": 5}).encode(), 'the prediction for "q2" is int'),
        (b'{"q1": "\xff"}', "not UTF-8 text at byte 8"),
    ],
)
def test_a_predictions_file_that_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_predictions(path)


def test_other_files_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*none.json: No such file"):
        load_predictions(tmp_path / "none.json")
    path = tmp_path / "n.json"
    for value in ("true", '"high"', "NaN"):
        path.write_text(f'{{"q1": {value}}}')
        with pytest.raises(DatasetError, match=r'the value for "q1" is .*, expected a number'):
            load_no_answer(path)
