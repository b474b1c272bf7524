"""Loading question-answering checkpoints from a folder or a model hub.

Any BERT with a span head loads: ``config.json``, weights as ``model.safetensors`` or
``pytorch_model.bin`` (read with code refused), and ``tokenizer.json`` or ``vocab.txt``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reader.errors import CheckpointError, DeviceError, reason_of
from reader.matching import check_stemmer
from reader.output import replacing_folder, writing
from reader.tensor_files import UnreadableError, load_pickle, load_tensors
from reader.tokenization import PieceTokenizer

if TYPE_CHECKING:
    import torch
    from transformers import BertForQuestionAnswering

    from reader.bert import Shape

_log = logging.getLogger(__name__)

#: The checkpoint that comes with this package.
EMBEDDED = Path(__file__).parent / "embedded"

#: The key of ``config.json`` that says a network is fed the match feature.
MATCH_FEATURE = "match_feature"

#: The key of ``config.json`` that says a reader's encoder was trained to rank passages too.
RANKING = "ranking"

#: What must be known about a hub's checkpoint before its download starts.
HUB_NOTICES = {
    "mrm8488/spanbert-finetuned-squadv1": (
        "SpanBERT's code and weights are licensed CC BY-NC 4.0: non-commercial use only."
    ),
}

#: The files that may hold a checkpoint's weights, in the order in which they are looked for.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

_HUB_FILES = (
    "config.json",
    *_WEIGHTS,
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


@dataclass(frozen=True)
class Stored:
    """What a checkpoint's files hold, checked: float32 weights on the CPU, and the tokenizer.

    ``weights`` are named as in ``BertForQuestionAnswering``: ``bert.`` and the encoder's names
    (:func:`reader.bert.tensor_shapes`), and ``qa_outputs.`` for the head where there is one.
    """

    name: str
    config: Mapping[str, Any]
    shape: Shape
    weights: Mapping[str, torch.Tensor]
    tokenizer: PieceTokenizer
    max_length: int

    @property
    def match(self) -> bool:
        """Whether the network is fed the match feature (:mod:`reader.matching`)."""
        return bool(self.config.get(MATCH_FEATURE, False))

    @property
    def ranking(self) -> bool:
        """Whether the encoder ranks passages too (:func:`reader.ranker.load_ranker`)."""
        return bool(self.config.get(RANKING, False))


@dataclass(frozen=True)
class Checkpoint:
    """A reader to be trained: the network on its device, and its tokenizer.

    ``match`` says that it is fed the match feature (:mod:`reader.matching`).

    Raises:
        CheckpointError: the tokenizer is another network's.
    """

    name: str
    model: BertForQuestionAnswering
    tokenizer: PieceTokenizer
    device: torch.device
    max_length: int
    match: bool = False

    def __post_init__(self) -> None:
        embeddings: Any = self.model.get_input_embeddings()
        self.tokenizer.check_fits(len(embeddings.weight), self.name)


@dataclass(frozen=True, slots=True)
class Hub:
    """How a hub's model is fetched; of no effect on a folder.

    Attributes:
        revision: a branch, tag or commit; None for the main branch.
        token: who asks: a token, True for the one that is stored on this machine, False for none,
            None for the stored one where there is one.
    """

    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False)


def resolve(
    source: str | Path, *, hub: Hub | None = None, notify: Callable[[str], None] = _log.warning
) -> Path:
    """The folder of a checkpoint: ``source`` itself, or the download of a hub id.

    ``notify`` receives the licence notice of a hub's model, where one is known, before its
    download.

    Raises:
        CheckpointError: neither an existing folder nor a hub id that can be downloaded.
    """
    if not str(source).strip():  # as a path it would be the folder that the command runs in
        raise CheckpointError("a model's name is empty; give a folder or a hub id like owner/name")
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
    return _download(name, hub or Hub(), notify)


def _download(name: str, hub: Hub, notify: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted: dict[str, Any] = {"revision": hub.revision, "allow_patterns": list(_HUB_FILES)}
    try:
        kept = Path(snapshot_download(name, local_files_only=True, **wanted))
        if _is_whole(kept):  # no notice, no network
            return kept
    except (LocalEntryNotFoundError, FileNotFoundError):
        pass
    notify(HUB_NOTICES.get(name, f"{name}: check the licence of the model before you use it."))
    try:
        return Path(snapshot_download(name, token=hub.token, **wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        which = name if hub.revision is None else f"{name}, revision {hub.revision},"
        raise CheckpointError(
            f"the model {which} could not be downloaded ({reason_of(error)}); download it "
            "elsewhere and give its folder instead"
        ) from error


def _is_whole(folder: Path) -> bool:
    """Whether nothing is missing that a model needs, as after a download that was broken off."""
    needed = (("config.json",), _WEIGHTS, ("tokenizer.json", "vocab.txt"))
    return all(any((folder / name).is_file() for name in names) for names in needed)


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
        raise DeviceError(
            f'the device "{name}" was asked for, but torch sees no CUDA device; use auto or cpu'
        )
    return device


def weights_file(folder: Path) -> Path:
    """The file that holds the weights of a reader or a ranker.

    Raises:
        CheckpointError: the folder holds none, or cannot be looked into.
    """
    for name in _WEIGHTS:
        try:
            if (folder / name).exists():
                return folder / name
        except OSError as error:
            raise CheckpointError(f"cannot read {folder}: {error.strerror or error}") from error
    raise CheckpointError(f"{folder} holds no {' and no '.join(_WEIGHTS)}; give a model's folder")


def ranks(folder: Path) -> bool:
    """Whether a checkpoint's folder holds a reader that ranks passages too.

    Raises:
        CheckpointError: it has no readable ``config.json`` of a BERT.
    """
    return bool(_read_config(folder).get(RANKING, False))


def read(
    source: str | Path,
    *,
    head_required: bool = True,
    hub: Hub | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Stored:
    """Read a checkpoint's files, a folder's or a hub id's.

    Raises:
        CheckpointError: files missing or damaged, no span head, or a vocabulary that does not fit
            the embeddings; or it has the match feature, and pystemmer is not installed.
    """
    from reader.bert import shape_of, tensor_shapes

    folder = resolve(source, hub=hub, notify=notify)
    config = _read_config(folder)
    tokenizer = PieceTokenizer.from_folder(folder)
    try:
        shape = shape_of(config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'config.json'} is not a BERT's: {error}") from error
    if config.get(MATCH_FEATURE) and shape.types < 3:
        raise CheckpointError(
            f"{folder / 'config.json'}: {MATCH_FEATURE} needs 3 token types, type_vocab_size is "
            f"{shape.types}"
        )
    if config.get(MATCH_FEATURE):
        check_stemmer(f"the match feature of {folder}")
    weights = _read_weights(folder)
    body = {f"bert.{name}": size for name, size in tensor_shapes(shape).items()}
    head = {"qa_outputs.weight": (2, shape.hidden), "qa_outputs.bias": (2,)}
    missing = [name for name in body if name not in weights]
    if missing:
        raise CheckpointError(
            f"{folder} lacks weights of the network, {missing[0]} among them; it is not a BERT"
        )
    if head_required and not head.keys() <= weights.keys():
        raise CheckpointError(
            f"{folder} has no question-answering head (qa_outputs); fine-tune it first: "
            f"spanbot reader finetune --start {folder} ..."
        )
    kept = {name: weights[name] for name in (*body, *head) if name in weights}
    for name, tensor in kept.items():
        size = {**body, **head}[name]
        if tuple(tensor.shape) != size:
            raise CheckpointError(
                f"the weights in {folder} cannot be loaded: {name} has the shape "
                f"{tuple(tensor.shape)}, by config.json it has {size}"
            )
    tokenizer.check_fits(shape.vocabulary, str(folder))
    return Stored(
        name=str(source) if folder != EMBEDDED else "embedded",
        config=config,
        shape=shape,
        weights={name: tensor.float() for name, tensor in kept.items()},
        tokenizer=tokenizer,
        max_length=min(tokenizer.max_length, shape.positions),
    )


def load(
    source: str | Path,
    *,
    device: torch.device | None = None,
    head_required: bool = True,
    dropout: float | None = None,
    match: bool = False,
    ranking: bool | None = None,
    hub: Hub | None = None,
    notify: Callable[[str], None] = _log.warning,
) -> Checkpoint:
    """Load a checkpoint in float32 as transformers' model, for training.

    Args:
        source: a folder or a hub id.
        device: default ``choose_device()``.
        head_required: False when training may start from an encoder without a span head.
        dropout: replaces the configuration's dropout probabilities (for training).
        match: give it the match feature if it has none yet; a word of the question is then at
            first like any other of the passage.
        ranking: whether it is to be one that ranks passages too; None leaves that as it is.
        hub: how a hub id is fetched.

    Raises:
        CheckpointError: see :func:`read`.
    """
    from transformers import BertConfig, BertForQuestionAnswering

    stored = read(source, head_required=head_required, hub=hub, notify=notify)
    if match:
        check_stemmer("the match feature")
        stored = _with_match(stored)
    if ranking is not None:
        stored = _marked(stored, ranking=ranking)
    try:
        config = BertConfig(**{**stored.config, "attn_implementation": "sdpa"})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: config.json is not a BERT's: {error}") from error
    if dropout is not None:
        config.hidden_dropout_prob = dropout
        config.attention_probs_dropout_prob = dropout
    model = BertForQuestionAnswering(config)
    model.load_state_dict(stored.weights, strict=False)  # a head that is missing stays random
    device = device or choose_device()
    model.to(device).eval()  # type: ignore[arg-type]
    return Checkpoint(
        name=stored.name,
        model=model,
        tokenizer=stored.tokenizer,
        device=device,
        max_length=stored.max_length,
        match=stored.match,
    )


def _with_match(stored: Stored) -> Stored:
    """With a third token type, like the second; unchanged if it has the feature."""
    import torch

    if stored.match:
        return stored
    name = "bert.embeddings.token_type_embeddings.weight"
    if stored.shape.types < 2:
        raise CheckpointError(
            f"{stored.name} has {stored.shape.types} token type; the match feature needs a network "
            "with one for the question and one for the passage"
        )
    types = stored.weights[name]
    return replace(
        stored,
        config={**stored.config, "type_vocab_size": 3, MATCH_FEATURE: True},
        shape=replace(stored.shape, types=3),
        weights={**stored.weights, name: torch.cat([types[:2], types[1:2]])},
    )


def _marked(stored: Stored, *, ranking: bool) -> Stored:
    """With the mark of a reader that ranks too, or without it."""
    config = {key: value for key, value in stored.config.items() if key != RANKING}
    return replace(stored, config={**config, RANKING: True} if ranking else config)


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, under the names that transformers uses today."""
    import torch

    file = weights_file(folder)
    try:
        found: Any = load_tensors(file) if file.suffix == ".safetensors" else load_pickle(file)
    except UnreadableError as error:
        other = f"take its {_WEIGHTS[0]}" if error.code else "copy or download it again"
        raise CheckpointError(f"{file} {error}; {other}") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(
            f"{file} holds a {type(found).__name__}, not tensors by their names; it is not a BERT's"
        )
    tensors = {str(name): value for name, value in found.items() if torch.is_tensor(value)}
    prefix = "" if any(name.startswith("bert.") for name in tensors) else "bert."
    renamed = {}
    for name, value in tensors.items():
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")  # as TensorFlow named them
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        renamed[name if name.startswith("qa_outputs.") else prefix + name] = value
    return renamed


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
    """Write the checkpoint as a folder that :func:`load` takes; ``half`` stores float16.

    The folder is then all of this checkpoint, or as it was before; see
    :func:`reader.output.replacing_folder`.

    Raises:
        OutputError: it cannot be written.
    """
    import torch

    state = {
        key: value.detach().to("cpu", torch.float16 if half else torch.float32).contiguous()
        for key, value in checkpoint.model.state_dict().items()
        if value.is_floating_point()
    }
    with replacing_folder(folder) as part:
        with _quiet(), writing(folder):
            checkpoint.model.save_pretrained(part, state_dict=state)
        checkpoint.tokenizer.save(part)
