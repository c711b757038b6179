"""Networks whose files look like MobileViT's but compute something else. Refused."""

from __future__ import annotations

_SEPARABLE = "its attention is separable, and its blocks have no fusion"

# A key that only this network has, what it is, and how it differs from MobileViT.
LOOK_ALIKES = (
    (
        r"stages\.\d+\.\d+\.transformer\.\d+\.attn\.qkv_proj\.\w+",
        "a MobileViTv2 of timm",
        _SEPARABLE,
    ),
    (
        r"layer_\d+\.\d+\.global_rep\.\d+\.pre_norm_attn\..+",
        "a MobileViTv2 of CVNets",
        _SEPARABLE,
    ),
    (r"mobilevitv2\..+", "a MobileViTv2 of transformers", _SEPARABLE),
)
