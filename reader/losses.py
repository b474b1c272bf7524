"""What a reader is trained to make small.

*Shared normalisation* (Clark and Gardner 2018, "Simple and Effective Multi-Paragraph Reading
Comprehension", section 3.2): the pieces of all passages of a question share one softmax, for the
start and for the end, so that scores can be compared across passages; where several places hold
the answer, their probabilities are added up. With one passage of one window it is BERT's loss for
SQuAD, but that only pieces of the passage can be chosen.

*No answer* (Devlin et al. 2019, section 4.3): in each window by itself, ``[CLS]`` is chosen when
the answer is not there.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEVER = -1e9


def shared_loss(
    logits: Tensor, inside: Tensor, gold: Tensor, own: Tensor, answerable: Tensor
) -> Tensor:
    """Mean cross entropy over the questions that have an answer; 0 when none has.

    What the mean is over is told, as to find it in ``gold`` would wait for the device.

    Args:
        logits: float of shape (windows, pieces), of starts or of ends.
        inside: bool of that shape: the pieces that can be chosen.
        gold: bool of that shape: the right ones.
        own: bool of shape (questions, windows): which windows are a question's.
        answerable: int64 of shape (answered,): the numbers of the questions that have an answer.
    """
    if not len(answerable):
        return logits.sum() * 0.0
    everything = _by_question(_sum_of(logits, inside), own)
    right = _by_question(_sum_of(logits, gold), own)
    return (everything - right).index_select(0, answerable).mean()


def no_answer_loss(logits: Tensor, inside: Tensor, gold: Tensor) -> Tensor:
    """Mean cross entropy over windows, each choosing among its pieces and ``[CLS]``; see above."""
    allowed, right = inside.clone(), gold.clone()
    allowed[:, 0] = True
    right[:, 0] = ~gold.any(dim=1)
    return (_sum_of(logits, allowed) - _sum_of(logits, right)).mean()


def _sum_of(logits: Tensor, chosen: Tensor) -> Tensor:
    """Log of the sum of the exponentials of the chosen pieces; shape (windows,)."""
    return torch.logsumexp(logits.masked_fill(~chosen, _NEVER), dim=1)


def _by_question(values: Tensor, own: Tensor) -> Tensor:
    """Log of the sum of the exponentials over each question's windows; shape (questions,)."""
    return torch.logsumexp(values[None, :].masked_fill(~own, _NEVER * 2), dim=1)
