"""Small BERT checkpoints whose weights are the same wherever they are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.reader_models import vocabulary

#: Pieces beyond those of ``reader_models``: accents, other scripts, symbols.
FURTHER = [
    prefix + c
    for prefix in ("", "##")
    for c in "äöüßéèçñøåæœαβγδωабвгдежзшщяاحد中文日本語한글€£°%&@#()[]{}<>/'\"!;:-–—…“”’+=*_"
]

#: Longest input of the small models, in pieces.
POSITIONS = 64


def seeded_checkpoint(folder: Path, *, cased: bool, seed: int) -> Path:
    """A BERT of two layers with weights drawn by numpy's frozen ``RandomState``.

    The span head's weights are large, so that the probabilities of spans differ widely.
    """
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    words = vocabulary(cased=cased) + FURTHER
    words = list(dict.fromkeys(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
    )
    model = BertForQuestionAnswering(config)
    source = np.random.RandomState(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = source.standard_normal(tuple(parameter.shape)).astype(np.float32)
            if name.endswith("LayerNorm.weight"):
                values = 1.0 + 0.1 * values
            elif not name.startswith("qa_outputs"):
                values = 0.25 * values
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": not cased,
        "model_max_length": POSITIONS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
