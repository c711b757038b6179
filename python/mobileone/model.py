"""Model: a network in either form, with the verbs that run it; and the verbs that make one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from mobileone._core import Graph, Network, Plan
from mobileone.data.arrays import Float32
from mobileone.data.config import DataConfig
from mobileone.network.bundle import Bundle
from mobileone.network.compiled import CompiledModel
from mobileone.network.plan_cache import PlanCache
from mobileone.network.session import Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mobileone.quantization.report import QuantizationReport
    from mobileone.tasks.results.detections import Detections
    from mobileone.tasks.results.segmentation import Segmentation

__all__ = ["Model", "create_detector", "create_model", "create_segmenter", "from_torch", "load"]
__all__ += ["quantize", "reparameterize"]

T = TypeVar("T")


class _Held(Generic[T]):
    """An attribute of a model that its bundle holds; assigning replaces the bundle."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, model: None, owner: type) -> _Held[T]: ...
    @overload
    def __get__(self, model: Model, owner: type) -> T: ...
    def __get__(self, model: Model | None, owner: type) -> _Held[T] | T:
        value: T = self if model is None else getattr(model.bundle, self.name)  # type: ignore[assignment]
        return value

    def __set__(self, model: Model, value: T) -> None:
        model._session.amend(**{self.name: value})


