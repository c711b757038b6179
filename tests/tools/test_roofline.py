"""The roofline of docs/results.md: limits, steps and figure come from a real run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mobileone import _core

from benchmarks import roofline

pytestmark = pytest.mark.skipif(not _core.available_isas(), reason="no fused kernels on this CPU")


def test_measured_machine_is_ordered_like_a_machine() -> None:
    machine = _core.measured_machine()
    assert 8 << 10 <= machine["l1_bytes"] <= machine["l2_bytes"]
    # A multiply-add per lane and port beats any cache; L2 beats what lies beyond it.
    assert machine["peak_gflops"] > machine["far_gbytes_per_second"] / 4
    assert machine["l2_gbytes_per_second"] > machine["far_gbytes_per_second"] > 0


def test_draws_every_step_of_a_fused_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    path = tmp_path / "roofline.png"
    command = ["--model", "mobileone_mu0", "--runs", "2", "--attempts", "2", "--out", str(path)]
    assert roofline.main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    result = roofline.profile("mobileone_mu0", 2, 1)
    steps = [row for row in result.rows if row.gflops is not None and row.bytes > 0]
    assert [line.split(" | ")[0].strip("| ") for line in printed[4:]] == [r.name for r in steps]
    for row, line in zip(steps, printed[4:], strict=True):
        assert line.split(" | ")[2] == f"{2 * row.macs / row.bytes:.1f}"
    pixels = plt.imread(path)
    assert pixels.shape[2] == 4
    assert pixels[0, 0, 3] == 0  # transparent: for light and dark pages
    assert np.ptp(pixels[..., :3]) > 0
    plt.close("all")
    assert path.stat().st_size < 200_000


def test_steps_of_other_backends_are_refused() -> None:
    import mobileone

    model = mobileone.create_model("mobileone_mu0", seed=0)  # train-time form: runs on oneDNN
    with pytest.raises(RuntimeError, match="are not fused; expected none"):
        roofline.profile(model, 1, 1)
