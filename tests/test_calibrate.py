"""Fitting the confidence: the measures by hand, and both steps of the command on a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bench import calibrate, reliability
from bench.fitting import (
    Judged,
    Labelled,
    cross_validated,
    fit,
    fit_choice,
    fit_logistic,
    folds,
    labelled,
)
from bench.found import (
    Found,
    FoundAnswer,
    FoundFileError,
    FoundPassage,
    Question,
    collect,
    load_found,
    load_kb_questions,
)
from bot.answering import Answerer, AnswerOptions
from bot.calibration import calibration_of, misfit
from bot.confidence import feature_names
from bot.models import Models, models_of
from bot.settings import from_environment
from tests.documents import Store, open_store, write_pages
from tests.reader_models import MarkingReader, checkpoint

NOTES = {
    "wifi.md": "# Wifi\n\nThe code of the guest wifi is valid for twelve hours.\n",
    "lunch.md": "# Lunch\n\nLunch is served at noon in the canteen. Dogs may come along.\n",
    "keys.txt": "Keys are kept at the reception.\n",
    "mail.txt": "The mail is collected at four.\n",
}
QUESTIONS = [
    Question("notes", "How long is the guest wifi valid?", True, ("twelve hours",), ("wifi.md",)),
    Question("notes", "When is lunch?", True, ("noon",), ("lunch.md",)),
    Question("notes", "Who collects the mail?", False, (), ()),
]


MODELS = Models(reader="aa" * 32, ranker=None)


# -- measures ---------------------------------------------------------------------------------


def test_isotonic_regression_pools_what_falls() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    values = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    assert reliability.isotonic(scores, values) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 1])
    order = [3, 0, 4, 1, 2]
    shuffled = reliability.isotonic(scores[order], values[order])
    assert shuffled == pytest.approx(np.array([0, 1 / 3, 1 / 3, 1 / 3, 1])[order])


def test_equal_scores_get_equal_values() -> None:
    fitted = reliability.isotonic(np.array([0.5, 0.5, 0.2]), np.array([1.0, 0.0, 0.25]))
    assert fitted == pytest.approx([0.5, 0.5, 0.25])


def test_the_risk_of_each_coverage_and_its_area() -> None:
    confidence = np.array([0.2, 0.9, 0.5, 0.7])
    right = np.array([True, True, False, True])
    coverage, risk = reliability.risk_coverage(confidence, right)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert reliability.area_under_risk(confidence, right) == pytest.approx(7 / 48)
    assert reliability.least_area(right) == pytest.approx(1 / 16)


def test_the_calibration_error_is_the_distance_in_each_bin() -> None:
    confidence = np.array([0.12, 0.18, 0.95, 0.95, 1.0])
    right = np.array([False, True, True, True, False])
    expected = 2 / 5 * abs(0.15 - 0.5) + 3 / 5 * abs(2.9 / 3 - 2 / 3)
    assert reliability.calibration_error(confidence, right) == pytest.approx(expected)


def test_the_error_by_chance_is_that_of_few_questions() -> None:
    # Of 400 answers with a confidence of 0.5, the share of right ones has a deviation of 0.025.
    chance = reliability.error_by_chance(np.full(400, 0.5))
    assert chance == pytest.approx(0.025 * (2 / np.pi) ** 0.5, rel=0.1)


def test_auroc_counts_pairs() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    assert reliability.auroc(scores, np.array([True, True, False, False])) == 3.5 / 4


def test_the_interval_of_a_share() -> None:
    assert reliability.wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert reliability.wilson(1.0, 1)[1] == pytest.approx(1.0)


def test_the_precision_of_a_threshold_is_what_was_right_above_it() -> None:
    confidence = np.repeat([0.805, 0.505, 0.105], [40, 40, 20])
    right = np.concatenate([np.arange(40) < 36, np.arange(40) < 20, np.zeros(20, dtype=bool)])
    table = reliability.precision_table(confidence, right)
    assert table == [(0.0, 0.56), (0.11, 0.7), (0.51, 0.9)]


def test_precision_never_falls_and_is_not_told_of_a_few() -> None:
    random = np.random.default_rng(3)
    confidence = random.random(200)
    right = random.random(200) < confidence
    right[confidence > 0.9] = False  # the surest are wrong
    table = reliability.precision_table(confidence, right)
    thresholds, precisions = zip(*table, strict=True)
    assert thresholds[0] == 0.0
    assert list(thresholds) == sorted(set(thresholds))
    assert list(precisions) == sorted(set(precisions))
    assert precisions[0] == pytest.approx(right.mean(), abs=1e-3)
    assert all((confidence >= at).sum() >= reliability.LEAST_SHOWN for at in thresholds)
    assert reliability.precision_table(confidence[:5], right[:5])[0][0] == 0.0


# -- fitting ----------------------------------------------------------------------------------


def invented(count: int, seed: int = 5) -> list[Labelled]:
    """Questions with four answers, of which the first feature tells the right one, mostly."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        features = random.normal(size=(4, len(feature_names())))
        answerable = bool(random.random() < 0.7)
        right = np.zeros(4, dtype=bool)
        if answerable:
            right[random.integers(4)] = True
            features[right, 0] += 3.0
        made.append(Labelled(answerable, f"document {number // 2}", features, right))
    return made


