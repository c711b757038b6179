#!/usr/bin/env bash
# PyTorch keeps `z.conj()` and `z.conj().imag` lazily: the same bytes and one bit that says "conjugate"
# or "negate". safetensors.torch.save_file writes those bytes and cannot write the bit, so the file holds
# other numbers than the tensor, with no error (it does refuse tensors that are not contiguous, whose
# bytes would be wrong in another way). torch.save stores the bit and gives the right values back.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 safetensors==0.8.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - "$dir" <<'PY'
import sys

import safetensors
import torch
from safetensors.torch import load_file, save_file

print("torch", torch.__version__, "/ safetensors", safetensors.__version__)
z = torch.tensor([[1 + 2j]])
cases = {
    "z.conj()": (z.conj(), z),  # what the file holds instead
    "z.conj().imag": (z.conj().imag, z.imag),
}
for name, (tensor, other) in cases.items():
    assert tensor.is_contiguous() and (tensor.is_conj() or tensor.is_neg())
    save_file({"t": tensor}, f"{sys.argv[1]}/t.safetensors")
    torch.save({"t": tensor}, f"{sys.argv[1]}/t.pt")
    a = load_file(f"{sys.argv[1]}/t.safetensors")["t"]
    b = torch.load(f"{sys.argv[1]}/t.pt", weights_only=True)["t"]
    print(f"{name:14} is {tensor.tolist()}   safetensors gives {a.tolist()}   torch.load gives {b.tolist()}")
    assert torch.equal(b, tensor), "torch.save no longer keeps the bit"
    assert torch.equal(a, other) and not torch.equal(a, tensor), "safetensors keeps the values now"
    resolved = tensor.resolve_conj().resolve_neg()
    save_file({"t": resolved}, f"{sys.argv[1]}/t.safetensors")
    assert torch.equal(load_file(f"{sys.argv[1]}/t.safetensors")["t"], tensor)  # the way round it
PY
echo "as recorded: safetensors 0.8.0 writes the bytes of a lazily conjugated or negated tensor as they lie"
