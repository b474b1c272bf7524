"""The settings of fine-tuning."""

from __future__ import annotations

import pytest

from reader.errors import TrainingError
from reader.recipes import RECIPES, FinetuneConfig, recipe_for


def test_the_recipe_for_base_models_is_that_of_spanbert_for_squad() -> None:
    base = RECIPES["base"]
    # --learning_rate 2e-5 --num_train_epochs 4 --max_seq_length 512 --doc_stride 128
    assert (base.learning_rate, base.epochs, base.max_length, base.overlap) == (2e-5, 4, 512, 128)
    # The defaults of its script, and of BERT's configuration.
    assert (base.warmup, base.weight_decay, base.clip_norm) == (0.1, 0.01, 1.0)
    assert (base.dropout, base.final_rate) == (0.1, 0.0)
    # --train_batch_size 32: a window of SQuAD takes 176 pieces of a batch, its padding included.
    assert base.batch_pieces == 32 * 176


def test_what_is_not_asked_for_is_in_no_recipe() -> None:
    for recipe in RECIPES.values():
        assert recipe.no_answer == recipe.ranking == 0.0
        assert recipe.teacher is None
        assert not recipe.match
    assert RECIPES["small"] == FinetuneConfig()


def test_the_size_of_the_network_chooses_the_recipe() -> None:
    sizes = {384: "small", 767: "small", 768: "base", 1024: "base"}
    assert {size: recipe_for(size) for size in sizes} == sizes


@pytest.mark.parametrize(
    ("name", "values", "least"),
    [
        ("epochs", (0, -1), 1),
        ("learning_rate", (0.0, -1e-3, float("nan"), float("inf")), 1e-9),
        ("batch_pieces", (0,), 1),
        ("accumulate", (0,), 1),
        ("save_every", (0,), 1),
        ("temperature", (0.0, float("nan")), 0.01),
        ("weight_decay", (-0.1,), 0.0),
        ("clip_norm", (-1.0, float("nan")), 0.0),
        ("overlap", (-1,), 0),
        ("no_answer", (-0.1,), 0.0),
        ("distill", (-0.1,), 0.0),
        ("ranking", (-0.1, float("nan")), 0.0),
        ("seed", (-1,), 0),
        ("warmup", (-0.1, 1.1), 0.0),
        ("final_rate", (-0.1, 1.1), 0.0),
        ("dropout", (-0.1, 1.0), 0.0),
        ("max_length", (7, -384), 8),
    ],
)
def test_a_value_that_no_run_can_have_is_named(
    name: str, values: tuple[float, ...], least: float
) -> None:
    for value in values:
        with pytest.raises(TrainingError, match=rf"^{name} is {value}; "):
            FinetuneConfig(**{name: value})  # type: ignore[arg-type]
    assert getattr(FinetuneConfig(**{name: least}), name) == least  # type: ignore[arg-type]
