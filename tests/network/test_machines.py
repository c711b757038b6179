"""An image has the same bits in any batch and process, on any number of threads, whatever CPU the
plans are made for."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import images
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
@pytest.mark.parametrize("name", NETWORKS)
def test_an_images_bits_do_not_depend_on_its_batch_and_the_threads(
    machine: str, fused: dict[str, mobileone.Model], name: str, algorithm: str
) -> None:
    def run(x: np.ndarray, threads: int) -> np.ndarray:
        return model.compile(x.shape, threads=threads, algorithm=algorithm)(x)

    model = fused[name]
    for size in NETWORKS[name]:
        x = images(3, size)
        alone = np.concatenate([run(image[None], 1) for image in x])
        for threads in (1, 3, 7):
            for batch in (1, 2, 3):
                np.testing.assert_array_equal(run(x[:batch], threads), alone[:batch])


def test_the_direct_products_bits_do_not_depend_on_the_machine(
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
            plan = fused["mobileone_s1"].compile((1, 3, 224, 224), threads=1).plan
        finally:
            _core.force_machine("")
        seen.add(repr(plan.records))
    assert len(seen) > 1


def _bits(files: list[str], threads: int) -> dict[str, set[str]]:
    """By file: the bits of one image, in batches of 1 to 3."""
    found = {}
    for file in files:
        model = mobileone.load(file)
        x = images(3, (64, 64))
        results = [model.compile(x[:n].shape, threads=threads)(x[:n])[0] for n in (1, 2, 3)]
        found[file] = {hashlib.sha256(result.tobytes()).hexdigest() for result in results}
    return found


def test_eight_processes_with_other_threads_give_every_network_the_same_bits(
    tmp_path: Path,
) -> None:
    files = []
    for name in mobileone.list_models():
        files.append(str(tmp_path / f"{name}.safetensors"))
        mobileone.reparameterize(mobileone.create_model(name, seed=0)).save(files[-1])
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        tasks = [(files, threads) for threads in (1, 2, 3, 4, 5, 6, 7, 1)]
        processes = pool.starmap(_bits, tasks, chunksize=1)
    for file in files:
        assert len(set.union(*(found[file] for found in processes))) == 1, file


def test_what_a_machine_is_does_not_change() -> None:
    assert _core.machine_name() in _core.known_machines()
    machine = _core.machine_model()
    assert all(_core.machine_model() == machine for _ in range(3))
    assert 8 << 10 <= machine["l1_bytes"] <= machine["l2_bytes"]
    assert machine["l2_gbytes_per_second"] > machine["far_gbytes_per_second"] > 0


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(ValueError, match=r'name is "abacus"; expected emerald-rapids, '):
        _core.force_machine("abacus")
