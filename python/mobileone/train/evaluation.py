"""How good a network is on data that it has not learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mobileone.data.datasets.samples import check_labels
from mobileone.network.session import Session
from mobileone.tasks.classification.metrics import log_softmax

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle
    from mobileone.train.sources import Source

__all__ = ["evaluate"]


def evaluate(bundle: Bundle, source: Source) -> tuple[float, float]:
    """Mean cross entropy, and the share of images whose most probable class is the right one.

    In eval mode and inference form, which is the same function and faster. Of labels that are
    probabilities the largest one counts as right.

    Raises:
        ValueError: no images, or labels that do not fit.
    """
    session = Session(bundle.reparameterized())
    loss, right, count = 0.0, 0, 0
    for x, targets in source.batches(0, bundle.input_size, 0.0):
        images = session.images(x)
        labels = check_labels(targets, len(images))
        logits = session.evaluated(images)
        log_p = log_softmax(logits)
        if labels.ndim == 1:
            if labels.size and labels.max() >= bundle.num_classes:
                raise ValueError(
                    f"validation has label {labels.max()}; expected class indices below "
                    f"{bundle.num_classes}"
                )
            loss -= float(log_p[np.arange(len(labels)), labels].sum())
        elif labels.shape != logits.shape:
            raise ValueError(
                f"validation has labels of shape {labels.shape}; expected probabilities of "
                f"{bundle.num_classes} classes"
            )
        else:
            loss -= float((log_p * labels).sum())
            labels = labels.argmax(1)
        right += int((logits.argmax(1) == labels).sum())
        count += len(images)
    if not count:
        raise ValueError("validation gave no images; expected some")
    return loss / count, right / count
