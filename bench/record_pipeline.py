"""Record what the question-answering pipeline of transformers 4.57.6 answers.

    python -m bench.record_pipeline FOLDER

makes a virtual environment in FOLDER with that version (torch first, so that nothing pulls another
one), runs it on the embedded reader and on two small checkpoints, on the CPU, in float32 unless a
case's ``setup`` says otherwise, and writes calls and results to ``tests/data/pipeline_cases.json``,
which the tests replay.

Within a case, ``$text:NAME`` stands for a text of the table ``texts``, and an object with the one
key ``$example``, ``$tuple`` or ``$generator`` for a SquadExample, a tuple or a generator;
``method`` names a method of the pipeline that is called instead of the pipeline itself. A result
is what the call returned (a generator's as a list, a SquadExample as its two texts), or the name of
the exception.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TORCH = "torch==2.13.0"
TRANSFORMERS = "transformers==4.57.6"
ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "data" / "pipeline_cases.json"
#: Settings with which processors of different kinds add up in the same order.
SAME_ROUNDING = {
    "MKL_CBWR": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}

Case = dict[str, Any]

_WIFI = (
    "Guests get a code for the wifi at the reception. It is valid for 12 hours on up to three "
    "devices. Lena Holm in office 4.12 extends it to 30 days for contractors."
)
_LEAVE = (
    "Everybody has 28 days of leave a year. Up to six days may be carried over until 31 March; "
    "the people team (people@example.com) decides about more."
)
_EXPENSES = (
    "Trips up to €1,250.50 need no approval. Above that, Zoë O'Neill-Größe approves them in "
    "writing, usually within two working days."
)
_LETTERS = "the code is valid for 12 hours. ask who? the token is valid for 90 days, reset the vpn."
TEXTS = {
    "wifi": _WIFI,
    "leave": _LEAVE,
    "expenses": _EXPENSES,
    "letters": _LETTERS,
    "accents": "Die Größe beträgt 90 m² – Zoë hat’s geprüft. Ça coûte 1 250,50 € à Besançon.",
    "combining": "Cafe\u0301 Zoe\u0308 opens at 8:30, the nai\u0308ve one at 9:00.",
    "scripts": "会議は 東京 で 10 時に. Встреча в Москве в 9 часов. 회의 는 서울. اجتماع.",
    "emoji": "Ship it 🚀🚀 on Friday 👩‍💻, not on Monday 😱. The phone is +49\u00a030\u00a0123.",
    "spaces": "  The\tcode \n\n is\u2003valid   for\u200b 12 hours.\r\n ",
    "marks": "«12 hours»—(or 90 days?)…[see #3]; a/b/c, e.g. v1.2.3-rc1 & <b>x</b>",
    "specials": "[CLS] the code [SEP] is valid for [MASK] 12 hours [PAD] [UNK].",
    "controls": "The code\x00 is\x07 valid\ufffd for 12 hours\u200d.",
    "run": "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "repeats": "The code is valid for 12 hours. The Code is valid for 12 Hours. " * 3,
}  # fmt: skip


def long_text(sentences: int, seed: int) -> str:
    """Text of a handbook that was never written."""
    draw = random.Random(seed)
    teams = ["people team", "finance team", "front desk", "security team", "data office"]
    things = ["laptop", "travel card", "parking permit", "expense claim", "visitor badge"]
    names = ["Lena Holm", "Aron Okafor", "Zoë Größe", "Maria da Silva", "Jun Tanaka"]
    lines = []
    for _ in range(sentences):
        thing, number = draw.choice(things), draw.randint(2, 90)
        lines.append(
            draw.choice(
                [
                    f"The {draw.choice(teams)} hands out the {thing} within {number} days.",
                    f"A {thing} is valid for {number} hours.",
                    f"Ask {draw.choice(names)} in room {number}.{draw.randint(1, 20)} about it.",
                    f"Without a {thing}, call +49 30 {draw.randint(1000, 9999)} before noon.",
                    f"{draw.choice(names)} decides who gets a {thing}; it costs €{number}.50.",
                ]
            )
        )
    return " ".join(lines)


def texts() -> dict[str, str]:
    return {
        **TEXTS,
        "long": long_text(30, 1),
        "longer": long_text(60, 2),
        "medium": long_text(14, 3),
    }


def _keywords(question: str, name: str, **parameters: Any) -> Case:
    return {"args": [], "kwargs": {"question": question, "context": f"$text:{name}", **parameters}}


def _parameter_cases(question: str, name: str) -> Iterator[Case]:
    """One call for each parameter and for some of them together."""
    for parameters in (
        {},
        {"top_k": 2},
        {"top_k": 5},
        {"top_k": 20},
        {"max_answer_len": 1},
        {"max_answer_len": 3, "top_k": 3},
        {"max_answer_len": 40, "top_k": 3},
        {"align_to_words": False},
        {"align_to_words": False, "top_k": 4},
        {"handle_impossible_answer": True},
        {"handle_impossible_answer": True, "top_k": 3},
        {"max_seq_len": 40},
        {"max_seq_len": 40, "doc_stride": 5, "top_k": 3},
        {"max_seq_len": 40, "doc_stride": 0, "top_k": 3},
        {"max_seq_len": 48, "doc_stride": 16, "handle_impossible_answer": True, "top_k": 4},
        {"max_seq_len": 40, "doc_stride": 12, "align_to_words": False, "top_k": 3},
        {"padding": "max_length", "top_k": 2},
        {"padding": True, "max_seq_len": 40, "top_k": 2},
        {"padding": "longest", "max_seq_len": 36, "batch_size": 3, "top_k": 3},
        {"max_question_len": 2},
    ):
        yield _keywords(question, name, **parameters)


def _form_cases(first: str, second: str) -> Iterator[Case]:
    """Every way to pass questions."""
    one = {"question": "Who decides?", "context": f"$text:{first}"}
    two = {"question": "How long is it valid?", "context": f"$text:{second}"}
    both = {"question": [one["question"], two["question"]]}
    contexts = [one["context"], two["context"]]
    example = {"$example": [two["question"], two["context"]]}
    for args, kwargs in (
        ([one], {}),
        ([[one]], {}),
        ([[one, two]], {}),
        ([one, two], {}),
        ([{"$tuple": [one, two]}], {}),
        ([one["question"], one["context"]], {}),
        ([example], {}),
        ([[example, one]], {"top_k": 2}),
        ([{"$generator": [one, two, one]}], {}),
        ([{"$generator": [one, two, one]}], {"batch_size": 2, "top_k": 2}),
        ([{"$generator": [example]}], {}),
        ([{**both, "context": contexts}], {}),
        ([[]], {}),
        ([], {**both, "context": one["context"]}),
        ([], {**both, "context": contexts}),
        ([], {"question": [one["question"]], "context": [one["context"]]}),
        ([], {"question": [], "context": []}),
        ([], {"data": one}),
        ([], {"data": [one, two], "top_k": 2}),
        ([], {"X": [two]}),
        ([], {**one, "topk": 3}),
        ([], {**one, "topk": 3, "top_k": 2}),
        ([], {**one, "top_k": None, "doc_stride": None}),
        ([], {**one, "num_workers": 0, "batch_size": 1}),
        ([[one, two, one, two]], {"batch_size": 3, "top_k": 3}),
        ([[two, one]], {"batch_size": 8, "max_seq_len": 32, "doc_stride": 8}),
        # What is refused.
        ([], {}),
        ([5], {}),
        ([{"question": "Who?"}], {}),
        ([{"context": "x"}], {}),
        ([{"question": None, "context": "x"}], {}),
        ([{"question": "", "context": "x"}], {}),
        ([{"question": "Who?", "context": ""}], {}),
        ([{"question": "Who?", "context": "x", "id": 1}], {}),
        ([{"question": "Who?", "context": 5}], {}),
        ([{"$tuple": ["Who?", "x"]}], {}),
        (["Who?"], {}),
        ([], {"question": "Who?"}),
        ([], {"question": "Who?", "context": 5}),
        ([], {"question": "Who?", "context": ["x"]}),
        ([], {"question": ["Who?", "What?"], "context": ["x"]}),
        ([], {"question": "Who?", "context": None}),
        ([], {**one, "top_k": 0}),
        ([], {**one, "max_answer_len": 0}),
        ([], {**one, "max_seq_len": 20, "doc_stride": 30}),
        ([{"$generator": [{"question": "Who?"}]}], {}),
    ):
        yield {"args": args, "kwargs": kwargs}


def _context_cases() -> Iterator[Case]:
    """Unicode, tiny and repetitive contexts."""
    for name in TEXTS:
        yield _keywords("How long is the code valid?", name)
        yield _keywords("Who?", name, top_k=4, max_answer_len=6)
        yield _keywords("[CLS] Größe? 🚀", name, top_k=3, align_to_words=False)
    for context in ("x", "12", " ", "12 hours", "?", "a b c", "ß", "🚀", "\n", "中"):
        for parameters in ({}, {"top_k": 3}, {"top_k": 4, "handle_impossible_answer": True}):
            yield {
                "args": [],
                "kwargs": {"question": "How long?", "context": context, **parameters},
            }
    yield {"args": [], "kwargs": {"question": " ", "context": "12 hours"}}
    yield {"args": [], "kwargs": {"question": "?", "context": "12", "max_answer_len": 1}}


def _long_cases() -> Iterator[Case]:
    for question, name, parameters in (
        ("Who decides who gets a parking permit?", "long", {}),
        ("How long is a visitor badge valid?", "long", {"top_k": 5}),
        ("What does the laptop cost?", "long", {"doc_stride": 64, "max_seq_len": 160, "top_k": 3}),
        ("Who?", "long", {"max_seq_len": 96, "doc_stride": 8, "batch_size": 4, "top_k": 6}),
        ("Which team hands out the travel card?", "longer", {"top_k": 3}),
        ("Which team hands out the travel card?", "longer", {"handle_impossible_answer": True}),
        ("When must I call?", "longer", {"max_seq_len": 512, "doc_stride": 0, "top_k": 2}),
        ("When must I call?", "longer", {"align_to_words": False, "max_answer_len": 30}),
    ):
        yield _keywords(question, name, **parameters)


def _method_cases(first: str, second: str) -> Iterator[Case]:
    """The calls by scikit-learn's names, and the questions as objects."""
    one = {"question": "Who decides?", "context": f"$text:{first}"}
    two = {"question": "How long is it valid?", "context": f"$text:{second}"}
    example = {"$example": [two["question"], two["context"]]}
    for method in ("predict", "transform"):
        for args, kwargs in (
            ([one], {}),
            ([], {"X": two}),
            ([[one, two]], {}),
            ([[example]], {}),
            ([{"$generator": [one, two]}], {}),
            ([[]], {}),
            ([5], {}),
            ([{"question": "Who?"}], {}),
            ([], {}),
            ([one, two], {}),
            ([one], {"top_k": 2}),
        ):
            yield {"method": method, "args": args, "kwargs": kwargs}
    yield {
        "method": "create_sample",
        "args": [],
        "kwargs": {"question": "Who?", "context": "x"},
    }
    samples: list[list[Any]] = [
        ["Who?", "x"],
        [["Who?", "What?"], ["x", "y"]],
        [[], []],
        ["Who?"],
        [["Who?"], None],
    ]
    for given in samples:
        yield {"method": "create_sample", "args": given, "kwargs": {}}


