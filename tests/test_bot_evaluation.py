"""Question files and the figures, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.answering import AnswerSpan, Reply
from bot.evaluation import (
    GoldQuestion,
    Outcome,
    QuestionFileError,
    gold_documents,
    holds_answer,
    is_document,
    load_questions,
    measure,
)
from retriever.records import Hit


def hit(document: str) -> Hit:
    return Hit(
        rank=1,
        score=1.0,
        bm25=1.0,
        passage_id=1,
        document_id=1,
        version=1,
        document=document,
        title="",
        section=None,
        page=None,
        url=None,
        start=0,
        end=1,
        text="x",
    )


def answer(text: str, sentence: str) -> AnswerSpan:
    return AnswerSpan(
        text=text,
        confidence=0.5,
        sentence=sentence,
        sentence_start=0,
        document="x",
        title="",
        section=None,
        page=None,
        url=None,
        start=0,
        end=1,
        document_id=1,
        document_version=1,
    )


def outcome(
    *,
    gold: tuple[str, ...] = (),
    documents: tuple[str, ...] = (),
    found: tuple[str, ...] = (),
    shown: tuple[tuple[str, str], ...] = (),
) -> Outcome:
    """A question with gold answers (none: unanswerable), what was found, and what was shown."""
    return Outcome(
        gold=GoldQuestion("?", gold, documents, answerable=bool(gold)),
        hits=tuple(hit(name) for name in found),
        reply=Reply(
            question="?",
            answered=bool(shown),
            answers=tuple(answer(text, sentence) for text, sentence in shown),
            closest=(),
            retrieve_ms=0.0,
            read_ms=0.0,
            total_ms=0.0,
            question_id=None,
        ),
    )


def test_the_figures_of_four_questions() -> None:
    outcomes = [
        # Right at once: the document first, the answer exact but for the article.
        outcome(
            gold=("12 hours",),
            documents=("it/wifi.md",),
            found=("notes/it/wifi.md", "notes/lunch.md"),
            shown=(("the 12 hours", "It is valid for the 12 hours."),),
        ),
        # The document third of those found, the answer second of those shown. First shown: "two
        # days" against "ninety two days": precision 2/2, recall 2/3, F1 0.8.
        outcome(
            gold=("ninety two days",),
            documents=("leave.md",),
            found=("a.md", "a.md", "b.md", "c/leave.md"),
            shown=(
                ("two days", "Take two days."),
                ("ninety two days", "There are ninety\ntwo days of it."),
            ),
        ),
        # Nothing found, nothing shown.
        outcome(gold=("noon",), documents=("lunch.md",)),
        # Not answerable, and answered; not answerable, and rightly not.
        outcome(shown=(("noon", "At noon."),)),
        outcome(found=("a.md",)),
    ]
    assert measure(outcomes) == {
        "questions": 5,
        "answerable": 3,
        "unanswerable": 2,
        "success@1": pytest.approx(1 / 3),
        "success@5": pytest.approx(2 / 3),
        "success@10": pytest.approx(2 / 3),
        "contains": pytest.approx(1 / 3),
        "contains@3": pytest.approx(2 / 3),
        "exact": pytest.approx(1 / 3),
        "f1": pytest.approx((1 + 0.8 + 0) / 3),
        "f1@3": pytest.approx((1 + 1 + 0) / 3),
        "answered": pytest.approx(2 / 3),
        "silent": pytest.approx(1 / 2),
    }


def test_documents_are_counted_once_however_many_passages_are_found() -> None:
    found = tuple(f"{n // 7}.md" for n in range(35))  # five documents
    result = measure([outcome(gold=("x",), documents=("4.md",), found=found)])
    assert (result["success@1"], result["success@5"]) == (0.0, 1.0)
    found = tuple(f"{n}.md" for n in range(12))
    result = measure([outcome(gold=("x",), documents=("10.md", "11.md"), found=found)])
    assert result["success@10"] == 0.0


def test_only_the_first_three_answers_count() -> None:
    shown = tuple((text, f"It is {text}.") for text in ("one", "two", "three", "four"))
    result = measure([outcome(gold=("four",), shown=shown)])
    assert (result["contains@3"], result["f1@3"]) == (0.0, 0.0)
    result = measure([outcome(gold=("three",), shown=shown)])
    assert (result["contains"], result["contains@3"]) == (0.0, 1.0)
    assert (result["exact"], result["f1"], result["f1@3"]) == (0.0, 0.0, 1.0)


def test_figures_that_nothing_speaks_of_are_left_out() -> None:
    assert set(measure([outcome()])) == {"questions", "answerable", "unanswerable", "silent"}
    result = measure([outcome(gold=("x",))])
    assert "silent" not in result
    assert "success@1" not in result
    assert (result["exact"], result["answered"]) == (0.0, 0.0)
    assert measure([]) == {"questions": 0, "answerable": 0, "unanswerable": 0}


@pytest.mark.parametrize(
    ("shown", "gold", "same"),
    [
        ("/srv/handbook/it/wifi.md", "it/wifi.md", True),
        ("/srv/handbook/it/wifi.md", "wifi.md", True),
        ("it/wifi.md", "it/wifi.md", True),
        ("it/wifi.md", "/wifi.md", True),
        ("it/guestwifi.md", "wifi.md", False),
        ("wifi.md", "it/wifi.md", False),
        ("it/wifi.md.bak", "wifi.md", False),
    ],
)
def test_a_gold_document_is_named_by_the_end_of_its_path(shown: str, gold: str, same: bool) -> None:
    assert is_document(shown, gold) is same


@pytest.mark.parametrize("gold", ["it/wifi.md", "wifi.md", "/wifi.md", "fi.md", "x/it/wifi.md"])
@pytest.mark.parametrize("shown", ["/srv/handbook/it/wifi.md", "it/wifi.md", "wifi.md", "/wifi.md"])
def test_a_gold_document_is_missing_where_no_document_is_it(shown: str, gold: str) -> None:
    asked = [GoldQuestion("?", ("x",), (gold,), answerable=True)]
    found = gold_documents(asked, [shown])
    assert found.missing == (() if is_document(shown, gold) else (gold,))


def test_gold_documents_are_counted_once() -> None:
    asked = [
        GoldQuestion("?", ("x",), ("b.md", "a.md"), answerable=True),
        GoldQuestion("?", ("x",), ("a.md", "c.md"), answerable=True),
        GoldQuestion("?", (), (), answerable=False),
    ]
    found = gold_documents(asked, ["/srv/c.md", "/srv/a.md.bak"])
    assert found.named == ("b.md", "a.md", "c.md")
    assert found.missing == ("b.md", "a.md")
    assert gold_documents(asked[2:], []).named == ()


def test_a_sentence_holds_an_answer_whatever_its_case_space_and_quotes() -> None:
    assert holds_answer("Say “it’s  open”\nto them.", ['SAY "it\'s open" to'])
    assert holds_answer("Sixteen weeks.", ["16 weeks", "sixteen weeks"])
    assert not holds_answer("Sixteen weeks.", ["sixteen days"])
    assert not holds_answer("Sixteen weeks.", [])


# -- question files ---------------------------------------------------------------------------


def write(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_a_question_file_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        {"question": "Wie lang?", "answers": ["12 h", "½ day"], "documents": ["wifi.md"]},
        "",
        {"question": "Who?", "answerable": False, "id": "q2"},
    )
    assert load_questions(path) == [
        GoldQuestion("Wie lang?", ("12 h", "½ day"), ("wifi.md",), answerable=True),
        GoldQuestion("Who?", (), (), answerable=False),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", '"question" is missing or no text'),
        ({"answers": ["x"]}, '"question" is missing or no text'),
        ({"question": 3, "answers": ["x"]}, '"question" is missing or no text'),
        ({"question": "Who?"}, '"answers" is empty; mark it "answerable": false'),
        ({"question": "Who?", "answers": []}, '"answers" is empty'),
        (
            {"question": "Who?", "answer": ["x"]},
            'there is no "answer"; "answers" is probably meant',
        ),
        ({"question": "Who?", "answers": "x"}, '"answers" must be a list of texts'),
        ({"question": "Who?", "answers": [1]}, '"answers" must be a list of texts'),
        ({"question": "Who?", "answers": ["x"], "documents": "a"}, '"documents" must be a list'),
        ({"question": " ", "answers": ["x"]}, "The question is empty"),
        ({"question": "x" * 1001, "answers": ["x"]}, "The question has 1,001 characters"),
        ({"question": "Who?", "answerable": "no"}, '"answerable" must be true or false'),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    good = {"question": "Who?", "answers": ["x"]}
    path = write(tmp_path / "q.jsonl", good, "", line, good)
    with pytest.raises(QuestionFileError) as info:
        load_questions(path)
    assert str(info.value).startswith(f"{path}, line 3: {message}")


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    asked = "Who\u2028has\u2029a\u0085code?"
    record = json.dumps({"question": asked, "answers": ["x"]}, ensure_ascii=False)
    path.write_bytes(f"{record}\r\n{record}\r\n".encode())
    assert [gold.question for gold in load_questions(path)] == [asked, asked]


def test_a_file_that_is_no_question_file_is_named(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "nowhere.jsonl", "No such file"),
        (tmp_path, "Is a directory"),
        (write(tmp_path / "empty.jsonl", "", " "), "holds no questions"),
    ):
        with pytest.raises(QuestionFileError, match=message) as info:
            load_questions(path)
        assert str(path) in str(info.value)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"question": "caf\xe9?"}')
    with pytest.raises(QuestionFileError, match="is not UTF-8"):
        load_questions(latin)
