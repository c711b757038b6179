"""Recipe: everything that decides how a network is trained, except network and data."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.train.curriculum import Curriculum
from mobileone.util.checks import at_least

__all__ = ["OPTIMIZERS", "Recipe"]

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. The defaults are MobileOne's (sections 3.4 and 4, supplement C.1), except for
    the curriculum and AutoAugment, which depend on the variant: see `mobileone`.

    Attributes:
        epochs: passes over the data.
        batch_size: images per batch, where the trainer makes the batches.
        accumulation: batches per update; their gradients are averaged over all their images.
        optimizer: "sgd" or "adamw".
        learning_rate: the highest one; after the warm-up it falls to `final_learning_rate` by a
            cosine that ends with the last epoch.
        warmup_epochs: in which it grows linearly from `warmup_learning_rate`; may be a fraction.
        momentum, nesterov: of SGD.
        betas, epsilon: of AdamW.
        weight_decay: falls to `final_weight_decay` by the same cosine, without warm-up. Added to
            gradients by SGD, decoupled from them in AdamW.
        decay_norms_and_biases: whether tensors of one axis decay too.
        frozen: shell patterns of the names of parameters that stay as they are, as "stage0.*".
        clip_norm: what the norm of all gradients together is scaled down to where it is larger.
        label_smoothing: share of a label that is spread over all classes; not where teachers or
            data give probabilities.
        ema_decay: of the averaged weights, statistics included, per update: of update t it is
            min(ema_decay, t / (t + 9)) with `ema_warmup`, without which a training of few updates
            ends with the weights that it began with. None: no averaged weights.
        augmentation: of images that come as pixels; None: resized and cropped as in evaluation.
        curriculum: sizes and strengths by epoch; None: the model's `input_size`, strength 1.
        seed: of order, augmentation and dropout.

    Raises:
        ValueError: a value out of range.
    """

    epochs: int = 300
    batch_size: int = 256
    accumulation: int = 1
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    final_learning_rate: float = 0.0
    warmup_epochs: float = 0.0
    warmup_learning_rate: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 1e-4
    final_weight_decay: float = 1e-5
    decay_norms_and_biases: bool = False
    frozen: tuple[str, ...] = ()
    clip_norm: float | None = None
    label_smoothing: float = 0.1
    ema_decay: float | None = 0.9995
    ema_warmup: bool = True
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    curriculum: Curriculum | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulation", 1), ("seed", 0)):
            at_least(name, getattr(self, name), least)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; expected one of {OPTIMIZERS}")
        for name, kind in (("augmentation", Augmentation), ("curriculum", Curriculum)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ValueError(
                    f"{name} is {value!r}; expected a mobileone {kind.__name__}, or None"
                )
        several = isinstance(self.frozen, list | tuple | set | frozenset)
        if not several or not all(isinstance(p, str) for p in self.frozen):
            raise ValueError(f"frozen is {self.frozen!r}; expected patterns of parameters' names")
        object.__setattr__(self, "frozen", tuple(self.frozen))
        for name in _AT_LEAST_0:
            _check(name, getattr(self, name), 0.0, math.inf)
        _check("warmup_epochs", self.warmup_epochs, 0.0, self.epochs)
        for name in ("momentum", "label_smoothing"):
            _check(name, getattr(self, name), 0.0, 1.0, below=True)
        if not isinstance(self.betas, list | tuple) or len(self.betas) != 2:
            raise ValueError(f"betas is {self.betas!r}; expected two numbers")
        object.__setattr__(self, "betas", tuple(self.betas))
        for beta in self.betas:
            _check("betas", beta, 0.0, 1.0, below=True)
        if self.ema_decay is not None:
            _check("ema_decay", self.ema_decay, 0.0, 1.0, below=True)
        if self.clip_norm is not None:
            _check("clip_norm", self.clip_norm, 0.0, math.inf)
            if not self.clip_norm:
                raise ValueError("clip_norm is 0; expected a positive number or None")

    @classmethod
    def mobileone(cls, arch: str = "mobileone_s0", **changes: Any) -> Recipe:
        """The paper's for a variant: with its curriculum, and with AutoAugment from S2 on."""
        large = arch in {f"mobileone_s{i}" for i in (2, 3, 4)}
        own = {
            "augmentation": Augmentation(auto_augment=large),
            "curriculum": Curriculum.progressive(),
        }
        return cls(**{**own, **changes})

    @classmethod
    def mobilevit(cls, **changes: Any) -> Recipe:
        """MobileViT's (Mehta and Rastegari, ICLR 2022, section 4.1): AdamW, batches of 1024; its
        warm-up of 3000 updates is 2.4 epochs of ImageNet. Multi-scale batches come from
        `mobileone.MultiScaleSampler`.
        """
        own: dict[str, Any] = {
            "batch_size": 1024, "optimizer": "adamw", "learning_rate": 0.002,
            "final_learning_rate": 0.0002, "warmup_epochs": 2.4, "warmup_learning_rate": 0.0002,
            "weight_decay": 0.01, "final_weight_decay": 0.01,
        }  # fmt: skip
        return cls(**{**own, **changes})

    def to_json(self) -> str:
        """A JSON object with the attributes; equal for equal recipes."""
        return json.dumps(dataclasses.asdict(self))


_AT_LEAST_0 = (
    "learning_rate", "final_learning_rate", "warmup_learning_rate", "weight_decay",
    "final_weight_decay", "epsilon",
)  # fmt: skip


def _check(name: str, value: Any, low: float, high: float, *, below: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or not math.isfinite(value):
        expected = "a number of at least 0" if high == math.inf else f"a number from 0 to {high:g}"
        raise ValueError(f"{name} is {value!r}; expected {expected}")
    if below and value == high:
        raise ValueError(f"{name} is {value!r}; expected a number below {high:g}")
