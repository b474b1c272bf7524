"""A run of the recipe: its folder, and the stages that are done."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clock import Clock, keep, say


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made with; one of another recipe does not go on in its folder."""

    start: str  # fingerprints of the files, to "corpora"
    data: str
    questions: str
    handbooks: str
    corpora: str | None
    more: list[str]  # names of bench.recipe_data.MORE_SETS
    pretrain_steps: int
    limit: int
    epochs: int
    squad_groups: int
    dev_questions: int
    save_every: int
    match: bool
    teacher: str | None
    two_heads: bool


@dataclass(slots=True)
class Run:
    """A run's folder; ``facts`` are what the finished stages say of themselves."""

    arguments: argparse.Namespace
    recipe: Recipe
    clock: Clock
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return Path(self.arguments.out) / "work"

    @property
    def results(self) -> Path:
        return Path(self.arguments.out) / "results"

    def stage(self, name: str, make: Callable[[Path], dict[str, Any]]) -> None:
        """Do a stage unless it is done."""
        folder = self.work / name
        done = folder / "done.json"
        if not done.exists():
            self.clock.check()
            say(f"{name} ...")
            folder.mkdir(parents=True, exist_ok=True)
            keep(make(folder), done)
        self.facts[name] = json.loads(done.read_text(encoding="utf-8"))