def test_logistic_regression_finds_the_weights() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(20_000, 2)) * [1.0, 10.0] + [0.0, 5.0]
    total = features @ [2.0, -0.1] + 0.5
    weights, intercept = fit_logistic(features, random.random(20_000) < 1 / (1 + np.exp(-total)))
    assert weights == pytest.approx([2.0, -0.1], rel=0.1)
    assert intercept == pytest.approx(0.5, abs=0.1)


def test_the_choice_weighs_what_tells_right_from_wrong() -> None:
    weights = np.abs(fit_choice([item for item in invented(400) if item.right.any()]))
    assert weights[0] > 5 * weights[1:].max()


def test_a_feature_that_never_changes_weighs_nothing() -> None:
    usual, constant = invented(300), invented(300)
    for item in usual:
        item.features[:, 1] = 0.0
    for item in constant:
        item.features[:, 1] = 1.0
    assert fit_choice(constant) == pytest.approx(fit_choice(usual), abs=1e-6)
    same, none = fit(constant), fit(usual)
    assert same.confidence == pytest.approx(none.confidence, abs=1e-6)
    assert same.intercept == pytest.approx(none.intercept, abs=1e-6)


def test_questions_of_a_group_are_judged_together_and_each_once() -> None:
    groups = [item.group for item in invented(100)]
    parts = folds(groups)
    assert (np.sum(parts, axis=0) == 1).all()
    for part in parts:
        inside = {group for group, held in zip(groups, part, strict=True) if held}
        outside = {group for group, held in zip(groups, part, strict=True) if not held}
        assert inside
        assert not inside & outside


def test_confidence_means_what_it_says_on_questions_it_was_not_fitted_on() -> None:
    judged = cross_validated(invented(1000))
    confidence = np.array([item.confidence for item in judged])
    right = np.array([item.right for item in judged])
    assert len(judged) == 1000
    assert reliability.calibration_error(confidence, right) <= 0.05
    assert reliability.auroc(confidence, right) > 0.8


def test_a_question_that_found_nothing_is_not_answered() -> None:
    names = len(feature_names())
    nothing = Labelled(True, "empty", np.zeros((0, names)), np.zeros(0, dtype=bool))
    judged = cross_validated([*invented(50), nothing])
    [empty] = [item for item in judged if item.group == "empty"]
    assert (empty.confidence, empty.right, empty.among(0.0)) == (0.0, False, [])


def test_an_asked_precision_is_reached_by_thresholds_chosen_on_other_questions() -> None:
    report = calibrate.report(cross_validated(invented(2000)))
    for row in report["precisions"]:
        assert row["precision"] >= row["asked"] - 0.03
    answered = [row["answered"] for row in report["precisions"]]
    assert answered == sorted(answered, reverse=True)
    assert answered[0] > answered[-1]


def test_a_further_answer_counts_when_it_has_its_share_of_the_first_ones_confidence() -> None:
    one = Judged("a", True, (0.5, 0.3, 0.1), (False, False, True))
    assert [one.among(share) for share in (0.0, 0.2, 0.5, 0.7)] == [
        [False, False, True],
        [False, False, True],
        [False, False],
        [False],
    ]
    report = calibrate.report(cross_validated(invented(500)))
    rows = report["further"]
    assert [row["share"] for row in rows] == sorted(row["share"] for row in rows)
    assert rows[0]["shown"] == 3.0
    assert [row["shown"] for row in rows] == sorted((r["shown"] for r in rows), reverse=True)
    # Which is what the bot's own share gives.
    own = next(row for row in rows if row["share"] == AnswerOptions().further_confidence)
    asked = next(r for r in report["precisions"] if r["asked"] == AnswerOptions().precision)
    assert own["contains@3"] == asked["contains@3"]
    assert asked["contains"] < own["contains@3"] <= rows[0]["contains@3"]


# -- collecting -------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        opened.ingestor.add([write_pages(tmp_path / "notes", NOTES)])
        yield opened


