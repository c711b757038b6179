#!/usr/bin/env bash
# A fresh adapter is the identity: PEFT's model computes what the network did before. Not so for convolutions.
# OFT cuts the input into overlapping patches, turns each, here by nothing, and adds them up again, with the axes of
# the patches and of their positions swapped: the picture comes back scrambled, and would be nine times itself if
# they were not. Training starts from another network, and merge_and_unload, which turns the weights, gives a third
# one. Only a kernel as large as the picture or 1 x 1 is right. A convolution's padding_mode is lost, too: HRA and
# BOFT, fresh, pad with zeros where the layer reflects; LoRA, LoHa and LoKr do it in what they add, and merging makes
# it reflect, which changes the border that was trained. Nothing is said in any of the cases.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 \
  psutil==7.2.2
"$dir/venv/bin/pip" install -q --no-compile --no-deps peft==0.21.2
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import peft
import torch
from torch import nn

print("peft", peft.__version__, "/ torch", torch.__version__)
torch.set_default_dtype(torch.float64)
ADAPTERS = {  # how to make one, fresh or with random numbers in place of training
    "LoRA": lambda fresh: peft.LoraConfig(target_modules=["0"], init_lora_weights=fresh),
    "LoHa": lambda fresh: peft.LoHaConfig(target_modules=["0"], init_weights=fresh),
    "LoKr": lambda fresh: peft.LoKrConfig(target_modules=["0"], init_weights=fresh),
    "HRA": lambda fresh: peft.HRAConfig(target_modules=["0"], init_weights=fresh),
    "BOFT": lambda fresh: peft.BOFTConfig(target_modules=["0"], boft_block_size=4, init_weights=fresh),
    "OFT": lambda fresh: peft.OFTConfig(target_modules=["0"], oft_block_size=4, init_weights=fresh),
}
x = torch.randn(2, 8, 16, 16, generator=torch.manual_seed(0))


def measure(name, **options):
    """How far a fresh adapter is from the network, a trained one from its merged network; largest output = 1."""
    differences = []
    for fresh in (True, False):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(8, 16, **options)).eval()
        before = net(x).detach()
        model = peft.get_peft_model(net, ADAPTERS[name](fresh)).double().eval()
        adapted = model(x).detach()
        expected = before if fresh else model.merge_and_unload()(x).detach()
        differences.append((adapted - expected).abs() / before.abs().max())
        if fresh and name == "OFT" and options["kernel_size"] == 3:
            patches = nn.functional.unfold(x, 3)
            ninefold = nn.functional.fold(patches, x.shape[2:], 3)
            assert torch.allclose(ninefold[..., 2:-2, 2:-2], 9 * x[..., 2:-2, 2:-2])
            swapped = patches.reshape(2, 8, 3, 3, 14, 14).permute(0, 1, 4, 5, 2, 3).reshape(patches.shape)
            scrambled = nn.functional.fold(swapped, x.shape[2:], 3)
            expected = net[0].base_layer(scrambled).detach()
            assert torch.allclose(adapted, expected), "OFT's fold is another one now"
            expected = before
    return differences


CASES = {
    "1 x 1": (dict(kernel_size=1), set(), set()),
    "3 x 3": (dict(kernel_size=3, padding=1), {"OFT"}, {"OFT"}),
    "3 x 3, reflect": (dict(kernel_size=3, padding=1, padding_mode="reflect"), {"OFT", "HRA", "BOFT"}, set(ADAPTERS)),
}
for title, (options, wrong_fresh, wrong_merged) in CASES.items():
    for name in ADAPTERS:
        fresh, merged = measure(name, **options)
        print(f"{title:14}  {name:4}  fresh off by {fresh.max():.0e}, merged off by {merged.max():.0e}")
        assert (fresh.max() > 0.1) == (name in wrong_fresh), "a fresh adapter is another one now"
        assert (merged.max() > 1e-3) == (name in wrong_merged), "merging is another one now"
        if name != "OFT":
            assert max(fresh[..., 1:-1, 1:-1].max(), merged[..., 1:-1, 1:-1].max()) < 1e-10  # only the border
PY
echo "as recorded: PEFT's fresh OFT, HRA and BOFT change a convolution, merging LoRA, LoHa, LoKr and OFT another time"
