"""The ablation: its variants' data, its comparison worked out by hand, the whole at a tiny size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import recipe_data
from bench.ablation import main
from bench.ablation_report import compared, table
from bench.ablation_variants import VARIANTS, Material
from bench.open_questions import Found, Question
from reader.squad import Example, GoldAnswer
from tests.reader_models import checkpoint
from tests.squad_files import write_squad

PARAGRAPHS = {
    "the code is valid for 12 hours": ("how many hours is the code valid", "12 hours"),
    "the vpn code is valid for 90 days": ("how many days is the vpn code valid", "90 days"),
    "ask the desk for a code": ("who has a code", "the desk"),
    "reset the token": ("what is reset", "the token"),
}
HANDBOOK = "# Code\n\nThe code is valid for 12 hours.\n\n# Desk\n\nAsk the desk for a token.\n"
ASKED = [
    {"question": "how many hours is the code valid", "answers": ["12 hours"]},
    {"question": "who has a token", "answers": ["the desk"]},
    {"question": "how many days", "answers": [], "answerable": False},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in (recipe_data.DEV, *(path for path, _ in recipe_data.READER_SETS.values())):
        write_squad(folder / f"{name}.json", PARAGRAPHS)
    return folder


def test_each_variant_has_the_questions_of_base_and_what_it_adds(data: Path) -> None:
    material = Material(data, 3, seed=13)
    made = {name: variant.groups(material) for name, variant in VARIANTS.items()}
    base = made["base"]
    questions = [group.question for group in base]
    assert [len(group.passages) for group in base] == [1, 1, 1]
    for name in ("unanswerable", "more-sets"):
        assert made[name][:3] == base
    for name in ("match", "distill", "pretrained"):
        assert made[name] == base
    assert [group.question for group in made["shared-softmax"]] == questions
    for group, own in zip(made["shared-softmax"], base, strict=True):
        right = [passage for passage in group.passages if passage.answers]
        wrong = [passage.text for passage in group.passages if not passage.answers]
        assert right == list(own.passages)
        assert len(wrong) == 2
        assert all("code" in text for text in wrong)  # as in the question
    [more] = made["unanswerable"][3:]
    assert more.question == questions[1]
    assert not more.answerable
    assert more.passages == (material.negatives[1][0],)
    assert len(made["more-sets"]) == 6
    assert set(questions) < {group.question for group in made["more-squad"]}


CONTEXT = "the code is valid for 12 hours"
DEV = [Example(name, "how many hours?", CONTEXT, (GoldAnswer("12 hours", 22),)) for name in "abcd"]
FOUND = Found([CONTEXT], [Question(example, (0,), (0.0,), 0) for example in DEV])


def facts(own: str, searched: str, contains: Sequence[bool], less_none: str = "") -> dict[str, Any]:
    """What is kept of a variant; ``r`` in a word of four is a right answer, others are wrong."""

    def answers(word: str) -> dict[str, str]:
        said = ("12 hours" if letter == "r" else "code" for letter in word)
        return dict(zip("abcd", said, strict=True))

    return {
        "trained": {"questions": 4, "passages": 4, "steps": 1},
        "squad": {"answers": answers(own)},
        "open": {
            "answers": answers(searched),
            "less_none": answers(less_none) if less_none else None,
        },
        "sample": {"contains": list(contains)},
    }


def test_differences_are_to_base_on_the_same_questions() -> None:
    report = compared(
        {
            "base": facts("rr--", "r---", [True, False]),
            "unanswerable": facts("rrr-", "----", [True, True], "rrrr"),
        },
        DEV,
        FOUND,
    )
    base, other = report["base"], report["unanswerable"]
    assert base["squad"]["f1"] == 50
    assert base["squad"]["less_base"]["f1"] == [0, 0, 0]
    assert "open_less_none" not in base
    assert (other["squad"]["f1"], other["open"]["f1"], other["open_less_none"]["f1"]) == (
        75,
        0,
        100,
    )
    assert other["squad"]["less_base"]["f1"] == [25, 0, 75]
    assert other["open"]["less_base"]["f1"] == [-25, -75, 0]
    assert other["open_less_none"]["less_base"]["f1"][0] == 75
    assert other["sample"]["contains"] == 100
    assert other["sample"]["less_base"]["contains"] == [50, 0, 100]
    rows = table({"variants": report}).splitlines()
    assert rows[2].endswith("| 4 | 50.00 | 25.00 | 50.00 |")
    assert "| 75.00: +25.00 (+0.00 to +75.00) |" in rows[3]


def test_the_whole_at_a_tiny_size(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "code.md").write_text(HANDBOOK, encoding="utf-8")
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, ASKED)), encoding="utf-8")
    (tmp_path / "corpus.txt").write_text("the code is valid\n\nask who is valid\n" * 30, "utf-8")
    words = (
        f"--data {data} --out {tmp_path / 'out'} --start {checkpoint(tmp_path / 'start')} "
        f"--handbook {tmp_path / 'handbook'} --asked {tmp_path / 'asked.jsonl'} "
        f"--corpus {tmp_path / 'corpus.txt'} --pretrain-steps 2 --questions 3 --device cpu "
        "--save-every 1 --variants shared-softmax unanswerable match pretrained"
    ).split()
    main([*words, "--minutes", "0"])
    said = capsys.readouterr()
    assert "The time is up; give the same command again" in said.err
    assert said.out == ""
    main(words)
    first = capsys.readouterr().out
    results = tmp_path / "out" / "results"
    report = json.loads((results / "ablation.json").read_text())
    assert list(report["variants"]) == [
        "base", "shared-softmax", "unanswerable", "match", "pretrained",
    ]  # fmt: skip
    assert report["missing"] == ["distill", "more-sets", "more-squad"]
    assert {row["squad"]["questions"] for row in report["variants"].values()} == {4}
    assert {row["sample"]["questions"] for row in report["variants"].values()} == {2}
    assert report["variants"]["shared-softmax"]["passages"] == 9
    assert "open_less_none" in report["variants"]["unanswerable"]
    assert (results / "ablation.png").read_bytes().startswith(b"\x89PNG")
    main(words)  # all is there: nothing is trained again
    again = capsys.readouterr()
    assert (again.out, again.err) == (first, "")
    with pytest.raises(SystemExit, match="holds a run of another recipe"):
        main([*words, "--seed", "2"])
