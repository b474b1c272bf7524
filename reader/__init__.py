"""Extractive question answering with BERT and SpanBERT checkpoints.

The package stands alone on torch, transformers (with the huggingface-hub that it brings),
tokenizers, numpy and safetensors. Two parts need one more each, and say so where it is missing:
:mod:`reader.matching` pystemmer, for checkpoints with the match feature, and :mod:`reader.curve`
matplotlib. The package knows neither the document store nor Slack, and importing it loads nothing
heavy: take
``reader.reader`` for inference, ``reader.evaluate`` for SQuAD scores, ``reader.finetune`` for
training and ``reader.pretrain`` for what comes before it.
"""
