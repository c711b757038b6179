"""Model: a network in either form, with the verbs that run it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import Graph, Network, Plan, is_inference_form
from mobileone.data.arrays import Float32, as_images, output_array
from mobileone.data.config import DataConfig, default_data_config
from mobileone.families.graph import INFERENCE, TRAIN_TIME, architecture_of
from mobileone.network.compiled import CompiledModel
from mobileone.network.plan_cache import PlanCache
from mobileone.tasks.classification.labels import check_class_names
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    import numpy.typing as npt


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
        dropout_seed: of the next training step, which increases it by one; says which elements
            dropout drops. The same on every machine and with any number of threads.
        plans: the cache of compiled plans, least recently used first.
    """

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
        self.network = network
        self.config = config
        self.arch = arch
        self.name = name or arch
        self.report = report
        channels = int(config["in_channels"])
        self.data_config = data_config or default_data_config(
            arch, channels=channels, architecture=architecture_of(config)
        )
        self.class_names = class_names
        self.training = False
        self.dropout_seed = 0
        self.plans: PlanCache[Plan] = PlanCache()
        self._training_lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and deepcopy take along: everything but compiled plans."""
        state = self.__dict__.copy()
        del state["plans"], state["_training_lock"]
        state["network"] = {n: np.array(w) for n, w in self.network.weights().items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from mobileone.families.graph import graph_of

        self.__dict__ |= state
        self.network = Network(graph_of(self.config), state["network"])
        self.plans = PlanCache()
        self._training_lock = threading.Lock()

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.network.graph

    @property
    def form(self) -> str:
        """ "inference" when nothing is left to re-parameterize, else "train-time"."""
        return INFERENCE if is_inference_form(self.graph) else TRAIN_TIME

    @property
    def num_params(self) -> int:
        """Trainable parameters; running statistics do not count."""
        return self.graph.num_params

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return int(self.config["num_classes"])

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called; None means ImageNet's names for 1000, else numbers."""
        return self._class_names

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        self._class_names = check_class_names(names, self.num_classes)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) it was trained at; part of `data_config`."""
        return self.data_config.input_size

    @input_size.setter
    def input_size(self, size: tuple[int, int]) -> None:
        self.data_config = replace(self.data_config, input_size=size)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image of `input_size`, counted as in the paper (Table 8):
        of convolutions and linear layers. `graph.attention_macs` counts attention's own.
        """
        return self.graph.macs((1, self._channels, *self.input_size))

    @property
    def _channels(self) -> int:
        return int(self.config["in_channels"])

    def train(self, mode: bool = True) -> Model:
        """Batch norms use batch statistics and update the running ones; dropout drops, where the
        configuration has any. Returns the model.
        """
        self.training = bool(mode)
        return self

    def eval(self) -> Model:
        """Batch norms use their running statistics. Returns the model."""
        return self.train(False)

    def __call__(self, x: Any, out: npt.NDArray[np.float32] | None = None) -> Float32:
        """Logits [N, num_classes] of images [N, C, H, W].

        Args:
            x: normalised images; anything with ``__dlpack__`` or ``__array__``, any strides,
                float16, float32 or float64; or uint8 RGB pixels, NCHW or NHWC, which are
                normalised as `data_config` says and not resized. H and W at least 32.
            out: a C-contiguous float32 array [N, num_classes] that receives the logits.

        Raises:
            ValueError: an array of another rank, size or number of channels.
            TypeError: neither floating-point nor uint8 images.
        """
        images = as_images(x, self._channels, self.data_config)
        logits = output_array(out, (images.shape[0], self.num_classes))
        self._run(images, (self.graph.output_name,), [logits])
        return logits

    def features(self, x: Any, out_indices: Sequence[int] | None = None) -> list[Float32]:
        """Feature maps: 0 = stem (stride 2), then each stage's output.

        Strides are 4, 8, 16, 32 for MobileOne and 2, 4, 8, 16, 32 for MobileViT.

        Raises:
            ValueError: an index that is not a level, or images as in `__call__`.
        """
        names = self.graph.feature_names
        if out_indices is None:
            out_indices = range(len(names))
        for index in out_indices:
            if not 0 <= index < len(names):
                raise ValueError(f"out_indices has {index}; expected 0 to {len(names) - 1}")
        images = as_images(x, self._channels, self.data_config)
        shapes = self.graph.shapes(images.shape)
        wanted = tuple(names[index] for index in out_indices)
        maps = [np.empty(shapes[name], np.float32) for name in wanted]
        self._run(images, wanted, maps)
        return maps

    def preprocess(self, image: Any) -> Float32:
        """Any kind of image as this network's input [N, C, H, W]; see `data.preprocessing`.

        Pixels (files, PIL images, uint8 arrays) are resized, cropped and normalised as
        `data_config` says; floating-point arrays are taken as normalised already. Needs Pillow
        for pixels.
        """
        from mobileone.data.preprocessing import preprocess

        return preprocess(image, self.data_config, stacklevel=4)

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
        from mobileone.data.preprocessing import check_topk, is_batch, most_probable, preprocess

        check_topk(topk)
        images = preprocess(image, self.data_config, stacklevel=4)
        logits = output_array(None, (images.shape[0], self.num_classes))
        self._evaluate(images, (self.graph.output_name,), [logits])
        named = most_probable(logits, topk, self.class_names)
        return named if is_batch(image) else named[0]

    def export_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        opset: int = 17,
        dynamic_batch: bool = True,
        input_size: int | tuple[int, int] | None = None,
    ) -> None:
        """Write an .onnx file in this form; see `interchange.onnx.export`. Needs onnx."""
        from mobileone.interchange.onnx.export import export_onnx

        export_onnx(self, path, opset=opset, dynamic_batch=dynamic_batch, input_size=input_size)

    def _run(self, images: Float32, names: tuple[str, ...], outputs: list[Float32]) -> None:
        if self.training and self.form == TRAIN_TIME:
            self._run_training(images, names, outputs)
        else:
            self._evaluate(images, names, outputs)

    def _evaluate(self, images: Float32, names: tuple[str, ...], outputs: list[Float32]) -> None:
        if images.shape[0] > 0 and names:
            plan = self._plan(images.shape, names, thread_count().count)
            plan.run(images, outputs)

    def _plan(self, shape: tuple[int, ...], names: tuple[str, ...], threads: int) -> Plan:
        network = self.network
        return self.plans.get((shape, names, threads), lambda: Plan(network, shape, names, threads))

    def _run_training(
        self, images: Float32, names: tuple[str, ...], outputs: list[Float32]
    ) -> None:
        batch, _, height, width = self.graph.shapes(images.shape)[self.graph.feature_names[-1]]
        if batch * height * width < 2:
            raise ValueError(
                f"x has shape {images.shape}: in training mode every batch norm needs more than "
                "one value per channel; use a larger batch or image, or model.eval()"
            )
        with self._training_lock:
            # Weights change with every call, so that the plan is not kept.
            plan = Plan(
                self.network,
                images.shape,
                names,
                thread_count().count,
                training=True,
                dropout_seed=self.dropout_seed,
            )
            statistics = [np.empty(s, np.float32) for s in plan.output_shapes[len(names) :]]
            plan.run(images, [*outputs, *statistics])
            self.network = plan.update_running_statistics(statistics)
            self.dropout_seed += 1
            self.plans.clear()

    def compile(
        self,
        input_shape: Sequence[int],
        *,
        dtype: str = "float32",
        threads: int | None = None,
        backend: str = "auto",
        algorithm: str = "auto",
    ) -> CompiledModel:
        """An explicit plan for one input shape, in eval mode whatever `training` is.

        Args:
            input_shape: (N, C, H, W).
            dtype: arithmetic; "float32".
            threads: default: `mobileone.show_config()` says how many and why.
            backend: "auto" runs what it can on the fused kernels, "onednn" nothing.
            algorithm: of the fused pointwise convolutions: "direct", "strassen" (one level of
                Strassen's algorithm wherever it applies), or "auto" (where it is faster).
        """
        if dtype != "float32":
            raise NotImplementedError(f"dtype={dtype!r}; this engine computes in 'float32'")
        shape = tuple(int(extent) for extent in input_shape)
        return CompiledModel(
            self.network,
            shape,
            thread_count(threads).count,
            self.data_config,
            backend=backend,
            algorithm=algorithm,
        )

    def save_plan(
        self,
        path: str | os.PathLike[str],
        input_shape: Sequence[int] | None = None,
        threads: int | None = None,
    ) -> None:
        """Write a compiled plan that starts in milliseconds; see `network.stored_plan`.

        Args:
            path: the file; `mobileone.load_plan` opens it on a CPU of this kind.
            input_shape: (N, C, H, W); default: one image of `input_size`.
            threads: as in `compile`.
        """
        from mobileone.network.stored_plan import save_plan

        save_plan(self, path, input_shape or (1, self._channels, *self.input_size), threads)

    def memory_report(self) -> dict[str, int]:
        """Bytes that the model holds at present.

        Returns:
            weights: as loaded; packed: what all plans share of them; arena and scratch: of all
            cached plans, per simultaneous call; plans: how many are cached.
        """
        report = dict.fromkeys(("weights", "packed", "arena", "scratch", "plans"), 0)
        report["weights"] = sum(array.nbytes for array in self.network.weights().values())
        for plan in self.plans.values():
            memory = plan.memory()
            report["packed"] = memory["packed_weights"]
            report["arena"] += memory["arena"] * memory["contexts"]
            report["scratch"] += memory["scratch"] * memory["contexts"]
            report["plans"] += 1
        return report

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

        return state_dict(self, layout, channel_order)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        layout: str | None = None,
        channel_order: str | None = None,
    ) -> None:
        """Write a .safetensors file that `load` reads back bit by bit; see `checkpoint.export`.

        Args:
            path: an existing file is replaced.
            layout: as for `state_dict`.
            channel_order: as for `state_dict`; None with a layout means what the programs of that
                layout feed the network.
        """
        from mobileone.checkpoint.export import save

        save(self, path, layout, channel_order)

    def metadata(self) -> dict[str, str]:
        """What travels with saved weights: architecture, form, data config, names of classes."""
        metadata = {
            "format": "mobileone",
            "arch": self.arch,
            "form": self.form,
            "config": json.dumps(self.config),
            "data_config": self.data_config.to_json(),
        }
        if self.class_names is not None:
            metadata["class_names"] = json.dumps(self.class_names)
        return metadata

    def __repr__(self) -> str:
        return (
            f"<mobileone.Model {self.name}: {self.form} form, "
            f"{self.num_params / 1e6:.2f} M parameters, {self.macs / 1e6:.1f} M MACs>"
        )
