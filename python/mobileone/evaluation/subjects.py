"""What is evaluated: networks of ours, sessions of ONNX Runtime, any function of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.file import own_metadata
from mobileone.checkpoint.open import bundle_of
from mobileone.checkpoint.sources import is_module
from mobileone.data.arrays import as_numpy
from mobileone.data.config import DataConfig
from mobileone.network.bundle import Bundle
from mobileone.network.compiled import CompiledModel
from mobileone.tasks.classification.labels import parse_class_names

__all__ = ["Run", "Subject", "open_subject"]

# Logits [N, K] of images [N, C, H, W].
Run: TypeAlias = "Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]"


@dataclass(frozen=True)
class Subject:
    """Something that gives logits.

    Attributes:
        name: for reports.
        make_run: of a batch size, the function that computes that many images at a time.
        data_config: what it expects of its input; None: the same as the other one.
        bundle: if it is a network of ours.
        num_classes: how many logits; None if nobody knows before it has run.
        class_names: what they are called, if that is known.
        min_size: the smallest height and width of an image.
        parallel: whether its runs use one thread each and may be simultaneous.
        digest: of its weights; empty if nobody knows.
        source: what it was made of, unless it is a network of ours.
        portable: whether that pickles.
    """

    name: str
    make_run: Callable[[int], Run]
    data_config: DataConfig | None = None
    bundle: Bundle | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    min_size: int = 1
    parallel: bool = False
    digest: str = ""
    source: Any = None
    portable: bool = True


def open_subject(source: Any) -> Subject:
    """What `mobileone.evaluate` takes as a model.

    Raises:
        TypeError: nothing that computes logits.
        ValueError: a network without a classifier.
    """
    if isinstance(source, CompiledModel):
        run = _in_batches(source, source.input_shape[0])
        name, names = getattr(source, "name", "compiled"), getattr(source, "class_names", None)
        told: dict[str, Any] = {"data_config": source.data_config, "class_names": names}
        return Subject(name, lambda _: run, source=source, **told)
    if hasattr(source, "get_inputs") and hasattr(source, "run"):
        return replace(_session(source, "ONNX Runtime"), portable=False)
    if isinstance(source, str | os.PathLike) and os.fsdecode(source).lower().endswith(".onnx"):
        path = os.fsdecode(source)
        return replace(_session(_open_session(path), os.path.basename(path)), source=path)
    if callable(source) and not is_module(source) and not hasattr(source, "bundle"):
        name = getattr(source, "__name__", type(source).__name__)
        return Subject(name, lambda _: _plain(source), source=source)
    return of_bundle(bundle_of(source))


def of_bundle(bundle: Bundle) -> Subject:
    """A network of ours, in the form that it has."""
    if not bundle.num_classes:
        raise ValueError(f"{bundle.name} has no classifier (num_classes=0); evaluate needs one")
    bundle.warn_if_untrained("evaluate", stacklevel=4)
    return Subject(
        f"{bundle.name} ({bundle.form})",
        lambda batch: _bundle_run(bundle, batch),
        bundle.data_config,
        bundle,
        bundle.num_classes,
        bundle.class_names,
        bundle.family.min_size,
        parallel=True,
        digest=bundle.digest(),
    )


def _bundle_run(bundle: Bundle, batch: int) -> Run:
    """Compiled for the size of the images that come; any number of threads may call it."""
    compiled: dict[tuple[int, ...], CompiledModel] = {}

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        shape = images.shape[1:]
        if shape not in compiled:
            compiled[shape] = bundle.compile((batch, *shape), threads=1)
        return _in_batches(compiled[shape], batch)(images)

    return run


def _in_batches(function: Callable[[Any], Any], batch: int) -> Run:
    """A function of exactly `batch` images for any number: the last ones are filled up."""

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        parts = []
        for first in range(0, len(images), batch):
            part = images[first : first + batch]
            missing = batch - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)])
            parts.append(_logits(function(part), batch)[: batch - missing])
        return np.concatenate(parts)

    return run


def _plain(function: Callable[[Any], Any]) -> Run:
    return lambda images: _logits(function(images), len(images))


def _logits(found: Any, count: int) -> npt.NDArray[np.float32]:
    logits = as_numpy(found)
    if logits.ndim != 2 or len(logits) != count:
        raise ValueError(f"a model gave an array of shape {logits.shape}; expected ({count}, K)")
    return logits.astype(np.float32, copy=False)


def _open_session(path: str) -> Any:
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"{path}: running it needs ONNX Runtime: pip install onnxruntime"
        ) from error
    with _said_of(f"{path}: ONNX Runtime cannot load it"):
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    """ONNX Runtime's errors, which have classes of their own, as a ValueError in a line."""
    try:
        yield
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{what}: {next(iter(str(error).splitlines()), 'no reason')}") from error


def _session(session: Any, name: str) -> Subject:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"{name}: has {len(inputs)} inputs; expected one, of images")
    output = session.get_outputs()[0].name

    def function(images: Any) -> Any:
        with _said_of(f"{name}: ONNX Runtime cannot run it on images of shape {images.shape}"):
            return session.run([output], {inputs[0].name: images})[0]

    batch, told = inputs[0].shape[0], _told(session, name)
    if isinstance(batch, int):
        return Subject(name, lambda _: _in_batches(function, batch), **told)
    return Subject(name, lambda _: _plain(function), **told)


def _told(session: Any, name: str) -> dict[str, Any]:
    """What a file of ours says of its input and classes."""
    told: dict[str, Any] = {}
    own = own_metadata(session.get_modelmeta().custom_metadata_map)
    try:
        if "data_config" in own:
            told["data_config"] = DataConfig.from_json(own["data_config"])
        if "class_names" in own:
            told["class_names"] = parse_class_names(own["class_names"])
    except ValueError as error:
        raise ValueError(f"{name}: its metadata: {error}") from error
    return told
