"""The settings of fine-tuning."""

from __future__ import annotations

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
