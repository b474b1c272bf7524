"""Extractive question answering with BERT and SpanBERT checkpoints.

The package stands alone on torch, transformers, tokenizers, numpy and safetensors. It knows
neither the document store nor Slack, and importing it loads nothing heavy: take
``reader.reader`` for inference, ``reader.evaluate`` for SQuAD scores, ``reader.finetune`` for
training and ``reader.pretrain`` for what comes before it.
"""
