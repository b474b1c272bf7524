"""Pre-training runs of a tiny encoder."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from reader import checkpoint as checkpoints
from reader.boundary import IGNORED, BoundaryHead, PieceHead
from reader.corpus import Rows, prepare
from reader.curve import draw
from reader.errors import CheckpointError, TrainingError
from reader.masking import MaskingConfig, Vocabulary
from reader.pretrain import PretrainConfig, Progress, _train_step, pretrain
from reader.pretrain_batches import HostBatch, Step, Steps, in_background
from reader.pretrain_model import Pretrainer
from reader.throughput import measured_peak, prefers_bf16, training_flops
from tests.reader_models import checkpoint, overflowing, tokenizer, vocabulary

CPU = torch.device("cpu")
TEXTS = [
    "the code is valid for many hours. ask who is valid for the token",
    "the vpn token is valid for days. how many days, how many hours",
    "reset the code for the vpn. ask the token who is valid",
] * 4


def config(**changes: Any) -> PretrainConfig:
    values: dict[str, Any] = {
        "steps": 12, "rows": 4, "length": 32, "learning_rate": 3e-3, "report_every": 4,
        "save_every": 5, "bf16": False,
    }  # fmt: skip
    return PretrainConfig(**{**values, **changes})


def run_it(start: Path, run: Path, settings: PretrainConfig, **more: Any) -> Path:
    return pretrain(start, TEXTS, run, settings, device=CPU, **more)


def weights(model: Path) -> dict[str, torch.Tensor]:
    heads = load_file(model / "pretraining_heads.safetensors")
    return {**load_file(model / "model.safetensors"), **heads}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "model", head=False)


@pytest.mark.parametrize("kind", ["spans", "pieces"])
def test_a_tiny_model_learns_and_its_encoder_can_be_fine_tuned(
    start: Path, tmp_path: Path, kind: Any
) -> None:
    seen: list[Progress] = []
    model = run_it(
        start,
        tmp_path / "run",
        config(steps=120, dropout=0.0, masking=MaskingConfig(kind=kind)),
        progress=seen.append,
    )
    assert seen[-1].masked < seen[0].masked - 0.5
    if kind == "spans":
        assert seen[-1].boundary < seen[0].boundary - 0.5
    else:
        assert all(report.boundary == 0 for report in seen)
    assert all(report.loss == report.masked + report.boundary for report in seen)
    assert all(report.pieces_per_second > 0 < report.utilisation for report in seen)
    assert [report.step for report in seen][-1] == 120
    with pytest.raises(CheckpointError, match="no question-answering head"):
        checkpoints.load(model, device=CPU)
    before = checkpoints.load(start, device=CPU, head_required=False).model.bert.state_dict()
    loaded = checkpoints.load(model, device=CPU, head_required=False)
    after = loaded.model.bert.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["corpus"]["documents"] == len(TEXTS)
    assert history["machine"]["peak_flops"] > 0
    draw(tmp_path / "run" / "history.json", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


class CutError(Exception):
    """The run is cut off here."""


def cut_at(step: int) -> Callable[[Progress], None]:
    def progress(report: Progress) -> None:
        if report.step == step:
            raise CutError

    return progress


@pytest.mark.parametrize("step", [5, 8])
def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(
    start: Path, tmp_path: Path, step: int
) -> None:
    settings = config(accumulate=2, rows=2)
    whole = run_it(start, tmp_path / "whole", settings)
    with pytest.raises(CutError):
        run_it(start, tmp_path / "cut", settings, progress=cut_at(step))
    assert not (tmp_path / "cut" / "model").exists()
    resumed = run_it(start, tmp_path / "cut", settings)
    assert equal(weights(whole), weights(resumed))
    one, other = (
        json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "cut")
    )
    assert one["losses"][-1] == other["losses"][-1]
    again = run_it(start, tmp_path / "cut", settings)  # complete: nothing is trained
    assert equal(weights(whole), weights(again))


def test_ctrl_c_keeps_what_was_done(start: Path, tmp_path: Path) -> None:
    whole = run_it(start, tmp_path / "whole", config(save_every=100))
    told: list[str] = []

    def progress(report: Progress) -> None:
        if report.step == 4:
            signal.raise_signal(signal.SIGINT)

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run_it(start, cut, config(save_every=100), progress=progress, notify=told.append)
    assert told == ["stopped after step 5, which is saved; the same command goes on from there"]
    resumed = run_it(start, cut, config(save_every=100))
    assert equal(weights(whole), weights(resumed))


def test_start_weights_that_overflow_are_not_blamed_on_the_rate(tmp_path: Path) -> None:
    hot = overflowing(tmp_path / "hot")
    with pytest.raises(TrainingError, match="the loss is nan at step 1, before any weight was ch"):
        run_it(hot, tmp_path / "run", config())


def test_a_run_does_not_go_on_in_another_precision(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_machine, run = config(bf16=None), tmp_path / "run"

    def has_bf16(found: bool) -> None:
        monkeypatch.setattr("reader.pretrain.prefers_bf16", lambda device: found)

    has_bf16(False)
    with pytest.raises(CutError):
        run_it(start, run, by_machine, progress=cut_at(8))
    # As runs were noted before: what was asked for, and beside it what the machine chose.
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    state["config"]["bf16"] = None
    shutil.copytree(run, tmp_path / "earlier")
    torch.save(state, tmp_path / "earlier" / "checkpoint.pt")
    has_bf16(True)  # the other machine
    for folder in (run, tmp_path / "earlier"):
        with pytest.raises(TrainingError, match="has bf16 False there and True here"):
            run_it(start, folder, by_machine)
    run_it(start, run, config(bf16=False))
    has_bf16(False)
    run_it(start, tmp_path / "earlier", by_machine)


def test_the_output_weights_are_the_input_embeddings(start: Path) -> None:
    loaded = checkpoints.load(start, device=CPU, head_required=False, dropout=0.0)
    bert: Any = loaded.model.bert
    sizes = (bert.config.hidden_size, bert.config.vocab_size)
    model = Pretrainer(bert, PieceHead(*sizes), BoundaryHead(*sizes))
    assert model.embeddings is bert.embeddings.word_embeddings.weight
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(model.state_dict())
    one = torch.tensor([1])
    batch = HostBatch(
        torch.tensor([[2, 10, 3]]), None, one, one * 10, one * 0, one * 2, one * 0, one * 10
    )
    model(batch).sum().backward()
    gradient = model.embeddings.grad
    assert gradient is not None
    # Pieces that the row does not hold get gradients too: as output weights.
    assert float(gradient[50].abs().sum()) > 0


def pretrainer(start: Path, dropout: float = 0.0) -> Pretrainer:
    """The start weights with new heads, the same each time."""
    torch.manual_seed(2)
    loaded = checkpoints.load(start, device=CPU, head_required=False, dropout=dropout)
    bert: Any = loaded.model.bert
    sizes = (bert.config.hidden_size, bert.config.vocab_size)
    return Pretrainer(bert, PieceHead(*sizes), BoundaryHead(*sizes))


def test_targets_to_ignore_count_for_nothing(start: Path) -> None:
    model = pretrainer(start)
    ids = torch.tensor([[2, 10, 11, 3]])
    short = [torch.tensor([v]) for v in (1, 10, 0, 2, 0, 10)]
    long = [
        torch.cat([value, torch.tensor([IGNORED if name in (1, 5) else 0])])
        for name, value in enumerate(short)
    ]
    assert torch.allclose(model(HostBatch(ids, None, *short)), model(HostBatch(ids, None, *long)))


def test_the_boundary_head_reads_the_pieces_on_both_sides(start: Path) -> None:
    model = pretrainer(start)
    ids = torch.tensor([[2, 10, 4, 4, 11, 3]])
    places, labels = torch.tensor([2, 3]), torch.tensor([20, 21])
    sides = torch.tensor([1, 1]), torch.tensor([4, 4])
    offsets = torch.tensor([0, 1])
    states = model.bert(input_ids=ids).last_hidden_state[0]  # (length, hidden)
    assert model.boundary is not None
    logits = model.boundary(states[sides[0]], states[sides[1]], offsets, model.embeddings)
    found = model(HostBatch(ids, None, places, labels, *sides, offsets, labels))
    assert torch.allclose(found[1], cross_entropy(logits, labels, reduction="sum"))


def test_words_that_a_row_cuts_are_not_hidden(tmp_path: Path) -> None:
    """Words of four pieces in rows of 38: the row's end cuts one, the next row begins with it."""
    tokens = tokenizer()
    steps = steps_of(["abcd " * 50], tmp_path, config(rows=3, length=40))
    starts = tokens.pieces("abcd").ids[0]
    hidden = 0
    for number in range(10 * steps.per_epoch):
        for batch in steps(number).batches:
            ids = batch.ids.clone()
            ids.view(-1)[batch.positions] = batch.labels  # what was there before it was hidden
            guessed = torch.zeros_like(ids, dtype=torch.bool)
            guessed.view(-1)[batch.positions] = True
            for row, mine in zip(ids.tolist(), guessed.tolist(), strict=True):
                whole = [n for n, piece in enumerate(row) if piece == starts and n + 4 < len(row)]
                inside = {n + step for n in whole for step in range(4)}
                assert all(n in inside for n, is_hidden in enumerate(mine) if is_hidden)
                hidden += sum(mine)
    assert hidden > 0


