"""Whatever a module's attributes say: its own function is loaded, or it is refused by name."""

from __future__ import annotations

from functools import partial

import mobileone
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_mobileone
from mobileone.verification.rounding import rounding_bound
from torch import nn

from ..timm_models import import_timm
from .altered import ALTERED, MADE, OF_MOBILEVIT, small
from .hidden import HIDDEN

FAMILIES = ("mobileone", "mobilevit")
CASES = [
    *((family, name) for family in FAMILIES for name in (*MADE, *ALTERED, *HIDDEN)),
    *(("mobilevit", name) for name in OF_MOBILEVIT),
]
IMAGE = torch.randn(1, 3, 72, 96, generator=torch.Generator().manual_seed(1))


def altered(family: str, name: str) -> tuple[nn.Module, str | None]:
    if name in MADE:
        changes, refusal = MADE[name]
        return small(family, **changes), refusal
    alter, refusal = (ALTERED | HIDDEN | OF_MOBILEVIT)[name]
    module = small(family)
    alter(module)
    return module, refusal


def check(module: nn.Module, refusal: str | None, **options: bool) -> None:
    if refusal is not None:
        with pytest.raises((NotImplementedError, mobileone.CheckpointError), match=refusal):
            mobileone.load(module, **options)
        return
    check_same_function(mobileone.load(module, **options), module)


def check_same_function(model: mobileone.Model, module: nn.Module) -> None:
    with torch.no_grad():
        exact = module.double()(IMAGE.double()).numpy()
    error = np.abs(model(IMAGE) - exact).max()
    assert error <= rounding_bound(model, IMAGE.numpy(), samples=2).logits


@pytest.mark.parametrize(("family", "name"), CASES, ids=lambda word: word)
@pytest.mark.parametrize("checked", [True, False])
def test_its_own_function_or_a_refusal(family: str, name: str, checked: bool) -> None:
    check(*altered(family, name), check=checked)


@pytest.mark.parametrize("name", [name for name in HIDDEN if name.startswith("weights")])
@pytest.mark.parametrize("checked", [True, False])
def test_weights_are_not_changed(name: str, checked: bool) -> None:
    module, refusal = altered("mobileone", name)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    check(module, refusal, check=checked)
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[key])


@pytest.mark.parametrize("name", ["silu", "relu", "output_stride 16", "hook on the result"])
def test_in_inference_form(name: str) -> None:
    module, refusal = altered("mobileone", name)
    fused = import_timm().utils.model.reparameterize_model(module)
    if name == "hook on the result":
        fused.register_forward_hook(lambda _module, _args, out: out.softmax(-1))
    check(fused, refusal)


@pytest.mark.parametrize("family", FAMILIES)
def test_tied_weights_load_as_a_dictionary(family: str) -> None:
    module, _ = altered(family, "tied kernels")
    check_same_function(mobileone.load(module.state_dict()), module)


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


@pytest.mark.parametrize("checked", [True, False])
def test_what_a_forward_keeps_is_put_back(checked: bool) -> None:
    """As grids and anchors are kept for the size of an image, and on its device."""
    module = small("mobileone")
    module.grid = None
    module.register_buffer("calls", torch.zeros(()))

    def keep(net: nn.Module, args: tuple[torch.Tensor]) -> None:
        net.grid = torch.arange(args[0].shape[-1], device=args[0].device)
        net.calls += 1
        net.register_buffer("late", torch.ones(1))

    module.register_forward_pre_hook(keep)
    mobileone.load(module, strict=False, check=checked)
    assert module.grid is None
    assert module.calls == 0
    assert not hasattr(module, "late")


def test_what_cannot_be_run_is_noted() -> None:
    module = small("mobileone")
    module.forward = lambda x, mask: x * mask  # type: ignore[assignment]
    with pytest.warns(UserWarning, match="taken as published: activation relu"):
        report = mobileone.load(module).report
    assert "not checked: its forward raised TypeError" in str(report)
    assert report.assumed["activation"] == "relu"


