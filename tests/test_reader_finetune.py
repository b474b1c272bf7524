from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForQuestionAnswering

from reader import checkpoint as checkpoints
from reader.curve import draw
from reader.distill import Teacher
from reader.errors import CheckpointError, TrainingError
from reader.evaluate import evaluate
from reader.finetune import Progress, _planned, _train_step, finetune
from reader.groups import Group, GroupPassage, of_squad
from reader.reader import Passage, reader_of
from reader.recipes import FinetuneConfig
from reader.squad import Example, GoldAnswer
from reader.training_data import training_groups
from tests.reader_models import checkpoint, overflowing
from tests.resumed_runs import CutError, resumed_as_whole

CONTEXT = "the code is valid for 12 hours. the token is valid for 90 days."
EXAMPLES = [
    Example("a", "how many hours?", CONTEXT, (GoldAnswer("12 hours", 22),)),
    Example("b", "how many days?", CONTEXT, (GoldAnswer("90 days", 55),)),
    Example("c", "who?", CONTEXT, ()),
]
EASY = [
    Example("d", "how many hours?", "ask: 12 hours", (GoldAnswer("12 hours", 5),)),
    Example("e", "how many days?", "for the token it is 90 days", (GoldAnswer("90 days", 20),)),
]
GROUPS = of_squad(EXAMPLES)
CPU = torch.device("cpu")


