"""Loading question-answering checkpoints from a folder or a model hub.

Any BERT with a span head loads: ``config.json``, weights as ``model.safetensors`` or
``pytorch_model.bin`` (read with code execution refused), and ``tokenizer.json`` or ``vocab.txt``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reader.errors import CheckpointError, DeviceError
from reader.tokenization import PieceTokenizer

if TYPE_CHECKING:
    import torch
    from transformers import BertForQuestionAnswering

_log = logging.getLogger(__name__)

#: The checkpoint that comes with this package.
EMBEDDED = Path(__file__).parent / "embedded"

#: What must be known about a hub's checkpoint before its download starts.
HUB_NOTICES = {
    "mrm8488/spanbert-finetuned-squadv1": (
        "SpanBERT's code and weights are licensed CC BY-NC 4.0: non-commercial use only."
    ),
}

_HUB_FILES = (
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded reader: the network on its device, and its tokenizer."""

    name: str
    model: BertForQuestionAnswering
    tokenizer: PieceTokenizer
    device: torch.device
    max_length: int


def resolve(source: str | Path, *, notify: Callable[[str], None] = _log.warning) -> Path:
    """The folder of a checkpoint: ``source`` itself, or the download of a hub id.

    ``notify`` receives the licence notice of a hub's model, where one is known, before its
    download.

    Raises:
        CheckpointError: neither an existing folder nor a hub id that can be downloaded.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    name = str(source)
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; name the folder that holds the checkpoint")
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or name.startswith((".", "~")):
        raise CheckpointError(
            f"there is no model folder {name}; give a folder or a hub id like owner/name"
        )
    return _download(name, notify)


def _download(name: str, notify: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:  # already here: no notice, no network
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES), local_files_only=True))
    except (LocalEntryNotFoundError, FileNotFoundError):
        pass
    notify(HUB_NOTICES.get(name, f"{name}: check the licence of the model before you use it."))
    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"the model {name} could not be downloaded ({reason}); download it elsewhere and give "
            "its folder instead"
        ) from error


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA when there is one, else the CPU; otherwise the named device.

    Raises:
        DeviceError: CUDA was named and is not there, or the name is unknown.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f'unknown device "{name}"; use auto, cpu or cuda') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f'the device "{name}" was asked for, but torch sees no CUDA device')
    return device


def load(
    source: str | Path,
    *,
    device: torch.device | None = None,
    head_required: bool = True,
    dropout: float | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Checkpoint:
    """Load a checkpoint in float32.

    Args:
        source: a folder or a hub id.
        device: default ``choose_device()``.
        head_required: False when training may start from an encoder without a span head.
        dropout: replaces the configuration's dropout probabilities (for training).

    Raises:
        CheckpointError: files missing or damaged, no span head, or a vocabulary that does not fit
            the embeddings.
    """
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    folder = resolve(source, notify=notify)
    settings = _read_config(folder)
    tokenizer = PieceTokenizer.from_folder(folder)
    try:
        config = BertConfig(**settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'config.json'} is not a BERT's: {error}") from error
    if dropout is not None:
        config.hidden_dropout_prob = dropout
        config.attention_probs_dropout_prob = dropout
    if tokenizer.vocabulary_size > config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocabulary_size} pieces, the network only "
            f"{config.vocab_size}; the vocabulary belongs to another model"
        )
    try:
        with _quiet():
            loaded: Any = BertForQuestionAnswering.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation="sdpa",
                output_loading_info=True,
                local_files_only=True,
            )
    except Exception as error:  # torch, safetensors and pickle each raise their own kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the weights in {folder} cannot be loaded: {reason}") from error
    model: BertForQuestionAnswering = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    body = [key for key in missing if not key.startswith("qa_outputs.")]
    if body:
        raise CheckpointError(
            f"{folder} lacks weights of the network, {body[0]} among them; it is not a BERT"
        )
    if missing and head_required:
        raise CheckpointError(
            f"{folder} has no question-answering head (qa_outputs); fine-tune it first: "
            f"spanbot reader finetune --start {folder} ..."
        )
    device = device or choose_device()
    model.to(device).eval()  # type: ignore[arg-type]
    return Checkpoint(
        name=str(source) if folder != EMBEDDED else "embedded",
        model=model,
        tokenizer=tokenizer,
        device=device,
        max_length=min(tokenizer.max_length, int(config.max_position_embeddings)),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bars and reports; what they say is checked here."""
    from transformers.utils import logging

    transformers_logging: Any = logging  # untyped
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no config.json; it is not a checkpoint") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} is not a checkpoint's configuration")
    kind = settings.get("model_type", "bert")
    if kind != "bert":
        raise CheckpointError(f'{path}: model_type is "{kind}"; only BERT checkpoints load')
    return settings


def save(checkpoint: Checkpoint, folder: Path, *, half: bool = False) -> None:
    """Write the checkpoint as a folder that :func:`load` takes; ``half`` stores float16."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: value.detach().to("cpu", torch.float16 if half else torch.float32).contiguous()
        for key, value in checkpoint.model.state_dict().items()
        if value.is_floating_point()
    }
    with _quiet():
        checkpoint.model.save_pretrained(folder, state_dict=state)
    checkpoint.tokenizer.save(folder)