def test_padding_and_the_other_rows_change_nothing(start: Path, tmp_path: Path) -> None:
    """A batch of documents of unlike length costs what its rows cost one by one."""
    model = pretrainer(start)
    texts = ["the code is valid for hours", "ask who is valid", "how many days for the vpn token?"]
    steps = steps_of(texts, tmp_path, config(rows=4))
    (batch,) = steps(0).batches
    assert batch.inside is not None
    assert batch.inside.sum(dim=1).tolist() == [10, 8, 6]
    total = torch.zeros(2)
    for row, kept in enumerate(batch.inside):
        mine = batch.positions // batch.ids.shape[1] == row
        base = row * batch.ids.shape[1]
        total += model(
            HostBatch(
                batch.ids[row : row + 1, kept],
                None,
                batch.positions[mine] - base,
                batch.labels[mine],
                batch.left[mine] - base,
                batch.right[mine] - base,
                batch.offsets[mine],
                batch.boundary_labels[mine],
            )
        )
    assert torch.allclose(model(batch), total, rtol=1e-5)


def steps_of(texts: list[str], folder: Path, settings: PretrainConfig) -> Steps:
    tokens = tokenizer()
    corpus = prepare(texts, tokens, folder)
    return Steps(
        Rows(corpus, length=settings.length, cls_id=tokens.cls_id, sep_id=tokens.sep_id),
        Vocabulary.of_pieces(tokens.vocabulary()),
        settings,
        length=settings.length,
        pad_id=tokens.pad_id,
        pin=False,
    )