class Model:
    """A network and its weights, in train-time (multi-branch) or inference (fused) form.

    Made by `mobileone.create_model`, `mobileone.load` and `mobileone.reparameterize`. Calling it is
    safe from several threads at once, and gives every one of them the same bits. In training mode
    a call updates the running statistics, so that calls wait for one another.

    Attributes:
        name: for reports: the variant, or the file it came from.
        arch: the published variant ("mobileone_s0"), or "custom" or "mobilevit_custom".
        config: what `mobileone.create_model(arch, **config)` needs to make this architecture.
        data_config: what it expects of its input: sizes, statistics, channel order. Assign
            another one where the weights were trained otherwise.
        network: graph and weights.
        report: how its file was understood; None where there was none.
    """

    name: _Held[str] = _Held()
    arch: _Held[str] = _Held()
    config: _Held[dict[str, Any]] = _Held()
    data_config: _Held[DataConfig] = _Held()
    network: _Held[Network] = _Held()
    report: _Held[Any] = _Held()

    def __init__(
        self,
        network: Network,
        config: dict[str, Any],
        *,
        arch: str,
        name: str | None = None,
        report: Any = None,
        data_config: DataConfig | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        told: dict[str, Any] = {"name": name, "report": report, "class_names": class_names}
        bundle = Bundle.of(network, config, arch=arch, data_config=data_config, **told)
        self._session = Session(bundle)

    @classmethod
    def of(cls, bundle: Bundle) -> Model:
        """The model that runs a bundle."""
        model = cls.__new__(cls)
        model._session = Session(bundle)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and deepcopy take along: everything but compiled plans."""
        own = {key: value for key, value in vars(self).items() if key != "_session"}
        return own | self._session.state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._session, own = Session.from_state(state)
        self.__dict__ |= own

    @property
    def bundle(self) -> Bundle:
        """The network as it is now, and what is known of it. Immutable."""
        return self._session.bundle

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.bundle.graph

    @property
    def form(self) -> str:
        """ "inference" when nothing is left to re-parameterize, else "train-time"."""
        return self.bundle.form

    @property
    def num_params(self) -> int:
        """Trainable parameters; running statistics do not count."""
        return self.bundle.num_params

    @property
    def num_classes(self) -> int:
        """Number of logits; 0 for a network without a classifier."""
        return self.bundle.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called; None means ImageNet's names for 1000, else numbers."""
        return self.bundle.class_names

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        self._session.amend(class_names=names)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) it was trained at; part of `data_config`."""
        return self.bundle.input_size

    @input_size.setter
    def input_size(self, size: tuple[int, int]) -> None:
        self.data_config = replace(self.data_config, input_size=size)

    @property
    def quantization(self) -> QuantizationReport | None:
        """Of an int8 network what `mobileone.quantize` found; None of others."""
        from mobileone.quantization.report import QuantizationReport

        text = self.bundle.quantization
        return QuantizationReport.from_text(text) if text else None

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image of `input_size`, counted as in the paper (Table 8):
        of convolutions and linear layers. `graph.attention_macs` counts attention's own.
        """
        return self.bundle.macs

    @property
    def training(self) -> bool:
        """Whether it is in training mode; see `train`."""
        return self._session.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._session.training = bool(mode)

    @property
    def dropout_seed(self) -> int:
        """Of the next training step, which increases it by one; says which elements dropout drops.
        The same on every machine and with any number of threads.
        """
        return self._session.dropout_seed

    @dropout_seed.setter
    def dropout_seed(self, seed: int) -> None:
        self._session.dropout_seed = seed

    @property
    def plans(self) -> PlanCache[Plan]:
        """The cache of compiled plans, least recently used first."""
        return self._session.plans

    def train(self, mode: bool = True) -> Model:
        """Batch norms use batch statistics and update the running ones; dropout drops, where the
        configuration has any. Returns the model.
        """
        self.training = mode
        return self

    def eval(self) -> Model:
        """Batch norms use their running statistics. Returns the model."""
        return self.train(False)

    def __call__(self, x: Any, out: npt.NDArray[np.float32] | None = None) -> Any:
        """Logits [N, num_classes] of images [N, C, H, W]; pooled features where there is no
        classifier (num_classes=0); of a segmenter a map of logits [N, num_classes, h, w]; of a
        detector a dict of maps (`create_detector`); of other graphs that were loaded their one
        result, or a dict of several.

        Args:
            x: normalised images; anything with ``__dlpack__`` or ``__array__``, any strides,
                float16, float32 or float64; or uint8 RGB pixels, NCHW or NHWC, which are
                normalised as `data_config` says and not resized. H and W at least 32.
            out: a C-contiguous float32 array that receives the logits; not for detectors.

        Raises:
            ValueError: an array of another rank, size or number of channels.
            TypeError: neither floating-point nor uint8 images.
        """
        return self._session.logits(x, out)

    def loss_and_gradients(
        self, x: Any, labels: Any, *, label_smoothing: float = 0.0
    ) -> tuple[float, dict[str, Float32]]:
        """Mean cross entropy in training mode and its gradients, by name as in `state_dict`.

        Running statistics move, as in training mode. Steps in a row are cheaper with
        `mobileone.network.training_step.TrainingStep`.

        Args:
            x: images, as `__call__` takes them.
            labels: class indices (N,), or distributions over classes (N, num_classes).
            label_smoothing: how much of the uniform distribution is mixed into them, 0 to 1.

        Raises:
            ValueError: images or labels of another shape; a batch norm that would see a single
                value per channel.
            TypeError: of another dtype.
        """
        return self._session.loss_and_gradients(x, labels, label_smoothing)

    def features(
        self, x: Any, out_indices: int | str | Sequence[int] | Sequence[str] | None = None
    ) -> list[Float32]:
        """Feature maps: 0 = stem (stride 2), then each stage's output.

        Strides are 4, 8, 16, 32 for MobileOne and 2, 4, 8, 16, 32 for MobileViT, where one more
        level, 5, is the map after the last convolution (timm's `final_conv`).

        Args:
            x: as in `__call__`.
            out_indices: levels, negative ones counted from the end; or how many of the last ones,
                as in timm; or the names of any nodes of `graph`; None: the stem's and every
                stage's.

        Raises:
            ValueError: an index that is not a level, or images as in `__call__`.
        """
        return self._session.features(x, out_indices)

    def preprocess(self, image: Any) -> Float32:
        """Any kind of image as this network's input [N, C, H, W]; see `data.preprocessing`.

        Pixels (files, PIL images, uint8 arrays) are resized, cropped and normalised as
        `data_config` says; floating-point arrays are taken as normalised already. Needs Pillow
        for pixels.
        """
        return self.bundle.preprocess(image, stacklevel=5)

    def predict(
        self, image: Any, topk: int = 5
    ) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
        """The `topk` most probable classes, as (name, probability), most probable first.

        In eval mode, whatever `training` is.

        Args:
            image: one image, or a batch (a list, or an array with four axes), as `preprocess`
                takes them. A batch gives one list per image.
            topk: at most the number of classes is given.

        Raises:
            ValueError, TypeError, FileNotFoundError: as `preprocess`; `topk` below 1.
        """
        from mobileone.tasks.results.prediction import predict

        return predict(self.bundle, self._session.evaluated, image, topk)

    def segment(
        self, image: Any, size: int | tuple[int, int] | None = None
    ) -> Segmentation | list[Segmentation]:
        """The class of every pixel of a picture, in eval mode; of a network of `create_segmenter`.

        The whole picture is resized, run, and its logits are interpolated to the picture's size;
        see `tasks.results.segmentation`.

        Args:
            image: a path, file, PIL image or uint8 RGB pixels; or a list or batch of these, which
                gives a list.
            size: pixels of the shorter side that the network sees, proportions kept but for
                rounding to multiples of 32, or (height, width); default: `input_size`.

        Raises:
            ValueError, TypeError, FileNotFoundError: no picture; a network for another task.
        """
        from mobileone.tasks.results.segmentation import segment

        self.bundle.warn_if_untrained("segment", stacklevel=3)
        return segment(self.bundle, self._session.evaluated, image, size)

    def detect(
        self,
        image: Any,
        *,
        score: float = 0.3,
        overlap: float = 0.5,
        candidates: int = 400,
        most: int = 200,
    ) -> Detections | list[Detections]:
        """The objects in a picture, in eval mode; of a network of `create_detector`.

        The whole picture is squeezed to `input_size`; boxes are in the picture's pixels.

        Args:
            image: a path, file, PIL image or uint8 RGB pixels; or a list or batch of these, which
                gives a list.
            score: probabilities must be larger; 0.01 for evaluation.
            overlap: intersection over union with a better box of the same class, at most.
            candidates: of each class the most that are compared.
            most: boxes of a picture.

        Raises:
            ValueError, TypeError, FileNotFoundError: no picture; a network for another task.
        """
        from mobileone.tasks.detection.rule import DetectionRule
        from mobileone.tasks.results.detections import detect

        self.bundle.warn_if_untrained("detect", stacklevel=3)
        rule = DetectionRule(score, overlap, candidates, most)
        return detect(self.bundle, self._session.evaluated, image, rule)

    def export_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        opset: int = 17,
        dynamic_batch: bool = True,
        input_size: int | tuple[int, int] | None = None,
        suppression: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an .onnx file in this form; see `interchange.onnx.export`. Needs onnx.

        With ``suppression``, which may hold `score`, `overlap` and `most` as in `detect` (of each
        class), a detector's file gives every anchor's `boxes` and `scores`, and which are
        `selected` by ONNX's NonMaxSuppression.
        """
        from mobileone.interchange.onnx.export import export_onnx

        how: dict[str, Any] = {"dynamic_batch": dynamic_batch, "input_size": input_size}
        export_onnx(self.bundle, path, opset=opset, suppression=suppression, **how)

    def compile(
        self,
        input_shape: Sequence[int],
        *,
        dtype: str = "float32",
        threads: int | None = None,
        backend: str = "auto",
        algorithm: str = "auto",
        tune: str = "model",
        tune_budget_s: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> CompiledModel:
        """An explicit plan for one input shape, in eval mode whatever `training` is.

        Args:
            input_shape: (N, C, H, W).
            dtype: "float32", or "bfloat16": blocks of depthwise and 1x1 convolution multiply that,
                with float32 sums, maps and everything else (docs/low_precision.md). "int8" is of
                networks that `mobileone.quantize` made, which run so with "float32", too.
            threads: default: `mobileone.show_config()` says how many and why.
            backend: "auto" runs what it can on the fused kernels, "onednn" nothing; "loops" runs
                everything in plain loops, without loading oneDNN. Of bfloat16 "emulated": the same
                results, slowly, on CPUs without the instructions.
            algorithm: of the fused convolutions: "direct", "strassen" (one level of Strassen's
                algorithm wherever it applies, Winograd's for dense 3x3 kernels), or "auto" (where
                they are faster).
            tune: how "auto" chooses: "model", by a cost model of this kind of CPU, at once; or
                "measure", by timing candidates where they run. What that finds is kept in a file
                ($MOBILEONE_TUNE_CACHE; docs/performance.md) and used by all later plans.
            tune_budget_s: what measuring may take; default: 1.6 to 5 s, by the network.
            progress: is told how far measuring is, from 0 to 1.

        Raises:
            ValueError: a shape, name or combination that there is not.
            NotImplementedError: bfloat16 on a CPU without its instructions, or of a network without
                such blocks.
        """
        how: dict[str, Any] = {"dtype": dtype, "backend": backend, "algorithm": algorithm}
        how |= {"tune": tune, "tune_budget_s": tune_budget_s, "progress": progress}
        return self.bundle.compile(input_shape, threads=threads, **how)

    def save_plan(
        self,
        path: str | os.PathLike[str],
        input_shape: Sequence[int] | None = None,
        threads: int | None = None,
        *,
        dtype: str = "float32",
        algorithm: str = "auto",
        tune: str = "model",
        tune_budget_s: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Write a compiled plan that starts in milliseconds; see `network.stored_plan`.

        Args:
            path: the file; `mobileone.load_plan` opens it on a CPU of this kind.
            input_shape: (N, C, H, W); default: one image of `input_size`.
            threads, dtype, algorithm, tune, tune_budget_s, progress: as in `compile`. "direct"
                gives the smallest file and the least memory: Strassen's algorithm keeps 7/4 of the
                weights that it multiplies.
        """
        from mobileone.network.stored_plan import save_plan

        shape = input_shape or (1, self.bundle.in_channels, *self.input_size)
        how: dict[str, Any] = {"dtype": dtype, "algorithm": algorithm, "tune": tune}
        how |= {"tune_budget_s": tune_budget_s, "progress": progress}
        save_plan(path, self.bundle, self.compile(shape, threads=threads, **how))

    def memory_report(self) -> dict[str, int]:
        """Bytes that the model holds at present.

        Returns:
            weights: as loaded; packed: what all plans share of them; arena and scratch: of all
            cached plans, per simultaneous call; plans: how many are cached.
        """
        return self._session.memory()

    def state_dict(
        self, layout: str | None = None, *, channel_order: str | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """The weights under a public layout's names, as read-only arrays; see `checkpoint.export`.

        Args:
            layout: "timm", ...; None for the names of the graph ("apple", and for MobileViT
                "cvnets").
            channel_order: "RGB" or "BGR" arranges the stem's input channels for such images; None
                changes nothing.
        """
        from mobileone.checkpoint.export import state_dict

        return state_dict(self.bundle, layout, channel_order)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        layout: str | None = None,
        channel_order: str | None = None,
    ) -> None:
        """Write a file that `load` reads back bit by bit; see `checkpoint.export`.

        What is written is what the name ends with: .safetensors, .npz, or .pth, .pt, .bin, .ckpt
        and .pth.tar, which ``torch.load(path, weights_only=True)`` reads; .onnx is `export_onnx`,
        which `load` reads as any other program's graph.

        Args:
            path: an existing file is replaced.
            layout: as for `state_dict`.
            channel_order: as for `state_dict`; None with a layout means what the programs of that
                layout feed the network.

        Raises:
            ValueError: a name that ends otherwise, or a layout for an .onnx file.
        """
        from mobileone.checkpoint.export import save

        if os.fsdecode(path).lower().endswith(".onnx"):
            if layout is not None or channel_order is not None:
                raise ValueError(f"{path}: an .onnx file has no layout and no channel_order")
            self.export_onnx(path)
            return
        save(self.bundle, path, layout, channel_order)

    def metadata(self) -> dict[str, str]:
        """What travels with saved weights: architecture, form, data config, names of classes."""
        return self.bundle.metadata()

    def __repr__(self) -> str:
        return (
            f"<mobileone.Model {self.name}: {self.form} form, "
            f"{self.num_params / 1e6:.2f} M parameters, {self.macs / 1e6:.1f} M MACs>"
        )


