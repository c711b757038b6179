"""An image has the same bits in any batch and any process, whatever CPU the plans are made for."""

from __future__ import annotations

from collections.abc import Iterator

import mobileone
import numpy as np
import pytest
from cases import images
from conftest import Run
from mobileone import _core

pytestmark = pytest.mark.skipif(not _core.available_isas(), reason="no fused kernels on this CPU")

# S4 has squeeze-and-excite; at 112 its first stages are large enough for Strassen's algorithm.
NETWORKS = {
    "mobileone_mu0": [(32, 32), (37, 191), (224, 224)],
    "mobileone_s1": [(33, 64), (112, 112)],
    "mobileone_s4": [(96, 112)],
    "mobilevit_xxs": [(32, 64), (97, 128)],
}


@pytest.fixture(params=_core.known_machines())
def machine(request: pytest.FixtureRequest) -> Iterator[str]:
    _core.force_machine(request.param)
    yield request.param
    _core.force_machine("")


@pytest.fixture(scope="module")
def fused() -> dict[str, mobileone.Model]:
    return {
        name: mobileone.reparameterize(mobileone.create_model(name, seed=0)) for name in NETWORKS
    }


@pytest.mark.parametrize("algorithm", ["auto", "direct", "strassen"])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_images_bits_do_not_depend_on_its_batch(
    machine: str, fused: dict[str, mobileone.Model], name: str, threads: int, algorithm: str
) -> None:
    def run(x: np.ndarray) -> np.ndarray:
        return model.compile(x.shape, threads=threads, algorithm=algorithm)(x)

    model = fused[name]
    for size in NETWORKS[name]:
        x = images(3, size)
        alone = [run(image[None])[0] for image in x]
        for batch in (2, 3):
            np.testing.assert_array_equal(run(x[:batch]), np.stack(alone[:batch]))


def test_the_direct_products_bits_do_not_depend_on_the_machine_or_the_threads(
    fused: dict[str, mobileone.Model],
) -> None:
    """Their tiles differ; only sums of the output, which S4 has, are made tile by tile."""
    for name, sizes in NETWORKS.items():
        if name == "mobileone_s4":
            continue
        x, results = images(1, sizes[-1]), []
        for machine in _core.known_machines():
            _core.force_machine(machine)
            try:
                results += [
                    fused[name].compile(x.shape, threads=threads, algorithm="direct")(x)
                    for threads in (1, 2, 3)
                ]
            finally:
                _core.force_machine("")
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])


def test_machines_plan_differently(fused: dict[str, mobileone.Model]) -> None:
    """Or the tests above would compare a plan with itself."""
    seen = set()
    for machine in _core.known_machines():
        _core.force_machine(machine)
        try:
            plan = fused["mobileone_s1"].compile((1, 3, 224, 224), threads=1)._plan
        finally:
            _core.force_machine("")
        seen.add(repr(plan.tilings))
    assert len(seen) > 1


def test_every_process_makes_the_same_plan(python: Run) -> None:
    script = """
import hashlib, mobileone, numpy as np
model = mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=0))
x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
plan = model.compile(x.shape, threads=1)
print(hashlib.sha256(plan(x).tobytes() + repr(plan._plan.tilings).encode()).hexdigest())
"""
    assert len({python(script) for _ in range(3)}) == 1


def test_what_a_machine_is_does_not_change() -> None:
    assert _core.machine_name() in _core.known_machines()
    machine = _core.machine_model()
    assert all(_core.machine_model() == machine for _ in range(3))
    assert 8 << 10 <= machine["l1_bytes"] <= machine["l2_bytes"]
    assert machine["l2_gbytes_per_second"] > machine["far_gbytes_per_second"] > 0


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(ValueError, match=r'name is "abacus"; expected emerald-rapids, '):
        _core.force_machine("abacus")