@pytest.mark.parametrize("checked", [True, False])
def test_inference_mode(checked: bool) -> None:
    with torch.inference_mode():
        made_inside = small("mobileone", act_layer="silu")
        assert mobileone.load(made_inside, check=checked).config["activation"] == "silu"
    outside = small("mobileone", act_layer="silu")
    for module in (made_inside, outside):
        with torch.inference_mode():
            model = mobileone.load(module, check=checked)
        assert not model.report.notes
        assert model.config["activation"] == "silu"
        assert mobileone.load(module, check=checked).config == model.config


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("checked", [True, False])
def test_parts_that_are_compiled(checked: bool, in_place: bool) -> None:
    """As regions that are compiled once for all that are alike."""
    module = small("mobileone")
    plain = mobileone.load(module)
    for i, stage in enumerate(module.stages):
        if in_place:
            stage.compile(backend="eager")
        else:
            module.stages[i] = torch.compile(stage, backend="eager")
    model = mobileone.load(module, check=checked)
    assert not model.report.notes
    np.testing.assert_array_equal(model(IMAGE), plain(IMAGE))
    np.testing.assert_array_equal(mobileone.load(module.state_dict())(IMAGE), plain(IMAGE))


def test_an_encoder_that_dilates_its_last_stage() -> None:
    """As encoders of DeepLabV3+ do with a network's own weights."""
    net = torch_mobileone.create("mobileone_mu0").float().eval()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for name, conv in net.named_modules():
        if name.startswith("stage4.") and isinstance(conv, nn.Conv2d):
            conv.stride, conv.dilation = (1, 1), (2, 2)
            conv.padding = (conv.kernel_size[0] // 2 * 2,) * 2
    check(net, None)
    model = mobileone.load(net.float())
    assert model.features(IMAGE)[-1].shape[2:] == (5, 6)
    same = mobileone.load(weights, config={"output_stride": 16})
    assert same.config == model.config
    assert same.config == mobileone.create_model("mobileone_mu0", output_stride=16).config
    np.testing.assert_array_equal(same(IMAGE), model(IMAGE))
    assert mobileone.verify(model, mobileone.reparameterize(model), input_size=64, samples=2)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_only_its_results_show() -> None:
    """A ScriptModule's calls cannot be read; its results can be compared."""
    module = small("mobileone")
    assert "cannot be read" in str(mobileone.load(torch.jit.trace(module, IMAGE)).report)
    near = small("mobileone")
    near.register_forward_hook(lambda _module, _args, out: out * 1.0001)
    for other in (small("mobileone", global_pool="max"), near):
        with pytest.raises(NotImplementedError, match=r"its linear differs by .* another function"):
            mobileone.load(torch.jit.trace(other, IMAGE))


def test_maps_that_vanish_are_noted() -> None:
    """As those of transformers' networks before training: small weights, norms of mean 0."""
    module = small("mobilevit")
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=1e-4)
        if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    assert "layer_4.1.fusion.block.act vanish" in str(mobileone.load(module).report)
    module.stages[1][0].register_forward_hook(lambda _module, _args, out: out * 1.01)
    with pytest.raises(NotImplementedError, match="mul"):
        mobileone.load(module)


def test_features_only_and_no_classifier() -> None:
    pooled = small("mobileone", num_classes=0)
    model = mobileone.load(pooled, num_classes=0)
    with torch.no_grad():
        exact = pooled.double()(IMAGE.double()).numpy()
    assert np.abs(model(IMAGE) - exact).max() <= rounding_bound(model, IMAGE.numpy()).logits
    with pytest.raises(NotImplementedError, match="its result is adaptive_max_pool2d"):
        mobileone.load(small("mobileone", num_classes=0, global_pool="max"), num_classes=0)


def exchanged(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    mean, variance = norm.running_mean, norm.running_var
    return F.batch_norm(x, mean, variance, norm.bias, norm.weight, False, 0.0, norm.eps)


@pytest.mark.parametrize("checked", [True, False])
def test_a_norm_with_its_weights_in_each_others_places(checked: bool) -> None:
    module = small("mobileone")
    norm = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    norm.forward = partial(exchanged, norm)  # type: ignore[method-assign]
    check(module, "batch_norm", check=checked)