#: Documents of 1 to 25 words, each a piece, and those that do not fit into a row of 16.
UNLIKE = [" ".join(["code", "token", "hours"][n % 3] for _ in range(n)) for n in range(1, 26)] * 4


def test_an_epoch_holds_every_row_once_and_the_next_in_another_order(tmp_path: Path) -> None:
    steps = steps_of(UNLIKE, tmp_path, config(rows=2, accumulate=3, length=16))
    count = 4 * (14 + 2 * 11)  # of 25 documents 11 are longer than the 14 pieces of a row
    epochs = [
        [steps.rows_of(e * steps.per_epoch + n) for n in range(steps.per_epoch)] for e in (0, 1)
    ]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch).tolist()) == list(range(count))
    assert [rows.tolist() for rows in epochs[0]] != [rows.tolist() for rows in epochs[1]]
    # Other rows lie together, too.
    together = [{frozenset(rows.tolist()) for rows in epoch} for epoch in epochs]
    assert len(together[0] & together[1]) < steps.per_epoch / 2
    again = steps_of(UNLIKE, tmp_path / "again", config(rows=2, accumulate=3, length=16))
    late = steps.per_epoch + 3
    assert again.rows_of(late).tolist() == steps.rows_of(late).tolist()


def test_steps_are_of_like_rows_within_their_bound(tmp_path: Path) -> None:
    steps = steps_of(UNLIKE, tmp_path, config(rows=2, accumulate=3, length=16))
    real = padded = 0
    for number in range(steps.per_epoch):
        step = steps(number)
        assert sum(len(batch.ids) for batch in step.batches) == len(step.lengths)
        assert all(batch.ids.numel() <= 2 * 16 for batch in step.batches)
        assert int(step.lengths.max()) * len(step.lengths) <= 2 * 3 * 16
        real += int(step.lengths.sum())
        padded += sum(batch.ids.numel() for batch in step.batches)
        kept = [b.ids.numel() if b.inside is None else int(b.inside.sum()) for b in step.batches]
        assert sum(kept) == step.lengths.sum()
    assert real > 0.9 * padded


