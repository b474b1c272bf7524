"""The losses by hand-worked cases."""

from __future__ import annotations

import math

import pytest
import torch

from reader.losses import no_answer_loss, shared_loss

#: Three windows of four pieces; the first is [CLS], the last window is shorter.
LOGITS = torch.tensor([[9.0, 1.0, 2.0, 3.0], [9.0, 0.0, 4.0, 1.0], [9.0, 2.0, 2.0, 50.0]])
INSIDE = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 0]]).bool()


def gold(*places: tuple[int, int]) -> torch.Tensor:
    right = torch.zeros(3, 4, dtype=torch.bool)
    for row, piece in places:
        right[row, piece] = True
    return right


def shared(
    right: torch.Tensor, owner: list[int], answerable: list[int], logits: torch.Tensor = LOGITS
) -> torch.Tensor:
    """The loss of windows by the numbers of their questions."""
    own = torch.tensor(owner) == torch.arange(owner[-1] + 1)[:, None]
    return shared_loss(logits, INSIDE, right, own, torch.tensor(answerable, dtype=torch.int64))


def log_sum(*values: float) -> float:
    return math.log(sum(math.exp(value) for value in values))


def test_the_windows_of_a_question_share_one_softmax() -> None:
    loss = shared(gold((0, 3), (2, 1)), [0, 0, 1], [0, 1])
    first = log_sum(1, 2, 3, 0, 4, 1) - 3
    second = log_sum(2, 2) - 2
    assert float(loss) == pytest.approx((first + second) / 2, abs=1e-5)


def test_the_places_of_an_answer_add_up() -> None:
    loss = shared(gold((0, 3), (1, 2)), [0, 0, 0], [0])
    assert float(loss) == pytest.approx(log_sum(1, 2, 3, 0, 4, 1, 2, 2) - log_sum(3, 4), abs=1e-5)


def test_questions_without_an_answer_do_not_count() -> None:
    loss = shared(gold((0, 1)), [0, 1, 1], [0])
    assert float(loss) == pytest.approx(log_sum(1, 2, 3) - 1, abs=1e-5)
    logits = LOGITS.clone().requires_grad_()
    nothing = shared(gold(), [0, 1, 1], [], logits)
    nothing.backward()  # type: ignore[no-untyped-call]
    assert float(nothing.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_each_window_says_by_itself_that_the_answer_is_not_there() -> None:
    loss = no_answer_loss(LOGITS, INSIDE, gold((0, 3)))
    here = log_sum(9, 1, 2, 3) - 3
    absent = log_sum(9, 0, 4, 1) - 9
    short = log_sum(9, 2, 2) - 9
    assert float(loss) == pytest.approx((here + absent + short) / 3, abs=1e-4)