def create_model(
    name: str, *, num_classes: int = 1000, seed: int | None = None, **config: Any
) -> Model:
    """A train-time network with random weights.

    Args:
        name: a published variant (`list_models`), whose configuration the rest changes, or
            "custom" (a MobileOne, for which `widths` and `depths` are needed), or
            "mobilevit_custom" (a MobileViT, starting from mobilevit_s).
        num_classes: number of logits; 0 for no classifier: results are the pooled features.
        seed: of the weights; None means 0. The same on every machine. Running statistics are those
            of a fixed noise image, so that activations stay near 1 at every layer.
        config: `in_channels`, `form` ("train-time" or "inference"), `stem_width`, `widths`
            (channels per stage), `depths` (blocks per stage: MobileOne's depthwise-pointwise
            pairs, MobileViT's MobileNetV2 blocks).
            Of MobileOne: `num_conv_branches` (k, the paper's Table 2), `se_depths` (SE in the
            last n pairs of each stage) or `se_widths` (block -> squeezed width).
            Of MobileViT, lists per stage: `transformer_widths` (d; 0 for no MobileViT block),
            `ffn_widths`, `transformer_depths` (L); and `expansion`, `head_width`, `heads`,
            `patch` (height, width), `dropout`, `ffn_dropout`, `classifier_dropout`.
            Of both: `activation`, `eps`, `output_stride` (or `strides` per stage and `dilations` by
            block), `stem_stride`; of MobileViT `layer_norm_eps`.

    Raises:
        ValueError: an unknown name or field, or a value that makes no network.
    """
    from mobileone.network.create import create_bundle

    return Model.of(create_bundle(name, num_classes, seed, config))


