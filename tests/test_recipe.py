"""The recipe of the embedded models: all of it at a tiny size, whole and in pieces."""

from __future__ import annotations

import json
import lzma
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench import recipe_data
from bench.clock import Clock, OutOfTimeError
from bench.groups import load
from bench.parts import split
from bench.recipe import main
from reader.errors import DatasetError
from reader.groups import load_groups
from reader.ranker import load_ranker
from reader.reader import Passage, load_reader
from tests.reader_models import checkpoint
from tests.squad_files import write_squad

HANDBOOK = {
    "leave.md": "# Leave\n\nThe token is valid for 12 hours.\n\n## Days\n\nAsk who is valid.\n",
    "vpn.md": "# VPN\n\nReset the vpn in 90 days.\n\n## Code\n\nThe code is for many days.\n",
}
INVENTED = {"shop/desk.md": "# Desk\n\nAsk the desk for a code. The desk is valid for hours.\n"}
QUESTIONS = [
    ("book", "leave.md", ["how long is the token valid", "token hours"], "12 hours"),
    ("book", "vpn.md", ["how many days vpn"], "90 days"),
    ("book", "vpn.md", ["who is the code for"], None),
    ("shops", "shop/desk.md", ["who has a code", "where is the code"], "the desk"),
    ("shops", "shop/desk.md", ["not there"], "no such words"),
]
PARAGRAPHS = {
    "the code is valid for 12 hours": ("how many hours is the code", "12 hours"),
    "the token is for 90 days": ("how many days is the token", "90 days"),
    "ask the desk who can reset it": ("who can reset", "the desk"),
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A data folder, questions and start weights, as arguments."""
    data, questions = tmp_path / "data", tmp_path / "training" / "questions"
    sets = [path for path, _ in recipe_data.READER_SETS.values()]
    for name in (*sets, recipe_data.DEV, recipe_data.QED):
        write_squad(data / f"{name}.json", PARAGRAPHS)
    (data / "kb").mkdir()
    with tarfile.open(data / "kb" / "book.tar.xz", "w:xz") as archive:
        archive.add(written(tmp_path / "book", HANDBOOK), "book")
    written(tmp_path / "training" / "shops", INVENTED)
    questions.mkdir()
    lines = [
        json.dumps({"kb": kb, "document": document, "questions": asked, "answer": answer})
        for kb, document, asked, answer in QUESTIONS
    ]
    (questions / "all.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    start = checkpoint(tmp_path / "start", head=False)
    return (
        f"--data {data} --questions {questions} --start {start} --device cpu --squad-groups 2 "
        "--save-every 1"
    ).split()


def stopping(monkeypatch: pytest.MonkeyPatch, checks: int) -> None:
    """Commands from now on have time for so many looks at the clock."""

    class Counted(Clock):
        left = checks

        def check(self, *_: object) -> None:
            Counted.left -= 1
            if Counted.left < 0:
                raise OutOfTimeError

    def counted(minutes: float) -> Clock:
        Counted.left = checks
        return Counted(0.0)

    monkeypatch.setattr(Clock, "of_minutes", counted)


def joined(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a results folder, by the command that the documentation gives."""
    command = "cat model.safetensors.part-* > model.safetensors && sha256sum -c SHA256SUMS"
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True)
    return load_file(folder / "model.safetensors")


