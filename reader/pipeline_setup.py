"""What the arguments of the pipeline call say of network, tokenizer, device and precision.

:func:`reader.pipeline.pipeline` has the arguments that ``transformers.pipeline`` had in 4.57.6.
Each function here reads those that belong together, and refuses by name what this project does
not do.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from reader.checkpoint import Checkpoint, Hub
    from reader.tokenization import PieceTokenizer

#: The precisions that a network computes in.
_PRECISIONS = ("float32", "float16", "bfloat16", "float64")

#: What to do instead of an argument, or of a key of ``model_kwargs``, that is not supported.
_INSTEAD = {
    "feature_extractor": "a BERT that reads text has none; leave it out",
    "image_processor": "a BERT that reads text has none; leave it out",
    "processor": "a BERT that reads text has none; leave it out",
    "framework": "networks run in torch; leave it out",
    "trust_remote_code": "no code that comes with a model is run; leave it out",
    "safe_serialization": "weights are written as safetensors; leave it out",
    "push_to_hub": "upload the folder that is written; leave it out",
    "token": "give it as token",
    "use_auth_token": "give it as token",
    "cache_dir": "set HF_HUB_CACHE to the folder instead",
    "local_files_only": "set HF_HUB_OFFLINE=1 instead",
}


def refuse(given: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> None:
    """Refuse arguments that are not supported: ``given`` maps each to its value and those allowed.

    Raises:
        ValueError: a value that is not among those allowed.
    """
    for name, (value, allowed) in given.items():
        if not any(value is one or value == one for one in allowed):
            raise ValueError(
                f"{name}={value!r} is not supported: {_INSTEAD.get(name, 'leave it out')}"
            )


def take_model_kwargs(
    model_kwargs: Mapping[str, Any] | None, dtype: Any, device_map: Any
) -> tuple[Any, Any]:
    """``dtype`` and ``device_map``, which ``model_kwargs`` may hold instead.

    Raises:
        ValueError: both hold one, or ``model_kwargs`` holds anything else.
    """
    left = {**(model_kwargs or {})}
    dtypes = [left.pop(name) for name in ("dtype", "torch_dtype") if name in left]
    if dtypes:
        if not _unsaid(dtype):
            raise ValueError(
                f"dtype={dtype} and model_kwargs with dtype={dtypes[0]} both name a precision; "
                "leave one out"
            )
        dtype = dtypes[0]
    if "device_map" in left:
        inside = left.pop("device_map")
        if device_map is not None:
            raise ValueError(
                f"device_map={device_map!r} and model_kwargs with device_map={inside!r} both name "
                "a device; leave one out"
            )
        device_map = inside
    for name in left:  # without its value, which may be a secret
        raise ValueError(
            f"{name} in model_kwargs is not supported: {_INSTEAD.get(name, 'leave it out')}"
        )
    return dtype, device_map


def take_precision(dtype: Any) -> torch.dtype | None:
    """The precision that was asked for, by torch's name or as torch's dtype; None for none.

    Raises:
        ValueError: no precision, or one that no BERT computes in.
    """
    import torch

    if _unsaid(dtype):
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in _PRECISIONS:
        raise ValueError(f"dtype={dtype!r} is not supported; use {', '.join(_PRECISIONS)} or auto")
    precision: torch.dtype = getattr(torch, name)
    return precision


def _unsaid(dtype: Any) -> bool:
    return dtype is None or (isinstance(dtype, str) and dtype == "auto")


def take_device(device: int | str | torch.device | None, device_map: Any) -> torch.device:
    """The device that a network goes to.

    ``device_map`` is another way to name it; ``auto`` is CUDA where there is one. A number without
    any CUDA device is the CPU, as it was, and now a warning.

    Raises:
        DeviceError: see :func:`reader.checkpoint.choose_device`.
        ValueError: both name one, or the map names several.
    """
    import torch

    from reader.checkpoint import choose_device

    if device_map is not None:
        if device is not None:
            raise ValueError(
                f"device={device!r} and device_map={device_map!r} both name a device; leave one out"
            )
        places = [*device_map.values()] if isinstance(device_map, Mapping) else [device_map]
        if not places or any(place != places[0] for place in places):
            raise ValueError(
                f"device_map={device_map!r} does not name one device; a network is not spread over "
                "several: use device"
            )
        device = places[0]
        if str(device).startswith(("balanced", "sequential")):
            raise ValueError(f"device_map={device!r} is not supported; use auto or one device")
    if device is None:
        return choose_device("auto")
    if isinstance(device, int):
        if device >= 0 and not torch.cuda.is_available():
            warnings.warn(
                f"device={device}: torch sees no CUDA device, so the CPU is used",
                UserWarning,
                stacklevel=3,
            )
            device = -1
        return choose_device("cpu" if device < 0 else f"cuda:{device}")
    return choose_device(str(device))


def take_tokenizer(tokenizer: Any, use_fast: bool | None) -> Any:
    """The tokenizer of a call, which may come as ``(tokenizer, {"use_fast": ...})``.

    Raises:
        ValueError: a tuple of another form, or settings beside ``use_fast``.
    """
    if isinstance(tokenizer, tuple):
        if len(tokenizer) != 2 or not isinstance(tokenizer[1], Mapping):
            raise ValueError(
                f"tokenizer={tokenizer!r} is not a folder or hub id with a dict of settings"
            )
        settings = dict(tokenizer[1])
        use_fast = settings.pop("use_fast", use_fast)
        if settings:
            raise ValueError(
                f"tokenizer settings {settings!r} are not supported: write them into "
                "tokenizer_config.json of a folder with the tokenizer's files, and give the folder"
            )
        tokenizer = tokenizer[0]
    if use_fast is not None and not use_fast:
        warnings.warn(
            "use_fast=False: there are no slow tokenizers; the answers are a fast one's, without "
            "what stands beside a word",
            UserWarning,
            stacklevel=3,
        )
    return tokenizer


def open_checkpoint(
    model: Any,
    tokenizer: Any,
    config: Any,
    *,
    device: torch.device,
    precision: torch.dtype | None,
    hub: Hub,
) -> Checkpoint:
    """The network and the tokenizer of a call.

    A network from files computes in ``precision``, float32 where that is None; one that is loaded
    already stays in its own.

    Raises:
        CheckpointError: see :func:`reader.checkpoint.load`; also for a tokenizer that is another
            model's.
        ValueError: a model, a tokenizer or a configuration of another kind, or another precision
            than that of a network that is loaded already.
    """
    from reader import checkpoint as checkpoints

    if isinstance(model, checkpoints.Checkpoint):
        _check_precision(model.model, precision)
        model.model.to(device)  # type: ignore[arg-type]
        loaded = replace(model, device=device)
    elif model is None or isinstance(model, (str, Path)):
        loaded = checkpoints.load(
            checkpoints.EMBEDDED if model is None else model, device=device, hub=hub
        )
        if precision is not None:
            loaded.model.to(precision)  # type: ignore[arg-type]
        if tokenizer is not None and str(tokenizer) == str(model):
            tokenizer = None
    else:
        loaded = _wrapped(model, tokenizer, device, precision, hub)
        tokenizer = None
    _check_config(config, model, loaded)
    if tokenizer is None:
        return loaded
    pieces = _tokenizer(tokenizer, hub)
    positions = int(loaded.model.config.max_position_embeddings)
    return replace(loaded, tokenizer=pieces, max_length=min(pieces.max_length, positions))


def _wrapped(
    model: Any, tokenizer: Any, device: torch.device, precision: torch.dtype | None, hub: Hub
) -> Checkpoint:
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
    pieces = _tokenizer(tokenizer, hub)
    _check_precision(model, precision)
    model.to(device).eval()  # type: ignore[arg-type]
    return Checkpoint(
        name=type(model).__name__,
        model=model,
        tokenizer=pieces,
        device=device,
        max_length=min(pieces.max_length, int(model.config.max_position_embeddings)),
    )


def _check_precision(model: Any, precision: torch.dtype | None) -> None:
    """That a network, which is the caller's, need not be converted."""
    if precision not in (None, model.dtype):
        raise ValueError(
            f"dtype={precision} was asked for, and the model is loaded in {model.dtype}; convert "
            f"it first, model.to({precision}), or leave dtype out"
        )


def _check_config(config: Any, model: Any, loaded: Checkpoint) -> None:
    """That a configuration is the network's own: its name, or an object that says the same."""
    from reader.bert import shape_of

    if config is None:
        return
    said = repr(config)
    if isinstance(config, (str, Path)):
        if isinstance(model, (str, Path)) and Path(config) == Path(model):
            return
    elif hasattr(config, "to_dict"):
        said = f"a {type(config).__name__}"  # whose repr fills a screen
        same = shape_of(loaded.model.config.to_dict())
        if config.model_type == "bert" and shape_of(config.to_dict()) == same:
            return
    raise ValueError(
        f"config={said} is not the configuration of {loaded.name}; a network is read by the "
        "config.json beside its weights: leave config out, or change that file"
    )


def _tokenizer(tokenizer: Any, hub: Hub) -> PieceTokenizer:
    from tokenizers import Tokenizer

    from reader.checkpoint import resolve
    from reader.tokenization import DEFAULT_MAX_LENGTH, PieceTokenizer

    if isinstance(tokenizer, PieceTokenizer):
        return tokenizer
    if isinstance(tokenizer, (str, Path)):
        return PieceTokenizer.from_folder(resolve(tokenizer, hub=hub))
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
