"""Whole networks: the same training, the same keys, and everything that is done to a module."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import replace
from typing import Any

import mobileone
import mobileone.torch
import pytest
import torch
from checkpoint.timm_models import import_timm
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch_mobileone import Block as MobileOneBlock
from torch_mobileone import fused

from .blocks import Block, accelerated, assert_same, noise, randomized, small_mobileone, step


def timm_network(name: str = "mobileone_s0", depth: int = 2) -> nn.Module:
    """timm's own blocks, of all kinds, about an eighth as wide (it rounds widths to eights)."""
    byobnet = import_timm().models.byobnet
    config = byobnet.model_cfgs[name]
    blocks = []
    before = stem = 8
    for group in config.blocks:
        blocks.append([])
        for block in (group if isinstance(group, list) else [group])[-2 * depth :]:
            # gs=1 is depthwise: as many channels out as in.
            width = before if block.gs == 1 else max(8, int(block.c) // 64 * 8)
            blocks[-1].append(replace(block, d=min(block.d, depth), c=width))
            before = width
    config = replace(config, blocks=tuple(blocks), stem_chs=stem)
    return byobnet.ByobNet(config, num_classes=5)


NETWORKS = {
    "authors' blocks": small_mobileone,
    "timm MobileOne": timm_network,
    "timm MobileOne with SE": lambda: timm_network("mobileone_s4"),
    "timm RepVGG": lambda: timm_network("repvgg_a0"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_curve(name: str) -> None:
    """Fifteen steps of SGD with momentum in float64, then evaluation: the same numbers to 1e-9."""
    network = randomized(NETWORKS[name]())
    ours = accelerated(network, "auto")
    assert list(ours.state_dict()) == list(network.state_dict())
    curves: list[list[float]] = []
    for module in (network, ours):
        # At 0.01 squeeze-and-excites amplify roundings to 2e-9 for some weights.
        optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
        curves.append([])
        for index in range(15):
            x, labels = noise(6, 3, 65, 72, seed=index), torch.arange(6) % 5
            loss = F.cross_entropy(module(x), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curves[-1].append(loss.item())
        curves[-1].append(module.eval()(noise(2, 3, 32, 32)).abs().sum().item())
    assert curves[1] == pytest.approx(curves[0], rel=1e-9)
    for (key, value), wanted in zip(
        ours.state_dict().items(), network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(value, wanted, rtol=1e-7, atol=1e-9, msg=key)


def test_every_block_is_found() -> None:
    def count(module: nn.Module, kind: type) -> int:
        return sum(isinstance(part, kind) for part in module.modules())

    network = small_mobileone()
    blocks = count(network, MobileOneBlock)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    assert mobileone.torch.accelerate(network) is network
    changed = [part for part in network.modules() if hasattr(part, "merged_branches")]
    assert len(changed) == blocks == count(network, MobileOneBlock)
    assert {id(p) for p in network.parameters()} == {
        id(p) for group in optimizer.param_groups for p in group["params"]
    }
    mobileone.torch.accelerate(network, train_path="branches")  # again: only the path changes
    assert [part for part in network.modules() if hasattr(part, "merged_branches")] == changed
    assert "branches as one convolution: branches" in repr(network)


def test_copies_and_pickles() -> None:
    """They are on the same path, share nothing, and train alike."""
    network = accelerated(randomized(small_mobileone()))
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    copies = [
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
        torch.load(file, weights_only=False),
    ]
    x = noise(2, 3, 32, 32)
    expected = step(network, x)
    for other in copies:
        assert str(other) == str(network)
        assert_same(step(other, x), expected, 0)


def test_state_loads_both_ways() -> None:
    plain, ours = randomized(small_mobileone(), 1), accelerated(randomized(small_mobileone(), 2))
    x = noise(2, 3, 32, 32)
    ours.load_state_dict(plain.state_dict())
    assert_same(step(ours, x), step(plain, x), 1e-9)
    step(ours, x)
    plain.load_state_dict(ours.state_dict())
    assert_same(step(plain, x), step(ours, x), 1e-9)


def test_fuses_after_training() -> None:
    """By the network's own method, timm's, and ours: the function that it had in eval mode."""
    network = accelerated(randomized(small_mobileone()))
    step(network, noise(4, 3, 32, 32))
    x = noise(2, 3, 32, 32)
    expected = network.eval()(x).detach()
    torch.testing.assert_close(fused(network)(x), expected, rtol=1e-9, atol=1e-9)  # type: ignore[arg-type]

    model = mobileone.load(network.float())
    assert "train-time form" in repr(model)
    logits = mobileone.reparameterize(model)(x.float().numpy())
    torch.testing.assert_close(torch.from_numpy(logits).double(), expected, rtol=1e-3, atol=1e-3)


def test_fuses_by_timm_after_training() -> None:
    network = accelerated(randomized(timm_network()))
    step(network, noise(4, 3, 32, 32))
    x = noise(2, 3, 32, 32)
    expected = network.eval()(x).detach()
    for part in list(network.modules()):
        if hasattr(part, "reparameterize"):
            part.reparameterize()
    network.double()
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9)


def test_hooks() -> None:
    """On what no longer runs: refused by name. Added later: the branches run, with the hook."""
    network = randomized(small_mobileone())
    handle = network.stage1[0].rbr_conv[1].bn.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"stage1\.0\.rbr_conv\.1\.bn has a hook"):
        mobileone.torch.accelerate(network)
    handle.remove()
    handle = network.stage1[0].rbr_scale.register_full_backward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"stage1\.0\.rbr_scale has a hook"):
        mobileone.torch.accelerate(network)
    handle.remove()

    ours = accelerated(network)
    seen: list[Any] = []
    ours.stage1[0].rbr_conv[1].bn.register_forward_hook(lambda *_: seen.append(1))
    ours.stage1[1].register_forward_hook(lambda *_: seen.append(2))
    x = noise(2, 3, 32, 32)
    assert_same(step(ours, x), step(network, x), 1e-9)
    assert seen == [1, 2]


def test_what_is_not_a_train_time_network() -> None:
    with pytest.raises(ValueError, match="Sequential has no train-time block"):
        mobileone.torch.accelerate(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    with pytest.raises(ValueError, match="MobileOne has no train-time block"):
        mobileone.torch.accelerate(fused(small_mobileone()))
    with pytest.raises(ValueError, match=r"stage0\.rbr_scale\.bn is a SyncBatchNorm"):
        mobileone.torch.accelerate(nn.SyncBatchNorm.convert_sync_batchnorm(small_mobileone()))
    with pytest.raises(TypeError, match=r"model is str; expected a torch\.nn\.Module"):
        mobileone.torch.accelerate("mobileone_s0")


def test_terms_that_are_no_branches_stay() -> None:
    """An average pool, another input, a scaled term, dropped paths: added as before."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.third = nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.norms[2](self.third(x)) + self.norms[1](self.second(x))
            total = 2 * inner + self.norms[0](self.first(x.relu()))
            total += F.avg_pool2d(x, 3, 1, 1)
            total += self.norms[3](self.norms[4](x))
            return total.relu()

    block = randomized(Odd())
    x = noise(2, 4, 6, 5)
    ours = accelerated(block)
    assert len(ours.__dict__["_mobileone_branch_sum"].branches) == 2
    assert_same(step(ours, x), step(block, x), 1e-10)


def test_a_forward_that_depends_on_the_mode_is_left_alone() -> None:
    class Moody(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if self.training else super().forward(2 * x)

    with pytest.raises(ValueError, match="no train-time block"):
        mobileone.torch.accelerate(Moody(4, 4, (1, 1)))


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(reentrant: bool) -> None:
    """Recomputed blocks; running statistics move twice, as PyTorch's own do."""
    block = randomized(Block(6, 6, (1, 3, 3), groups=6, identity=True))
    x = noise(2, 6, 7, 5)

    class Checkpointed(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checkpoint(self.inner, x, use_reentrant=reentrant)

    assert_same(step(Checkpointed(accelerated(block)), x), step(Checkpointed(block), x), 1e-10)


def test_second_derivatives_are_refused() -> None:
    x = noise(2, 6, 5, 5).requires_grad_()
    output = accelerated(randomized(Block(6, 6, (1, 1), identity=True)))(x)
    (gradient,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
