"""Recipes and what they say over time: curriculum, learning rate, weight decay, averaging."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from mobileone.train.curriculum import Curriculum
from mobileone.train.recipe import Recipe
from mobileone.train.schedules import average_decay, learning_rate, weight_decay


def test_the_papers_recipe() -> None:
    """MobileOne, sections 3.4 and 4, supplement C.1."""
    recipe = Recipe.mobileone("mobileone_s2")
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (300, 256, "sgd")
    assert (recipe.momentum, recipe.label_smoothing, recipe.ema_decay) == (0.9, 0.1, 0.9995)
    assert [learning_rate(recipe, e) for e in (0, 150, 300)] == pytest.approx([0.1, 0.05, 0])
    decays = [weight_decay(recipe, e) for e in (0, 150, 300)]
    assert decays == pytest.approx([1e-4, 5.5e-5, 1e-5])
    assert recipe.augmentation is not None
    assert recipe.augmentation.auto_augment
    small = Recipe.mobileone("mobileone_s1").augmentation
    assert small is not None
    assert not small.auto_augment


@pytest.mark.parametrize(
    ("epochs", "starts"), [(300, (39, 114)), (30, (4, 11)), (3, (None, 1)), (1, (None, None))]
)
def test_the_curriculum_fits_any_length(epochs: int, starts: tuple[int | None, ...]) -> None:
    curriculum = Curriculum.progressive()
    sizes = [curriculum.at(epoch, epochs).image_size[0] for epoch in range(epochs)]
    assert sizes == sorted(sizes)
    found = tuple(sizes.index(s) if s in sizes and sizes.index(s) else None for s in (192, 224))
    assert found == starts
    strengths = {160: 0.3, 192: 0.6, 224: 1.0}
    for epoch in range(epochs):
        stage = curriculum.at(epoch, epochs)
        assert stage.strength == strengths[stage.image_size[0]]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "stages start at"),
        ([(1, 160)], "stages start at"),
        ([(0, 160), (0, 192)], "stages start at"),
        ([(0, 160), (300, 192)], "stages start at"),
        ([(0, 0)], "a stage's size is 0"),
        ([(0, 160, 2.0)], "a stage's strength is 2.0"),
        ([160], "a stage is 160"),
    ],
)
def test_stages_that_make_no_curriculum_are_refused(stages: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curriculum(stages, 300)


def test_warm_up_is_linear_and_the_cosine_takes_the_rest() -> None:
    recipe = Recipe(
        epochs=10, learning_rate=0.2, warmup_epochs=2.5, warmup_learning_rate=0.1,
        final_learning_rate=0.02,
    )  # fmt: skip
    assert [learning_rate(recipe, e) for e in (0, 1.25, 2.5)] == pytest.approx([0.1, 0.15, 0.2])
    assert learning_rate(recipe, 6.25) == pytest.approx(0.11)
    assert learning_rate(recipe, 10) == pytest.approx(0.02)
    quarter = 0.02 + 0.18 * (1 + math.cos(math.pi / 4)) / 2
    assert learning_rate(recipe, 2.5 + 7.5 / 4) == pytest.approx(quarter)
    assert learning_rate(Recipe(epochs=2, warmup_epochs=2), 1) == pytest.approx(0.05)


def test_averaging_warms_up_unless_it_is_asked_not_to() -> None:
    slow, quick = Recipe(ema_warmup=False), Recipe()
    assert average_decay(slow, 1) == 0.9995
    assert [average_decay(quick, t) for t in (1, 9, 10**6)] == [0.1, 0.5, 0.9995]
    # What is left of the weights that a training of thirty updates begins with.
    assert math.prod(average_decay(quick, t) for t in range(1, 31)) < 1e-6
    assert math.prod(average_decay(slow, t) for t in range(1, 31)) > 0.98


def test_recipes_are_plain_json() -> None:
    values = json.loads(Recipe.mobileone(epochs=5).to_json())
    assert values["epochs"] == 5
    assert values["curriculum"]["stages"][1] == [39, [192, 192], 0.6]
    assert Recipe(epochs=5).to_json() == Recipe(epochs=5).to_json() != Recipe().to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("batch_size", 1.5), ("accumulation", 0), ("seed", -1),
        ("optimizer", "adam"), ("learning_rate", -0.1), ("learning_rate", math.nan),
        ("momentum", 1.0), ("betas", (0.9,)), ("betas", (0.9, 1.0)), ("clip_norm", 0.0),
        ("weight_decay", "1e-4"), ("label_smoothing", 1.0), ("ema_decay", 1.0),
        ("warmup_epochs", 301), ("frozen", "stage0.*"), ("frozen", (0,)),
        ("frozen", 3), ("augmentation", "yes"), ("curriculum", 3),
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} is "):
        Recipe(**{field: value})  # type: ignore[arg-type]
