"""What a step executes at the least, against the count of conventional multiply-adds."""

from __future__ import annotations

import mobileone
import pytest
from mobileone import _core

from benchmarks import floor

pytestmark = pytest.mark.skipif(not _core.available_isas(), reason="nothing is fused")


@pytest.fixture(scope="module")
def table_of_mu0() -> tuple[mobileone.Model, floor.Profile, list[floor.Floor]]:
    model = mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=1))
    result = floor.profile(model, runs=2, attempts=1)
    return model, result, floor.floors(model, result, far_gbytes=100.0)


def test_every_multiply_add_is_counted(table_of_mu0: tuple) -> None:
    model, _, floors = table_of_mu0
    assert sum(f.row.macs for f in floors) == model.graph.macs((1, 3, 224, 224))
    weights = {name: shape for name, shape, *_ in model.graph.parameters() if "bias" not in name}
    for f in floors:
        of_step = sum(
            floor.math.prod(shape)
            for name, shape in weights.items()
            if name.removesuffix(".weight") in f.row.name
        )
        if " direct " in f.row.implementation:
            stem = 112 * 112 * 48 * 27 if " windows," in f.row.implementation else 0
            assert f.executed == pytest.approx(f.row.macs - stem * 10 / 36)
            assert f.weight_bytes == 4 * of_step


def test_strassens_algorithm_saves_an_eighth_of_pointwise_products(table_of_mu0: tuple) -> None:
    *_, floors = table_of_mu0
    saving = [f for f in floors if " strassen " in f.row.implementation]
    assert saving
    for f in saving:
        assert "levels=2" not in f.row.implementation
        _, channels, height, width = f.row.output_shape
        inner = f.row.input_shapes[0][1]
        pointwise = channels * inner * height * width
        depthwise = 9 * inner * height * width
        assert f.row.macs == pointwise + depthwise
        assert f.executed == pointwise * 7 / 8 + depthwise


def test_the_rows_hold_every_step(table_of_mu0: tuple) -> None:
    _, result, floors = table_of_mu0
    rows = floor.table(result, floors, {"reads from beyond L2": 100.0}).splitlines()[4:]
    assert sum(int(row.split("|")[1]) for row in rows[:-1]) == len(floors)
    assert f" {result.wall_us:.0f} " in rows[-1]


def test_squeeze_and_excite_belongs_to_its_step() -> None:
    model = mobileone.create_model(
        "mobileone_s4",
        stem_width=32,
        widths=[32, 64, 64, 64],
        depths=[1, 1, 2, 1],
        se_widths={"stage3.2": 8, "stage3.3": 8, "stage4.0": 8, "stage4.1": 16},
        seed=1,
    )
    model = mobileone.reparameterize(model)
    floors = floor.floors(model, floor.profile(model, runs=2, attempts=1), far_gbytes=100.0)
    excited = [f for f in floors if f.row.name.endswith(".se.scale")]
    assert len(excited) == 2
    for f in excited:
        _, channels, height, width = f.row.output_shape
        inner = f.row.input_shapes[0][1]
        reduced = 16 if "stage4.1" in f.row.name else 8
        pointwise, squeeze = channels * inner, 2 * channels * reduced
        squeeze += 2 * inner * 8
        products, weights = (7 / 8, 7 / 4) if " strassen " in f.row.implementation else (1, 1)
        pixels = height * width
        executed = pixels * (pointwise * products + 9 * inner) + squeeze
        # What pools and scales is no product; a step's own count has it.
        assert f.executed == pytest.approx(executed)
        assert f.executed <= f.row.macs
        assert f.weight_bytes == 4 * (pointwise * weights + 9 * inner + squeeze)
    assert sum(f.executed for f in floors) <= model.graph.macs((1, 3, 224, 224))
