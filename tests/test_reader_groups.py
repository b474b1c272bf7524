from __future__ import annotations

import json
import lzma
import re
from pathlib import Path

import numpy as np
import pytest

from reader.errors import DatasetError
from reader.files import lines_of
from reader.groups import Group, GroupPassage, load_training, of_squad, save_groups
from reader.squad import Example, GoldAnswer
from reader.training_data import batches, training_groups
from tests.reader_models import tokenizer

CONTEXT = "the code is valid for 12 hours. the token is valid for 90 days."
GROUP = Group(
    "how many hours?",
    (GroupPassage(CONTEXT, ((22, 30),), "codes"), GroupPassage("ask the token", (), "vpn")),
)


@pytest.mark.parametrize("name", ["groups.jsonl", "groups.jsonl.xz"])
def test_groups_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    groups = [GROUP, Group("wer? – é", (GroupPassage("niemand"),))]
    save_groups(groups, tmp_path / name)
    assert load_training(tmp_path / name) == groups
    assert [group.answerable for group in groups] == [True, False]


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    text = "a\u2028b\u2029c\u0085d"  # JSON leaves them as they are
    groups = [Group(text, (GroupPassage(text, ((2, 3),), text),)), GROUP]
    save_groups(groups, path)
    assert text in path.read_text(encoding="utf-8")
    assert load_training(path) == groups
    for end in (b"\r\n", b"\r"):
        path.write_bytes(path.read_bytes().replace(b"\n", end))
        assert load_training(path) == groups
    assert lines_of("a\r\n\u2028\n\nb\rc") == ["a", "\u2028", "", "b", "c"]
    assert lines_of("a\n") == ["a"]
    assert lines_of("") == []


def test_a_file_of_no_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    path.write_text("\n \n")
    with pytest.raises(DatasetError, match=f"^{path} holds no questions; give a file that does"):
        load_training(path)


def test_the_questions_of_the_readme_are_told_from_groups(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "who?", "answers": ["the desk"], "documents": ["a.md"]}\n')
    with pytest.raises(DatasetError) as caught:
        load_training(path)
    told = str(caught.value)
    assert told.startswith(f'{path}, line 1: "passages" is missing; ')
    assert "SQuAD files (.json)" in told
    assert "groups (.jsonl)" in told
    [heading] = re.findall('see "(.+)" in README', told)
    readme = Path(__file__).parent.parent / "README.md"
    assert f"\n### {heading}\n" in readme.read_text(encoding="utf-8")


def test_squad_files_are_groups_of_one_passage(tmp_path: Path) -> None:
    answers = (GoldAnswer("12 hours", 22), GoldAnswer("hours", 25))
    examples = [Example("a", "how long?", CONTEXT, answers), Example("b", "who?", CONTEXT, ())]
    [one, other] = of_squad(examples)
    assert one == Group("how long?", (GroupPassage(CONTEXT, ((22, 30),)),))
    assert not other.answerable
    record = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": CONTEXT,
                        "qas": [
                            {
                                "id": "a",
                                "question": "how long?",
                                "answers": [{"text": "12 hours", "answer_start": 22}],
                            }
                        ],
                    }
                ]
            }
        ]
    }
    (tmp_path / "squad.json.xz").write_bytes(lzma.compress(json.dumps(record).encode()))
    assert load_training(tmp_path / "squad.json.xz") == [one]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2, column 2: not JSON"),
        ("[]", 'line 2: "question" must be a text'),
        ('{"question": "q", "passages": []}', 'line 2: "passages" must be a list'),
        ('{"question": "q", "passages": [{"text": 1}]}', 'line 2, passage 1: "text" must be'),
        (
            '{"question": "q", "passages": [{"text": "abc", "context": 1}]}',
            'line 2, passage 1: "context" must be',
        ),
        (
            '{"question": "q", "passages": [{"text": "abc", "answers": [[1, 4]]}]}',
            r"line 2, passage 1: answer \[1, 4\] is no \[start, end\] within the text's 3",
        ),
        (
            '{"question": "q", "passages": [{"text": "a"}, {"text": "a", "answers": null}]}',
            r'line 2, passage 2: "answers" is null; give a list of \[start, end\]',
        ),
        (
            '{"question": "q", "passages": [{"text": "abc", "answers": 5}]}',
            'line 2, passage 1: "answers" is 5; give a list',
        ),
        (
            '{"question": "q", "passages": [{"text": "abc", "answers": [[false, true]]}]}',
            r"line 2, passage 1: answer \[False, True\] is no \[start, end\]",
        ),
        (
            r'{"question": "\ud800 what", "passages": [{"text": "abc"}]}',
            r'line 2: "question" holds \\ud800 at character 0, which is half of a character',
        ),
        (
            r'{"question": "\ud83d\ude00", "passages": [{"text": "ab \udfff"}]}',
            r'line 2, passage 1: "text" holds \\udfff at character 3, which is half',
        ),
        (
            r'{"question": "q", "passages": [{"text": "ab", "context": "x\udc00"}]}',
            r'line 2, passage 1: "context" holds \\udc00 at character 1, which is half',
        ),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "groups.jsonl"
    save_groups([GROUP], path)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DatasetError, match=message):
        load_training(path)


def test_a_file_that_is_missing_or_cut_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.jsonl"):
        load_training(tmp_path / "none.jsonl")
    whole = lzma.compress(b"{}" * 1000)
    (tmp_path / "cut.jsonl.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cut\.jsonl\.xz is not a whole xz file"):
        load_training(tmp_path / "cut.jsonl.xz")


def test_an_answer_is_trained_at_its_pieces() -> None:
    [group] = training_groups([GROUP], tokenizer(), max_length=128, overlap=16)
    right, wrong = group.windows
    [(start, end)] = right.answers
    first = right.window.offsets[start - right.window.first][0]
    last = right.window.offsets[end - right.window.first][1]
    assert CONTEXT[first:last] == "12 hours"
    assert wrong.answers == ()
    assert group.longest == len(right.window)


def test_a_window_that_cuts_the_answer_is_not_trained_on() -> None:
    text = "ask who " * 60 + CONTEXT
    long = Group("how?", (GroupPassage(text, ((480 + 22, 480 + 30),)),))
    [group] = training_groups([long], tokenizer(), max_length=40, overlap=12)
    assert any(item.answers for item in group.windows)
    for item in group.windows:
        characters = [
            number
            for first, last in item.window.offsets
            for number in range(first, last)
            if 480 + 22 <= number < 480 + 30
        ]
        assert bool(item.answers) == bool(characters)


def test_an_answer_that_no_window_holds_leaves_its_question_out() -> None:
    text = "x" * 60
    long = Group("how?", (GroupPassage(text, ((0, 60),)),))
    assert training_groups([long], tokenizer(), max_length=30, overlap=4) == []


def test_batches_hold_every_question_once_within_the_budget() -> None:
    groups = [
        Group("who?", tuple(GroupPassage("ask " * (length + n)) for n in range(1 + length % 3)))
        for length in range(5, 60)
    ]
    items = training_groups(groups, tokenizer(), max_length=128, overlap=16)
    found = batches(items, batch_pieces=300, generator=np.random.default_rng(1))
    assert sorted(id(item) for batch in found for item in batch) == sorted(map(id, items))
    for batch in found:
        rows = sum(len(item.windows) for item in batch)
        assert len(batch) == 1 or rows * max(item.longest for item in batch) <= 300
    again = batches(items, batch_pieces=300, generator=np.random.default_rng(1))
    assert [[id(i) for i in b] for b in found] == [[id(i) for i in b] for b in again]
