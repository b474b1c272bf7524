"""Readers side by side: ours and its peers, each with the same call.

The workers :mod:`bench.reader_worker` and :mod:`bench.open_worker` run in the environment of the
reader that they make, which may be a peer's: everything else is imported when a reader is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A question on passages. ``priors`` and ``ceiling`` are for ours alone."""

    question: str
    texts: Sequence[str]
    priors: Sequence[float] | None = None
    ceiling: float = 0.0


class Found(NamedTuple):
    """An answer, the place of its passage, and its score in the reader's own unit."""

    text: str
    passage: int
    score: float


class Answers(NamedTuple):
    """The answers to a question, best first, and how many passages were read for them."""

    found: list[Found]
    read: int


#: Reads the passages of each question.
Read = Callable[[Sequence[Asked]], list[Answers]]


def environment() -> dict[str, str]:
    """What a worker is started with: this repository to import, and no network."""
    return {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).absolute().parent.parent),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HAYSTACK_TELEMETRY_ENABLED": "false",
    }


def ours(spec: dict[str, Any]) -> tuple[Read, str]:
    reader, passages_of, found_of = _ours(spec)

    def read(asked: Sequence[Asked]) -> list[Answers]:
        ready = [(one.question, passages_of(one)) for one in asked]
        if spec["together"]:
            found = reader.read_batch(ready, top_k=spec["answers"])
        else:
            found = [reader.read(*one, top_k=spec["answers"]) for one in ready]
        return [
            Answers(found_of(spans), len(one.texts))
            for spans, one in zip(found, asked, strict=True)
        ]

    return read, "spanbot"


def until(spec: dict[str, Any]) -> tuple[Read, str]:
    """Ours, stopping at a ceiling; ``spec["round"]`` passages are read at a time."""
    from reader.reader import Ceiling

    reader, passages_of, found_of = _ours(spec)

    def read(asked: Sequence[Asked]) -> list[Answers]:
        answers = []
        for one in asked:
            partial = reader.read_until(
                one.question,
                passages_of(one),
                Ceiling(one.ceiling),
                top_k=spec["answers"],
                round_size=spec["round"],
            )
            answers.append(Answers(found_of(partial.spans), partial.read))
        return answers

    return read, "spanbot"


def _ours(spec: dict[str, Any]) -> tuple[Any, Callable[[Asked], Any], Callable[[Any], list[Found]]]:
    """A reader, and the ways to its passages and from its spans."""
    from reader.reader import Passage, Span, load_reader

    def passages_of(one: Asked) -> list[Passage]:
        priors = one.priors or [0.0] * len(one.texts)
        return [
            Passage(str(number), 0, text, prior)
            for number, (text, prior) in enumerate(zip(one.texts, priors, strict=True))
        ]

    def found_of(spans: Sequence[Span]) -> list[Found]:
        return [Found(span.text, span.passage, span.score) for span in spans]

    reader = load_reader(spec["model"], device=spec["device"], precision=spec["precision"])
    return reader, passages_of, found_of


def plain(spec: dict[str, Any]) -> tuple[Read, str]:
    """The passages as one padded batch, the best start and end behind it: one answer, no more."""
    import torch
    import transformers

    library: Any = transformers  # of a version that is not this environment's
    model = library.BertForQuestionAnswering.from_pretrained(
        spec["model"], dtype=torch.float32, attn_implementation="sdpa"
    )
    model = model.to(spec["device"]).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(spec["model"])

    def read(asked: Sequence[Asked]) -> list[Answers]:
        answers = []
        for one in asked:
            inputs = tokenizer(
                [one.question] * len(one.texts),
                list(one.texts),
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
            scores = starts.amax(1) + ends.amax(1)
            row = int(scores.argmax())
            begin, end = int(starts[row].argmax()), int(ends[row].argmax())
            text = tokenizer.decode(inputs["input_ids"][row, begin : end + 1])
            answers.append(Answers([Found(text, row, float(scores[row]))], len(one.texts)))
        return answers

    return read, f"transformers {transformers.__version__}"


def pipeline(spec: dict[str, Any]) -> tuple[Read, str]:
    """transformers' own call, where it still exists: before 5.3.

    It answers each passage by itself, one after the other; the highest of its scores come first.
    """
    import transformers

    library: Any = transformers  # of a version that is not this environment's
    device = -1 if spec["device"] == "cpu" else 0
    call = library.pipeline("question-answering", model=spec["model"], device=device)

    def read(asked: Sequence[Asked]) -> list[Answers]:
        answers = []
        for one in asked:
            told = call(
                question=[one.question] * len(one.texts),
                context=list(one.texts),
                top_k=spec["answers"],
            )
            found = [
                Found(answer["answer"], number, answer["score"])
                for number, own in enumerate([told] if len(one.texts) == 1 else told)
                for answer in (own if isinstance(own, list) else [own])
            ]
            found.sort(key=lambda answer: -answer.score)
            answers.append(Answers(found[: spec["answers"]], len(one.texts)))
        return answers

    return read, f"transformers {transformers.__version__}"


def haystack(spec: dict[str, Any]) -> tuple[Read, str]:
    """Haystack's reader: the passages as one batch, the answers in its own order.

    It does not tell the model which pieces are the question's and which the passage's (BERT's
    segments). With ``spec["segments"]`` the model is told, behind its back.
    """
    import haystack as library
    import transformers
    from haystack.components.readers import ExtractiveReader
    from haystack.utils import ComponentDevice

    reader: Any = ExtractiveReader(
        model=spec["model"],
        device=ComponentDevice.from_str("cpu" if spec["device"] == "cpu" else "cuda:0"),
        token=None,
        no_answer=False,
    )
    reader.warm_up()
    if spec.get("segments"):
        _tell_segments(reader.model, reader.tokenizer.sep_token_id)

    def read(asked: Sequence[Asked]) -> list[Answers]:
        answers = []
        for one in asked:
            documents = [
                library.Document(id=str(number), content=text)
                for number, text in enumerate(one.texts)
            ]
            told = reader.run(query=one.question, documents=documents, top_k=spec["answers"])
            found = [
                Found(answer.data, int(answer.document.id), answer.score)
                for answer in told["answers"]
            ]
            answers.append(Answers(found, len(one.texts)))
        return answers

    version = f"haystack-ai {library.__version__}, transformers {transformers.__version__}"
    return read, version


def _tell_segments(model: Any, separator: int) -> None:
    """From the first separator on, pieces are the passage's."""

    def before(_: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ends = (named["input_ids"] == separator).long()
        return given, {**named, "token_type_ids": ((ends.cumsum(1) - ends) > 0).long()}

    model.register_forward_pre_hook(before, with_kwargs=True)


ENGINES: dict[str, Callable[[dict[str, Any]], tuple[Read, str]]] = {
    "ours": ours,
    "until": until,
    "plain": plain,
    "pipeline": pipeline,
    "haystack": haystack,
}