def _precision_cases(question: str, name: str) -> Iterator[Case]:
    for parameters in (
        {},
        {"top_k": 5},
        {"top_k": 3, "align_to_words": False},
        {"handle_impossible_answer": True, "top_k": 3},
        {"max_seq_len": 48, "doc_stride": 16, "batch_size": 3, "top_k": 4},
    ):
        yield _keywords(question, name, **parameters)


def cases() -> Iterator[Case]:
    """The calls; ``model`` is ``embedded``, ``cased`` or ``uncased``."""
    for model, made in (
        ("embedded", _parameter_cases("How long is the code valid?", "medium")),
        ("embedded", _form_cases("leave", "wifi")),
        ("embedded", _context_cases()),
        ("embedded", _long_cases()),
        ("embedded", _parameter_cases("Who approves Zoë’s trips?", "expenses")),
        ("cased", _parameter_cases("how many days?", "letters")),
        ("uncased", _parameter_cases("Who extends it?", "wifi")),
        ("cased", _context_cases()),
        ("uncased", _form_cases("letters", "accents")),
    ):
        for case in made:
            yield {"model": model, **case}
    setup = {"top_k": 2, "max_answer_len": 4, "handle_impossible_answer": True}
    for change in ({}, {"top_k": 1}, {"handle_impossible_answer": False}, {"max_answer_len": 20}):
        yield {"model": "embedded", "setup": setup, **_keywords("How long?", "wifi", **change)}
    for case in _method_cases("leave", "wifi"):
        yield {"model": "uncased", **case}
    for precision in ("float16", "bfloat16", "float64"):
        for model, name in (("embedded", "medium"), ("cased", "letters")):
            for case in _precision_cases("How long is the code valid?", name):
                yield {"model": model, "setup": {"dtype": precision}, **case}


