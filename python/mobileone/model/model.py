"""Model: a network in either form, with the verbs that run it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mobileone.data.arrays import Float32
from mobileone.model.state import ModelState
from mobileone.network.compiled import CompiledModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mobileone.tasks.results.detections import Detections
    from mobileone.tasks.results.segmentation import Segmentation

__all__ = ["Model"]


class Model(ModelState):
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
            dtype: "float32", or "bfloat16": blocks of depthwise and 1x1 convolution, the stem and
                the classifier multiply that, with float32 sums, maps and everything else
                (docs/low_precision.md). "int8" is of networks that `mobileone.quantize` made, which
                run so with "float32", too.
            threads: default: `mobileone.show_config()` says how many and why.
            backend: "auto" runs what it can on the fused kernels, "onednn" nothing; "loops" runs
                everything in plain loops, without loading oneDNN. Of bfloat16 "emulated": the same
                results, slowly, on CPUs without the instructions.
            algorithm: of the fused convolutions: "direct", "strassen" (one level of
                Strassen's algorithm wherever it applies, Winograd's for dense 3x3 kernels), or
                "auto" (where they are faster).
            tune: how "auto" chooses: "model", by a cost model of this kind of CPU, at once; or
                "measure", by timing candidates where they run. What that finds is kept in a file
                ($MOBILEONE_TUNE_CACHE; docs/performance.md) and used by all later plans.
            tune_budget_s: what measuring may take; default: 1.6 to 5 s, by the network.
            progress: is told how far measuring is, from 0 to 1.

        Raises:
            ValueError: a shape, name or combination that there is not.
            NotImplementedError: bfloat16 on a CPU without its instructions, or of a network without
                what multiplies that.
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
                weights that it multiplies, two levels of it 49/16.
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
