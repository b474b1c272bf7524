"""One reader, timed in a process of its own; ``bench.reader`` starts it.

    PYTHON -m bench.reader_worker ENGINE SPEC.json

``PYTHON`` may be that of a peer's environment. Prints one JSON object: seconds of each repetition,
seconds until the first answer, and what computed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.reader_engines import ENGINES, Asked


def main() -> None:
    spec = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    before = time.time()
    import torch

    importing = time.time() - before
    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    questions = [Asked(question, texts) for question, texts in spec["questions"]]
    read, version = ENGINES[sys.argv[1]]({**spec, "answers": 1})
    answers = read(questions)
    first = time.time() - spec["started"] - importing
    seconds = []
    for _ in range(spec["repeats"]):
        began = time.perf_counter()
        answers = read(questions)
        seconds.append(time.perf_counter() - began)
    record = {
        "seconds": seconds,
        "first_answer": first,
        "import_torch": importing,
        "answers": [one.found[0].text for one in answers],
        "version": f"{version}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if spec["device"] != "cpu" else None,
    }
    sys.stdout.write("\n" + json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