def create_segmenter(
    backbone: str,
    *,
    head: str = "deeplabv3",
    num_classes: int = 21,
    output_stride: int = 16,
    seed: int | None = None,
    backbone_weights: Any = None,
    **config: Any,
) -> Model:
    """A train-time segmentation network with random weights: a class for every pixel.

    ``model(x)`` gives logits [N, num_classes, H / output_stride, W / output_stride],
    `Model.segment` a class map at the picture's size.

    Args:
        backbone: what `create_model` takes, any MobileOne or MobileViT.
        head: "deeplabv3" (Chen et al. 2017, section 3.3).
        num_classes: with the background, where there is one.
        output_stride: from the image to the backbone's last map: 32, 16 or 8. Strides beyond it
            become dilations.
        seed: of the weights; None means 0.
        backbone_weights: a classifier's checkpoint or Model of that backbone, which its weights
            come from.
        config: `aspp_width`, `aspp_dilations`, `align_corners` (of the upsampled logits),
            `head_eps`; and fields of the backbone, as in `create_model`.

    Raises:
        ValueError: an unknown name or field, a value that makes no network, or weights of
            another backbone.
    """
    from mobileone.checkpoint.compose import create_on_backbone

    fields = {"num_classes": num_classes, "output_stride": output_stride, **config}
    return Model.of(
        create_on_backbone("segmentation", head, backbone, seed, fields, backbone_weights)
    )


