"""What every training run shares: its steps, its history, and the checkpoint to go on from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import torch

from reader.errors import TrainingError
from reader.output import make_folder, replacing, write_text, writing
from reader.tensor_files import UnreadableError, load_pickle


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
    """

    config: dict[str, Any]
    steps: int
    data: str = ""
    start: str = ""
    losses: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)


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
        """
        state = _read(self._run)
        if state is None:
            return 0
        history = self._history
        # A run of before an option was there is one that leaves it at its default.
        defaults = asdict(type(self._config)())  # type: ignore[call-overload]
        before = {**state, "config": {**defaults, **state.get("config", {})}}
        if differing := [text for name in same if (text := _difference(name, before, history))]:
            raise self._refusal(*differing)
        try:
            self._model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            for each in fields(history):
                if isinstance(getattr(history, each.name), list):
                    setattr(history, each.name, list(state[each.name]))
            torch.set_rng_state(state["random"])
        except (KeyError, ValueError, RuntimeError) as error:  # another network
            raise self._refusal("its network has other weights") from error
        if torch.cuda.is_available() and state.get("cuda_random"):
            torch.cuda.set_rng_state_all(state["cuda_random"])
        return int(state["step"])

    def _refusal(self, *differing: str) -> TrainingError:
        return TrainingError(
            f"{self._run} holds a run of another configuration or other data: "
            f"{'; '.join(differing)}. Give what it was begun with, or another folder (--run)"
        )

    def check(self, loss: float, step: int) -> None:
        """Raises TrainingError for a loss that is not a number."""
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {step}; lower the learning rate "
                f"({self._config.learning_rate}) and start a new run"
            )

    def step(self) -> None:
        """Change the weights by the gradients, which are then gone."""
        if self._config.clip_norm:  # cut to the norm 0 they would be gone
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, step: int) -> None:
        """Write the checkpoint of a run that has done so many steps, and its history."""
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
    target = run / "checkpoint.pt"
    kept = "; the one before it is kept" if target.exists() else ""
    with replacing(target, kept) as part, writing(target, kept):
        torch.save(state, part)
    write_text(run / "history.json", json.dumps(history) + "\n")


def _read(run: Path) -> dict[str, Any] | None:
    """The state to resume from; None for a run that has none yet.

    Raises:
        TrainingError: the file is damaged.
    """
    path = run / "checkpoint.pt"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = load_pickle(path)
    except UnreadableError as error:
        raise TrainingError(f"{path} {error}; remove it to start the run anew") from error
    return state
