"""Tiny BERT checkpoints and readers with logits placed by hand, for the reader's tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from reader.features import Window
from reader.reader import Passage, Reader, Span
from reader.tokenization import PieceTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [prefix + c for prefix in ("", "##") for c in "abcdefghijklmnopqrstuvwxyz0123456789?.,"]
WORDS = "the code is valid for hours days token vpn reset ask who where how many".split()


def vocabulary(*, cased: bool = False) -> list[str]:
    upper = [prefix + c for prefix in ("", "##") for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    return SPECIALS + LETTERS + (upper if cased else []) + WORDS


def tokenizer() -> PieceTokenizer:
    """An uncased tokenizer: the words above are whole, everything else is spelt in letters."""
    numbers = {piece: number for number, piece in enumerate(vocabulary())}
    inner = Tokenizer(WordPiece(numbers, unk_token="[UNK]"))
    inner.normalizer = BertNormalizer(lowercase=True)
    inner.pre_tokenizer = BertPreTokenizer()
    return PieceTokenizer(inner)


def checkpoint(
    folder: Path,
    *,
    cased: bool = False,
    head: bool = True,
    layout: str = "full",
    hidden: int = 32,
) -> Path:
    """A random BERT of two tiny layers.

    ``layout`` is ``full`` (tokenizer files and safetensors) or ``spanbert``: what the SpanBERT
    repositories hold, ``vocab.txt`` and ``pytorch_model.bin`` and a config without a type.
    """
    import torch
    from transformers import BertConfig, BertForQuestionAnswering, BertModel

    torch.manual_seed(1)
    words = vocabulary(cased=cased)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    model = BertForQuestionAnswering(config) if head else BertModel(config)
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "full":
        model.save_pretrained(folder)
        settings = {"do_lower_case": not cased, "model_max_length": 128}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    else:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        record = config.to_dict()
        for key in ("model_type", "architectures", "transformers_version"):
            record.pop(key, None)
        (folder / "config.json").write_text(json.dumps(record))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def overflowing(folder: Path) -> Path:
    """A checkpoint of ordinary numbers with which attention overflows."""
    from safetensors.torch import load_file, save_file

    checkpoint(folder)
    weights = load_file(folder / "model.safetensors")
    weights["bert.embeddings.LayerNorm.weight"] *= 1e15
    for part in ("query", "key"):
        weights[f"bert.encoder.layer.0.attention.self.{part}.weight"] *= 1e8
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class HandPlaced:
    """Logits that are zero except where a text of the passage is marked.

    ``marks`` maps a piece of passage text to the logit of its first and of its last piece; it is
    marked in every window whose characters hold it, which ``passages`` says by number.
    """

    def __init__(self, passages: Sequence[str], marks: dict[str, tuple[float, float]]) -> None:
        self._passages = passages
        self._marks = marks
        self.batches: list[int] = []

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches.append(len(batch))
        width = max(len(window) for window in batch)
        starts = np.zeros((len(batch), width), dtype=np.float32)
        ends = np.zeros_like(starts)
        for row, window in enumerate(batch):
            text = self._passages[window.passage]
            for mark, (start_logit, end_logit) in self._marks.items():
                begin = text.find(mark)
                if begin < 0:
                    continue
                for index, (first, last) in enumerate(window.offsets):
                    if first == begin:
                        starts[row, window.first + index] = start_logit
                    if last == begin + len(mark):
                        ends[row, window.first + index] = end_logit
        return starts, ends


class Gate:
    """A network that waits until it is let go; windows with the piece ``bad`` fail."""

    def __init__(self, *, bad: str = "") -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.sizes: list[int] = []
        self._bad = tokenizer().pieces(bad).ids[0] if bad else -1

    def __call__(self, batch: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.sizes.append(len(batch))
        self.entered.release()
        assert self.open.wait(30)
        shape = (len(batch), max(len(window) for window in batch))
        bad = any(self._bad in window.ids for window in batch)
        return np.full(shape, np.nan if bad else 0, np.float32), np.zeros(shape, np.float32)


class MarkingReader(Reader):
    """A reader that finds what is marked: pieces of text to their start and end logits."""

    def __init__(self, marks: dict[str, tuple[float, float]]) -> None:
        super().__init__(tokenizer(), HandPlaced([], {}), name="marking")
        self.marks = marks
        self.seen: list[Passage] = []

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        top_k: int = 10,
        until: float | None = None,
    ) -> list[Span]:
        self.seen = list(passages)
        logits = HandPlaced([passage.text for passage in passages], self.marks)
        inner = Reader(self.tokenizer, logits, options=self.options)
        return inner.read(question, passages, top_k=top_k)