def test_in_pieces_it_makes_the_models_that_it_makes_at_once(
    tmp_path: Path,
    words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([*words, "--out", str(tmp_path / "whole")])
    scores = json.loads(capsys.readouterr().out)
    assert scores["total"] == 3
    whole = tmp_path / "whole" / "results"
    stopping(monkeypatch, 6)
    pieces = tmp_path / "pieces" / "results"
    stops = 0
    while not (pieces / "recipe.json").exists():
        main([*words, "--out", str(tmp_path / "pieces")])
        stops += 1
        assert stops < 40
    assert stops > 3
    assert "The time is up; give the same command again" in capsys.readouterr().err
    for name in ("reader", "ranker"):
        one, other = joined(whole / name), joined(pieces / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert (whole / name / "README.md").read_text() == (pieces / name / "README.md").read_text()
    report = json.loads((pieces / "recipe.json").read_text())
    assert report["stages"]["groups"] == {"own": {"book": 4, "shops": 2}, "squad": 2}
    text = "the code is valid for 12 hours"
    assert load_reader(whole / "reader", device="cpu").read("hours?", [Passage("a", 0, text)])
    assert load_ranker(whole / "ranker", device="cpu").encode([text]).shape == (1, 32)
    card = (whole / "reader" / "README.md").read_text()
    assert "ranks passages too" not in card
    assert "No plain text was trained on" in card
    assert all(f"Not trained on: {one.title}" in card for one in recipe_data.MORE_SETS.values())
    assert f"| SQuAD 1.1 dev | 3 | {scores['exact']:.2f} | {scores['f1']:.2f} |" in card
    assert "| this project's questions on handbooks | 6 |" in card
    assert "| 3 | stages 2 and 1 | none: averaged, 0.85 of stage 2 |" in card
    assert "start weights" in (whole / "ranker" / "README.md").read_text()
    # The documents of one organisation are compared with one another, those of many are not.
    work = tmp_path / "whole" / "work" / "groups"
    own = load_groups(work / "reader.jsonl")
    assert any(len(group.passages) == 3 for group in own)
    desk = [len(g.passages) for g in load_groups(work / "sentences-shops.jsonl")]
    assert desk == [1, 1]
    with pytest.raises(SystemExit, match="holds a run of another recipe"):
        main([*words, "--out", str(tmp_path / "whole"), "--match"])


def test_with_two_heads_the_reader_is_the_ranker_too(tmp_path: Path, words: Sequence[str]) -> None:
    main([*words, "--out", str(tmp_path), "--two-heads"])
    results = tmp_path / "results"
    assert sorted(path.name for path in results.iterdir()) == ["reader", "recipe.json"]
    joined(results / "reader")
    text = "the code is valid for 12 hours"
    reader = load_reader(results / "reader", device="cpu")
    assert reader.read("hours?", [Passage("a", 0, text)])
    ranker = load_ranker(results / "reader", device="cpu")
    assert ranker.encode([text]).shape == (1, 32)
    assert ranker.name.startswith("reader-")
    report = json.loads((results / "recipe.json").read_text())
    stages = report["stages"]
    assert report["recipe"]["two_heads"] is True
    assert [stages[name]["config"]["ranking"] for name in ("stage1", "stage2")] == [1.0, 1.0]
    assert "ranker-first" not in stages
    card = (results / "reader" / "README.md").read_text()
    assert "with weight 1 the ranking of a batch's passages" in card
    found = stages["ranking"]["sets"]["dev-v1.1"]["vectors"]
    shares = " | ".join(f"{found[f'success@{k}'][0]:.3f}" for k in (1, 5, 10))
    assert f"| dev-v1.1 | vectors | {shares} |" in card


def test_plain_text_and_further_sets_come_first_when_they_are_asked_for(
    tmp_path: Path, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for name in ("amazon", "subjqa"):
        write_squad(data / f"{recipe_data.MORE_SETS[name].file}.json", PARAGRAPHS)
    more = [*words, "--out", str(tmp_path / "out"), "--pretrain-steps", "2"]
    more += ["--more", "subjqa", "amazon", "--limit", "2"]
    with pytest.raises(SystemExit, match=r"there is no .*wiki-en-2018-core-1\.txt\.xz; leave out"):
        main(more)
    (data / "corpus").mkdir()
    text = "\n\n".join(" ".join(PARAGRAPHS) for _ in range(4)).encode()
    for file, _ in recipe_data.CORPORA.values():
        (data / file).write_bytes(lzma.compress(text))
    stopping(monkeypatch, 5)
    stops, results = 0, tmp_path / "out" / "results"
    while not (results / "recipe.json").exists():
        main(more)
        stops += 1
        assert stops < 60
    assert stops > 3
    report = json.loads((results / "recipe.json").read_text())
    assert report["recipe"]["more"] == ["amazon", "subjqa"]
    stages = report["stages"]
    assert (stages["pretrain"]["steps"], stages["pretrain"]["documents"]) == (2, 16)
    masking = stages["pretrain"]["config"]["masking"]
    assert masking["kind"] == "spans"
    assert [count for _, count, _ in stages["stage1"]["sets"]] == [2] * 6
    # The reader goes on from what the plain text made of the start weights.
    work = tmp_path / "out" / "work"
    start, pretrained = (
        load_file(folder / "model.safetensors")
        for folder in (tmp_path / "start", work / "pretrain" / "model")
    )
    name = next(name for name in start if name.endswith("word_embeddings.weight"))
    assert not torch.equal(start[name], pretrained[name])
    trained = load_file(work / "stage1" / "model" / "model.safetensors")[f"bert.{name}"]
    nearness = [(trained - one[name]).abs().mean() for one in (pretrained, start)]
    assert nearness[0] < nearness[1]
    card = (results / "reader" / "README.md").read_text()
    assert "| 0 | the start weights | plain text, spans masked |" in card
    assert "| 1 | stage 0, new head |" in card
    assert "| SubjQA train | 2 |" in card
    assert "SQuADShifts, Amazon reviews: It is an official **test** set" in card
    assert "Not trained on: SQuAD 1.1 train, part C2; in a check 17 %" in card
    assert "16 documents" in card


def test_a_run_is_of_its_documents_and_sets(
    tmp_path: Path, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping(monkeypatch, 0)
    command = [*words, "--out", str(tmp_path / "out")]
    main(command)
    main(command)
    desk = tmp_path / "training" / "shops" / "shop" / "desk.md"
    archive = tmp_path / "data" / "kb" / "book.tar.xz"
    dev = tmp_path / "data" / f"{recipe_data.DEV}.json"

    def moved() -> None:
        desk.rename(desk.with_name("till.md"))

    for path, change in (
        (desk, lambda: desk.write_text("# Desk\n\nNobody has a code.\n")),
        (desk, moved),
        (archive, lambda: archive.write_bytes(archive.read_bytes() + b"x")),
        (dev, lambda: write_squad(dev, dict(list(PARAGRAPHS.items())[:1]))),
    ):
        before = path.read_bytes()
        change()
        with pytest.raises(SystemExit, match="holds a run of another recipe"):
            main(command)
        desk.with_name("till.md").unlink(missing_ok=True)
        path.write_bytes(before)
        main(command)


def test_what_is_missing_is_named(tmp_path: Path, words: list[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, value, message in (
        ("--data", empty, r"there is no .*train-reconstructed-v1\.1\.json\.xz"),
        ("--questions", empty, r"empty holds no \.jsonl files"),
        ("--start", empty, "empty holds no weights"),
    ):
        with pytest.raises(SystemExit, match=message):
            main([*words, name, str(value), *out])
    questions = empty / "questions"
    questions.mkdir()
    (questions / "a.jsonl").write_text('{"kb": "nowhere"}\n')
    with pytest.raises(DatasetError, match='questions are on "nowhere", but there is no'):
        recipe_data.handbooks(tmp_path / "data", questions)
    (questions / "a.jsonl").write_text('{"kb": "nowhere"}\n[]\n')
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 2: no JSON object"):
        recipe_data.handbooks(tmp_path / "data", questions)
    (questions / "a.jsonl").write_text('{"kb": "other"}\n{"kb": "a", "document": "b"}\n')
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 2: .* wrong is 'questions'"):
        load([questions / "a.jsonl"], "a")


def test_a_question_with_a_line_separator_is_one_line(tmp_path: Path) -> None:
    questions, asked = tmp_path / "questions", "who\u2028has\u0085a code"
    record = {"kb": "shops", "document": "desk.md", "questions": [asked], "answer": "the desk"}
    questions.mkdir()
    (tmp_path / "shops").mkdir()
    line = json.dumps(record, ensure_ascii=False)
    (questions / "a.jsonl").write_bytes(f"{line}\r\n{line}\r\n".encode())
    assert [item.question for item in load([questions / "a.jsonl"], "shops")] == [asked, asked]
    assert [book.name for book in recipe_data.handbooks(tmp_path, questions)] == ["shops"]


def test_a_file_in_parts_is_whole_again(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    (tmp_path / "model.safetensors").write_bytes(content)
    folder = tmp_path / "parts"
    split(tmp_path / "model.safetensors", folder, size=100)
    parts = split(tmp_path / "model.safetensors", folder, size=1000)
    assert [part.stat().st_size for part in parts] == [1000, 1000, 560]
    assert sorted(folder.glob("*.part-*")) == parts
    assert b"".join(part.read_bytes() for part in parts) == content
