"""One reader, timed in a process of its own; ``bench.reader`` starts it.

    PYTHON bench/reader_worker.py ENGINE SPEC.json

``PYTHON`` may be that of a peer's environment, so nothing of this repository is imported before
the engine is chosen. Prints one JSON object: seconds of each repetition, seconds until the first
answer, and what computed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Reads every question on its passages; gives the best answer to each.
Read = Callable[[], list[str]]


def ours(spec: dict[str, Any], questions: list[tuple[str, list[str]]]) -> tuple[Read, str]:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from reader.reader import Passage, load_reader

    reader = load_reader(spec["model"], device=spec["device"], precision=spec["precision"])
    asked = [
        (question, [Passage(str(number), 0, text) for number, text in enumerate(texts)])
        for question, texts in questions
    ]

    def read() -> list[str]:
        if spec["together"]:
            return [spans[0].text for spans in reader.read_batch(asked, top_k=1)]
        return [reader.read(question, texts, top_k=1)[0].text for question, texts in asked]

    return read, "spanbot"


def plain(spec: dict[str, Any], questions: list[tuple[str, list[str]]]) -> tuple[Read, str]:
    """Every question's passages as one padded batch, the best start and end behind it."""
    import torch
    import transformers

    library: Any = transformers  # of a version that is not this environment's
    model = library.BertForQuestionAnswering.from_pretrained(
        spec["model"], dtype=torch.float32, attn_implementation="sdpa"
    )
    model = model.to(spec["device"]).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(spec["model"])

    def read() -> list[str]:
        found = []
        for question, texts in questions:
            inputs = tokenizer(
                [question] * len(texts),
                texts,
                padding=True,
                truncation="only_second",
                max_length=384,
                return_tensors="pt",
            ).to(spec["device"])
            with torch.inference_mode():
                output = model(**inputs)
            inside = inputs["token_type_ids"].bool() & inputs["attention_mask"].bool()
            starts = output.start_logits.masked_fill(~inside, -1e9)
            ends = output.end_logits.masked_fill(~inside, -1e9)
            row = int((starts.amax(1) + ends.amax(1)).argmax())
            begin, end = int(starts[row].argmax()), int(ends[row].argmax())
            found.append(tokenizer.decode(inputs["input_ids"][row, begin : end + 1]))
        return found

    return read, f"transformers {transformers.__version__}"


def pipeline(spec: dict[str, Any], questions: list[tuple[str, list[str]]]) -> tuple[Read, str]:
    """transformers' own call, where it still exists: before 5.3."""
    import transformers

    library: Any = transformers  # of a version that is not this environment's
    device = -1 if spec["device"] == "cpu" else 0
    call = library.pipeline("question-answering", model=spec["model"], device=device)

    def read() -> list[str]:
        found = []
        for question, texts in questions:
            answers = call([{"question": question, "context": text} for text in texts])
            answers = answers if isinstance(answers, list) else [answers]
            found.append(max(answers, key=lambda answer: answer["score"])["answer"])
        return found

    return read, f"transformers {transformers.__version__}"


def haystack(spec: dict[str, Any], questions: list[tuple[str, list[str]]]) -> tuple[Read, str]:
    import haystack as library
    from haystack.components.readers import ExtractiveReader
    from haystack.utils import ComponentDevice

    reader = ExtractiveReader(
        model=spec["model"],
        device=ComponentDevice.from_str("cpu" if spec["device"] == "cpu" else "cuda:0"),
        token=None,
        no_answer=False,
    )
    reader.warm_up()

    def read() -> list[str]:
        found = []
        for question, texts in questions:
            documents = [library.Document(content=text) for text in texts]
            answers = reader.run(query=question, documents=documents, top_k=1)["answers"]
            found.append(answers[0].data)
        return found

    return read, f"haystack-ai {library.__version__}"


ENGINES = {"ours": ours, "plain": plain, "pipeline": pipeline, "haystack": haystack}


def main() -> None:
    spec = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    before = time.time()
    import torch

    importing = time.time() - before
    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    questions = [(question, texts) for question, texts in spec["questions"]]
    read, version = ENGINES[sys.argv[1]](spec, questions)
    answers = read()
    first = time.time() - spec["started"] - importing
    seconds = []
    for _ in range(spec["repeats"]):
        began = time.perf_counter()
        answers = read()
        seconds.append(time.perf_counter() - began)
    record = {
        "seconds": seconds,
        "first_answer": first,
        "import_torch": importing,
        "answers": answers,
        "version": f"{version}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if spec["device"] != "cpu" else None,
    }
    sys.stdout.write("\n" + json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
