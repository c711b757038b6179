"""The same predictions as timm's validate script, picture by picture, in every data config.

EVALUATION_PICTURES=2000 in the environment makes the folder that large.
"""

from __future__ import annotations

import os
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from checkpoint.timm_models import deployed, import_timm

from .pictures import image_folder
from .timm_validate import calibrated, logits, open_folder

COUNT = int(os.environ.get("EVALUATION_PICTURES", "64"))
# Every data config that timm has for these networks: crop 0.875, 0.9; BGR-less, 256 and bicubic.
MODELS = ("mobileone_s0", "mobileone_s1", "mobilevit_xxs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("pictures") / "val", COUNT, seed=3)


# timm's reader leaves files open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_timm_validate(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = import_timm()
    torch.manual_seed(0)
    module = timm.create_model(name)
    config = timm.data.resolve_data_config({}, model=module)
    data = open_folder(folder, config, monkeypatch)
    calibrated(module, data)
    own = mobileone.reparameterize(mobileone.load(module))
    found = mobileone.evaluate(own, folder, workers=0).to_dataframe().set_index("key")
    theirs = dict(logits(deployed(module), data))
    assert len(theirs) == COUNT + 5  # those of its suffixes
    assert len({int(row.argmax()) for row in theirs.values()}) > min(COUNT, 200) // 4
    predictions = found.loc[list(theirs), "prediction"].to_numpy()
    np.testing.assert_array_equal(predictions, [int(row.argmax()) for row in theirs.values()])
    confidence = [float(row.softmax(0).max()) for row in theirs.values()]
    np.testing.assert_allclose(found.loc[list(theirs), "confidence"], confidence, rtol=1e-3)
