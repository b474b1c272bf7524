"""What every training run shares: its steps, its history, and the checkpoint to go on from.

A run that goes on has the weights, the optimizer's state, the random numbers and the data that it
would have had. On a CPU, with as many threads, it ends in the same weights to the bit. On CUDA that
is not given: torch's deterministic mode is not on, and the gradients of attention and of embeddings
are summed in whatever order the GPU comes to them, so that rounding differs between any two runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import torch

from reader.errors import CheckpointError, TrainingError
from reader.finite import unusable
from reader.memory import room_for
from reader.output import make_folder, replacing, write_text, writing
from reader.tensor_files import UnreadableError, load_pickle

_CHECKPOINT = "checkpoint.pt"


class TrainingConfig(Protocol):
    """What a run's configuration says of its steps; a dataclass whose fields have defaults.

    ``clip_norm`` 0 leaves the gradients as they are.
    """

    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip_norm(self) -> float: ...


@dataclass(slots=True, kw_only=True)
class History:
    """What a run has done so far; the curve is drawn from it.

    Losses and evaluations are each a step, from 1, and its value. ``data`` and ``start`` are
    digests (:mod:`reader.digests`) of what is trained on and of the weights before the first step.
    ``parts`` are each step at which memory ran out, and into how many parts batches go from it on.
    """

    config: dict[str, Any]
    steps: int
    data: str = ""
    start: str = ""
    losses: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    parts: list[tuple[int, int]] = field(default_factory=list)


class Training:
    """The steps of a run in its folder: AdamW, weight decay for matrices only, a linear schedule.

    Args:
        run: the run's folder, made if missing.
        history: of a run that begins; :meth:`resume` and the caller add to its lists.
        final_rate: the share of the peak to which the learning rate falls.
        fused: whether all weights are updated by one kernel.
    """

    def __init__(
        self,
        run: Path,
        model: torch.nn.Module,
        config: TrainingConfig,
        history: History,
        *,
        final_rate: float = 0.0,
        fused: bool = False,
    ) -> None:
        make_folder(run)
        self._run = run
        self._model = model
        self._config = config
        self._history = history
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(model, config.weight_decay), lr=config.learning_rate, fused=fused
        )
        self._schedule = _linear_schedule(
            self._optimizer, history.steps, warmup=config.warmup, final=final_rate
        )

    def resume(self, same: Sequence[str] = ("config", "data", "start", "steps")) -> int:
        """Go on where the folder's run stopped; the steps that it has done, 0 where there is none.

        Args:
            same: the fields of the history in which a run must agree with the one it goes on from.

        Raises:
            TrainingError: the folder holds a run of another configuration, other data or other
                start weights, which the message tells apart, or a damaged checkpoint.
            ReaderError: the device has no memory for the optimizer's state.
        """
        state = _read(self._run)
        if state is None:
            return 0
        history = self._history
        # A run of before an option was there is one that leaves it at its default.
        defaults = asdict(type(self._config)())  # type: ignore[call-overload]
        settings = {**defaults, **state.get("config", {})}
        if "bf16" in settings and settings["bf16"] is None:  # noted as it was asked for, not chosen
            settings["bf16"] = state.get("machine", {}).get("bf16")
        if "save_every" in history.config:  # changes nothing in what is trained
            settings["save_every"] = history.config["save_every"]
        before = {**state, "config": settings}
        if differing := [text for name in same if (text := _difference(name, before, history))]:
            raise self._refusal(*differing)
        try:
            with self._room():
                self._model.load_state_dict(state["model"])
                self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            for each in fields(history):
                if isinstance(getattr(history, each.name), list):
                    setattr(history, each.name, list(state.get(each.name, [])))
            torch.set_rng_state(state["random"])
        except (KeyError, ValueError, RuntimeError) as error:  # another network
            raise self._refusal("its network has other weights") from error
        except (AttributeError, IndexError, TypeError) as error:
            raise _not_a_run(self._run / _CHECKPOINT) from error
        if torch.cuda.is_available() and state.get("cuda_random"):
            here = torch.cuda.device_count()  # there may have been more GPUs before
            torch.cuda.set_rng_state_all(state["cuda_random"][:here])
        self.check_weights(int(state["step"]))
        return int(state["step"])

    def _refusal(self, *differing: str) -> TrainingError:
        return TrainingError(
            f"{self._run} holds a run of another configuration or other data: "
            f"{'; '.join(differing)}. Give what it was begun with, or another folder (--run)"
        )

    def _room(self) -> AbstractContextManager[None]:
        device = next(self._model.parameters()).device
        what = "AdamW, which keeps two numbers for each weight"
        return room_for(what, device, "free some, begin with a smaller network")

    @property
    def parts(self) -> int:
        """Into how many parts batches go (:func:`reader.memory.in_parts`); 1 if they fit whole."""
        return self._history.parts[-1][1] if self._history.parts else 1

    def note_parts(self, parts: int, step: int, notify: Callable[[str], None]) -> None:
        """Keep with the run, which then goes on as it would have, that a step needed so many."""
        if parts != self.parts:
            self._history.parts.append((step, parts))
            notify(
                f"memory ran out at step {step}; batches go in {parts} parts from here on, which "
                "trains the same but for dropout and rounding"
            )

    def check(self, loss: float, step: int) -> None:
        """Raises TrainingError for a loss that is not a number."""
        if not math.isfinite(loss) and step == 1:
            raise TrainingError(
                f"the loss is {loss} at step 1, before any weight was changed: the start weights "
                "or the settings of the loss overflow; start a new run with others"
            )
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {step}; lower the learning rate "
                f"({self._config.learning_rate}) and start a new run"
            )

    def check_weights(self, step: int) -> None:
        """Raises TrainingError for weights that this step has made unusable.

        A loss does not tell of the last step's: it is computed before the weights change.
        """
        if found := unusable(self._model):
            raise TrainingError(
                f"the weights diverged by step {step}: {found}; lower the learning rate "
                f"({self._config.learning_rate}) and start a new run"
            )

    def step(self) -> None:
        """Change the weights by the gradients, which are then gone.

        Raises:
            ReaderError: the device has no memory for the optimizer's state, which the first step
                makes.
        """
        with self._room():
            if self._config.clip_norm:  # cut to the norm 0 they would be gone
                torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
            self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, step: int) -> None:
        """Write the checkpoint of a run that has done so many steps, and its history.

        Raises:
            OutputError: it cannot be written.
            TrainingError: the weights diverged; the checkpoint before is kept.
        """
        self.check_weights(step)
        record = asdict(self._history)
        state = {
            **record,
            "step": step,
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        _write(self._run, state, record)


def check_start(model: torch.nn.Module, name: str | Path) -> None:
    """Raises CheckpointError for a model of this name whose weights nothing can be learnt from.

    Its loss is not a number, for which the learning rate would be blamed.
    """
    if found := unusable(model):
        raise CheckpointError(
            f"the weights of {name} are damaged: {found}; copy or download it again, or start from "
            "another model"
        )


def _difference(name: str, before: dict[str, Any], now: History) -> str | None:
    """In what a run differs from the one before; None where they agree in that field."""
    old, new = before.get(name), getattr(now, name)
    if old == new:
        return None
    if name == "config" and old is not None:
        settings = (
            f"{key} {old.get(key)} there and {new.get(key)} here"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        )
        return f"its configuration has {', '.join(settings)}"
    if old is None:
        return f"it was written before {_NOUNS.get(name, name)} were noted"
    if name == "steps":
        return f"it has {old} steps and this one {new}"
    return f"its {_NOUNS.get(name, name)} are others"


#: The fields of a history, as messages call them.
_NOUNS = {"data": "training data", "start": "start weights", "corpus": "texts"}


def _parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only, as usual for BERT."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _linear_schedule(
    optimizer: torch.optim.Optimizer, steps: int, *, warmup: float, final: float = 0.0
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up over a share of the steps, then linear fall to a share of the peak."""
    rising = max(1, round(warmup * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / rising,
            final + (1 - final) * (steps - step) / max(1, steps - rising),
        ),
    )