def gradients(model: Pretrainer) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert len(one) > 40
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=1e-3, atol=1e-6), name


def test_the_gradients_of_a_step_are_those_of_its_mean_losses(start: Path, tmp_path: Path) -> None:
    """Whatever the batches, the sums of all are parted by the counts of all, each head's own."""
    texts = UNLIKE[40:50]
    (batch,) = steps_of(texts, tmp_path, config(rows=12))(0).batches
    model = pretrainer(start)
    sums = model(batch)
    masked = len(batch.labels)
    wanted_losses = torch.stack([sums[0] / masked, sums[1] / (masked + 5)])
    torch.autograd.backward(wanted_losses.sum())
    wanted = gradients(model)
    assert max(float(value.abs().max()) for value in wanted.values()) > 1e-2
    for rows, accumulate, batches in ((12, 1, 1), (6, 2, 2), (3, 4, 3), (1, 12, 10)):
        step = steps_of(texts, tmp_path, config(rows=rows, accumulate=accumulate))(0)
        assert len(step.batches) == batches
        assert step.masked == step.boundary == masked
        model = pretrainer(start)
        step = replace(step, boundary=masked + 5)  # as if more were left to the other head
        losses, parts = _train_step(model, step, CPU, bf16=False)
        assert parts == 1
        assert torch.allclose(losses, wanted_losses, rtol=1e-4)
        assert_close(gradients(model), wanted)


def test_each_head_counts_what_it_guesses(tmp_path: Path) -> None:
    """Words of 25 pieces, of which a row of 202 has room for one: 20 have a place in the span."""
    words = config(rows=1, length=202)
    step = steps_of([" ".join(["z" * 25] * 8)], tmp_path, words)(0)
    assert (step.masked, step.boundary, step.lengths.tolist()) == (25, 20, [202])


