"""Bundle: a network, and everything that is known of it."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import Graph, Network, is_inference_form, reparameterize
from mobileone.data.config import DataConfig
from mobileone.families import family_of
from mobileone.families.family import INFERENCE, TRAIN_TIME
from mobileone.network.compiled import CompiledModel
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32
    from mobileone.families.family import Family

__all__ = ["Bundle"]


@dataclass(frozen=True, eq=False, repr=False)  # each method made costs a cold start
class Bundle:
    """A graph, its weights, and what they are for. Immutable: rewrites and training make new ones.

    Attributes:
        network: graph and weights.
        config: what `create_model(arch, **config)` needs to make the graph.
        data_config: what it expects of its input.
        arch: the published variant, or what its family calls a custom network.
        name: for reports: the variant, or the file it came from.
        class_names: what the classes are called, if anything told.
        report: how its file was understood.
        task: what its outputs are: "classification", "segmentation", "detection", or "other".
        untrained: weights of a classifier that loading started anew, as they were then.
        quantization: of an int8 network its report, as JSON; "" of others.
    """

    network: Network
    config: dict[str, Any]
    data_config: DataConfig
    arch: str
    name: str
    class_names: tuple[str, ...] | None = None
    report: Any = None
    task: str = "classification"
    untrained: Mapping[str, Any] = field(default_factory=dict)
    quantization: str = ""

    def __post_init__(self) -> None:
        if self.class_names is not None:
            from mobileone.tasks.classification.labels import check_class_names

            names = check_class_names(self.class_names, self.num_classes)
            object.__setattr__(self, "class_names", names)

    @classmethod
    def of(
        cls,
        network: Network,
        config: dict[str, Any],
        *,
        arch: str,
        name: str | None = None,
        report: Any = None,
        data_config: DataConfig | None = None,
        class_names: Sequence[str] | None = None,
        untrained: Mapping[str, Any] | None = None,
        quantization: str = "",
    ) -> Bundle:
        """With what the published weights of the variant expect where nothing else is said."""
        if data_config is None:
            from mobileone.families.data_config import default_data_config

            channels = int(config["in_channels"])
            data_config = default_data_config(
                arch, channels=channels, architecture=family_of(config).name
            )
        names: Any = class_names  # made a tuple when it is checked
        told = (data_config, arch, name or arch, names, report, family_of(config).task_of(config))
        return cls(network, config, *told, untrained=untrained or {}, quantization=quantization)

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.network.graph

    @property
    def family(self) -> Family:
        """What is known of all networks like this one."""
        return family_of(self.config)

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
        """Number of logits; 0 for a network without a classifier."""
        return int(self.config["num_classes"])

    def output_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Of the results for images of this shape, by name: an image's logits, or without a
        classifier its pooled features; of a segmenter a map of logits, of others all they have.
        """
        graph = self.graph
        if self.task == "classification":
            width = self.num_classes or self.family.num_features(self.config)
            return {graph.output_name: (shape[0], width)}
        shapes = graph.shapes(shape)
        return {key: shapes[node] for key, node in graph.outputs.items()}

    @property
    def is_untrained(self) -> bool:
        """Whether its classifier has the random weights that loading started it with."""
        if not self.untrained:
            return False
        weights = self.network.weights()
        return all((weights[name] == fresh).all() for name, fresh in self.untrained.items())

    def warn_if_untrained(self, what: str, stacklevel: int) -> None:
        """One warning where results would be those of random weights.

        Args:
            what: is done with the network, e.g. "predict".
            stacklevel: as in `warnings.warn`, from this method.
        """
        if self.is_untrained:
            import warnings

            warnings.warn(
                f"{what}: the classifier of {self.name} has random weights, since its file had "
                "none that fits; train it first",
                stacklevel=stacklevel,
            )

    def check_classifies(self, what: str) -> None:
        """ValueError, beginning with `what`, of a network for another task."""
        if self.task != "classification":
            raise ValueError(f"{what}: {self.name} is {self.purpose}; expected a classifier")

    @property
    def purpose(self) -> str:
        """For messages: "for detection"."""
        return "of no known task" if self.task == "other" else f"for {self.task}"

    @property
    def accuracy(self) -> str:
        """Of an int8 network what its report says in a line, which stands beside its latencies;
        "" of others.
        """
        return str(json.loads(self.quantization)["summary"]) if self.quantization else ""

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return int(self.config["in_channels"])

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) it was trained at."""
        return self.data_config.input_size

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image of `input_size`."""
        return self.graph.macs((1, self.in_channels, *self.input_size))

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
        if self.is_untrained:
            metadata["untrained"] = json.dumps(list(self.untrained))
        if self.quantization:
            metadata["quantization"] = self.quantization
        return metadata

    def preprocess(self, image: Any, *, stacklevel: int) -> Float32:
        """Any kind of image as network input; see `data.preprocessing`."""
        from mobileone.data.preprocessing import preprocess

        size = self.family.min_size
        return preprocess(image, self.data_config, min_size=size, stacklevel=stacklevel)

    def digest(self) -> str:
        """Of the graph and the weights: equal for equal networks."""
        import hashlib

        found = hashlib.sha256(self.graph.to_json().encode())
        weights = self.network.weights()
        for key in sorted(weights):
            found.update(key.encode())
            found.update(np.ascontiguousarray(weights[key]).data)
        return found.hexdigest()

    def reparameterized(self) -> Bundle:
        """The same function in inference form; the same weights if it is that already."""
        network = reparameterize(self.network)
        config = self.family.with_graph({**self.config, "form": INFERENCE}, network.graph)
        return replace(self, network=network, config=config)

    def compile(
        self, input_shape: Sequence[int], *, threads: int | None = None, **how: Any
    ) -> CompiledModel:
        """A plan for one input shape, in eval mode; see `mobileone.Model.compile`."""
        how["dtype"] = self.plan_dtype(how.get("dtype", "float32"))
        try:
            shape = tuple(operator.index(extent) for extent in input_shape)
        except TypeError:
            expected = "(N, C, H, W), integers"
            raise ValueError(f"input_shape is {input_shape!r}; expected {expected}") from None
        return CompiledModel(
            self.network,
            shape,
            thread_count(threads).count,
            self.data_config,
            min_size=self.family.min_size,
            **how,
        )

    def plan_dtype(self, dtype: str) -> str:
        """What plans call `dtype`: of a network in integers it is what the rest is computed in.

        Raises:
            ValueError: "int8" of a network in float32.
            NotImplementedError: "bfloat16" of one in integers.
        """
        if dtype == "int8" and not self.quantization:
            raise ValueError(
                f"dtype is 'int8'; {self.name} is in float32, of which "
                "mobileone.quantize(model, images) makes a network in int8"
            )
        if dtype == "bfloat16" and self.quantization:
            raise NotImplementedError(
                f"dtype is 'bfloat16'; {self.name} is computed in integers: expected 'int8'"
            )
        return "float32" if dtype == "int8" else dtype
