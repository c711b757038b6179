"""One warning says what was assumed, where a file is not that of the published weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import mobileone
import pytest
import torch_mobileone
from mobileone.checkpoint import save_safetensors

SHOWN = r"its weights do not show .*; taken as published: .*eps 1e-05.*config="


def weights(name: str, **config: Any) -> dict[str, Any]:
    return mobileone.create_model(name, **config).state_dict()


@pytest.mark.parametrize("name", ["mobileone_mu0", "mobilevit_xxs"])
def test_fine_tuned_weights_warn_once(name: str) -> None:
    with pytest.warns(UserWarning, match=SHOWN) as caught:
        model = mobileone.load(weights(name, num_classes=10))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for field, value in model.report.assumed.items():
        assert f"{field} {value}" in str(caught[0].message)
        assert f"{field} {value}" in repr(model.report)


def test_a_custom_network_warns() -> None:
    with pytest.warns(UserWarning, match="activation relu"):
        mobileone.load(weights("custom", widths=[8, 16], depths=[1, 1], num_classes=1000))


def test_a_config_beside_it_that_says_little_still_warns(tmp_path: Path) -> None:
    timm = mobileone.create_model("mobilevit_xxs", num_classes=10).state_dict("timm")
    save_safetensors(tmp_path / "model.safetensors", timm)
    (tmp_path / "config.json").write_text(json.dumps({"model_args": {"act_layer": "silu"}}))
    with pytest.warns(UserWarning, match="heads 4") as caught:
        assert mobileone.load(tmp_path).report.told["activation"] == "config.json"
    assert "activation" not in str(caught[0].message)


def test_what_is_published_or_said_does_not(tmp_path: Path) -> None:
    own = tmp_path / "x.safetensors"
    mobileone.create_model("custom", widths=[8, 16], depths=[1, 1], num_classes=3).save(own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mobileone.load(weights("mobileone_mu0"))
        mobileone.load(weights("mobilevit_xxs"))
        mobileone.load(weights("mobileone_mu0", num_classes=10), config={"eps": 1e-3})
        mobileone.load(own)
        module = torch_mobileone.create("mobileone_mu0", num_classes=7).float().eval()
        mobileone.load(module)