def _write(run: Path, state: dict[str, Any], history: dict[str, Any]) -> None:
    """Write ``checkpoint.pt`` and ``history.json`` into the run's folder, each atomically."""
    target = run / _CHECKPOINT
    kept = "; the one before it is kept" if target.exists() else ""
    with replacing(target, kept) as part, writing(target, kept):
        torch.save(state, part)
    write_text(run / "history.json", json.dumps(history) + "\n")


def _read(run: Path) -> dict[str, Any] | None:
    """The state to resume from; None for a run that has none yet.

    Raises:
        TrainingError: the file is damaged, or not a run's.
    """
    path = run / _CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = load_pickle(path)
    except UnreadableError as error:
        raise TrainingError(f"{path} {error}; remove it to start the run anew") from error
    if not isinstance(state, dict) or not all(
        isinstance(state.get(name), kind) for name, kind in _KINDS.items()
    ):
        raise _not_a_run(path)
    return state


#: What a run needs to go on, which every checkpoint has had.
_KINDS = {
    "config": dict,
    "step": int,
    "model": dict,
    "optimizer": dict,
    "schedule": dict,
    "random": torch.Tensor,
}


def _not_a_run(path: Path) -> TrainingError:
    return TrainingError(
        f"{path} is not the checkpoint of a training run; give another folder (--run), or remove "
        "it to start the run anew"
    )