def gather(
    store: Store, target: Path, questions: Sequence[Question], **options: float
) -> list[int]:
    """Collect; the questions done after each."""
    reader = MarkingReader({"twelve hours": (8.0, 8.0), "in the canteen": (7.0, 7.0)})
    done: list[int] = []
    collect(
        questions,
        {"notes": lambda: Answerer(store.database, store.retriever, lambda: reader)},
        replace(AnswerOptions(), **options),  # type: ignore[arg-type]
        target,
        reader="marking",
        models=MODELS,
        progress=lambda count, _: done.append(count),
    )
    return done


def test_what_was_found_is_kept_whole(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "new" / "found.jsonl"
    assert gather(store, target, QUESTIONS) == [1, 2, 3]
    found = load_found([target])
    assert [item.question for item in found] == QUESTIONS
    wifi, lunch, _ = found
    assert wifi.passages[0].document.endswith("wifi.md")
    sentence = "The code of the guest wifi is valid for twelve hours."
    assert wifi.passages[0].text.endswith(sentence)
    best = wifi.answers[0]
    assert (best.sentence, best.right) == (sentence, True)
    assert lunch.answers[0].right  # the span is another, but the sentence holds "noon"
    for item in found:
        for answer in item.answers:
            text = item.passages[answer.passage].text
            assert text[answer.start : answer.end] == answer.sentence
            assert answer.start <= answer.span_start < answer.span_end <= answer.end
            assert list(answer.features) == list(feature_names())
    assert labelled(wifi).features.shape == (len(wifi.answers), len(feature_names()))
    assert labelled(wifi).right.tolist() == [answer.right for answer in wifi.answers]


def test_collecting_goes_on_where_it_was_stopped(store: Store, tmp_path: Path) -> None:
    whole, target = tmp_path / "whole.jsonl", tmp_path / "found.jsonl"
    gather(store, whole, QUESTIONS)
    gather(store, target, QUESTIONS[:1])
    with target.open("a", encoding="utf-8") as file:
        file.write('{"question": {"kb": "no')  # cut short
    assert load_found([target]) == load_found([whole])[:1]
    assert gather(store, target, QUESTIONS) == [2, 3]
    assert target.read_bytes() == whole.read_bytes()
    assert gather(store, target, QUESTIONS) == []


def test_what_was_made_otherwise_is_not_mixed(store: Store, tmp_path: Path) -> None:
    target, other = tmp_path / "found.jsonl", tmp_path / "other.jsonl"
    gather(store, target, QUESTIONS)
    with pytest.raises(FoundFileError, match="name a new file"):
        gather(store, target, QUESTIONS, passages=5)
    gather(store, other, QUESTIONS, passages=5)
    with pytest.raises(FoundFileError, match="collect them anew"):
        load_found([target, other])


def test_a_question_of_another_knowledge_base_is_refused(store: Store, tmp_path: Path) -> None:
    other = replace(QUESTIONS[0], kb="handbook")
    with pytest.raises(FoundFileError, match=r"no home is given for handbook; add --home"):
        gather(store, tmp_path / "found.jsonl", [other])
    assert not (tmp_path / "found.jsonl").exists()


def test_questions_are_read_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(asdict(item)) + "\n" for item in QUESTIONS), "utf-8")
    assert load_kb_questions(file) == QUESTIONS
    assert load_kb_questions(file, 2) == QUESTIONS[:2]
    assert [item.group for item in QUESTIONS] == [
        "notes/wifi.md",
        "notes/lunch.md",
        "Who collects the mail?",
    ]
    odd = replace(QUESTIONS[0], question="Who\u2028has a\u0085code?")
    record = json.dumps(asdict(odd), ensure_ascii=False)
    (tmp_path / "odd.jsonl").write_text(record + "\n", "utf-8")
    assert load_kb_questions(tmp_path / "odd.jsonl") == [odd]
    with file.open("a", encoding="utf-8") as lines:
        lines.write('{"question": "And the dogs?"}\n')
    with pytest.raises(FoundFileError, match=r"questions.jsonl, line 4: .*'kb'"):
        load_kb_questions(file)


# -- the command ------------------------------------------------------------------------------