def create_detector(
    backbone: str,
    *,
    head: str = "ssdlite",
    layout: str = "cvnets",
    num_classes: int = 81,
    seed: int | None = None,
    backbone_weights: Any = None,
    **config: Any,
) -> Model:
    """A train-time detection network with random weights: boxes with scores for every class.

    ``model(x)`` gives a map for each of the six resolutions, by name, of mmdet's layout one of
    scores and one of offsets; `Model.detect` boxes.

    Args:
        backbone: what `create_model` takes, any MobileOne or MobileViT with maps of strides 16
            and 32.
        head: "ssdlite".
        layout: whose SSDLite: "cvnets", as the authors of MobileViT build it, or "mmdet": other
            maps after the backbone, anchors, activations and scores (docs/tasks.md).
        num_classes: with the background, whose scores are the first ones in cvnets' layout, the
            last ones in mmdet's.
        seed: of the weights; None means 0.
        backbone_weights: a classifier's checkpoint or Model of that backbone, which its weights
            come from.
        config: `head_widths`, of each map's head, `head_eps`; and fields of the backbone, as in
            `create_model`.

    Raises:
        ValueError: as `create_segmenter`.
    """
    from mobileone.checkpoint.compose import create_on_backbone

    if layout not in ("cvnets", "mmdet"):
        raise ValueError(f"layout is {layout!r}; expected 'cvnets' or 'mmdet'")
    fields = {"num_classes": num_classes, **config}
    head = f"{head}_mmdet" if layout == "mmdet" else head
    return Model.of(create_on_backbone("detection", head, backbone, seed, fields, backbone_weights))


