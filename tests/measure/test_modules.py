"""benchmark and profile take a torch.nn.Module as load and verify do."""

from __future__ import annotations

import mobileone
import pytest
import torch
import torch_mobileone


def test_a_module_is_measured_as_it_is() -> None:
    module = torch_mobileone.create("mobileone_mu0").float().eval()
    how = {"runs": 3, "input_size": 32}
    assert mobileone.profile(module, **how).protocol["form"] == "train-time"
    result = mobileone.benchmark({"mine": module}, warmup=0, progress=False, **how)
    assert [row.label for row in result.rows] == ["mine"]


def test_other_modules_are_refused() -> None:
    for other in (torch.nn.Linear(2, 2), {"x": torch.nn.Linear(2, 2)}):
        with pytest.raises(mobileone.CheckpointError):
            mobileone.benchmark(other, runs=1)
