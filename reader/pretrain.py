"""Pre-training an encoder on plain text, from scratch or from a checkpoint.

Spans of words are masked and guessed twice, by the masked-piece head and by the span boundary head
(Joshi et al. 2020); the loss is the sum of both means. With ``MaskingConfig(kind="pieces")`` the
same run is the plain baseline, BERT's masking of single pieces and no boundary head. Rows are
contiguous text of one document each, without a next-sentence task. As in the paper they end where
the document does; unlike there, spans never touch and words stay whole (:mod:`reader.masking`).

Batches come from a background thread (:mod:`reader.pretrain_batches`); losses stay on the device
until they are reported, so that nothing waits on it between two steps.

A run is a folder: ``corpus/`` (:mod:`reader.corpus`), ``checkpoint.pt`` (written atomically, the
state to resume from), ``history.json`` (what :mod:`reader.curve` draws), and the finished encoder
in ``model/`` (:mod:`reader.pretrain_model`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reader import checkpoint as checkpoints
from reader.boundary import POSITION_SIZE
from reader.corpus import Corpus, Rows, prepare
from reader.digests import digest_of_weights
from reader.errors import TrainingError
from reader.interrupt import interrupted, until_stopped
from reader.masking import MaskingConfig, Vocabulary
from reader.memory import in_parts
from reader.pretrain_batches import HostBatch, Step, Steps, in_background
from reader.pretrain_model import Pretrainer, build, save
from reader.throughput import measured_peak, prefers_bf16, training_flops
from reader.training import History, Training, check_start

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """One run.

    Attributes:
        epochs: how often the corpus is seen; parts of it count.
        steps: takes the place of ``epochs``.
        rows: rows of ``length`` pieces that the device sees at once, or shorter ones with no more
            pieces, padding included.
        accumulate: such batches a step; more of them stand for a larger batch, exactly.
        warmup: share of the steps in which the learning rate rises.
        clip_norm: most that the norm of a step's gradients may be; 0 bounds nothing.
        bf16: None takes bfloat16 where it is fast, see :func:`reader.throughput.prefers_bf16`; the
            run keeps what was chosen, and does not go on in another precision.
        report_every: steps between two readings of the loss.
    """

    epochs: float = 1.0
    steps: int | None = None
    rows: int = 32
    accumulate: int = 1
    length: int = 512
    learning_rate: float = 1e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    dropout: float = 0.1
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    bf16: bool | None = None
    seed: int = 13
    save_every: int = 200
    report_every: int = 20

    def __post_init__(self) -> None:
        for name in ("epochs", "rows", "accumulate", "learning_rate", "save_every", "report_every"):
            if getattr(self, name) <= 0:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.clip_norm >= 0:
            raise TrainingError(f"clip_norm is {self.clip_norm}; it must be at least 0")
        if self.length < 8:
            raise TrainingError(f"length is {self.length}; a row needs at least 8 pieces")
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"steps is {self.steps}; it must be above 0")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run reports: means since the report before.

    Attributes:
        loss: ``masked`` + ``boundary``, each the mean cross entropy of a piece.
        pieces_per_second: pieces read by the network, padding not counted.
        utilisation: share of the measured matrix rate that went into the model, 0 to 1; what was
            spent on padding does not count.
    """

    step: int
    steps: int
    loss: float
    masked: float
    boundary: float
    pieces_per_second: float
    utilisation: float


@dataclass(slots=True, kw_only=True)
class PretrainHistory(History):
    """Also what the run was on, and how fast it was."""

    corpus: dict[str, Any]
    machine: dict[str, Any]
    reports: list[dict[str, float]] = field(default_factory=list)