def unpacked(value: Any, table: dict[str, str], example: Callable[[str, str], Any]) -> Any:
    """A case's argument as the call gets it."""
    if isinstance(value, str):
        return table[value.removeprefix("$text:")] if value.startswith("$text:") else value
    if isinstance(value, list):
        return [unpacked(item, table, example) for item in value]
    if isinstance(value, dict):
        if "$example" in value:
            return example(*unpacked(value["$example"], table, example))
        if "$tuple" in value:
            return tuple(unpacked(value["$tuple"], table, example))
        if "$generator" in value:
            return (item for item in unpacked(value["$generator"], table, example))
        return {key: unpacked(item, table, example) for key, item in value.items()}
    return value


def _plain(result: Any) -> Any:
    """What a call returned, as JSON has it."""
    if hasattr(result, "question_text"):
        return {"question": result.question_text, "context": result.context_text}
    if isinstance(result, dict):
        return result
    return [_plain(item) for item in result]


def outcome(asked: Any, case: Case, table: dict[str, str], example: Callable[..., Any]) -> Case:
    """The case with what a call of ``asked`` gives: ``result`` or ``error``."""
    call = getattr(asked, case["method"]) if "method" in case else asked
    args = unpacked(case["args"], table, example)
    kwargs = unpacked(case["kwargs"], table, example)
    try:
        result = _plain(call(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is recorded
        return {**case, "error": type(error).__name__}
    return {**case, "result": result}


def _record(folders: dict[str, str], target: Path) -> None:
    """Inside the environment of the old version."""
    import numpy
    import tokenizers
    import torch
    import transformers

    # The old version's names, which the installed one no longer has.
    pipeline: Any = transformers.pipeline
    SquadExample: Any = getattr(transformers, "SquadExample")  # noqa: B009, N806

    def example(question: str, context: str) -> Any:
        return SquadExample(None, question, context, None, None, None)

    torch.set_num_threads(1)  # one order of summing, whatever the machine has
    table, recorded, opened = texts(), [], {}
    for number, case in enumerate(cases(), 1):
        sys.stderr.write(f"\rcase {number}")
        key = json.dumps([case["model"], case.get("setup")])
        if key not in opened:
            opened[key] = pipeline(
                "question-answering",
                model=folders[case["model"]],
                tokenizer=folders[case["model"]],
                device=-1,
                **{"dtype": torch.float32, **case.get("setup", {})},
            )
        recorded.append(outcome(opened[key], case, table, example))
    versions = {m.__name__: m.__version__ for m in (transformers, torch, tokenizers, numpy)}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in recorded)
    head = json.dumps({"versions": versions, "texts": table}, ensure_ascii=False, indent=1)
    target.write_text(f'{head[:-2]},\n "cases": [\n{lines}\n]}}\n', encoding="utf-8")


def _environment(folder: Path) -> Path:
    """The old version's Python, installed on the first run."""
    python = folder / "venv" / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pins = folder / "constraints.txt"
        pins.write_text(f"{TORCH}\n")
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)  # noqa: S603
        for package in (TORCH, TRANSFORMERS):
            subprocess.run(  # noqa: S603
                [str(python), "-m", "pip", "install", "--constraint", str(pins), package],
                check=True,
            )
        done.touch()
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="for the environment and the checkpoints")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder.resolve()
    models = {name: str(folder / name) for name in ("cased", "uncased")}
    models["embedded"] = str(ROOT / "reader" / "embedded")
    if given.inside:
        warnings.simplefilter("ignore")
        _record(models, CASES)
        return
    from tests.pipeline_models import seeded_checkpoint

    python = _environment(folder)
    for seed, name in enumerate(("cased", "uncased")):
        seeded_checkpoint(folder / name, cased=name == "cased", seed=seed)
    subprocess.run(  # noqa: S603
        [str(python), __file__, str(folder), "--inside"],
        env={**os.environ, **SAME_ROUNDING},
        check=True,
    )
    sys.stdout.write(f"{CASES}: {CASES.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
