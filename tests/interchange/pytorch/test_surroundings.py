"""What is around a model in training: autocast, half precision, torch.compile, DDP; imports."""

from __future__ import annotations

import sys
from pathlib import Path

import mobileone.torch
import pytest
import torch
from conftest import Run
from torch import nn
from torch.nn import functional as F

from .blocks import Block, accelerated, assert_same, noise, randomized, small_mobileone, step

BLOCKS = {
    "pointwise": lambda: Block(6, 6, (1, 1), identity=True),
    "depthwise": lambda: Block(6, 6, (1, 3), groups=6, identity=True),
    "strided": lambda: Block(6, 6, (1, 3), groups=6, stride=2),
    "stem": lambda: Block(3, 8, (1, 3), stride=2),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_autocast(name: str) -> None:
    """bfloat16 convolution, float32 statistics, in the branches' precision.

    Outputs round W, b, x and y to 8 bits: some 8 u of the terms' magnitude. As large a share of the
    ReLUs may flip, which changes a gradient by the root of the share.
    """
    block = randomized(BLOCKS[name]())
    x = noise(4, 3 if name == "stem" else 6, 12, 9)
    expected = step(accelerated(block), x)
    largest = max(float(gradient.norm()) for gradient in expected.gradients.values())
    u = 2.0**-8
    for module in (block, accelerated(block)):
        module.float()
        with torch.autocast("cpu", torch.bfloat16):
            output = module(x.float())
        # An identity's float32 input makes the sum of the branches float32.
        assert output.dtype == (torch.float32 if block.identity else torch.bfloat16)
        (output.float() * noise(*output.shape, seed=2, mean=0).float()).sum().backward()
        assert {p.dtype for p in module.parameters()} == {torch.float32}
        error = (output.detach().double() - expected.output).norm() / expected.output.norm()
        assert float(error) <= 8 * u
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None
            difference = parameter.grad.double() - expected.gradients[key]
            assert float(difference.norm()) <= (8 * u) ** 0.5 * largest, key


@pytest.mark.parametrize("name", BLOCKS)
def test_half_precision_module(name: str) -> None:
    """Parameters of bfloat16: results in bfloat16, statistics summed in float32."""
    block = randomized(BLOCKS[name]()).bfloat16()
    x = noise(4, 3 if name == "stem" else 6, 12, 9)
    found = step(accelerated(block), x.bfloat16())
    expected = step(accelerated(block.double()), x.bfloat16().double())
    assert found.output.dtype == found.input_gradient.dtype == torch.bfloat16
    error = (found.output.double() - expected.output).norm() / expected.output.norm()
    assert float(error) <= 8 * 2.0**-8
    assert found.buffers["norms.0.running_var"].dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch about itself
@pytest.mark.parametrize("name", BLOCKS)
def test_compile(name: str) -> None:
    """One graph, forward and backward, for any number of images; what the compiler makes of it."""
    block = randomized(BLOCKS[name]())
    ours = accelerated(block)
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True, dynamic=True)
    for images in (2, 3):
        x = noise(images, 3 if name == "stem" else 6, 7, 10)
        found, expected = step(compiled, x), step(block, x)  # type: ignore[arg-type]
        torch.testing.assert_close(found.output, expected.output, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            found.input_gradient, expected.input_gradient, rtol=1e-9, atol=1e-9
        )
        for (key, wanted), value in zip(
            expected.gradients.items(), found.gradients.values(), strict=True
        ):
            torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-9, msg=key)
    for (key, wanted), value in zip(block.state_dict().items(), ours.state_dict().values()):  # noqa: B905
        torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12, msg=key)


def test_operators_are_what_the_compiler_is_told() -> None:
    """torch.library's own check: schema, shapes without data, tracing."""
    x = noise(2, 6, 5, 6)
    for groups, kernel, padding in ((6, 3, 1), (1, 1, 0)):
        taps = 6 // groups * kernel**2
        geometry = [6, 6, kernel, kernel, 1, 1, padding, padding, 1, 1, groups]
        mean, s = noise(groups, taps), noise(groups, taps, taps)
        tests = ("test_schema", "test_faketensor")
        torch.library.opcheck(
            torch.ops.mobileone.patch_moments, (x, geometry, torch.float64), test_utils=tests
        )
        for grad in (x, None):
            values = x, geometry, mean, grad, s, mean
            torch.library.opcheck(torch.ops.mobileone.patch_gradient, values, test_utils=tests)


def test_saved_for_backward_is_the_input_and_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one tensor per branch: of the size of a map, x (once) and y (of ReLU) are kept."""
    block = accelerated(Block(6, 6, (1, 3, 3, 3, 3), groups=6, identity=True))
    x = noise(2, 6, 24, 24).float().requires_grad_()
    kept: set[int] = set()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.numel() >= x.numel():
            kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = block(x)
    assert kept == {x.untyped_storage().data_ptr(), output.untyped_storage().data_ptr()}


DDP = """
import copy, os, sys, tempfile, warnings
sys.path.insert(0, sys.argv[1])
import torch, mobileone.torch
from torch import distributed, multiprocessing, nn
from torch_mobileone import Config, MobileOne

def run(rank, file):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.manual_seed(0)
    plain = MobileOne(Config(4, (4, 6), (1, 1), 2, num_classes=3)).double().train()
    ours = mobileone.torch.accelerate(copy.deepcopy(plain), train_path="moments")
    # Buffers are broadcast from rank 0 before each forward, as by default.
    pair = [nn.parallel.DistributedDataParallel(module) for module in (plain, ours)]
    generator = torch.Generator().manual_seed(rank)
    for _ in range(2):
        x = torch.randn(3, 3, 40, 32, generator=generator, dtype=torch.float64)
        for module in pair:
            module.zero_grad()
            module(x).square().sum().backward()
        for (name, p), q in zip(plain.named_parameters(), ours.parameters()):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-8, atol=1e-8, msg=name)
        for (name, p), q in zip(plain.named_buffers(), ours.buffers()):
            torch.testing.assert_close(q, p, rtol=1e-9, atol=1e-9, msg=name)
    distributed.destroy_process_group()

with tempfile.TemporaryDirectory() as folder:
    multiprocessing.start_processes(run, (folder + "/store",), nprocs=2, start_method="fork")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch without distributed")
def test_distributed_data_parallel(python: Run) -> None:
    """Two replicas: each its own statistics, gradients averaged, as with the branches."""
    tests = Path(__file__).parents[2]
    python(DDP.replace("sys.argv[1]", repr(str(tests))), OMP_NUM_THREADS="1")


def test_public_name_imports_torch_only_when_asked(python: Run) -> None:
    python("""
import sys, mobileone
assert "torch" not in sys.modules
import mobileone.torch
assert "torch" in sys.modules
assert mobileone.torch.accelerate is sys.modules["mobileone.torch"].accelerate
from mobileone import torch
from mobileone.torch import accelerate
assert torch is mobileone.torch and accelerate is torch.accelerate
""")
    assert mobileone.torch is sys.modules["mobileone.interchange.torch"]


def test_training_moves_what_it_should() -> None:
    """Weights, gammas, betas and running statistics of every branch move in a step."""
    network = accelerated(randomized(small_mobileone()), "auto")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    F.cross_entropy(network(noise(4, 3, 64, 64)), torch.arange(4)).backward()
    optimizer.step()
    for key, value in network.state_dict().items():
        assert not torch.equal(value, before[key]), key
    assert isinstance(network, nn.Module)
    assert_same(step(network.eval(), noise(1, 3, 32, 32)), step(network, noise(1, 3, 32, 32)), 0)
