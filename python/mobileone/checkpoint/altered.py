"""Weights that were rewritten for pruning, quantization or a parametrization, by their keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping


def plain_name(key: str) -> str:
    """What a key of a rewritten weight was before, e.g. "conv.weight" of "conv.weight_orig"."""
    return re.sub(
        r"(_orig|_mask|_g|_u|_v|\.original\d*)$", "", key.replace(".parametrizations.", ".")
    )


def altered_weights(keys: Collection[str], skipped: Mapping[str, str]) -> str:
    """What was done to the weights and how to undo it, in words; "" where nothing shows.

    Args:
        keys: of the tensors.
        skipped: what else is beside them, by key; see `wrappers.Selection`.
    """
    held = set(keys)
    masked = next((k for k in keys if k.endswith("_orig") and f"{k[:-5]}_mask" in held), None)
    if masked is not None:
        name = masked.rpartition(".")[2][:-5]
        return (
            f"pruned weights ({masked} times its mask): make them plain with "
            f"torch.nn.utils.prune.remove(module, {name!r}), and save again"
        )
    if any(k.endswith("_orig") and f"{k[:-5]}_u" in held for k in keys):
        return (
            "spectrally normalised weights (weight_orig, weight_u): make them plain with "
            "torch.nn.utils.remove_spectral_norm(module), and save again"
        )
    if any(".base_layer." in key or ".lora_A." in key for key in keys):
        return "weights with adapters (LoRA) beside them: merge_and_unload() makes them plain"
    quantized = any("_packed_params" in key for key in (*keys, *skipped)) or any(
        "_rebuild_qtensor" in kind for kind in skipped.values()
    )
    if quantized:
        return "quantized weights: expected those of the floating-point network before quantization"
    if any(".parametrizations." in f".{key}" for key in keys):
        return (
            "parametrized weights: make them plain with "
            "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight'), and save again"
        )
    if any(k.endswith("weight_g") and f"{k[:-1]}v" in held for k in keys):
        return (
            "weight-normalised weights (weight_g, weight_v): make them plain with "
            "torch.nn.utils.remove_weight_norm(module), and save again"
        )
    return ""
