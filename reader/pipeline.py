"""``pipeline("question-answering", ...)`` as transformers had it until version 5.3 removed it.

Model cards of question-answering checkpoints show this call; with ``from reader.pipeline import
pipeline`` in place of ``from transformers import pipeline`` they work again, with the arguments,
call forms and results of transformers 4.57.6. New code is better off with :mod:`reader.reader`.

Faults that the call **keeps**, because its results would differ without them:

- A score is no probability. Scores of equal texts are added up over windows, so that a word that
  a long context repeats can score 3 or 50, and a softmax for each window lets one without an
  answer share out as much as the one with it.
- An answer to ``top_k`` can have an empty text and the score 0, where a context is too short for
  that many.
- ``doc_stride`` is the overlap of windows, not their distance.
- ``max_question_len`` has no effect.
- With ``top_k=1`` or a single answer the result is a dict, otherwise a list of dicts; likewise for
  a list of one question.

Faults that it **mends**:

- Contexts so short that they have exactly as many spans as candidates are wanted raised an
  IndexError or ValueError; they are answered.
- An overlong question, or a ``doc_stride`` beyond the room beside it, ended in an exception
  without a type or in a panic; now a ValueError with the numbers.
- A cased checkpoint that holds only ``vocab.txt`` (SpanBERT's) was read in lower case.
- A dict with a list of questions and one context paired questions with its letters.
- A question as an object (``SquadExample``) was refused outside a list; it is answered.
- Unknown parameters were ignored without a word; now with a warning.
- A window longer than the model's positions ended in an index error; now a ValueError, and by
  default windows are never longer.
- Logits that are not numbers gave answers; now a :class:`reader.errors.ReaderError`.
- A batch too large for a GPU's memory ended in torch's OutOfMemoryError; it is read in halves, down
  to single windows. Where one does not fit, a :class:`reader.errors.ReaderError`.
- Another model's tokenizer ended in an index error where its vocabulary is larger, and gave answers
  without sense where it is smaller; now a :class:`reader.errors.CheckpointError`.

Checkpoints always compute in float32, those stored in half precision too. Only BERT checkpoints
load (:mod:`reader.checkpoint`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reader.errors import CheckpointError, ReaderError
from reader.pipeline_inputs import Parameters, PipelineExample, examples_of
from reader.pipeline_spans import (
    PipelineAnswer,
    PipelineWindow,
    ScoredSpans,
    collect,
    padded,
    pipeline_windows,
    score_spans,
)

if TYPE_CHECKING:
    import torch

    from reader.checkpoint import Checkpoint

#: The task's name.
TASK = "question-answering"

#: The answers to one question: a dict when there is exactly one, else a list.
Answers = PipelineAnswer | list[PipelineAnswer]

_DEFAULT_LENGTH = 384
_DEFAULT_OVERLAP = 128


class QuestionAnsweringPipeline:
    """The object that :func:`pipeline` returns; calling it answers questions.

    Attributes:
        task: ``question-answering``.
        model, tokenizer, device: the checkpoint's.
    """

    task = TASK

    def __init__(self, checkpoint: Checkpoint, parameters: Parameters | None = None) -> None:
        if checkpoint.match:
            raise CheckpointError(
                f"{checkpoint.name} was trained with the match feature, which this call does not "
                "know; use reader.reader.load_reader"
            )
        self._checkpoint = checkpoint
        self._parameters = parameters or Parameters()
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.device = checkpoint.device

    def __call__(self, *args: Any, **kwargs: Any) -> Answers | list[Answers] | Iterator[Answers]:
        """Answer one question or several.

        Forms: ``question=`` and ``context=`` (strings; or a list of questions with one context or
        a list of contexts), a dict with these keys, a list of such dicts, objects with
        ``question_text`` and ``context_text``, two strings, ``data=``/``X=``, or a generator of
        dicts, which gives an iterator. Further keywords are :class:`Parameters`.

        Returns:
            For one question its answers, for several a list of them.

        Raises:
            KeyError, ValueError, TypeError: see :func:`reader.pipeline_inputs.examples_of` and
                :class:`Parameters`; also for a question that is too long for a window.
            ReaderError: the network gave logits that are not numbers, or there is no memory for a
                single window.
        """
        names = ("question", "context", "X", "data")
        inputs: dict[str, Any] = {name: kwargs.pop(name) for name in names if name in kwargs}
        examples = examples_of(args, inputs)
        parameters = self._parameters.with_changes(kwargs)
        if not isinstance(examples, list):
            return self._answers(examples, parameters)
        answers = list(self._answers(examples, parameters))
        return answers[0] if len(answers) == 1 else answers

    def _answers(
        self, examples: Iterable[PipelineExample], parameters: Parameters
    ) -> Iterator[Answers]:
        """Answers in order; a batch may hold windows of several questions."""
        # Some candidates fall together once they are widened to words.
        count = parameters.top_k * 2 + 10 if parameters.align_to_words else parameters.top_k
        # Every window, with the example's context beside the last one.
        inputs = (
            (window, example.context_text if number == len(windows) - 1 else None)
            for example in examples
            for windows in (self._windows(example, parameters),)
            for number, window in enumerate(windows)
        )
        found: list[ScoredSpans] = []
        while batch := list(itertools.islice(inputs, parameters.batch_size)):
            windows = [window for window, _ in batch]
            width = max(len(window.ids) for window in windows)
            windows = [padded(window, width, self.tokenizer.pad_id) for window in windows]
            starts, ends = self._logits(windows)
            for row, (_, context) in enumerate(batch):
                found.append(
                    score_spans(
                        windows[row],
                        starts[row],
                        ends[row],
                        cls_id=self.tokenizer.cls_id,
                        count=count,
                        max_pieces=parameters.max_answer_len,
                    )
                )
                if context is not None:
                    answers = collect(
                        context,
                        found,
                        top_k=parameters.top_k,
                        align_to_words=parameters.align_to_words,
                        null_answer=parameters.handle_impossible_answer,
                    )
                    found = []
                    yield answers[0] if len(answers) == 1 else answers

    def _windows(self, example: PipelineExample, parameters: Parameters) -> list[PipelineWindow]:
        longest = self._checkpoint.max_length
        max_length = parameters.max_seq_len or min(longest, _DEFAULT_LENGTH)
        overlap = parameters.doc_stride
        if overlap is None:
            overlap = min(max_length // 2, _DEFAULT_OVERLAP)
        if overlap > max_length:
            raise ValueError(
                f"`doc_stride` ({overlap}) is larger than `max_seq_len` ({max_length})"
            )
        windows = pipeline_windows(
            self.tokenizer.word_pieces(example.question_text),
            self.tokenizer.word_pieces(example.context_text),
            self.tokenizer,
            max_length=max_length,
            overlap=overlap,
            padding=parameters.padding,
        )
        positions = int(self.model.config.max_position_embeddings)
        width = max(len(window.ids) for window in windows)
        if width > positions:
            raise ValueError(
                f"`max_seq_len` ({max_length}) is more than the {positions} positions of the model"
            )
        return windows

    def _logits(
        self, windows: Sequence[PipelineWindow]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Start and end logits, float32 of shape (windows, pieces); windows have one length.

        Raises:
            ReaderError: they are not numbers, or there is no memory for a single window.
        """
        from reader.memory import out_of_memory, release

        try:
            starts, ends = self._forward(windows)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if len(windows) == 1:
                raise ReaderError(
                    f"{self.device} has no memory left for a window of {len(windows[0].ids)} "
                    "pieces; free some, lower `max_seq_len`, or use another device"
                ) from error
        else:
            if not (np.isfinite(starts).all() and np.isfinite(ends).all()):
                raise ReaderError(
                    f"the model {self._checkpoint.name} gave logits that are not numbers; its "
                    "weights are damaged"
                )
            return starts, ends
        # Halve until it fits: a busy GPU slows answers down instead of refusing them.
        release(self.device)
        middle = len(windows) // 2
        first, second = self._logits(windows[:middle]), self._logits(windows[middle:])
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])

    def _forward(
        self, windows: Sequence[PipelineWindow]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        ids = torch.tensor([window.ids for window in windows])
        types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, window in enumerate(windows):
            types[row, window.first : window.length] = 1
            mask[row, : window.length] = 1
        with torch.inference_mode():
            output = self.model(
                input_ids=ids.to(self.device),
                token_type_ids=types.to(self.device),
                attention_mask=mask.to(self.device),
            )
        return output.start_logits.float().cpu().numpy(), output.end_logits.float().cpu().numpy()


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: None = None,
    tokenizer: Any = None,
    feature_extractor: None = None,
    image_processor: None = None,
    processor: None = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: None = None,
    device: int | str | torch.device | None = None,
    device_map: None = None,
    dtype: Any = "auto",
    trust_remote_code: bool | None = None,
    model_kwargs: None = None,
    pipeline_class: None = None,
    **parameters: Any,
) -> QuestionAnsweringPipeline:
    """A question-answering pipeline, by the arguments that ``transformers.pipeline`` had.

    Args:
        task: ``question-answering``; may be left out where a model is named.
        model: a folder, a hub id, a loaded :class:`reader.checkpoint.Checkpoint`, or a
            ``BertForQuestionAnswering`` (with ``tokenizer``); None for the embedded reader.
        tokenizer: a folder or hub id if not the model's, a ``PieceTokenizer``, or a fast tokenizer
            of transformers.
        device: a CUDA device's number, -1 for the CPU, a name, or None for CUDA where there is one.
        parameters: :class:`reader.pipeline_inputs.Parameters` for every call, which a call can
            override.

    The other arguments are there for callers who name them, with the values that make no
    difference; anything else is refused.

    Raises:
        KeyError: another task.
        RuntimeError: neither a task nor a model.
        ValueError: an argument that is not supported, or a parameter out of range.
        CheckpointError, DeviceError: see :func:`reader.checkpoint.load` and
            :func:`reader.checkpoint.choose_device`; also for a tokenizer that is another model's.
    """
    if task is None and model is None:
        raise RuntimeError(f'name a model, or the task "{TASK}" for the embedded one')
    if task not in (None, TASK):
        raise KeyError(f"Unknown task {task}, available tasks are ['{TASK}']")
    dtype = parameters.pop("torch_dtype", None) or dtype
    fixed: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
        ("config", config, (None,)),
        ("feature_extractor", feature_extractor, (None,)),
        ("image_processor", image_processor, (None,)),
        ("processor", processor, (None,)),
        ("framework", framework, (None, "pt")),
        ("revision", revision, (None, "main")),
        ("use_fast", use_fast, (None, True)),
        ("token", token, (None,)),
        ("device_map", device_map, (None,)),
        ("dtype", str(dtype), ("auto", "None", "float32", "torch.float32")),
        ("trust_remote_code", trust_remote_code, (None, False)),
        ("model_kwargs", model_kwargs, (None, {})),
        ("pipeline_class", pipeline_class, (None, QuestionAnsweringPipeline)),
    )
    for name, value, possible in fixed:
        if value not in possible:
            raise ValueError(f"{name}={value!r} is not supported; leave {name} out")
    chosen = Parameters().with_changes(parameters)
    return QuestionAnsweringPipeline(_checkpoint(model, tokenizer, _device(device)), chosen)


