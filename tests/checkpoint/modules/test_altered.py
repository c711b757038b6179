"""Whatever a module's attributes say: its own function is loaded, or it is refused by name."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
import torch
from mobileone.verification.rounding import rounding_bound
from torch import nn

from ..timm_models import import_timm
from .altered import ALTERED, MADE, OF_MOBILEVIT, small

FAMILIES = ("mobileone", "mobilevit")
CASES = [
    *((family, name) for family in FAMILIES for name in (*MADE, *ALTERED)),
    *(("mobilevit", name) for name in OF_MOBILEVIT),
]
IMAGE = torch.randn(1, 3, 72, 96, generator=torch.Generator().manual_seed(1))


def altered(family: str, name: str) -> tuple[nn.Module, str | None]:
    if name in MADE:
        changes, refusal = MADE[name]
        return small(family, **changes), refusal
    alter, refusal = (ALTERED | OF_MOBILEVIT)[name]
    module = small(family)
    alter(module)
    return module, refusal


def check(module: nn.Module, refusal: str | None, **options: bool) -> None:
    if refusal is not None:
        with pytest.raises((NotImplementedError, mobileone.CheckpointError), match=refusal):
            mobileone.load(module, **options)
        return
    model = mobileone.load(module, **options)
    with torch.no_grad():
        exact = module.double()(IMAGE.double()).numpy()
    error = np.abs(model(IMAGE) - exact).max()
    assert error <= rounding_bound(model, IMAGE.numpy(), samples=2).logits


@pytest.mark.parametrize(("family", "name"), CASES, ids=lambda word: word)
@pytest.mark.parametrize("checked", [True, False])
def test_its_own_function_or_a_refusal(family: str, name: str, checked: bool) -> None:
    check(*altered(family, name), check=checked)


@pytest.mark.parametrize("name", ["silu", "relu", "output_stride 16", "hook on the result"])
def test_in_inference_form(name: str) -> None:
    module, refusal = altered("mobileone", name)
    fused = import_timm().utils.model.reparameterize_model(module)
    if name == "hook on the result":
        fused.register_forward_hook(lambda _module, _args, out: out.softmax(-1))
    check(fused, refusal)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_module_is_left_as_it_was(family: str) -> None:
    module = small(family, drop_rate=0.5).train()
    module.stages[0].eval()
    modes = [part.training for part in module.modules()]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    random = torch.get_rng_state()
    mobileone.load(module)
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_what_cannot_be_run_is_noted() -> None:
    module = small("mobileone")
    module.forward = lambda x, mask: x * mask  # type: ignore[assignment]
    assert "not checked: its forward raised TypeError" in str(mobileone.load(module).report)