class Memory:
    """Lets the network have so many rows at once, as a device with little memory does."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.most = 10**9
        self.seen: list[int] = []
        inner = Pretrainer.forward

        def forward(model: Pretrainer, batch: HostBatch) -> torch.Tensor:
            self.seen.append(len(batch.ids))
            if self.seen[-1] > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return inner(model, batch)

        patch.setattr(Pretrainer, "forward", forward)


def test_running_out_of_memory_trains_in_parts_with_the_same_gradients(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    step = steps_of(UNLIKE[40:50], tmp_path, config(rows=4, accumulate=3))(0)
    assert [len(batch.ids) for batch in step.batches] == [4, 5, 1]
    assert step.batches[1].inside is not None
    model = pretrainer(start)
    whole, _ = _train_step(model, step, CPU, bf16=False)
    wanted = gradients(model)
    # The first batch fits and leaves gradients behind before the second one does not.
    memory.most, memory.seen = 4, []
    model = pretrainer(start)
    losses, parts = _train_step(model, step, CPU, bf16=False)
    assert (memory.seen, parts) == ([4, 5, 2, 2, 3, 2, 1], 2)
    assert torch.allclose(losses, whole, rtol=1e-5)
    assert_close(gradients(model), wanted)
    memory.most, memory.seen = 1, []
    model = pretrainer(start)
    _, parts = _train_step(model, step, CPU, bf16=False, parts=2)  # as the step before needed
    assert (memory.seen, parts) == ([2, 1, 1, 1, 1, 2, *[1] * 10], 8)
    assert_close(gradients(model), wanted)
    memory.most = 0
    with pytest.raises(TrainingError, match=r"a row of \d+ pieces does not fit into the memory of"):
        _train_step(model, step, CPU, bf16=False)


def test_an_attempt_that_ran_out_of_memory_leaves_dropout_as_it_was(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    step = steps_of(UNLIKE[40:50], tmp_path, config(rows=4, accumulate=3))(0)
    found = []
    for most, parts in ((10**9, 2), (4, 1)):  # then one batch fits before another does not
        memory.most, memory.seen = most, []
        model = pretrainer(start, dropout=0.5)
        model.train()
        torch.manual_seed(3)
        losses, needed = _train_step(model, step, CPU, bf16=False, parts=parts)
        found.append({"losses": losses, **gradients(model)})
        assert needed == 2
    assert memory.seen == [4, 5, 2, 2, 3, 2, 1]
    assert equal(*found)


def test_a_run_goes_on_where_memory_is_short_and_can_be_resumed(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    told: list[str] = []

    def progress(report: Progress) -> None:
        memory.most = 3  # from the fifth step on another program takes most of the memory
        if cut and report.step == 8:
            raise CutError

    settings, cut = config(), False
    whole = run_it(start, tmp_path / "whole", settings, progress=progress, notify=told.append)
    assert len(told) == 1
    assert "memory ran out at step 5; batches go in 4 parts" in told[0]
    history = json.loads((tmp_path / "whole" / "history.json").read_text())
    assert history["parts"] == [[5, 4]]
    memory.most, cut = 10**9, True
    with pytest.raises(CutError):
        run_it(start, tmp_path / "cut", settings, progress=progress)
    memory.seen, cut = [], False
    resumed = run_it(start, tmp_path / "cut", settings, progress=progress)
    assert max(memory.seen) <= 3  # it knows what fits
    assert equal(weights(whole), weights(resumed))


def test_seeds_draw_other_rows_and_other_masks(tmp_path: Path) -> None:
    rows = [
        [steps_of(UNLIKE, tmp_path, config(seed=seed)).rows_of(n).tolist() for n in range(5)]
        for seed in (1, 2, 1)
    ]
    assert rows[0] == rows[2] != rows[1]
    text = [UNLIKE[24]]  # one row, so that only the masks can differ
    masks = [
        [steps_of(text, tmp_path, config(seed=seed))(n).batches[0].ids.tolist() for n in range(5)]
        for seed in (1, 2, 1)
    ]
    assert masks[0] == masks[2] != masks[1]
    assert masks[0][0] != masks[0][1]


def test_a_seed_is_that_of_the_heads_and_of_the_data(start: Path, tmp_path: Path) -> None:
    """At a learning rate of next to nothing the weights stay those that the run began with."""
    still = {"steps": 4, "learning_rate": 1e-30, "dropout": 0.0}
    heads = [
        weights(run_it(start, tmp_path / f"a{n}", config(seed=seed, **still)))
        for n, seed in enumerate((1, 2, 1))
    ]
    name = "pieces.transform.0.weight"
    assert torch.equal(heads[0][name], heads[2][name])
    assert not torch.equal(heads[0][name], heads[1][name])
    losses = []
    for n, seed in enumerate((1, 2, 1)):  # the same heads in each
        seen: list[Progress] = []
        run_it(
            tmp_path / "a0" / "model", tmp_path / f"b{n}", config(seed=seed, **still),
            progress=seen.append,
        )  # fmt: skip
        losses.append(seen[0].loss)
    assert losses[0] == losses[2]
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


def test_no_row_holds_two_documents_and_no_target_lies_beyond_its_row(tmp_path: Path) -> None:
    texts = ["the code is valid for hours", "ask who is valid", "how many days"] * 9
    tokens = tokenizer()
    wanted = {tuple(tokens.pieces(text).ids) for text in texts}
    steps = steps_of(texts, tmp_path, config(rows=4, length=32))
    for number in range(steps.per_epoch):
        for batch in steps(number).batches:
            ids = batch.ids.clone()
            ids.view(-1)[batch.positions] = batch.labels  # what was there before it was hidden
            width = ids.shape[1]
            inside = (
                torch.ones_like(ids, dtype=torch.bool) if batch.inside is None else batch.inside
            )
            for row, kept in zip(ids, inside, strict=True):
                text = row[kept].tolist()
                assert (text[0], text[-1]) == (tokens.cls_id, tokens.sep_id)
                assert tuple(text[1:-1]) in wanted
            for side in (batch.left, batch.right):
                assert torch.equal(side // width, batch.positions // width)
                assert inside.view(-1)[side].all()


def test_the_heads_go_on_with_the_next_run(start: Path, tmp_path: Path) -> None:
    first: list[Progress] = []
    model = run_it(start, tmp_path / "a", config(steps=80, dropout=0.0), progress=first.append)
    second: list[Progress] = []
    run_it(model, tmp_path / "b", config(steps=4, dropout=0.0), progress=second.append)
    assert second[0].loss < first[0].loss - 0.5
    third: list[Progress] = []
    plain = config(steps=4, dropout=0.0, masking=MaskingConfig(kind="pieces"))
    run_it(model, tmp_path / "c", plain, progress=third.append)
    assert third[0].masked < first[0].masked - 0.5
    heads = model / "pretraining_heads.safetensors"
    heads.write_bytes(b"garbage")
    with pytest.raises(
        CheckpointError, match=rf"^{heads} is cut off or damaged \(7 bytes\); remove"
    ):
        run_it(model, tmp_path / "d", plain)
    save_file({"pieces.bias": torch.zeros(3)}, heads)
    with pytest.raises(
        CheckpointError, match=rf"^{heads} does not fit this encoder \(Error.*\); re"
    ):
        run_it(model, tmp_path / "d", plain)


def test_an_epoch_is_as_many_steps_as_hold_the_text(start: Path, tmp_path: Path) -> None:
    """Twelve rows of 15 or 17 pieces, of which seven are within four rows of 32: two steps."""
    seen: list[Progress] = []
    run_it(start, tmp_path / "a", config(steps=None, epochs=2.5), progress=seen.append)
    assert seen[-1].steps == 5


def test_runs_that_cannot_go_on(start: Path, tmp_path: Path) -> None:
    run_it(start, tmp_path / "run", config(steps=2))
    with pytest.raises(TrainingError, match="another configuration or other data"):
        run_it(start, tmp_path / "run", config(steps=3))
    with pytest.raises(TrainingError, match="another configuration or other data"):
        pretrain(start, TEXTS[1:], tmp_path / "run", config(steps=2), device=CPU)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"garbage")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is damaged, "):
        run_it(start, tmp_path / "run", config(steps=2))
    with pytest.raises(TrainingError, match="the loss is nan"):
        run_it(start, tmp_path / "hot", config(learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"diverged by step 1: \S+ holds .* \(1e\+30\) and st"):
        run_it(start, tmp_path / "last", config(steps=1, learning_rate=1e30))
    assert not (tmp_path / "last" / "model").exists()
    for wrong in ({"rows": 0}, {"epochs": 0}, {"length": 4}, {"steps": 0}, {"clip_norm": -1}):
        with pytest.raises(TrainingError, match=next(iter(wrong))):
            config(**wrong)


def test_a_run_does_not_go_on_from_other_start_weights(start: Path, tmp_path: Path) -> None:
    run, other, same = tmp_path / "run", tmp_path / "other", tmp_path / "same"
    run_it(start, run, config(steps=2))
    for folder in (other, same):
        shutil.copytree(start, folder)
    state = load_file(other / "model.safetensors")
    state["encoder.layer.1.output.dense.bias"][3] += 0.5
    save_file(state, other / "model.safetensors", metadata={"format": "pt"})
    run_it(same, run, config(steps=2))  # another folder of the same weights will do
    with pytest.raises(TrainingError, match="start weights are others"):
        run_it(other, run, config(steps=2))
    # Heads of an earlier pre-training are start weights too.
    heads = {"pieces.bias": torch.ones(len(vocabulary()))}
    save_file(heads, same / "pretraining_heads.safetensors")
    with pytest.raises(TrainingError, match="start weights are others"):
        run_it(same, run, config(steps=2))


@pytest.mark.parametrize(
    ("file", "name", "told"),
    [
        ("model.safetensors", "encoder.layer.1.output.dense.bias", "bert.encoder.layer.1.output"),
        ("pretraining_heads.safetensors", "pieces.bias", "pieces.bias holds nan"),
    ],
)
def test_damaged_start_weights_are_named_before_the_text_is_prepared(
    start: Path, tmp_path: Path, file: str, name: str, told: str
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(start, damaged)
    state = load_file(damaged / file) if (damaged / file).exists() else {}
    state[name] = torch.full_like(state.get(name, torch.ones(len(vocabulary()))), torch.nan)
    save_file(state, damaged / file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"the weights of {damaged} are damaged: {told}"):
        run_it(damaged, tmp_path / "run", config(steps=2))
    assert not (tmp_path / "run").exists()


def test_an_error_in_the_background_is_raised_in_the_foreground() -> None:
    def make(number: int) -> Step:
        if number == 2:
            raise OSError("the disk is gone")
        return Step((), number, 0, np.zeros(0, dtype=np.int64))

    taken: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"):
        with in_background(make, range(9)) as steps:
            taken.extend(step.masked for step in steps)
    with in_background(make, range(3, 99)) as steps:
        taken.append(next(steps).masked)  # left early: the thread ends all the same
    assert taken[-1] == 3


def test_bf16_is_chosen_where_the_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, wanted in (({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found)
        assert prefers_bf16(CPU) is wanted
    # Volta emulates what Ampere has instructions for, and torch calls both supported.
    majors, chosen = (8, 7), 0  # of two GPUs

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        nonlocal chosen
        before, chosen = chosen, device.index or 0
        yield
        chosen = before

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: chosen)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda number: SimpleNamespace(major=majors[number])
    )
    for name, has in (("cuda", True), ("cuda:0", True), ("cuda:1", False)):
        assert prefers_bf16(torch.device(name)) is has


def test_arithmetic_is_counted_as_by_hand() -> None:
    class Bert:
        hidden_size, intermediate_size, num_hidden_layers, vocab_size = 4, 8, 2, 10

    # A piece: 2 layers of 4 products of 4x4, two of 4x8; and attention over its row, twice.
    pieces = 3 + 3 + 5
    encoder = 2 * (2 * (4 * 16 + 2 * 32) * pieces + 2 * 2 * 4 * (9 + 9 + 25))
    target = 2 * 16 + 2 * 40
    boundary = 2 * (11 * 4 + 16) + 2 * 40
    lengths = np.array([3, 3, 5])
    assert training_flops(Bert, lengths, targets=7) == 3 * (encoder + 7 * target)
    both = training_flops(Bert, lengths, targets=7, boundary_targets=6, boundary_inputs=11)
    assert both == 3 * (encoder + 7 * target + 6 * boundary)
    assert measured_peak(CPU, bf16=False, size=32, repeats=1) > 0
