"""timm's networks by ONNX, of both of PyTorch's exporters, and by torch.export, against PyTorch in
float64.

    python -m checkpoint.graphs.networks            # from tests/: every one, by every route
    python -m checkpoint.graphs.networks repvit     # those whose names begin so

Weights are seeded, norms' statistics far from 0 and 1. What is printed is the largest difference
to PyTorch as a share of the bound on the difference of two float32 networks of these weights.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import mobileone
import numpy as np
import torch
from mobileone.verification.rounding import difference_bounds

from checkpoint.timm_models import seeded

# Name -> image size: small where the network takes any.
NETWORKS = {
    "convit_tiny": 224,
    "convnext_atto": 64,
    "convnextv2_atto": 64,
    "cs3darknet_s": 64,
    "darknet17": 64,
    "deit_tiny_patch16_224": 224,
    "densenet121": 64,
    "dla46_c": 64,
    "edgenext_xx_small": 64,
    "efficientformer_l1": 224,
    "efficientformerv2_s0": 224,
    "efficientnet_b0": 64,
    "efficientnet_lite0": 64,
    "efficientvit_b0": 64,
    "efficientvit_m0": 224,
    "ese_vovnet19b_slim_dw": 64,
    "fastvit_mci0": 256,
    "fastvit_t8": 64,
    "fbnetc_100": 64,
    "ghostnet_050": 64,
    "ghostnetv3_050": 64,
    "hardcorenas_a": 64,
    "hgnetv2_b0": 64,
    "inception_next_atto": 64,
    "lcnet_050": 64,
    "levit_128s": 224,
    "mixnet_s": 64,
    "mobilenet_edgetpu_v2_xs": 64,
    "mobilenetv1_100": 64,
    "mobilenetv2_100": 64,
    "mobilenetv3_large_100": 64,
    "mobilenetv3_small_100": 64,
    "mobilenetv4_conv_small": 64,
    "mobileone_s0": 64,
    "mobilevit_xxs": 256,
    "mobilevitv2_050": 256,
    "pit_ti_224": 224,
    "poolformer_s12": 64,
    "regnetx_002": 64,
    "repghostnet_050": 64,
    "repvgg_a0": 64,
    "repvit_m0_9": 64,
    "resnet18": 64,
    "rexnet_100": 64,
    "semnasnet_075": 64,
    "shvit_s1": 224,
    "skresnet18": 64,
    "spnasnet_100": 64,
    "starnet_s1": 64,
    "swiftformer_xs": 224,
    "tiny_vit_5m_224": 224,
    "tinynet_e": 64,
    "vit_tiny_patch16_224": 224,
    "xcit_nano_12_p16_224": 224,
}


def by_onnx(module: torch.nn.Module, x: torch.Tensor, folder: Path) -> mobileone.Model:
    """Loaded from the file that PyTorch writes."""
    path = folder / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, dynamo=False, input_names=["images"])
    return mobileone.load(path)


def by_export(module: torch.nn.Module, x: torch.Tensor, folder: Path) -> mobileone.Model:
    """Loaded from PyTorch's program."""
    return mobileone.load(torch.export.export(module, (x,)))


def by_dynamo(module: torch.nn.Module, x: torch.Tensor, folder: Path) -> mobileone.Model:
    """Loaded from the file that PyTorch's newer exporter writes, weights in a second one."""
    path = folder / "dynamo.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, input_names=["images"], verbose=False)
    assert path.with_name("dynamo.onnx.data").exists()
    return mobileone.load(path)


ROUTES = {"onnx": by_onnx, "export": by_export, "dynamo": by_dynamo}


def ratio(model: mobileone.Model, module: torch.nn.Module, x: np.ndarray) -> float:
    """The largest difference to PyTorch, as a share of its bound."""
    with torch.no_grad():
        # A module in float64 of the same weights, whatever the exporter did to this one.
        truth = module.double()(torch.from_numpy(x).double()).numpy()
        module.float()
    bound = difference_bounds(model.bundle, model.bundle, x, samples=2, seed=0)[-1]
    found = model(x)
    assert found.shape == truth.shape
    assert np.abs(truth).max() > 0
    return float(np.abs(found - truth).max() / bound)


def main(names: list[str]) -> None:
    """Print a line for each."""
    torch.set_num_threads(1)
    failed = []
    for name, size in NETWORKS.items():
        if names and not any(name.startswith(asked) for asked in names):
            continue
        module = seeded(name, 0)
        x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
        for route, load in ROUTES.items():
            begun = time.monotonic()
            try:
                with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                    model = load(module, x, Path(folder))
                ratios = [ratio(form, module, x.numpy()) for form in forms(model)]
            except Exception as error:  # the others are run all the same
                failed.append(f"{name} by {route}: {type(error).__name__}: {error}")
                print(failed[-1], flush=True)
                continue
            text = " ".join(f"{value:.2f}" for value in ratios)
            seconds = time.monotonic() - begun
            print(
                f"{name:26} {route:6} {size:4} |error| / bound {text} {seconds:5.0f} s", flush=True
            )
            if max(ratios) > 1:
                failed.append(f"{name} by {route}: {text}")
    if failed:
        sys.exit("\n".join(["failed:", *failed]))


def forms(model: mobileone.Model) -> list[mobileone.Model]:
    """As loaded, and re-parameterized."""
    return [model, mobileone.reparameterize(model)]


if __name__ == "__main__":
    main(sys.argv[1:])
