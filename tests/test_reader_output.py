"""Results that cannot be written, on a disk that is full, and where they go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from reader import checkpoint as checkpoints
from reader import pretrain_model
from reader.average import average
from reader.contrast import ContrastConfig
from reader.contrast import train as train_ranker
from reader.corpus import prepare
from reader.curve import draw
from reader.errors import CorpusError, OutputError, ReaderError
from reader.groups import Group, GroupPassage, save_groups
from reader.masking import MaskingConfig
from reader.output import check_targets, write_text, writing
from reader.ranker import store
from reader.training import History, Training
from tests.full_disk import room_for
from tests.reader_models import checkpoint

CPU = torch.device("cpu")
GROUPS = [Group("who?", (GroupPassage("ask who is valid " * 200, ((0, 3),)),))]


def loaded(folder: Path) -> checkpoints.Checkpoint:
    return checkpoints.load(folder, device=CPU, head_required=False)


def save_checkpoint(start: Path, out: Path) -> None:
    checkpoints.save(loaded(start), out)


def save_encoder(start: Path, out: Path) -> None:
    chosen = loaded(start)
    pretrain_model.save(chosen, pretrain_model.build(chosen, start, MaskingConfig()), out)


def save_tokenizer(start: Path, out: Path) -> None:
    out.mkdir()
    loaded(start).tokenizer.save(out)


def prepare_corpus(start: Path, out: Path) -> None:
    def texts() -> Iterator[str]:
        yield from ["ask who is valid " * 400] * 3

    prepare(texts(), loaded(start).tokenizer, out)


def save_run(start: Path, out: Path) -> None:
    model: Any = loaded(start).model
    Training(out, model, ContrastConfig(), History(config={}, steps=2)).save(1)


def save_trained_ranker(start: Path, out: Path) -> None:
    train_ranker(start, [GROUPS], out, ContrastConfig(max_length=64), device=CPU)


def draw_curve(start: Path, out: Path) -> None:
    record = {"losses": [[1, 2.0], [2, 1.0]], "evaluations": []}
    history = start / "history.json"
    history.write_text(json.dumps(record))
    draw(history, out)


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "a reader": save_checkpoint,
    "an encoder": save_encoder,
    "a tokenizer": save_tokenizer,
    "a corpus": prepare_corpus,
    "a run": save_run,
    "a ranker": lambda start, out: store(start, out, name="r"),
    "a trained ranker": save_trained_ranker,
    "a mean": lambda start, out: average(start, start, out, share=0.5),
    "groups": lambda _, out: save_groups(GROUPS, out),
    "a curve": draw_curve,
    "a text": lambda _, out: write_text(out, "x" * 4000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_by_the_name_of_what_was_written(name: str, tmp_path: Path) -> None:
    start, out = checkpoint(tmp_path / "start"), tmp_path / "out"
    write = WRITERS[name]
    draw_curve(start, tmp_path / "first")  # matplotlib keeps a list of fonts
    with room_for(1000), pytest.raises(OutputError, match=rf"^cannot write {out}") as caught:
        write(start, out)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.part"))  # nothing of it takes up the room that is left
    write(start, tmp_path / "other")  # with room it is written


def test_what_a_full_disk_does_not_take_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_text(out, "old")
    (tmp_path / "link").symlink_to(out)
    for path in (out, tmp_path / "link"):
        with room_for(1000), pytest.raises(OutputError, match=rf"^cannot write {path}: File too"):
            write_text(path, "x" * 4000)
    assert out.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "link", out]


def test_a_corpus_that_is_broken_off_leaves_the_one_before(tmp_path: Path) -> None:
    def texts() -> Iterator[str]:
        yield from ["ask who is valid " * 4] * 300
        raise KeyboardInterrupt

    tokenizer = loaded(checkpoint(tmp_path / "start")).tokenizer
    prepare(["ask who is valid " * 4], tokenizer, tmp_path / "out", source="a")
    with pytest.raises(KeyboardInterrupt):
        prepare(texts(), tokenizer, tmp_path / "out", source="b")
    with pytest.raises(CorpusError, match="needs more text"):
        prepare(["ask"], tokenizer, tmp_path / "out", source="c")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pieces.bin", "pieces.json",
    ]  # fmt: skip
    kept = prepare(texts(), tokenizer, tmp_path / "out", source="a")
    assert len(kept.ids) == 17


def test_a_full_disk_at_the_record_of_a_corpus_leaves_no_corpus(tmp_path: Path) -> None:
    tokenizer = loaded(checkpoint(tmp_path / "start")).tokenizer
    texts = ["ask who is valid " * 4]
    with room_for(100), pytest.raises(OutputError, match=r"cannot write .*pieces\.json: File too"):
        prepare(texts, tokenizer, tmp_path / "out", source="a")
    made = prepare(texts, tokenizer, tmp_path / "out", source="a")
    assert len(made.ids) == 17


def test_what_is_wrong_with_the_work_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    for error in (ReaderError("a"), ValueError("b"), KeyError("c")):
        with pytest.raises(type(error)) as caught, writing(tmp_path):
            raise error
        assert caught.value is error

    def texts() -> Iterator[str]:
        yield "ask who is valid"
        raise OSError("the network is gone")

    tokenizer = loaded(checkpoint(tmp_path / "start")).tokenizer
    with pytest.raises(OSError, match="the network is gone"):
        prepare(texts(), tokenizer, tmp_path / "out")


def test_a_link_stays_and_the_file_it_leads_to_is_written(tmp_path: Path) -> None:
    there, link, coming = tmp_path / "there", tmp_path / "link", tmp_path / "coming"
    (tmp_path / "folder").mkdir()
    there.write_text("old")
    link.symlink_to(there)
    coming.symlink_to(Path("folder", "new"))
    check_targets({"--a": link, "--b": coming})
    write_text(link, "new")
    write_text(coming, "first")
    assert (link.is_symlink(), there.read_text()) == (True, "new")
    assert (coming.is_symlink(), (tmp_path / "folder" / "new").read_text()) == (True, "first")
    nowhere, loop = tmp_path / "nowhere", tmp_path / "loop"
    nowhere.symlink_to(Path("none", "new"))
    with pytest.raises(OutputError, match=r"cannot write .*nowhere: there is no folder .*none; "):
        check_targets({"--a": nowhere})
    loop.symlink_to("loop")
    with pytest.raises(OutputError, match=r"cannot write .*loop: "):
        check_targets({"--a": loop})
    with pytest.raises(OutputError, match=r"cannot write .*loop: "):
        write_text(loop, "x")
    assert loop.is_symlink()


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_targets({"--a": pipe})
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        write_text(pipe, "a line\n")
        if not pipe.is_fifo():  # a reader that waits for nobody would wait for ever
            os.mkfifo(tmp_path / "other")
            (tmp_path / "other").replace(pipe)
            pipe.write_text("replaced")
        assert read.result(timeout=60) == "a line\n"
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("to", ["pipe", "file"])
def test_the_command_s_own_output_is_written_in_its_order(to: str, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from reader.output import check_targets, write_text; "
        "target = Path('/dev/stdout'); check_targets({'--a': target}); "
        "print('before'); write_text(target, 'written\\n'); print('after')"
    )
    out = tmp_path / "out"
    with out.open("wb") as file:
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdout=file if to == "file" else subprocess.PIPE,
        )
    written = ran.stdout if to == "pipe" else out.read_bytes()
    assert written == b"before\nwritten\nafter\n"
    assert list(tmp_path.iterdir()) == [out]
    assert Path("/dev/stdout").is_symlink()


def test_two_options_of_one_file_are_refused(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    link.symlink_to(there)
    check_targets({"--a": there, "--b": None, "--c": tmp_path / "other"})
    for second in (there, link, tmp_path / "x" / ".." / "there"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(OutputError, match=rf"^--a and --c both name {second}; give each a"):
            check_targets({"--a": there, "--b": None, "--c": second})
