"""Results that cannot be written, on a disk that is full, and where they go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

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
from reader.output import check_targets, replacing_folder, write_text, writing
from reader.ranker import store
from reader.tokenization import PieceTokenizer
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


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, by their paths in it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", ["a reader", "an encoder"])
def test_a_model_is_saved_whole_or_not_at_all(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, out = checkpoint(tmp_path / "start"), tmp_path / "run" / "model"
    write = WRITERS[name]
    written: list[Path] = []

    def stopped(tokenizer: PieceTokenizer, folder: Path) -> None:
        assert (folder / "model.safetensors").is_file()
        written.append(folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PieceTokenizer, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            write(start, out)
        assert files(out.parent) == {}
    write(start, out)
    whole = files(out.parent)
    other = Path(shutil.copytree(start, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["bert.embeddings.LayerNorm.bias"] += 1
    save_file(weights, other / "model.safetensors")
    with monkeypatch.context() as patched:
        patched.setattr(PieceTokenizer, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            write(other, out)
    assert files(out.parent) == whole
    assert len(written) == 2
    write(other, out)
    changed = files(out.parent)
    assert changed.keys() == whole.keys()
    assert changed["model/model.safetensors"] != whole["model/model.safetensors"]


def put(target: Path, **texts: str) -> None:
    """Write files of a folder."""
    with replacing_folder(target) as part:
        for name, text in texts.items():
            (part / name).write_text(text)


def test_a_folder_s_other_files_stay_and_what_is_the_same_is_not_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    put(target, a="1", b="2")
    target.chmod(0o700)
    (target / "README").write_text("mine")
    (target / "more").mkdir()
    (target / "more" / "a").write_text("deep")
    (target / "there").symlink_to("a")
    link.symlink_to(target)
    before = target.stat()
    kept = {"README": b"mine", "more/a": b"deep"}
    put(target, a="1", b="2")
    assert files(target) == {"a": b"1", "b": b"2", "there": b"1", **kept}
    assert target.stat() == before
    put(link, a="3", b="2")
    assert files(target) == {"a": b"3", "b": b"2", "there": b"3", **kept}
    assert (target / "there").is_symlink()
    assert target.stat().st_mode == before.st_mode
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, target]
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        OutputError, match=rf"^cannot make the folder {tmp_path}/file: there is a f"
    ):
        put(tmp_path / "file", a="1")
    assert (tmp_path / "file").read_text() == "x"


def test_who_is_killed_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "target"
    code = (
        "import os, signal, sys; from pathlib import Path; from reader.output import "
        "replacing_folder\n"
        "with replacing_folder(Path(sys.argv[1])) as part:\n"
        "    (part / 'a').write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for there in ({}, {"a": b"old", "b": b"old"}):
        ran = subprocess.run([sys.executable, "-c", code, target], check=False)
        assert ran.returncode == -signal.SIGKILL
        assert files(target) == there
        put(target, a="old", b="old")
        assert sorted(tmp_path.iterdir()) == [target]
    # Killed between the two renames: all of the old one is beside what was written.
    (target / "README").write_text("mine")
    shutil.copytree(target, tmp_path / "target.part")
    target.rename(tmp_path / ".target.before")
    put(target, a="new", b="new")
    assert files(tmp_path) == {"target/a": b"new", "target/b": b"new", "target/README": b"mine"}


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
