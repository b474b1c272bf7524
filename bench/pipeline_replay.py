"""The recorded calls of transformers' pipeline once more, by this project's.

    python -m bench.pipeline_replay [--own-rounding] [--out FILE]

reads ``tests/data/pipeline_cases.json`` (:mod:`bench.record_pipeline`), makes the two small
checkpoints anew, and calls in a process that rounds as the recording one did. Processors add up in
different orders, which changes the seventh digit; ``SAME_ROUNDING``, set before torch is imported,
keeps them to one. Prints JSON: of how many calls with a result the answers and offsets are equal,
how many errors are the same and how many are answered instead, the largest difference of a score,
and what else differs; all of it also for each model and precision.

``--own-rounding`` calls once more, with whatever instructions the processor has, and adds what that
gives, and the processor's name, as ``own_rounding``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.processor import processor
from bench.record_pipeline import CASES, ROOT, SAME_ROUNDING, outcome


def example(question: str, context: str) -> SimpleNamespace:
    return SimpleNamespace(question_text=question, context_text=context)


def largest_difference(ours: Any, theirs: Any) -> float:
    """Of two equal results' scores; anything else that differs fails.

    Answers of score 0 fill up a list in an order that hangs on the processor: only their number
    is compared.
    """
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], list | dict):
        assert isinstance(ours, list)
        assert len(ours) == len(theirs)
        return max(map(largest_difference, ours, theirs))
    if isinstance(theirs, dict) and "score" in theirs:
        assert set(ours) == set(theirs)
        if theirs["score"] == 0.0:
            assert ours["score"] == 0.0
            return 0.0
        keys = ("start", "end", "answer")
        assert [ours[key] for key in keys] == [theirs[key] for key in keys]
        return abs(float(ours["score"]) - float(theirs["score"]))
    assert ours == theirs
    return 0.0


def replay(record: dict[str, Any], folders: dict[str, Path]) -> dict[str, Any]:
    """For each model how many calls are as recorded, which errors are mended, what differs.

    A model in another precision than float32 is one of its own. ``mended`` are the calls that
    raised then and are answered now.
    """
    import torch

    from reader import checkpoint as checkpoints
    from reader.pipeline import pipeline

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of deprecated forms
    loaded = {
        name: checkpoints.load(folder, device=torch.device("cpu"))
        for name, folder in folders.items()
    }
    found: dict[str, dict[str, Any]] = {}
    for case in record["cases"]:
        name, precision = case["model"], case.get("setup", {}).get("dtype")
        of_model = found.setdefault(
            f"{name}, {precision}" if precision else name,
            {"results": 0, "errors": 0, "largest_difference": 0.0, "mended": [], "different": []},
        )
        # A network that is loaded already keeps its precision.
        model = folders[name] if precision else loaded[name]
        asked = pipeline("question-answering", model=model, device=-1, **case.get("setup", {}))
        # Without what was recorded, so that an error that no longer comes is told.
        call = {key: value for key, value in case.items() if key not in ("result", "error")}
        ours = outcome(asked, call, record["texts"], example)
        if "error" in case and "result" in ours:
            of_model["mended"].append(case)
        elif ours.get("error") != case.get("error"):
            of_model["different"].append(case)
        elif "error" in case:
            of_model["errors"] += 1
        else:
            try:
                difference = largest_difference(ours["result"], case["result"])
            except AssertionError:
                of_model["different"].append(case)
            else:
                of_model["results"] += 1
                of_model["largest_difference"] = max(of_model["largest_difference"], difference)
    return found


def summary(record: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """The figures over all models, and those of each."""
    import numpy
    import tokenizers
    import torch
    import transformers

    return {
        "recorded_with": record["versions"],
        "replayed_with": {
            module.__name__: str(module.__version__)
            for module in (transformers, torch, tokenizers, numpy)
        },
        "cases": len(record["cases"]),
        "results_equal": sum(one["results"] for one in models.values()),
        "results": sum("result" in case for case in record["cases"]),
        "errors_equal": sum(one["errors"] for one in models.values()),
        "errors_mended": sum(len(one["mended"]) for one in models.values()),
        "errors": sum("error" in case for case in record["cases"]),
        "largest_difference": max(one["largest_difference"] for one in models.values()),
        "models": models,
    }


#: Of a replay with the processor's own rounding, what stands beside the other.
_OF_OWN = ("results_equal", "errors_equal", "errors_mended", "largest_difference", "models")


def _replayed(place: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The figures of a process with these variables."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.pipeline_replay", "--inside", str(place)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--own-rounding", action="store_true", help="and as the processor rounds")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen: Any = parser.parse_args(arguments)
    if chosen.inside:
        record = json.loads(CASES.read_text(encoding="utf-8"))
        folders = {name: chosen.inside / name for name in ("cased", "uncased")}
        models = replay(record, {"embedded": ROOT / "reader" / "embedded", **folders})
        json.dump(summary(record, models), sys.stdout)
        return
    from tests.pipeline_models import seeded_checkpoint

    with tempfile.TemporaryDirectory() as place:
        for seed, name in enumerate(("cased", "uncased")):
            seeded_checkpoint(Path(place) / name, cased=name == "cased", seed=seed)
        figures = _replayed(Path(place), {**os.environ, **SAME_ROUNDING})
        if chosen.own_rounding:
            plain = {key: value for key, value in os.environ.items() if key not in SAME_ROUNDING}
            own = _replayed(Path(place), plain)
            figures["own_rounding"] = {
                "processor": processor(),
                **{key: own[key] for key in _OF_OWN},
            }
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