def _device(device: int | str | torch.device | None) -> torch.device:
    from reader.checkpoint import choose_device

    if device is None:
        return choose_device("auto")
    if isinstance(device, int):
        return choose_device("cpu" if device < 0 else f"cuda:{device}")
    return choose_device(str(device))


def _checkpoint(model: Any, tokenizer: Any, device: torch.device) -> Checkpoint:
    from dataclasses import replace

    from reader import checkpoint as checkpoints

    if isinstance(model, checkpoints.Checkpoint):
        model.model.to(device)  # type: ignore[arg-type]
        loaded = replace(model, device=device)
    elif model is None or isinstance(model, (str, Path)):
        loaded = checkpoints.load(model or checkpoints.EMBEDDED, device=device)
        if tokenizer is not None and str(tokenizer) == str(model):
            return loaded
    else:
        return _wrapped(model, tokenizer, device)
    if tokenizer is None:
        return loaded
    pieces = _tokenizer(tokenizer)
    positions = int(loaded.model.config.max_position_embeddings)
    return replace(loaded, tokenizer=pieces, max_length=min(pieces.max_length, positions))


def _wrapped(model: Any, tokenizer: Any, device: torch.device) -> Checkpoint:
    """A checkpoint of a network that is loaded already."""
    from transformers import BertForQuestionAnswering

    from reader.checkpoint import Checkpoint

    if not isinstance(model, BertForQuestionAnswering):
        raise ValueError(
            f"model is {type(model).__name__}; give a folder, a hub id or a "
            "BertForQuestionAnswering"
        )
    if tokenizer is None:
        raise ValueError("a model that is loaded already needs its tokenizer: tokenizer=...")
    pieces = _tokenizer(tokenizer)
    model.to(device).float().eval()  # type: ignore[arg-type]
    return Checkpoint(
        name=type(model).__name__,
        model=model,
        tokenizer=pieces,
        device=device,
        max_length=min(pieces.max_length, int(model.config.max_position_embeddings)),
    )


def _tokenizer(tokenizer: Any) -> Any:
    from tokenizers import Tokenizer

    from reader.checkpoint import resolve
    from reader.tokenization import DEFAULT_MAX_LENGTH, PieceTokenizer

    if isinstance(tokenizer, PieceTokenizer):
        return tokenizer
    if isinstance(tokenizer, (str, Path)):
        return PieceTokenizer.from_folder(resolve(tokenizer))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(
            f"tokenizer is {type(tokenizer).__name__}; give a folder, a hub id or a fast tokenizer"
        )
    longest = int(min(tokenizer.model_max_length, 1_000_000))
    # A copy: the caller's keeps its own padding and truncation.
    return PieceTokenizer(
        Tokenizer.from_str(backend.to_str()),
        max_length=longest if longest < 1_000_000 else DEFAULT_MAX_LENGTH,
    )
