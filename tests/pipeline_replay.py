"""The recorded calls once more, in a process that rounds as the recording one did.

    python -m tests.pipeline_replay CASED UNCASED

with the folders of the two small checkpoints. Processors add up in different orders, which changes
the seventh digit; ``bench.record_pipeline.SAME_ROUNDING``, set before torch is imported, keeps them
to one. Prints JSON: for each model how many results there were, the largest difference of a score,
and what else differs.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any


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
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        if theirs["score"] == 0.0:
            assert ours["score"] == 0.0
            return 0.0
        keys = ("start", "end", "answer")
        assert [ours[key] for key in keys] == [theirs[key] for key in keys]
        return abs(float(ours["score"]) - float(theirs["score"]))
    assert ours == theirs
    return 0.0


def main() -> None:
    import torch

    from bench.record_pipeline import CASES, outcome
    from reader import checkpoint as checkpoints
    from reader.pipeline import pipeline

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of deprecated forms
    record = json.loads(CASES.read_text(encoding="utf-8"))
    folders: dict[str, str | Path] = {
        "embedded": checkpoints.EMBEDDED,
        "cased": sys.argv[1],
        "uncased": sys.argv[2],
    }
    loaded = {
        name: checkpoints.load(folder, device=torch.device("cpu"))
        for name, folder in folders.items()
    }
    found: dict[str, dict[str, Any]] = {
        name: {"results": 0, "largest": 0.0, "other": []} for name in folders
    }
    for case in record["cases"]:
        of_model = found[case["model"]]
        asked = pipeline(
            "question-answering", model=loaded[case["model"]], device=-1, **case.get("setup", {})
        )
        ours = outcome(asked, case, record["texts"], example)
        if ours.get("error") != case.get("error"):
            of_model["other"].append(case)
        elif "result" in case:
            of_model["results"] += 1
            try:
                difference = largest_difference(ours["result"], case["result"])
            except AssertionError:
                of_model["other"].append(case)
            else:
                of_model["largest"] = max(of_model["largest"], difference)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
