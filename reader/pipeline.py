"""``pipeline("question-answering", ...)`` as transformers had it until version 5.3 removed it.

Model cards of question-answering checkpoints show this call; with ``from reader.pipeline import
pipeline`` in place of ``from transformers import pipeline`` they work again, with the call forms,
the parameters and the results of transformers 4.57.6 for BERT in torch, in each precision. New code
is better off with :mod:`reader.reader`.

Of ``pipeline``'s arguments these are **taken**: ``task``, ``model``, ``tokenizer`` (also as a pair
with ``{"use_fast": ...}``), ``config`` when it is the model's own, ``revision``, ``token``,
``use_fast``, ``device``, ``device_map`` when it names one device, ``dtype``, ``torch_dtype``,
``framework="pt"``, ``model_kwargs`` with ``dtype``, ``torch_dtype`` and ``device_map``, and the
parameters of a call (:class:`reader.pipeline_inputs.Parameters`). Of the pipeline's methods and
attributes: a call, ``predict``, ``transform``, ``create_sample``, ``save_pretrained``, ``task``,
``model``, ``tokenizer``, ``device`` and ``dtype``.

**Refused**, with a ValueError that names the argument and what to do instead: another ``config``; a
``device_map`` over several devices; another ``dtype`` than float32, float16, bfloat16 and float64,
or than that of a network that is loaded already; settings of the tokenizer beside ``use_fast``;
whatever else ``model_kwargs`` holds; ``framework="tf"``, ``trust_remote_code=True``,
``pipeline_class``, ``feature_extractor``, ``image_processor`` and ``processor``;
``safe_serialization=False``, ``push_to_hub=True`` and further arguments of ``save_pretrained``.
**Absent** are the parts that subclasses were built on (``preprocess``, ``forward``,
``postprocess``, ``get_iterator``, ...) and ``push_to_hub``; ``tokenizer`` is a
:class:`reader.tokenization.PieceTokenizer`, and a sample has ``question_text`` and
``context_text`` alone. Only BERT checkpoints load (:mod:`reader.checkpoint`).

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
- float16 scores are as coarse as float16 is.
- ``revision`` holds for a tokenizer of another hub id too.

Faults that it **mends**:

- A slow tokenizer (``use_fast=False``) took whatever stands between two spaces for an answer's
  first and last word ("12 hours."), cut questions off at ``max_question_len``, did not add up
  equal texts, ran without end with ``doc_stride=0``, and needed ``vocab.txt``. There is none:
  with a warning, the answers are a fast one's.
- Contexts so short that they have exactly as many spans as candidates are wanted raised an
  IndexError or ValueError; they are answered.
- An overlong question, or a ``doc_stride`` beyond the room beside it, ended in an exception
  without a type or in a panic; now a ValueError with the numbers.
- A cased checkpoint that holds only ``vocab.txt`` (SpanBERT's) was read in lower case.
- A dict with a list of questions and one context paired questions with its letters, and so did
  ``create_sample``, which cut the longer of two lists off; now a ValueError.
- A question as an object (``SquadExample``) was refused outside a list; it is answered.
- Unknown parameters were ignored without a word; now with a warning. So was a GPU's number where
  there is no GPU.
- A window longer than the model's positions ended in an index error; now a ValueError, and by
  default windows are never longer.
- Logits that are not numbers gave answers; now a :class:`reader.errors.ReaderError`.
- A batch too large for a GPU's memory ended in torch's OutOfMemoryError; it is read in halves, down
  to single windows. Where one does not fit, a :class:`reader.errors.ReaderError`.
- Another model's tokenizer ended in an index error where its vocabulary is larger, and gave answers
  without sense where it is smaller; now a :class:`reader.errors.CheckpointError`.
- A tokenizer without a model was refused; it is the embedded reader's.
- ``task`` could be left out only where the hub could be asked.
- ``device_map`` needed another package.
- ``save_pretrained`` on a file logged an error and returned; now a
  :class:`reader.errors.OutputError`.
- A checkpoint stored in half precision computed in it unless told otherwise; from its files it
  computes in float32, unless ``dtype`` says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reader import pipeline_setup as setup
from reader.errors import CheckpointError, ReaderError
from reader.pipeline_inputs import Parameters, PipelineExample, examples_of, samples_of
from reader.pipeline_spans import (
    PipelineAnswer,
    PipelineWindow,
    ScoredSpans,
    Scores,
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

    def predict(self, X: Any) -> Answers | list[Answers] | Iterator[Answers]:  # noqa: N803
        """A call with one argument, by scikit-learn's name."""
        return self(X)

    def transform(self, X: Any) -> Answers | list[Answers] | Iterator[Answers]:  # noqa: N803
        """A call with one argument, by scikit-learn's name."""
        return self(X)

    @staticmethod
    def create_sample(
        question: str | list[str], context: str | list[str]
    ) -> PipelineExample | list[PipelineExample]:
        """A question with its context, or a list for a list; a call takes them.

        Raises:
            ValueError, TypeError: see :func:`reader.pipeline_inputs.samples_of`.
        """
        return samples_of(question, context)

    def save_pretrained(
        self, save_directory: str | Path, safe_serialization: bool = True, **others: Any
    ) -> None:
        """Write network and tokenizer into a folder, which :func:`pipeline` takes.

        Weights are float16 where the network is, else float32.

        Raises:
            ValueError: an argument that is not supported.
            OutputError: the folder cannot be written.
        """
        import torch

        from reader.checkpoint import save

        setup.refuse({"safe_serialization": (safe_serialization, (True,))})
        setup.refuse({name: (value, (None, False)) for name, value in others.items()})
        save(self._checkpoint, Path(save_directory), half=self.dtype == torch.float16)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self.model.dtype

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

    def _logits(self, windows: Sequence[PipelineWindow]) -> tuple[Scores, Scores]:
        """Start and end logits of shape (windows, pieces); windows have one length.

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
                    f"weights are damaged, or too large for {self.dtype}"
                )
            return starts, ends
        # Halve until it fits: a busy GPU slows answers down instead of refusing them.
        release(self.device)
        middle = len(windows) // 2
        first, second = self._logits(windows[:middle]), self._logits(windows[middle:])
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])

    def _forward(self, windows: Sequence[PipelineWindow]) -> tuple[Scores, Scores]:
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
        starts, ends = output.start_logits, output.end_logits
        if starts.dtype == torch.bfloat16:  # which numpy does not have
            starts, ends = starts.float(), ends.float()
        return starts.cpu().numpy(), ends.cpu().numpy()


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: None = None,
    image_processor: None = None,
    processor: None = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool | None = True,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    device_map: Any = None,
    dtype: Any = "auto",
    trust_remote_code: bool | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    pipeline_class: Any = None,
    **parameters: Any,
) -> QuestionAnsweringPipeline:
    """A question-answering pipeline, by the arguments that ``transformers.pipeline`` had.

    Args:
        task: ``question-answering``; may be left out where a model is named.
        model: a folder, a hub id, a loaded :class:`reader.checkpoint.Checkpoint`, or a
            ``BertForQuestionAnswering`` (with ``tokenizer``); None for the embedded reader.
        config: the model's own folder, hub id or ``BertConfig``.
        tokenizer: a folder or hub id if not the model's, a pair of one and ``{"use_fast": ...}``,
            a ``PieceTokenizer``, or a fast tokenizer of transformers.
        revision, token: which version of a hub's model and tokenizer, and who asks for it
            (:class:`reader.checkpoint.Hub`).
        use_fast: False is a warning.
        device: a CUDA device's number, -1 for the CPU, a name, or None for CUDA where there is one.
        device_map: another way to name one device, ``auto`` included.
        dtype: what a network from files computes in: float32 by default, float16, bfloat16 or
            float64; also as ``torch_dtype``.
        model_kwargs: may hold ``dtype`` and ``device_map`` instead.
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
    from reader.checkpoint import Hub

    if task is None and model is None:
        raise RuntimeError(f'name a model, or the task "{TASK}" for the embedded one')
    if task not in (None, TASK):
        raise KeyError(f"Unknown task {task}, available tasks are ['{TASK}']")
    setup.refuse(
        {
            "feature_extractor": (feature_extractor, (None,)),
            "image_processor": (image_processor, (None,)),
            "processor": (processor, (None,)),
            "framework": (framework, (None, "pt")),
            "trust_remote_code": (trust_remote_code, (None, False)),
            "pipeline_class": (pipeline_class, (None, QuestionAnsweringPipeline)),
        }
    )
    named_before = parameters.pop("torch_dtype", None)
    if isinstance(dtype, str) and dtype == "auto":
        dtype = named_before
    dtype, device_map = setup.take_model_kwargs(model_kwargs, dtype, device_map)
    chosen = Parameters().with_changes(parameters)
    checkpoint = setup.open_checkpoint(
        model,
        setup.take_tokenizer(tokenizer, use_fast),
        config,
        device=setup.take_device(device, device_map),
        precision=setup.take_precision(dtype),
        hub=Hub(revision, token),
    )
    return QuestionAnsweringPipeline(checkpoint, chosen)