def config(**changes: object) -> FinetuneConfig:
    values: dict[str, object] = {
        "epochs": 12, "learning_rate": 4e-3, "batch_pieces": 40, "bf16": False, "save_every": 5,
    }  # fmt: skip
    return FinetuneConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_training_learns_its_examples_and_leaves_a_model_and_a_curve(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    seen: list[Progress] = []
    model = finetune(
        start,
        of_squad(EASY),
        tmp_path / "run",
        config(epochs=40),
        device=CPU,
        evaluate=lambda c: evaluate(reader_of(c), EASY).scores["f1"],
        evaluate_every=40,
        progress=seen.append,
    )
    trained = checkpoints.load(model, device=CPU)
    scores = evaluate(reader_of(trained), EASY).scores
    assert scores["exact"] == 100.0
    assert seen[-1].step == seen[-1].steps
    assert seen[-1].loss < seen[0].loss
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["evaluations"][-1][1] == 100.0
    draw(tmp_path / "run" / "history.json", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    settings = config(dropout=0.1)
    resumed_as_whole(start, GROUPS, tmp_path, settings, cut_at=13)


def test_ctrl_c_keeps_what_was_done_and_pressed_again_ends_the_run_at_once(tmp_path: Path) -> None:
    start, settings = checkpoint(tmp_path / "start"), config(dropout=0.1, save_every=100)
    whole = finetune(start, GROUPS, tmp_path / "whole", settings, device=CPU)
    seen: list[int] = []
    told: list[str] = []

    def trained(run: str, times: int) -> Path:
        def progress(report: Progress) -> None:
            seen.append(report.step)
            for _ in range(times if report.step == 3 else 0):
                signal.raise_signal(signal.SIGINT)

        return finetune(
            start, GROUPS, tmp_path / run, settings, device=CPU, progress=progress,
            notify=told.append,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        trained("at once", 2)
    assert not (tmp_path / "at once" / "checkpoint.pt").exists()
    del told[:]
    with pytest.raises(KeyboardInterrupt):
        trained("cut", 1)
    assert told[1:] == ["stopped after step 3, which is saved; the same command goes on from there"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    del seen[:]
    resumed = trained("cut", 0)
    assert seen[0] == 4
    one, other = (checkpoints.load(m, device=CPU).model.state_dict() for m in (whole, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_ctrl_c_behind_the_last_step_does_not_cost_the_model(tmp_path: Path) -> None:
    def progress(report: Progress) -> None:
        if report.step == report.steps:
            signal.raise_signal(signal.SIGINT)

    start = checkpoint(tmp_path / "start")
    model = finetune(start, GROUPS, tmp_path / "run", config(), device=CPU, progress=progress)
    assert checkpoints.load(model, device=CPU).name == str(model)


def test_how_often_a_run_is_saved_may_change(tmp_path: Path) -> None:
    start, run = checkpoint(tmp_path / "start"), tmp_path / "run"

    def cut(progress: Progress) -> None:
        if progress.step == 8:
            raise CutError

    with pytest.raises(CutError):
        finetune(start, GROUPS, run, config(), device=CPU, progress=cut)
    steps: list[Progress] = []
    finetune(start, GROUPS, run, config(save_every=2), device=CPU, progress=steps.append)
    assert steps[0].step == 6
    assert json.loads((run / "history.json").read_text())["config"]["save_every"] == 2


def test_a_run_of_before_an_option_was_there_goes_on(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    run = tmp_path / "run"
    finetune(start, GROUPS, run, config(epochs=1), device=CPU)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    del state["config"]["final_rate"], state["cuda_random"]
    torch.save(state, run / "checkpoint.pt")
    steps: list[Progress] = []
    finetune(start, GROUPS, run, config(epochs=1), device=CPU, progress=steps.append)
    assert steps == []
    with pytest.raises(TrainingError, match="another configuration"):
        finetune(start, GROUPS, run, config(epochs=1, final_rate=0.1), device=CPU)


@pytest.mark.parametrize("done", [True, False], ids=["finished", "cut off"])
def test_a_run_does_not_go_on_with_other_data_or_other_weights(tmp_path: Path, done: bool) -> None:
    start, run = checkpoint(tmp_path / "start"), tmp_path / "run"
    settings = config(epochs=2, batch_pieces=1, save_every=1)

    def cut(progress: Progress) -> None:
        if progress.step == 4 and not done:
            raise CutError

    with nullcontext() if done else pytest.raises(CutError):
        finetune(start, GROUPS, run, settings, device=CPU, progress=cut)
    before = (run / "checkpoint.pt").read_bytes()
    other = checkpoints.load(start, device=CPU)
    with torch.no_grad():
        other.model.qa_outputs.bias[0] += 1e-3
    checkpoints.save(other, tmp_path / "other")
    data = r"run holds a run of .* other data: its training data are others\. Give what"
    moved = replace(EXAMPLES[0], answers=(GoldAnswer("hours", 25),))  # as many, and as long
    for groups in (of_squad([moved, *EXAMPLES[1:]]), [GROUPS[1], GROUPS[0], GROUPS[2]]):
        with pytest.raises(TrainingError, match=data):
            finetune(start, groups, run, settings, device=CPU)
    with pytest.raises(TrainingError, match=r"start weights are others\. .* folder \(--run\)"):
        finetune(tmp_path / "other", GROUPS, run, settings, device=CPU)
    with pytest.raises(TrainingError, match=r"data are others; its start weights are others"):
        finetune(tmp_path / "other", groups, run, settings, device=CPU)
    assert (run / "checkpoint.pt").read_bytes() == before
    finetune(start, GROUPS, run, settings, device=CPU)


def test_of_a_run_that_noted_neither_data_nor_start_it_is_said(tmp_path: Path) -> None:
    start, run = checkpoint(tmp_path / "start"), tmp_path / "run"
    finetune(start, GROUPS, run, config(epochs=1), device=CPU)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    del state["data"], state["start"]
    torch.save(state, run / "checkpoint.pt")
    with pytest.raises(TrainingError, match="before training data were noted; it was written bef"):
        finetune(start, GROUPS, run, config(epochs=1), device=CPU)


def test_runs_that_cannot_start(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    with pytest.raises(TrainingError, match="none of the 1 questions has an answer"):
        finetune(start, GROUPS[2:], tmp_path / "run", config(), device=CPU)
    finetune(start, GROUPS, tmp_path / "run", config(epochs=1), device=CPU)
    with pytest.raises(TrainingError, match=r"has epochs 1 there and 2 here; it has .*--run"):
        finetune(start, GROUPS, tmp_path / "run", config(epochs=2), device=CPU)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"garbage")
    with pytest.raises(
        TrainingError, match=r"checkpoint\.pt is damaged, .*; remove it to start the"
    ):
        finetune(start, GROUPS, tmp_path / "run", config(epochs=1), device=CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_damaged_start_weights_are_named_before_the_first_step(
    tmp_path: Path, value: float
) -> None:
    loaded = checkpoints.load(checkpoint(tmp_path / "start"), device=CPU)
    with torch.no_grad():
        loaded.model.qa_outputs.bias[1] = value
    checkpoints.save(loaded, tmp_path / "damaged")
    told = (
        rf"the weights of .*/damaged are damaged: qa_outputs\.bias holds {value:g}; copy".replace(
            "+", r"\+"
        )
    )
    with pytest.raises(CheckpointError, match=told):
        finetune(tmp_path / "damaged", GROUPS, tmp_path / "run", config(), device=CPU)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    start, hot = checkpoint(tmp_path / "start"), config(learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 2; lower .* \(1e\+30\)"):
        finetune(start, GROUPS, tmp_path / "run", hot, device=CPU)


def test_what_overflows_before_the_first_step_is_not_blamed_on_the_rate(tmp_path: Path) -> None:
    told = "the loss is (nan|inf) at step 1, before any weight was changed: the start weights or t"
    hot = overflowing(tmp_path / "hot")
    with pytest.raises(TrainingError, match=told):
        finetune(hot, GROUPS, tmp_path / "a", config(), device=CPU)
    start, heavy = checkpoint(tmp_path / "start"), config(no_answer=1e300)
    with pytest.raises(TrainingError, match=told):
        finetune(start, GROUPS, tmp_path / "b", heavy, device=CPU)


@pytest.mark.parametrize("scored", [False, True])
def test_a_last_step_that_diverges_leaves_no_model(tmp_path: Path, scored: bool) -> None:
    start, run = checkpoint(tmp_path / "start"), tmp_path / "run"
    with pytest.raises(TrainingError, match=r"diverged by step 1: \S+ holds .* \(1e\+30\) and st"):
        finetune(
            start,
            GROUPS,
            run,
            config(epochs=1, batch_pieces=5120, learning_rate=1e30),
            device=CPU,
            evaluate=(lambda c: evaluate(reader_of(c), EASY).scores["f1"]) if scored else None,
            evaluate_every=1,
        )
    assert list(run.iterdir()) == []


def test_a_run_whose_weights_diverged_before_does_not_go_on(tmp_path: Path) -> None:
    start, run = checkpoint(tmp_path / "start"), tmp_path / "run"
    finetune(start, GROUPS, run, config(epochs=1), device=CPU)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    state["model"]["qa_outputs.bias"][0] = float("nan")
    torch.save(state, run / "checkpoint.pt")
    with pytest.raises(TrainingError, match=r"diverged by step \d+: qa_outputs\.bias holds nan; l"):
        finetune(start, GROUPS, run, config(epochs=1), device=CPU)


class Trap:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._target,)


def test_a_run_with_code_in_its_checkpoint_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    run, witness = tmp_path / "run", tmp_path / "executed"
    run.mkdir()
    torch.save({"step": Trap(witness)}, run / "checkpoint.pt")
    told = rf"^{run}/checkpoint\.pt holds code \(\S+\) and is refused; remove it to start the run"
    with pytest.raises(TrainingError, match=told):
        finetune(start, GROUPS, run, config(), device=CPU)
    assert not witness.exists()


#: Every loss that a step can have, none of them 0.
ALL_LOSSES = config(no_answer=0.5, temperature=3.0, ranking=0.7)


def gradients(
    folder: Path, numbers: Sequence[Sequence[int]], settings: FinetuneConfig = ALL_LOSSES
) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of a step; each of its batches is of groups by their numbers."""
    teacher = Teacher.load(str(checkpoint(folder / "teacher")), CPU, bf16=False, notify=print)
    student = checkpoints.load(checkpoint(folder / "student", cased=True), device=CPU)
    items = training_groups(GROUPS, student.tokenizer, max_length=128, overlap=16)
    step = [[items[number] for number in batch] for batch in numbers]
    (loss, _), _ = _train_step(student, step, settings, teacher)
    weights = student.model.parameters()
    return float(loss), [value.grad for value in weights if value.grad is not None]


def same(one: tuple[float, list[torch.Tensor]], other: tuple[float, list[torch.Tensor]]) -> bool:
    """Whether losses and gradients are equal but for rounding."""
    assert len(one[1]) == len(other[1]) > 30
    assert any(float(grad.abs().max()) > 1e-2 for grad in one[1])
    return one[0] == pytest.approx(other[0], rel=1e-5) and all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(one[1], other[1], strict=True)
    )


def test_accumulated_batches_have_the_gradients_of_one_batch(tmp_path: Path) -> None:
    # The third question has no answer: means over questions and over windows differ in it.
    whole = gradients(tmp_path, [[0, 1, 2]])
    assert same(whole, gradients(tmp_path, [[0], [1], [2]]))
    assert same(whole, gradients(tmp_path, [[2], [0, 1]]))
    assert not same(whole, gradients(tmp_path, [[0, 1]]))


@pytest.mark.parametrize(("bf16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_network_computes_in_the_precision_that_was_asked_for(
    tmp_path: Path, bf16: bool, expected: torch.dtype
) -> None:
    student = checkpoints.load(checkpoint(tmp_path / "student"), device=CPU)
    model: Any = student.model
    seen: dict[str, list[torch.dtype]] = {"layer": [], "head": []}
    for name, module in (("layer", model.bert.encoder.layer[1].output.dense),
                         ("head", model.qa_outputs)):  # fmt: skip
        module.register_forward_hook(lambda _, __, output, n=name: seen[n].append(output.dtype))
    items = training_groups(GROUPS, student.tokenizer, max_length=128, overlap=16)
    settings = config(bf16=bf16, no_answer=0.5, ranking=0.7)
    (loss, _), _ = _train_step(student, [items], settings, None)
    assert seen["head"] == [expected]
    # Once for reading, twice for ranking: the questions' vectors and the texts'.
    assert seen["layer"] == [expected] * 3
    assert float(loss) > 0
    # The weights and their gradients stay exact.
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert {value.grad.dtype for value in model.parameters() if value.grad is not None} == {
        torch.float32
    }


def test_a_step_is_launched_without_a_look_at_what_the_device_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's device without values whatever would wait for a GPU is an error."""
    nowhere = torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # has none for it
    student = checkpoints.load(checkpoint(tmp_path / "student"), device=nowhere)
    items = training_groups(GROUPS, student.tokenizer, max_length=128, overlap=16)
    assert len({item.longest for item in items}) > 1  # so that there is padding to hide
    settings = config(no_answer=0.5, ranking=0.7)
    for step in ([items], [items[2:], items[:1]]):  # of the first batch no question has an answer
        (loss, pieces), _ = _train_step(student, step, settings, None)
        assert (loss.device.type, loss.shape) == ("meta", ())
        assert pieces > 0
        assert all(value.grad is not None for value in student.model.qa_outputs.parameters())


def test_a_step_is_of_so_many_batches_of_one_epoch(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    tokens = checkpoints.load(start, device=CPU).tokenizer
    items = training_groups(GROUPS * 2, tokens, max_length=128, overlap=16)  # six questions
    plan = _planned(items, config(epochs=2, batch_pieces=1, accumulate=4))
    assert [[len(batch) for batch in step] for step in plan] == [[1] * 4, [1] * 2] * 2
    for epoch in (plan[:2], plan[2:]):
        seen = [id(group) for step in epoch for batch in step for group in batch]
        assert sorted(seen) == sorted(map(id, items))
    steps: list[Progress] = []
    settings = config(epochs=2, batch_pieces=1, accumulate=4)
    finetune(start, GROUPS * 2, tmp_path / "run", settings, device=CPU, progress=steps.append)
    assert [(step.step, step.steps) for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    with pytest.raises(TrainingError, match="accumulate is 0; it must be above 0"):
        config(accumulate=0)


def test_running_out_of_memory_trains_in_parts_with_the_same_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = BertForQuestionAnswering.forward
    sizes: list[int] = []

    def on_a_device_for(
        most: int, step: Sequence[Sequence[int]]
    ) -> tuple[float, list[torch.Tensor]]:
        """Loss and gradients where there is room for ``most`` windows."""
        sizes.clear()

        def forward(self: Any, **inputs: Any) -> Any:
            sizes.append(len(inputs["input_ids"]))
            if sizes[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return inner(self, **inputs)

        monkeypatch.setattr(BertForQuestionAnswering, "forward", forward)
        return gradients(tmp_path, step)

    whole = on_a_device_for(3, [[0, 1, 2]])
    assert sizes == [3]
    assert same(whole, on_a_device_for(2, [[0, 1, 2]]))
    assert sizes == [3, 2, 1]
    assert same(whole, on_a_device_for(1, [[1], [0, 2]]))
    assert sizes == [1, 2, 1, 1, 1]
    with pytest.raises(TrainingError, match=r"1 windows of up to .* does not fit into the memory"):
        on_a_device_for(0, [[0, 1, 2]])


class Memory:
    """Lets the network have so many windows at once, as a device with little memory does."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.most = 10**9
        self.seen: list[int] = []
        inner = BertForQuestionAnswering.forward

        def forward(model: Any, **inputs: Any) -> Any:
            self.seen.append(len(inputs["input_ids"]))
            if self.seen[-1] > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return inner(model, **inputs)

        patch.setattr(BertForQuestionAnswering, "forward", forward)


def test_an_attempt_that_ran_out_of_memory_leaves_dropout_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    folder = checkpoint(tmp_path / "m")

    def trained(most: int, parts: int) -> list[torch.Tensor]:
        student = checkpoints.load(folder, device=CPU, dropout=0.5)
        student.model.train()
        items = training_groups(GROUPS, student.tokenizer, max_length=128, overlap=16)
        memory.most, memory.seen = most, []
        torch.manual_seed(3)
        # The first batch fits, and has drawn its dropout before the second one does not.
        _, needed = _train_step(student, [[items[1]], [items[0], items[2]]], config(), None, parts)
        assert needed == 2
        return [p.grad for p in student.model.parameters() if p.grad is not None]

    wanted = trained(2, parts=2)
    assert memory.seen == [1, 1, 1]
    found = trained(1, parts=1)
    assert memory.seen == [1, 2, 1, 1, 1]
    assert len(wanted) > 30
    assert all(torch.equal(one, other) for one, other in zip(wanted, found, strict=True))


def test_a_run_goes_on_where_memory_is_short_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    start = checkpoint(tmp_path / "start")
    settings = config(
        batch_pieces=400, dropout=0.3, no_answer=0.3
    )  # the three questions, and twelve steps
    told: list[str] = []

    def trained(run: str, cut_at: int | None = None) -> Path:
        def progress(report: Progress) -> None:
            if report.step == 3:
                memory.most = 1  # another program takes most of the memory
            if report.step == cut_at:
                raise CutError

        return finetune(
            start, GROUPS, tmp_path / run, settings, device=CPU, progress=progress,
            notify=told.append,
        )  # fmt: skip

    whole = trained("whole")
    assert told == [
        "memory ran out at step 4; batches go in 4 parts from here on, which trains the same but "
        "for dropout and rounding"
    ]
    assert json.loads((tmp_path / "whole" / "history.json").read_text())["parts"] == [[4, 4]]
    memory.most = 10**9
    with pytest.raises(CutError):
        trained("cut", cut_at=8)
    memory.most, memory.seen = 10**9, []  # the other program has ended
    resumed = trained("cut")
    assert memory.seen == [1] * 3 * 7  # other parts would draw other dropout
    one, other = (checkpoints.load(m, device=CPU).model.state_dict() for m in (whole, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_settings_reach_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = checkpoint(tmp_path / "start")
    text = "ask who " * 60 + CONTEXT
    groups = [Group("how?", (GroupPassage(text, ((480 + 22, 480 + 30),)),))]
    inner, shapes, rates = BertForQuestionAnswering.forward, [], []

    def forward(self: Any, **inputs: Any) -> Any:
        shapes.append(tuple(inputs["input_ids"].shape))
        rates.append({m.p for m in self.modules() if isinstance(m, torch.nn.Dropout)})
        return inner(self, **inputs)

    monkeypatch.setattr(BertForQuestionAnswering, "forward", forward)
    settings = config(epochs=2, learning_rate=1e-3, max_length=40, overlap=0, dropout=0.25)
    finetune(start, groups, tmp_path / "a", replace(settings, final_rate=0.1), device=CPU)
    finetune(start, groups, tmp_path / "b", replace(settings, overlap=16), device=CPU)
    apart, overlapping = shapes[0], shapes[2]
    assert apart[1] == overlapping[1] == 40
    assert overlapping[0] > 1.5 * apart[0]
    assert rates == [{0.25}] * 4
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert state["schedule"]["_last_lr"] == pytest.approx([1e-4] * 2)


def test_it_is_told_when_questions_without_an_answer_teach_nothing(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    told: dict[str, list[str]] = {"off": [], "on": [], "none": []}
    settings = config(epochs=1)
    for name, groups, weight in (("off", GROUPS, 0), ("on", GROUPS, 0.3), ("none", GROUPS[:2], 0)):
        finetune(
            start,
            groups,
            tmp_path / name,
            replace(settings, no_answer=weight),
            device=CPU,
            notify=told[name].append,
        )
    assert (told["on"], told["none"]) == ([], [])
    [notice] = told["off"]
    assert notice.startswith("1 of 3 questions have no answer, and nothing is learnt from them")


def test_training_on_groups_learns_which_passage_answers_and_which_does_not(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start", head=False)
    vpn = "vpn: reset it in 12 hours"
    token = "token: reset it in 90 days"
    groups = [
        Group("vpn reset?", (GroupPassage(token), GroupPassage(vpn, ((17, 25),)))),
        Group("token reset?", (GroupPassage(token, ((19, 26),)), GroupPassage(vpn))),
        Group("who?", (GroupPassage(token), GroupPassage(vpn))),
    ]
    settings = config(epochs=250, learning_rate=3e-3, no_answer=0.5, batch_pieces=400)
    model = finetune(start, groups, tmp_path / "run", settings, device=CPU)
    trained = checkpoints.load(model, device=CPU)
    reader = reader_of(trained)
    both = [Passage("t", 0, token), Passage("v", 0, vpn)]
    for question, answer in (("vpn reset?", "12 hours"), ("token reset?", "90 days")):
        best = reader.read(question, both)[0]
        assert best.text == answer
        assert best.score > best.null_score
        other = both[0] if answer == "12 hours" else both[1]
        assert all(span.score < span.null_score for span in reader.read(question, [other]))
    assert all(span.score < span.null_score for span in reader.read("who?", both))
