"""evaluate: how good a model is on pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from mobileone.checkpoint.open import open_bundle
from mobileone.evaluation.classification import evaluate_classifier
from mobileone.util.checks import at_least
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig
    from mobileone.evaluation.result import Evaluation
    from mobileone.evaluation.task_results import DetectionEvaluation, SegmentationEvaluation
    from mobileone.network.bundle import Bundle

__all__ = ["evaluate"]

_TASKS = {"coco": "detection", "miou": "segmentation"}


@overload
def evaluate(
    model: Any,
    data: Any,
    *,
    metrics: Literal["classification"] = ...,
    against: Any = None,
    labels: Any = None,
    preset: str | None = None,
    columns: Sequence[int] | None = None,
    data_config: DataConfig | None = None,
    upright: bool = False,
    scaled_decoding: bool = False,
    on_error: str = "skip",
    batch_size: int = 32,
    workers: int | None = None,
    threads: int | None = None,
    ray: bool | str = False,
    results: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Evaluation: ...
@overload
def evaluate(
    model: Any,
    data: Any,
    *,
    metrics: Literal["coco"],
    on_error: str = "skip",
    batch_size: int = 32,
    workers: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> DetectionEvaluation: ...
@overload
def evaluate(
    model: Any,
    data: Any,
    *,
    metrics: Literal["miou"],
    on_error: str = "skip",
    workers: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> SegmentationEvaluation: ...
def evaluate(
    model: Any, data: Any, *, metrics: str = "classification", **how: Any
) -> Evaluation | DetectionEvaluation | SegmentationEvaluation:
    """How good a model is on labelled pictures; docs/evaluation.md, docs/tasks.md.

    Pictures are resized, cropped and normalised as the model's data config says, to the pixels that
    timm's validate script computes. A model runs in the form it has: `mobileone.reparameterize` it
    first, which is the same function and faster.

    Args:
        model: a Model, anything that `mobileone.load` takes, a compiled model, a session of ONNX
            Runtime, an .onnx file, which ONNX Runtime runs, or a function from float32 images
            [N, C, H, W] to logits [N, K].
        data: a folder with one folder per class, named by ImageNet's synsets, by class indices, or
            in the order of the model's classes; a folder of pictures, with `labels`; (images,
            labels); an iterable of (image, label), (key, image, label) or batches; "digits". For
            "coco" two paths, (annotations, folder), COCO's folder, or (images, objects) as
            `Trainer.fit` takes them; for "miou" VOC's folder, ADE20k's, or two paths, (pictures,
            label maps).
        metrics: "classification"; "coco", a detector's mean average precision, by faster-coco-eval;
            "miou", a segmenter's mean intersection over union. The latter two take of the rest
            `batch_size` (of detectors), `workers` (threads then), `threads`, `on_error` and
            `progress`.
        against: a second model, which sees the same pictures in the same pass.
        labels: of a folder's pictures by name, as a mapping or a file (`label_files.read_labels`);
            of arrays, class indices.
        preset: "imagenet-1k", "imagenet-real", "imagenet-v2", "imagenet-sketch", "imagenet-a",
            "imagenet-r", "imagenet-c": what is special about these is done, and what is missing of
            them told.
        columns: the classes that count: the other logits are left out before anything is computed.
        data_config: instead of the models' own.
        upright: whether pictures are turned as their EXIF data say. Published figures are of
            pictures that are not.
        scaled_decoding: whether JPEG files are decoded at 1/2, 1/4 or 1/8 of their size where that
            is enough: faster, and other pixels.
        on_error: "skip" counts and names pictures that cannot be read; "raise" ends.
        batch_size: pictures that a network computes at a time.
        workers: processes that decode files; None: as many as `threads`, none for a few pictures;
            0: everything in this thread.
        threads: that run networks; None: `mobileone.show_config()` says how many and why.
        ray: an address for `ray.init`, or True for a cluster of this process's own (or the one that
            it is connected to, or that RAY_ADDRESS names): a worker per CPU of it decodes and runs
            the networks; `workers` says how many instead. Files must be there by the same paths.
        results: a folder for the results of every shard: an evaluation that was ended goes on from
            there, and memory holds one shard's at a time.
        progress: whether a line on stderr says how far it is; None: in terminals.

    Raises:
        ValueError: labels that are no classes of the model, a model without a classifier, data
            without pictures, a bad argument.
        TypeError: no model, or no data; an argument that is not for these metrics.
        ImageError: a picture that cannot be read, with on_error="raise".
        OSError: no such file or folder.
    """
    if metrics == "classification":
        return evaluate_classifier(model, data, **how)
    if metrics not in _TASKS:
        known = ", ".join(map(repr, ("classification", *_TASKS)))
        raise ValueError(f"metrics is {metrics!r}; expected one of {known}")
    own = getattr(model, "bundle", None)
    bundle: Bundle = open_bundle(model) if own is None else own
    if bundle.task != _TASKS[metrics]:
        raise ValueError(
            f"metrics is {metrics!r}, for {_TASKS[metrics]}; {bundle.name} is {bundle.purpose}"
        )
    on_error = how.pop("on_error", "skip")
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error is {on_error!r}; expected 'skip' or 'raise'")
    threads, workers = thread_count(how.pop("threads", None)).count, how.pop("workers", None)
    how |= {"stop": on_error == "raise", "threads": threads}
    how["workers"] = threads if workers is None else at_least("workers", workers, 0)
    if metrics == "coco":
        from mobileone.evaluation.detection import evaluate_detector

        return evaluate_detector(bundle, data, **how)
    from mobileone.evaluation.segmentation import evaluate_segmenter

    return evaluate_segmenter(bundle, data, **how)
