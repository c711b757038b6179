"""Prediction: the most probable classes of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mobileone.tasks.classification.predict import check_topk, predictions

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = ["predict"]


def predict(
    bundle: Bundle, logits_of: Callable[[Any], Any], image: Any, topk: int
) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
    """See `mobileone.Model.predict`, whose caller warnings name; `logits_of` runs the network."""
    check_topk(topk)
    if bundle.task != "classification":
        verbs = {"segmentation": "see Model.segment", "detection": "see Model.detect"}
        instead = verbs.get(bundle.task, "model(x) gives what it makes")
        raise ValueError(f"predict: {bundle.name} is {bundle.purpose}; {instead}")
    if not bundle.num_classes:
        raise ValueError(
            f"predict: {bundle.name} has no classifier (num_classes=0); model(x) gives pooled "
            "features"
        )
    bundle.warn_if_untrained("predict", stacklevel=4)
    logits = logits_of(bundle.preprocess(image, stacklevel=6))
    return predictions(image, logits, topk, bundle.class_names)