def load(
    source: Any,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Literal["auto", "ema", "model"] = "auto",
    sha256: str | None = None,
    config: Mapping[str, Any] | None = None,
    head: str | None = None,
    check: bool = True,
) -> Model:
    """A Model from a checkpoint; variant, form and classes are recognised from the tensors.

    The weights are copied: neither overwriting the file nor changing the arrays later changes the
    model, and nothing of a pickle is ever executed.

    Args:
        source: a path (.safetensors, .npz, what torch.save wrote, a folder or an index of such
            files), a mapping of arrays by name, a torch.nn.Module, a Model,
            ``hf-hub:owner/name@revision[:filename]`` or ``https://...``
            (`mobileone.checkpoint.hub.fetch`); or any network's graph, .onnx, .pt2 or a
            torch.export.ExportedProgram (docs/onnx.md).
        arch: the variant that it must be, e.g. "mobileone_s0"; None takes any.
        num_classes: the number of classes that it must have; None takes any, 0 means a network
            without a classifier, whose results are pooled features.
        strict: False loads a network that is part of a larger one, and ignores the rest; without
            a classifier it gives pooled features, or where ``num_classes`` asks for one a new
            classifier with random weights, with a warning. The report lists all of it.
        weights: "ema" or "model" where a file holds averaged and plain weights both.
        sha256: the checksum that the file must have, as 64 hexadecimal digits.
        config: what weights do not show, where it is not as published: activation, eps (1e-5),
            output_stride (32), strides, dilations, stem_stride (2); of a MobileViT also heads (4),
            patch (2, 2), layer_norm_eps, dropout, ffn_dropout, classifier_dropout (0). A module, a
            file of this package and a config.json beside the weights say it by themselves.
        head: the classifier to take where there are several, e.g. "fc_yaw".
        check: whether a module's results on seeded noise are compared with the engine's. Without,
            only the functions that it calls are.

    Raises:
        CheckpointError: damaged, not a known network, or not the one asked for.
        NotImplementedError: a module, or a config.json, of another function than this network can
            compute; the message names the part or the key. A graph with an operator that is not
            supported; it names node, operator and operator set.
        OSError: there is no such file, or the server cannot be reached.
    """
    from mobileone.checkpoint.open import open_bundle

    asked: dict[str, Any] = {"arch": arch, "num_classes": num_classes, "strict": strict}
    asked |= {"weights": weights, "sha256": sha256, "config": config, "head": head, "check": check}
    if isinstance(source, Model):
        open_bundle(source.bundle, **asked)
        return source
    return Model.of(open_bundle(source, **asked))


def from_torch(module: Any, **options: Any) -> Model:
    """The Model of a torch.nn.Module: the authors', timm's or mmpretrain's, in either form.

    torch is not imported here, and the module is neither changed nor kept. `load(module)` does the
    same; this one says what it takes.

    Args:
        module: a torch.nn.Module on the CPU.
        options: those of `load`.

    Raises:
        TypeError: something else than a module.
        CheckpointError: a module of another network.
    """
    if not (hasattr(module, "state_dict") and hasattr(module, "named_modules")):
        raise TypeError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    return load(module, **options)


