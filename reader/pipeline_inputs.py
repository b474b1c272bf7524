"""The call forms and parameters of the question-answering pipeline that transformers had.

:func:`examples_of` turns what a caller passes into questions with contexts, and
:class:`Parameters` holds what steers the reading; both raise what transformers 4.57.6 raised.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import GeneratorType
from typing import Any


@dataclass(frozen=True, slots=True)
class PipelineExample:
    """A question and the context that it is answered from, with SQuAD's names for both."""

    question_text: str
    context_text: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """What steers the reading; lengths in word pieces, None for what the model decides.

    Attributes:
        top_k: answers wanted.
        doc_stride: pieces that neighbouring windows share (the name says otherwise); by default
            half a window, at most 128.
        max_answer_len: longest answer.
        max_seq_len: longest window, question and special pieces included; by default what the
            model takes, at most 384.
        max_question_len: accepted, and of no effect, as it was with fast tokenizers.
        handle_impossible_answer: also propose the empty answer.
        align_to_words: widen answers to whole words.
        padding: ``do_not_pad``/False, ``longest``/True or ``max_length``.
        batch_size: windows that go through the network together.
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    padding: str | bool = "do_not_pad"
    batch_size: int = 1

    def with_changes(self, given: Mapping[str, Any]) -> Parameters:
        """These parameters with the ones given by name; None leaves a parameter as it is.

        Warns of ``topk``, the old name of ``top_k``, and of names that are no parameter.

        Raises:
            ValueError: a value that no reading is possible with.
        """
        changes = {name: value for name, value in given.items() if value is not None}
        if "topk" in changes:
            value = changes.pop("topk")
            if "top_k" not in changes:
                warnings.warn("topk is deprecated, use top_k", UserWarning, stacklevel=4)
                changes["top_k"] = value
        changes.pop("num_workers", None)  # windows are made in this process
        unknown = sorted(changes.keys() - {field.name for field in fields(self)})
        if unknown:
            warnings.warn(
                f"the pipeline has no parameter {', '.join(unknown)}; ignored",
                UserWarning,
                stacklevel=4,
            )
        return replace(self, **{k: v for k, v in changes.items() if k not in unknown})._checked()

    def _checked(self) -> Parameters:
        for name in ("top_k", "max_answer_len", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} parameter should be >= 1 (got {getattr(self, name)})")
        if self.doc_stride is not None and self.doc_stride < 0:
            raise ValueError(f"`doc_stride` ({self.doc_stride}) should be >= 0")
        if self.padding not in (True, False, "do_not_pad", "longest", "max_length"):
            raise ValueError(
                f"padding is {self.padding!r}; use do_not_pad, longest, max_length or a bool"
            )
        return self


def examples_of(
    args: tuple[Any, ...], named: Mapping[str, Any]
) -> list[PipelineExample] | Iterator[PipelineExample]:
    """The questions of a call, as a list, or as an iterator when a generator was passed.

    Raises:
        KeyError: a dict without ``question`` or ``context``.
        ValueError: a question or context that is empty or None, lists of unequal length, or
            arguments of another form.
        TypeError: a dict with further keys, or a text that is no string.
    """
    inputs = _inputs(args, named)
    if isinstance(inputs, GeneratorType) or _is_dataset(inputs):
        return (_single(item) for item in inputs)
    if isinstance(inputs, dict) or _is_example(inputs):
        inputs = [inputs]
    if not isinstance(inputs, Iterable):
        raise ValueError(f"Invalid arguments {inputs!r}: a dict, a list or keywords are expected")
    listed = [_examples(item) for item in inputs]
    if len(listed) > 1 and any(isinstance(item, list) for item in listed):
        raise ValueError("a dict that holds lists cannot be one of several arguments")
    return [example for item in listed for example in (item if isinstance(item, list) else [item])]


def samples_of(question: Any, context: Any) -> PipelineExample | list[PipelineExample]:
    """A question with its context; a list of questions with one context, or with one for each.

    Raises:
        ValueError: lists of unequal length.
        TypeError: a text that is no string.
    """
    if not isinstance(question, list):
        return _texts(question, context)
    if not isinstance(context, (str, list)):
        raise TypeError(f"`context` must be a string or a list, not {type(context).__name__}")
    return [_texts(pair["question"], pair["context"]) for pair in _paired(question, context)]


def _inputs(args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """What is to be answered, before it is looked at item by item."""
    if args:
        _deprecated("positional arguments")
        if len(args) == 1:
            return args[0]
        if len(args) == 2 and all(isinstance(value, str) for value in args):
            return [{"question": args[0], "context": args[1]}]
        return list(args)
    for name in ("X", "data"):
        if name in named:
            _deprecated(f"`{name}`")
            return named[name]
    if "question" not in named or "context" not in named:
        raise ValueError(f"Unknown arguments {dict(named)}: question and context are needed")
    return _paired(named["question"], named["context"])


def _paired(question: Any, context: Any) -> list[dict[str, Any]]:
    """Keywords: one question, several on one context, or a context for each."""
    if isinstance(question, str) and isinstance(context, str):
        return [{"question": question, "context": context}]
    if isinstance(question, list) and isinstance(context, str):
        context = [context] * len(question)
    if not (isinstance(question, list) and isinstance(context, list)):
        raise ValueError(
            "Arguments can't be understood: question and context must be strings or lists of them, "
            f"not {type(question).__name__} and {type(context).__name__}"
        )
    if len(question) != len(context):
        raise ValueError(
            "Questions and contexts don't have the same lengths "
            f"({len(question)} and {len(context)})"
        )
    return [{"question": q, "context": c} for q, c in zip(question, context, strict=True)]


def _deprecated(form: str) -> None:
    warnings.warn(
        f"passing {form} to the pipeline is deprecated; use the keywords question and context",
        FutureWarning,
        stacklevel=5,
    )


def _is_example(item: Any) -> bool:
    """Whether it has the attributes of transformers' ``SquadExample`` that matter."""
    return hasattr(item, "question_text") and hasattr(item, "context_text")


def _is_dataset(inputs: Any) -> bool:
    if isinstance(inputs, (str, list, tuple, dict)):
        return False
    from torch.utils.data import Dataset

    return isinstance(inputs, Dataset)


def _examples(item: Any) -> PipelineExample | list[PipelineExample]:
    """An item of a list; a dict may hold lists, which are several questions."""
    if isinstance(item, dict):
        _check_keys(item)
        if isinstance(item["question"], list):
            return [_single(pair) for pair in _paired(item["question"], item["context"])]
    return _single(item)


def _single(item: Any) -> PipelineExample:
    if _is_example(item):
        return _texts(item.question_text, item.context_text)
    if not isinstance(item, dict):
        raise ValueError(f"{item!r} needs to be a dict or have question_text and context_text")
    _check_keys(item)
    for name in ("question", "context"):
        if item[name] is None:
            raise ValueError(f"`{name}` cannot be None")
        if item[name] == "":
            raise ValueError(f"`{name}` cannot be empty")
    return _texts(item["question"], item["context"])


def _check_keys(item: dict[str, Any]) -> None:
    if not {"question", "context"} <= item.keys():
        raise KeyError("You need to provide a dictionary with keys {question:..., context:...}")
    further = sorted(str(key) for key in item.keys() - {"question", "context"})
    if further:
        raise TypeError(f"a question has the keys question and context, not {', '.join(further)}")


def _texts(question: Any, context: Any) -> PipelineExample:
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str):
            raise TypeError(f"`{name}` must be a string, not {type(value).__name__}")
    return PipelineExample(question, context)