def written(path: Path, count: int, **header: object) -> Path:
    """A file of found answers, as ``collect`` writes it, to invented questions."""
    first = {"format": 3, "reader": "x", "models": {}, "passages": 10, "prior": 0, **header}
    lines = [json.dumps(first)]
    for number, item in enumerate(invented(count)):
        answers = tuple(
            FoundAnswer(0, 0, 1, 0, 1, "x", dict(zip(feature_names(), row, strict=True)), good)
            for row, good in zip(item.features.tolist(), item.right.tolist(), strict=True)
        )
        question = Question("notes", f"{number}?", item.answerable, ("x",), (item.group,))
        passages = (FoundPassage("a.md", "A", None, 1.0, "x"),)
        lines.append(json.dumps(asdict(Found(question, passages, answers))))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_fitting_writes_the_report_and_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = written(tmp_path / "found.jsonl", 150)
    calibrate.main(["fit", str(found), "--results", str(tmp_path / "results")])
    report = json.loads((tmp_path / "results" / "calibration.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out) == report
    assert report["questions"] == 150
    assert 0 < report["aurc_least"] < report["aurc"] < 0.3
    assert 0 < report["calibration_error"] < 0.2
    picture = (tmp_path / "results" / "calibration.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


def test_fitting_writes_weights_that_the_bot_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bot.confidence import read_calibration

    target = tmp_path / "calibration.json"
    monkeypatch.setattr(calibrate, "CALIBRATION", target)
    embedded = models_of(from_environment({}))
    name, made = "embedded", asdict(embedded)
    for header, message in (
        ({"reader": name}, "other weights, another tokenizer"),
        ({"reader": "ours", "models": made}, 'with the reader "ours", not with "embedded"'),
        ({"reader": name, "models": {**made, "ranker": None}}, "other weights"),
        ({"reader": name, "models": {**made, "reader_settings": "aa" * 32}}, "another tokenizer"),
    ):
        stale = written(tmp_path / "stale.jsonl", 60, **header)
        with pytest.raises(SystemExit, match=message):
            calibrate.main(["fit", str(stale), "--write"])
        assert not target.exists()
    found = written(tmp_path / "found.jsonl", 300, models=made, reader=name)
    # The embedded models' own is for them, whatever the environment is set to.
    monkeypatch.setenv("SPANBOT_READER", str(checkpoint(tmp_path / "tiny")))
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    calibrate.main(["fit", str(found), "--write"])
    capsys.readouterr()
    fitted = fit([labelled(item) for item in load_found([found])])
    read = read_calibration(target.read_text(encoding="utf-8"))
    assert read.choice == pytest.approx(fitted.choice.tolist(), abs=1e-5)
    assert read.confidence == pytest.approx(fitted.confidence.tolist(), abs=1e-5)
    assert (read.lead, read.intercept) == pytest.approx((fitted.lead, fitted.intercept), abs=1e-5)
    assert read.precisions.highest > 0.9
    assert read.fitted_with == embedded


def test_a_reader_gets_a_confidence_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = calibrate.CALIBRATION.read_bytes()
    folder = checkpoint(tmp_path / "tiny")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    chosen = from_environment({"SPANBOT_READER": str(folder), "SPANBOT_RANKER": "off"})
    models = models_of(chosen)
    # What the embedded reader found says nothing of this one.
    stale = written(tmp_path / "stale.jsonl", 60, models=asdict(models_of(from_environment({}))))
    with pytest.raises(SystemExit, match="other weights, another tokenizer"):
        calibrate.main(["fit", str(stale), "--write", str(folder)])
    assert not (folder / "calibration.json").exists()
    found = written(tmp_path / "found.jsonl", 300, models=asdict(models), reader=str(folder))
    calibrate.main(["fit", str(found), "--write", "."])
    capsys.readouterr()
    own = calibration_of(chosen)
    assert own.fitted_with == models
    assert own.choice == pytest.approx(
        fit([labelled(item) for item in load_found([found])]).choice.tolist(), abs=1e-5
    )
    assert misfit(own, models) is None
    assert calibrate.CALIBRATION.read_bytes() == package
    with pytest.raises(SystemExit, match="there is no model folder"):
        calibrate.main(["fit", str(found), "--write", str(tmp_path / "nowhere")])


def test_what_was_found_is_marked_with_the_models_that_found_it(tmp_path: Path) -> None:
    both = models_of(from_environment({}))
    folder = checkpoint(tmp_path / "tiny")
    tiny = models_of(from_environment({"SPANBOT_READER": str(folder)}))
    alone = models_of(from_environment({"SPANBOT_RANKER": "off"}))
    assert len({both, tiny, alone}) == 3
    assert (tiny.ranker, alone.ranker) == (both.ranker, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("no JSON\n", "is no file of found answers"),
        ('{"format": 9}\n', "is no file of found answers .*format 9"),
        ('{"format": 3}\n', "holds no questions yet"),
    ],
)
def test_a_file_that_is_of_no_use_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "found.jsonl"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=message):
        calibrate.main(["fit", str(file)])


def test_a_home_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        calibrate.main(["collect", "q.jsonl", "--home", "/srv/home", "--found", "f.jsonl"])
    assert '"/srv/home" is not of the form NAME=HOME' in capsys.readouterr().err
