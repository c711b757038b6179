"""The C++ engine of mobileone. Private: use the functions of the mobileone package."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

class Graph:
    @property
    def nodes(self) -> list[dict[str, Any]]: ...
    def parameters(self) -> list[tuple[str, tuple[int, ...], str, bool]]: ...
    @property
    def feature_names(self) -> list[str]: ...
    @property
    def output_name(self) -> str: ...
    @property
    def num_params(self) -> int: ...
    def macs(self, input_shape: Sequence[int]) -> int: ...
    def attention_macs(self, input_shape: Sequence[int]) -> int: ...
    def shapes(self, input_shape: Sequence[int]) -> dict[str, tuple[int, ...]]: ...

class Network:
    def __init__(self, graph: Graph, weights: Mapping[str, npt.NDArray[Any]]) -> None: ...
    @property
    def graph(self) -> Graph: ...
    def weights(self) -> dict[str, npt.NDArray[Any]]: ...

class Plan:
    def __init__(
        self,
        network: Network,
        input_shape: Sequence[int],
        outputs: Sequence[str],
        threads: int,
        training: bool = False,
        backend: str = "auto",
        algorithm: str = "auto",
    ) -> None: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def output_shapes(self) -> list[tuple[int, ...]]: ...
    @property
    def threads(self) -> int: ...
    @property
    def steps(self) -> list[dict[str, Any]]: ...
    @property
    def records(self) -> dict[str, dict[str, int]]: ...
    @property
    def packed_weights(self) -> dict[str, npt.NDArray[np.float32]]: ...
    @property
    def not_storable(self) -> str: ...
    def memory(self) -> dict[str, int]: ...
    def run(
        self, input: npt.NDArray[np.float32], outputs: list[npt.NDArray[np.float32]]
    ) -> None: ...
    def time(
        self, input: npt.NDArray[np.float32], outputs: list[npt.NDArray[np.float32]], runs: int
    ) -> npt.NDArray[np.int64]: ...
    def profile(
        self, input: npt.NDArray[np.float32], outputs: list[npt.NDArray[np.float32]], runs: int
    ) -> tuple[list[list[int]], list[int]]: ...
    def release_idle(self) -> None: ...
    def train_forward(
        self,
        network: Network,
        input: npt.NDArray[np.float32],
        outputs: list[npt.NDArray[np.float32]],
        dropout_seed: int,
    ) -> Network: ...

def restore_plan(
    graph: Graph,
    path: str,
    entries: Mapping[str, tuple[int, int]],
    input_shape: Sequence[int],
    threads: int,
    records: Mapping[str, Mapping[str, int]],
) -> Plan: ...
def mobileone_graph(
    *,
    stem_width: int,
    widths: Sequence[int],
    depths: Sequence[int],
    num_conv_branches: int = 1,
    se_widths: Mapping[str, int] = ...,
    num_classes: int = 1000,
    in_channels: int = 3,
    inference: bool = False,
) -> Graph: ...
def plain_cnn_graph(
    *,
    activation: str = "relu",
    squeeze_excite: bool = False,
    skip: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    stem_width: int = 32,
    widths: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    reduction: int = 16,
    groups: int = 2,
) -> Graph: ...
def plain_cnn_activations() -> list[str]: ...
def mobileone_variants() -> dict[str, dict[str, Any]]: ...
def mobilevit_graph(
    *,
    stem_width: int,
    widths: Sequence[int],
    depths: Sequence[int],
    transformer_widths: Sequence[int],
    ffn_widths: Sequence[int],
    transformer_depths: Sequence[int],
    expansion: float,
    head_width: int,
    heads: int = 4,
    patch: Sequence[int] = ...,
    dropout: float = 0.0,
    ffn_dropout: float = 0.0,
    classifier_dropout: float = 0.0,
    num_classes: int = 1000,
    in_channels: int = 3,
    inference: bool = False,
) -> Graph: ...
def mobilevit_variants() -> dict[str, dict[str, Any]]: ...
def squeeze_excitation_widths(
    stem_width: int, widths: Sequence[int], depths: Sequence[int], se_depths: Sequence[int]
) -> dict[str, int]: ...
def initialize(graph: Graph, seed: int) -> Network: ...
def fold_batch_norm(network: Network) -> Network: ...
def merge_branches(network: Network) -> Network: ...
def reparameterize(network: Network) -> Network: ...
def is_inference_form(graph: Graph) -> bool: ...
def reference_forward(
    network: Network,
    x: npt.NDArray[Any],
    nodes: Sequence[str],
    training: bool = False,
    threads: int = 0,
    dropout_seed: int = 0,
) -> tuple[list[npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float64]]]: ...
def rounding_deviation(
    network: Network,
    x: npt.NDArray[Any],
    nodes: Sequence[str],
    samples: int = 4,
    seed: int = 0,
    training: bool = False,
    threads: int = 0,
    dropout_seed: int = 0,
) -> tuple[list[tuple[float, float]], dict[str, tuple[float, float]]]: ...
def normalize_images(
    images: npt.NDArray[np.uint8],
    low: float,
    high: float,
    mean: Sequence[float],
    std: Sequence[float],
    out: npt.NDArray[np.float32],
) -> None: ...
def onednn_version() -> str: ...
def onednn_channel_block() -> int: ...
def isa() -> str: ...
def kernel_parameters() -> dict[str, Any]: ...
def available_isas() -> list[str]: ...
def peak_gflops(threads: int = 1) -> float: ...
def machine_model() -> dict[str, float]: ...
def build_info() -> dict[str, Any]: ...
