"""What ``python -m reader.NAME`` and ``python -m bench.NAME`` say to arguments that are wrong."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import (
    analysis,
    calibrate,
    groups,
    open_squad,
    oracle,
    ranking,
    recipe,
    retriever,
    rounds,
)
from bench import reader as speed
from reader import average, contrast, ranker
from tests.squad_files import write_squad

ROOT = Path(__file__).parent.parent
HERE = str(Path(__file__))

Main = Callable[[list[str]], None]


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (contrast.main, "g.jsonl:x --start s --run r", '"g.jsonl:x" is not of the form GROUPS:N'),
        (contrast.main, "g.jsonl:0 --start s --run r", 'in the place of "0"'),
        (contrast.main, "g.jsonl:-2 --start s --run r", 'in the place of "-2"'),
        (contrast.main, "g.jsonl --start s --run r --learning-rate 0", '"0" is no number above 0'),
        (contrast.main, "g.jsonl --start s --run r --learning-rate nan", '"nan" is no number abo'),
        (contrast.main, "g.jsonl --start s --run r --learning-rate 2", '"2" is no number from 0'),
        (ranker.main, "source", "required: target"),
        (groups.main, f"{HERE} --home /srv --out o", '"/srv" is not of the form NAME=HOME'),
        (groups.main, "q.jsonl --home a=b --out o", 'there is no file "q.jsonl"; give the path'),
        (groups.main, f"{HERE} --home a=b --out o --negatives -1", '"-1" is no whole number from'),
        (calibrate.main, "collect q --home /srv --found f", '"/srv" is not of the form NAME=HOME'),
        (calibrate.main, "collect q --home a=b --found f --limit x", '"x" is no whole number fr'),
        (rounds.main, "dev.json --round 0", '"0" is no whole number from 1 on'),
        (ranking.main, "dev.json --questions 0", '"0" is no whole number from 1 on'),
        (open_squad.main, "d.json --work w --passages 0", '"0" is no whole number from 1 on'),
        (open_squad.main, "d.json --work w --questions 0", '"0" is no whole number from 1 on'),
        (open_squad.main, "d.json --work w --round x", '"x" is no whole number from 1 on'),
        (open_squad.main, "d.json --work w --block 0", '"0" is no whole number from 1 on'),
        (open_squad.main, "d.json --work w --threads -1", '"-1" is no whole number from 0 on'),
        (oracle.main, "--corpus c --questions none.json", 'there is no file "none.json"'),
        (oracle.main, f"--corpus c --questions {HERE} --passages 0", '"0" is no whole number'),
        (
            oracle.main,
            f"--corpus c --questions {HERE} --asked 0",
            '"0" is no whole number from 1 on',
        ),
        (oracle.main, f"--corpus c --questions {HERE} --k -1", '"-1" is no whole number from 1 on'),
        (analysis.main, "--data d --processes 0", '"0" is no whole number from 1 on'),
        (analysis.main, "--data d --peers-python none/python", 'no file "none/python"'),
        (speed.main, "--squad s --out o --pipeline none/python", '"none/python" is no program'),
        (speed.main, "--squad s --out o --repeats 0", '"0" is no whole number from 1 on'),
        (retriever.main, f"--corpus c --work w --questions {HERE} --sizes 0", '"0" is no whole'),
        (recipe.main, "--data d --questions q --out o --save-every 0", '"0" is no whole number'),
    ],
)
def test_a_wrong_value_is_named(
    main: Main, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (contrast.main, "none.jsonl --start s --run r", "cannot read none.jsonl"),
        (average.main, "a b --share 2 --out o", "the share 2.0 is not between 0 and 1"),
        (ranker.main, "none target", "there is no model folder"),
        (rounds.main, "none.json", "cannot read none.json"),
        (ranking.main, "none.json", "cannot read none.json"),
        (speed.main, "--squad none.json --out o --no-base", "cannot read none.json"),
        (analysis.main, "--data none --results r --collections headings", "holds no .tar.xz"),
        (retriever.main, f"--corpus none --work w --questions {HERE}", "holds no .txt.xz"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    main: Main, arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main(arguments.split())


def test_the_oracle_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    corpus, questions = tmp_path / "corpus", tmp_path / "dev.json"
    corpus.mkdir()
    words = ["--corpus", str(corpus), "--questions", str(questions), "--out", str(tmp_path / "o")]
    questions.write_text("{}")
    with pytest.raises(SystemExit, match=r"error: .*dev\.json"):
        oracle.main(words)
    # SQuAD asks about this paragraph as often as is needed.
    write_squad(questions, {"the code": ("", "code")})
    record = json.loads(questions.read_text())
    paragraph = record["data"][0]["paragraphs"][0]
    answer = paragraph["qas"][0]["answers"]
    paragraph["qas"] = [
        {"id": str(number), "question": f"question {number}", "answers": answer}
        for number in range(400)
    ]
    questions.write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r"holds no \.txt\.xz"):
        oracle.main(words)
    (corpus / "wiki.txt.xz").write_bytes(lzma.compress(b"some words " * 500)[:-20])
    with pytest.raises(SystemExit, match=r"wiki\.txt\.xz is not a whole \.xz file"):
        oracle.main(words)
    (corpus / "wiki.txt.xz").write_bytes(lzma.compress(b"some words " * 500))
    with pytest.raises(SystemExit, match="the corpus has 10 passages; 20000 and 1000 more"):
        oracle.main(words)


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("bench.stages", ["word2vec", "build", "job.json"], "invalid choice: 'word2vec'"),
        ("bench.analysis_peers", [], "required: job"),
        ("bench.crash", ["--rounds", "x"], '"x" is no whole number from 0 on'),
        ("bench.crash", ["--seed", "-1"], '"-1" is no whole number from 0 on'),
        ("bench.masking_experiment", ["--rows", "0"], '"0" is no whole number from 1 on'),
    ],
)
def test_commands_that_read_the_command_line_alone(
    module: str, arguments: list[str], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
