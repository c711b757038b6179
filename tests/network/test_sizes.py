"""Image sizes: from 1 x 1 up wherever the graph allows, and each family's own minimum."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
from cases import FAMILIES, FORMS, Family, each_family, images
from mobileone import studies
from mobileone._core import reference_forward
from mobileone.families import find_family
from mobileone.network.compiled import CompiledModel
from mobileone.verification.rounding import rounding_bound

TINY = [(1, 1), (1, 2), (2, 1), (3, 5), (16, 1), (9, 31)]
MODELS = {f"{family.name} {form}": family.make(form) for family in FAMILIES for form in FORMS}
MODELS["plain"] = studies.plain_cnn(num_classes=7, stem_width=8, widths=[16, 24], strides=[2, 2])


@pytest.mark.parametrize("size", TINY)
@pytest.mark.parametrize("name", MODELS)
def test_a_graph_runs_at_any_size(name: str, size: tuple[int, int]) -> None:
    model, x = MODELS[name], images(2, size)
    (expected,), _ = reference_forward(model.network, x, [model.graph.output_name])
    bound = rounding_bound(model, x, ()).logits
    for backend in ("auto", "onednn"):
        for threads in (1, 2):
            compiled = CompiledModel(model.network, x.shape, threads, backend=backend)
            assert np.abs(compiled(x) - expected).max() <= bound


@pytest.mark.parametrize("size", TINY)
def test_a_family_without_a_minimum(size: tuple[int, int]) -> None:
    model, x = MODELS["plain"], images(2, size)
    bound = rounding_bound(model, x, ()).logits
    assert np.abs(model(x) - model.compile(x.shape)(x)).max() <= np.sqrt(2) * bound
    assert [level.shape[0] for level in model.features(x)] == [2] * len(model.features(x))
    assert mobileone.benchmark(model, input_size=size, runs=2, warmup=0).rows[0].runs == 2


@each_family
def test_the_minimum_is_the_familys(family: Family) -> None:
    model, least = family.make(), find_family(family.name).min_size
    assert least == 32
    smallest = images(1, (least, least))
    assert model(smallest).shape == model.compile(smallest.shape)(smallest).shape == (1, 7)
    below = smallest[:, :, 1:]
    for call in (model, model.features, model.predict, lambda x: model.compile(x.shape)):
        with pytest.raises(ValueError, match="height and width must be at least 32"):
            call(below)
    with pytest.raises(ValueError, match="input_size is 31; expected an integer of at least 32"):
        mobileone.verify(model, model, input_size=31)