def reparameterize(source: Any) -> Model:
    """The same function in inference form: one convolution with a bias per block (section 3.3).

    The algebra is done in float64 and rounded once. The source is never changed; a model that is
    in inference form already comes back with the same weights.

    Args:
        source: a Model, or anything that `load` takes.
    """
    return Model.of(load(source).bundle.reparameterized())


def quantize(
    source: Any,
    calibration: Any,
    *,
    labels: Any = None,
    held_out: Any = None,
    held_out_labels: Any = None,
    observer: str = "squared_error",
    headroom: float = 0.15,
    depthwise_ranges: bool = True,
    equalization: bool = True,
    weight_clipping: bool = True,
    stage_supervision: bool = True,
    bias_correction: bool = True,
    float_budget: float = 0.0,
    keep_float: Sequence[str] = (),
    linear_layers: bool = False,
    images: int = 128,
    ablation: bool = False,
    progress: bool | None = None,
) -> Model:
    """A network with its convolutions in 8-bit integers (docs/low_precision.md).

    A train-time network is re-parameterized first. Activations become integers 0 to 255 with a
    scale and zero point per tensor, weights -127 to 127 with a scale per output channel; sums are
    32-bit integers. Pooled values, gates and the classifier stay in float32, and so do the heads of
    segmenters and detectors. The same images give the same network.

    Args:
        source: a Model, or anything that `load` takes.
        calibration: images like those that it will see; a hundred suffice. An array [N, C, H, W],
            an iterable of images, of batches or of (image, label), a folder of pictures, or
            anything that `mobileone.evaluate` takes as data.
        labels: what they show, as for `evaluate`.
        held_out: other images, on which only the result is judged.
        held_out_labels: what those show.
        observer: what limits a range: "minmax", "percentile" (all but one value in 10^4),
            "squared_error" or "absolute_error".
        headroom: by which share ranges are wider than that, since other images have other extremes.
        depthwise_ranges: a range per channel of what depthwise convolutions read, which costs
            nothing.
        equalization: scales moved from depthwise into dense convolutions where that lowers the
            noise of the sums (Nagel et al. 2019, section 4.1).
        weight_clipping: weights may be clipped where that lowers it, too.
        stage_supervision: of the observer's ranges and those from minimum to maximum, each stage
            has those that leave its result with the least noise.
        bias_correction: the mean of every sum is the float network's (section 4.2 there).
        float_budget: share of the multiply-adds that may stay in float32: in the convolutions that,
            alone, make far more noise than others.
        keep_float: convolutions that stay in float32, by name.
        linear_layers: whether those on tokens, and the convolutions around transformers, are
            integers, too; else a transformer stays one step in float32, which is faster.
        images: how many of the images are used, spread over all where their number is known.
        ablation: whether the report shows every cure off, too; takes several times as long.
        progress: a bar on stderr; None: in terminals only.

    Returns:
        The model; `Model.quantization` is its report.

    Raises:
        ValueError: no images, of several sizes, or not finite; a bad argument.
        TypeError: no images.
        NotImplementedError: a network without convolutions that integers can compute, or of a task
            that nothing told.
    """
    from mobileone.quantization.settings import Settings
    from mobileone.quantization.verb import quantize_bundle

    settings = Settings(
        observer=observer,
        headroom=headroom,
        depthwise_ranges=depthwise_ranges,
        equalization=equalization,
        weight_clipping=weight_clipping,
        stage_supervision=stage_supervision,
        bias_correction=bias_correction,
        float_budget=float_budget,
        keep_float=tuple(keep_float),
        linear_layers=linear_layers,
        images=images,
    )
    told: dict[str, Any] = {"labels": labels, "held_out": held_out, "ablation": ablation}
    told |= {"held_out_labels": held_out_labels, "progress": progress}
    return Model.of(quantize_bundle(load(source).bundle, calibration, settings, **told))