def pretrain(
    start: str | Path,
    texts: Iterable[str],
    run: Path,
    config: PretrainConfig,
    *,
    source: str | None = None,
    pieces: Path | None = None,
    device: torch.device | None = None,
    prepared: Callable[[int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Path:
    """Train, and write the encoder to ``run/model``; an interrupted run goes on where it was saved.

    Ctrl-C ends it behind the step that it is in, which is then saved (:mod:`reader.interrupt`).

    Args:
        start: folder or hub id of the weights to start from. A span head is not kept; heads of an
            earlier pre-training are.
        texts: the documents.
        source, prepared: as ``source`` and ``progress`` of :func:`reader.corpus.prepare`.
        pieces: folder of the prepared pieces, for runs that share them; by default in ``run``.
        progress: called every ``report_every`` steps and after every checkpoint, which is then
            safely on disk.

    Raises:
        CheckpointError: ``start`` cannot be loaded, or its weights are damaged.
        CorpusError: too little text, or text that cannot be read.
        TrainingError: a run folder of another configuration, other start weights or other data, a
            loss or weights that are not numbers, or too little memory on the device for a single
            row.
    """
    torch.manual_seed(config.seed)
    folder = checkpoints.resolve(start, notify=notify)
    chosen = checkpoints.load(
        folder, device=device, head_required=False, dropout=config.dropout, ranking=False
    )
    model = build(chosen, folder, config.masking)
    check_start(model, start)
    place, tokenizer = chosen.device, chosen.tokenizer
    vocabulary = Vocabulary.of_pieces(tokenizer.vocabulary())
    corpus = prepare(texts, tokenizer, pieces or run / "corpus", source=source, progress=prepared)
    length = min(config.length, chosen.max_length)
    make_step = Steps(
        Rows(corpus, length=length, cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id),
        vocabulary,
        config,
        length=length,
        pad_id=tokenizer.pad_id,
        pin=place.type == "cuda",
    )
    steps = config.steps or math.ceil(config.epochs * make_step.per_epoch)
    bf16 = prefers_bf16(place) if config.bf16 is None else config.bf16
    config = replace(config, bf16=bf16)
    history = _new_history(config, steps, digest_of_weights(model), corpus, place, bf16)
    training = Training(run, model, config, history, fused=place.type == "cuda")
    done = training.resume(same=("config", "steps", "start", "corpus"))
    meter = _Meter(model, history.machine["peak_flops"])
    model.train()
    with until_stopped() as stopped, in_background(make_step, range(done, steps)) as made:
        for number, step in enumerate(made, start=done + 1):
            losses, parts = _train_step(model, step, place, bf16=bf16, parts=training.parts)
            training.note_parts(parts, number, notify)
            meter.add(step, losses)
            training.step()
            if number == 1:  # in a mean the start's fault would look like a later step's
                training.check(float(losses.sum()), 1)
            stop = stopped()
            saves = stop or number == steps or number % config.save_every == 0
            if not saves and number % config.report_every:
                continue
            report = meter.read(number, steps)
            training.check(report.loss, number)
            history.losses.append((number, report.loss))
            history.reports.append(asdict(report))
            if saves:
                training.save(number)
            if progress is not None:
                progress(report)
            if stop and number < steps:
                raise interrupted(number, notify)
            meter.start()
    model.eval()
    save(chosen, model, run / "model")
    return run / "model"


class _Meter:
    """Losses and speed between two reports; the losses stay on the device until then."""

    def __init__(self, model: Pretrainer, peak: float) -> None:
        self._config = model.bert.config
        self._boundary_inputs = 2 * self._config.hidden_size + POSITION_SIZE
        self._has_boundary = model.boundary is not None
        self._peak = peak
        self.start()

    def start(self) -> None:
        self._steps = self._pieces = 0
        self._flops = 0.0
        self._sum: Tensor | None = None
        self._began = time.perf_counter()

    def add(self, step: Step, losses: Tensor) -> None:
        self._sum = losses if self._sum is None else self._sum + losses
        self._steps += 1
        self._pieces += int(step.lengths.sum())
        self._flops += training_flops(
            self._config,
            step.lengths,
            targets=step.masked,
            boundary_targets=step.boundary if self._has_boundary else 0,
            boundary_inputs=self._boundary_inputs,
        )

    def read(self, step: int, steps: int) -> Progress:
        assert self._sum is not None
        masked, boundary = (self._sum / self._steps).tolist()  # waits for the device
        seconds = time.perf_counter() - self._began
        return Progress(
            step=step,
            steps=steps,
            loss=masked + boundary,
            masked=masked,
            boundary=boundary,
            pieces_per_second=self._pieces / seconds,
            utilisation=self._flops / seconds / self._peak,
        )


def _train_step(
    model: Pretrainer, step: Step, device: torch.device, *, bf16: bool, parts: int = 1
) -> tuple[Tensor, int]:
    """Gradients of one step, each batch in so many parts, or in more where memory is short.

    The gradients are the same in any number of parts, but for dropout and rounding.

    Returns:
        The detached mean losses of both heads, shape (2,), and the number of parts.
    """

    def compute(parts: int) -> Tensor:
        batches = (
            step.batches
            if parts == 1
            else [part for batch in step.batches for part in batch.parted(parts)]
        )
        return _gradients(model, step, batches, device, bf16)

    return in_parts(
        compute,
        model,
        device,
        parts=parts,
        most=max(len(batch.ids) for batch in step.batches),
        too_large=lambda: (
            f"a row of {int(step.lengths.max())} pieces does not fit into the memory of "
            f"{device}; choose a smaller length and a new folder, or use another device"
        ),
    )


def _gradients(
    model: Pretrainer, step: Step, batches: Sequence[HostBatch], device: torch.device, bf16: bool
) -> Tensor:
    """Adds the gradients of a step in these batches; its mean losses, shape (2,)."""
    counts = torch.tensor([max(1, step.masked), max(1, step.boundary)], dtype=torch.float32)
    if device.type == "cuda":
        counts = counts.pin_memory().to(device, non_blocking=True)
    total = torch.zeros(2, device=device)
    for batch in batches:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            sums = model(batch.on_device(device))
        means = sums / counts
        means.sum().backward()
        total += means.detach()
    return total


def _new_history(
    config: PretrainConfig,
    steps: int,
    start: str,
    corpus: Corpus,
    device: torch.device,
    bf16: bool,
) -> PretrainHistory:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return PretrainHistory(
        config=asdict(config),
        steps=steps,
        start=start,
        corpus={
            "pieces": len(corpus.ids),
            "documents": corpus.documents,
            "digest": corpus.digest,
        },
        machine={
            "device": name,
            "bf16": bf16,
            "peak_flops": measured_peak(device, bf16=bf16),
        },
    )
