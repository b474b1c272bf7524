"""One reader asked every question once; ``bench.open_squad`` starts it.

    PYTHON -m bench.open_worker ENGINE SPEC.json

``PYTHON`` may be that of a peer's environment. Adds a line of JSON to the file that the spec names
for each question as soon as it is answered: its id and passages, its answers, seconds by the clock
and of all cores together, how many passages were read, versions.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.reader_engines import ENGINES, Asked


def main() -> None:
    spec = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    import torch

    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    contexts, questions = spec["contexts"], spec["questions"]
    read, version = ENGINES[sys.argv[1]](spec)
    version = f"{version}, torch {torch.__version__}"
    read([_asked(questions[0], contexts)])  # what only the first question pays for is not timed
    began = time.perf_counter()
    with Path(spec["out"]).open("a", encoding="utf-8") as out:
        for number, question in enumerate(questions, 1):
            asked = _asked(question, contexts)
            before, computed = time.perf_counter(), time.process_time()
            answers = read([asked])[0]
            record = {
                "id": question["id"],
                "passages": question["passages"],
                "seconds": time.perf_counter() - before,
                "processor_seconds": time.process_time() - computed,
                "read": answers.read,
                "answers": answers.found,
                "version": version,
            }
            out.write(json.dumps(record) + "\n")
            out.flush()
            each = (time.perf_counter() - began) / number
            left = each * (len(questions) - number) / 60
            sys.stderr.write(
                f"\r{spec['label']}: {number:,} of {len(questions):,}, "
                f"{each:.2f} s each, {left:.0f} min left  "
            )
            sys.stderr.flush()
    sys.stderr.write("\n")


def _asked(question: dict[str, object], contexts: list[str]) -> Asked:
    numbers, priors, ceiling = question["passages"], question["priors"], question["ceiling"]
    assert isinstance(numbers, list)
    assert isinstance(priors, list)
    assert isinstance(ceiling, float)
    return Asked(str(question["question"]), [contexts[n] for n in numbers], priors, ceiling)


if __name__ == "__main__":
    main()
