"""Wrong passages for training, over real texts with the real BM25."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot.negatives import beside, with_negatives, wrong_passages
from reader.groups import Group, GroupPassage, load_training
from tests.command_line import spanbot
from tests.reader_models import checkpoint
from tests.squad_files import write_squad

OWN = "The guest code is valid for 12 hours."
TEXTS = [
    OWN,
    "The guest code is printed; the guest code is valid for  12\nHOURS too.",  # has the answer
    "The guest code is asked for at the desk.",
    "A guest waits at the desk.",
    "The token lasts 90 days.",
]
ASKED = Group("How long is the guest code valid?", (GroupPassage(OWN, ((28, 36),)),))


def texts(passages: list[GroupPassage]) -> list[str]:
    return [passage.text for passage in passages]


def test_they_are_bm25_s_best_of_the_others_without_the_answer() -> None:
    with wrong_passages(map(GroupPassage, TEXTS)) as find:
        assert texts(find(ASKED, 1)) == TEXTS[2:3]
        # The last one has no word of the question.
        assert texts(find(ASKED, 9)) == TEXTS[2:4]
        assert find(ASKED, 0) == []


@pytest.mark.parametrize(
    ("answer", "other", "holds"),
    [
        ("8", "The guest code 180 is old.", False),
        ("8", "The guest code is valid for 8.", True),
        ("8", "The guest code (8) is old.", True),
        ("art", "Start with the guest code.", False),
        ("Code", "The guest CODE is old.", True),
        ("$5", "The guest code is US$5.", True),
        ("$5", "The guest code is $50.", False),
        ("a+", "The guest code aa.", False),
        ("c++", "The guest code is in c++20.", True),
        ("天", "The guest code is 八天前.", True),
        ("8", "The guest code is 共8天.", True),
        ("8", "The guest code is 共18天.", False),
    ],
)
def test_an_answer_is_held_in_whole_words(answer: str, other: str, holds: bool) -> None:
    own = f"guest code {answer}"
    asked = Group("guest code?", (GroupPassage(own, ((11, len(own)),)),))
    with wrong_passages([*asked.passages, GroupPassage(other)]) as find:
        assert texts(find(asked, 1)) == ([] if holds else [other])


def test_an_answer_of_white_space_is_in_no_passage() -> None:
    own = GroupPassage(OWN, ((3, 4), (28, 36)))
    with wrong_passages(map(GroupPassage, TEXTS)) as find:
        assert texts(find(replace(ASKED, passages=(own,)), 9)) == TEXTS[2:4]
        assert find(replace(ASKED, passages=(GroupPassage(OWN, ((3, 4),)),)), 9) == []


def test_a_passage_of_the_question_itself_is_no_other() -> None:
    more = replace(ASKED, passages=(*ASKED.passages, GroupPassage(TEXTS[2].upper())))
    with wrong_passages(map(GroupPassage, TEXTS)) as find:
        assert texts(find(more, 2)) == TEXTS[3:4]


def of(document: str, *found: str) -> list[GroupPassage]:
    """Passages of a document."""
    return [GroupPassage(text, document=document) for text in found]


def test_another_passage_of_the_question_s_own_document_is_not_taken() -> None:
    own = replace(ASKED.passages[0], document="guests")
    asked = replace(ASKED, passages=(own,))
    # Of its own are as many as are looked at otherwise, all of them better to BM25.
    near = [f"The guest code is valid; how long is asked at desk {n}." for n in range(12)]
    among = [*of("guests", OWN, *near), *of("desk", *TEXTS[2:])]
    with wrong_passages(among) as find:
        assert texts(find(asked, 1)) == TEXTS[2:3]
        assert texts(find(asked, 9)) == TEXTS[2:4]
        # Of a question whose document is not known, any may be taken.
        assert find(ASKED, 1)[0].text in near
    # What stands in its document too is of it.
    with wrong_passages([*among, *of("guests", TEXTS[2])]) as find:
        assert texts(find(asked, 9)) == TEXTS[3:4]
    # Where there is one document, nothing tells what is wrong from what is beside it.
    with wrong_passages(of("guests", *TEXTS)) as find:
        assert texts(find(asked, 9)) == TEXTS[2:4]


def test_articles_of_squad_are_documents_by_their_titles(tmp_path: Path) -> None:
    write_squad(tmp_path / "a.json", {OWN: (ASKED.question, "12 hours"), TEXTS[2]: ("?", "desk")})
    more = {f"Lunch on day {n} is at noon.": ("When is lunch?", "noon") for n in range(5)}
    write_squad(tmp_path / "b.json", {TEXTS[3]: ("Who waits?", "guest"), **more})
    articles = [
        json.loads((tmp_path / name).read_text())["data"][0] for name in ("a.json", "b.json")
    ]
    for titles, expected in ((("A", "B"), TEXTS[3]), (("", ""), TEXTS[2]), (("A", "A"), TEXTS[2])):
        data = [{"title": title, **one} for title, one in zip(titles, articles, strict=True)]
        (tmp_path / "c.json").write_text(json.dumps({"data": data}))
        first = with_negatives(load_training(tmp_path / "c.json"), 1, seed=1)[0]
        assert sorted(texts(list(first.passages))) == sorted([OWN, expected])


def test_a_question_without_an_answer_has_none() -> None:
    with wrong_passages(map(GroupPassage, TEXTS)) as find:
        assert find(Group(ASKED.question, (GroupPassage(TEXTS[4]),)), 2) == []


def test_what_stands_above_a_passage_is_searched_and_goes_with_it() -> None:
    above = GroupPassage("It waits at the desk.", ((0, 2),), "Guest code")
    with wrong_passages([*ASKED.passages, GroupPassage("It waits."), above]) as find:
        assert find(ASKED, 2) == [replace(above, answers=())]


def test_the_order_in_a_group_does_not_tell_which_passage_is_right() -> None:
    generator = np.random.default_rng(3)
    wrong = [GroupPassage("a"), GroupPassage("b")]
    places = [beside(ASKED, wrong, generator).passages.index(ASKED.passages[0]) for _ in range(60)]
    assert set(places) == {0, 1, 2}


def test_every_question_gets_them_and_keeps_its_own() -> None:
    asked = [ASKED, *(Group("desk guest?", (GroupPassage(text, ((0, 7),)),)) for text in TEXTS[1:])]
    made = with_negatives(asked, 2, seed=1)
    assert [group.question for group in made] == [group.question for group in asked]
    for group, before in zip(made, asked, strict=True):
        assert before.passages[0] in group.passages
        others = [passage for passage in group.passages if passage != before.passages[0]]
        assert all(passage.answers == () and passage.text in TEXTS for passage in others)
    assert len(made[0].passages) == 3
    assert with_negatives(asked, 2, seed=1) == made


def test_the_command_trains_with_them(tmp_path: Path) -> None:
    paragraphs = {
        "the code is valid for 12 hours": ("how many hours is the code valid", "12 hours"),
        "the token code is for 90 days": ("how many days is the token code", "90 days"),
    }
    data = tmp_path / "train.json"
    write_squad(data, paragraphs)
    start = checkpoint(tmp_path / "start")
    common = ["reader", "finetune", data, "--start", start, "--no-bf16", "--run"]
    ran = spanbot(*common, tmp_path / "run", "--negatives", "1")
    assert ran.code == 0
    told = " ".join(ran.err.split())
    assert "2 wrong passages beside those of 2 questions; fewer than 1 beside 0 of them" in told
    told = " ".join(spanbot(*common, tmp_path / "more", "--negatives", "3").err.split())
    assert "2 wrong passages beside those of 2 questions; fewer than 3 beside 2 of them" in told
    plain = spanbot(*common, tmp_path / "plain")
    assert "wrong passages" not in plain.err
    losses = [
        json.loads((tmp_path / run / "history.json").read_text())["losses"]
        for run in ("run", "plain")
    ]
    assert losses[0] != losses[1]
    again = spanbot(*common, tmp_path / "run").err
    assert "its training data are others" in " ".join(again.split())
