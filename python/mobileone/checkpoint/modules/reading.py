"""A module's function: run once and recorded, as fields of a configuration, and compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from mobileone.checkpoint.modules.compare import Difference, first_difference
from mobileone.checkpoint.modules.expected import expressions_of
from mobileone.checkpoint.modules.expressions import Expressions, Shape
from mobileone.checkpoint.modules.recorder import Call, Recorder
from mobileone.checkpoint.modules.run import outputs_of, run, seeded_image
from mobileone.checkpoint.modules.values import version_of
from mobileone.families import graph_of
from mobileone.families.family import ACTIVATIONS
from mobileone.families.geometry import Convolution

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.families.family import Family

__all__ = ["ModuleReading", "read_module"]

# Height and width differ, and at a total stride of 32 one is no multiple of a patch of 2.
SIZE = (64, 96)


@dataclass
class ModuleReading:
    """What a module did.

    Attributes:
        source: what messages call it.
        module: as it was given.
        image: what it was run on.
        outputs: the tensors of its result.
        table: the expressions.
        calls: by the number of the expression that they made.
        results: the numbers of `outputs`.
        problem: why it could not be run or read; "" if it could.
        single: whether its result is one tensor, not a list of them.
        numbers: of the results of the graph that it was compared with, by name.
    """

    source: str
    module: Any
    image: torch.Tensor
    outputs: list[torch.Tensor]
    table: Expressions
    calls: dict[int, Call]
    results: tuple[int, ...]
    problem: str
    single: bool
    numbers: dict[str, int] = field(default_factory=dict)

    def told(self, family: Family) -> dict[str, Any]:
        """The fields of a configuration that its calls show, where they are not as published."""
        norms: dict[str, Counter[float]] = {"batch_norm": Counter(), "layer_norm": Counter()}
        activations: Counter[str] = Counter()
        convolutions = {}
        for number in self.calls:
            made = self.table[number]
            if made.kind in norms:
                norms[made.kind][made.get("eps")] += 1
            elif made.kind == "conv":
                weight = made.get("weight").removesuffix(".weight")
                convolutions[weight] = Convolution(made.get("stride"), made.get("dilation"))
            elif made.kind == "activation" and not self._in_gate(made.inputs[0]):
                activations[made.get("function")] += 1
        found = {
            "activation": _most(activations & Counter(dict.fromkeys(ACTIVATIONS, 1 << 30))),
            "eps": _most(norms["batch_norm"]),
            "layer_norm_eps": _most(norms["layer_norm"]),
            **family.geometry(convolutions),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _in_gate(self, number: int) -> bool:
        """Whether an expression is a convolution inside of squeeze-and-excitation."""
        made = self.table[number]
        return made.kind == "conv" and ".se." in made.get("weight")

    def values(self, graph: Graph) -> dict[str, torch.Tensor]:
        """Its results by the names of a graph's feature maps and output, as far as they are known
        to be these; maps that were changed in place since are not.
        """
        if self.problem:
            size = math.prod(graph.shapes(tuple(self.image.shape))[graph.output_name])
            logits = next((x for x in self.outputs if x.numel() == size), None)
            return {} if logits is None else {graph.output_name: logits}
        found = {}
        for name in (*graph.feature_names, graph.output_name):
            call = self.calls.get(self.numbers[name])
            if call is not None and version_of(call.result) == call.version:
                found[name] = call.result
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report says of it."""
        return (f"not checked: {self.problem}",) if self.problem else ()

    def compare(self, config: Mapping[str, Any], *, classifier: bool, strict: bool) -> None:
        """NotImplementedError that names the first difference from a configuration's graph.

        Args:
            config: of the network that the module is to be.
            classifier: whether it has the network's last layer.
            strict: whether its results are the network's, rather than made from them.
        """
        if self.problem:
            return
        graph = graph_of(config)
        wanted = (graph.output_name,) if classifier else tuple(graph.feature_names)
        self.numbers = expressions_of(graph, tuple(self.image.shape), self.table)
        words = Difference(self.table, self.calls, self.module)
        difference = first_difference(graph, self.numbers, wanted, words)
        if not difference and strict:
            # A list of maps is an encoder's. A single one is what the network would pool.
            alone = classifier or self.single
            names = (graph.output_name,) if alone else (graph.output_name, *wanted)
            difference = self._other_result(names, words)
        if difference:
            raise NotImplementedError(f"{self.source}: {difference}")

    def _other_result(self, names: tuple[str, ...], difference: Difference) -> str:
        """What its result is where that is none of these of the network; "" if it is."""
        if {self.numbers[name] for name in names} & set(self.results):
            return ""
        found = "; ".join(map(difference.words, self.results)) or "no tensor"
        return f"its result is {found}; expected that of {names[0]}, without anything after it"


def _most(counted: Counter[Any]) -> Any:
    return counted.most_common(1)[0][0] if counted else None


def read_module(
    module: Any,
    tensors: Mapping[str, torch.Tensor],
    channels: int,
    source: str,
    *,
    computes: bool,
) -> ModuleReading:
    """Run a module, and note what it does.

    Args:
        module: a torch.nn.Module; it is left as it was.
        tensors: canonical name -> tensor of its state dict.
        channels: of the images.
        source: what messages call it.
        computes: whether on seeded noise, so that its results can be compared; else it is run on
            a tensor without elements, if it does not look at them.
    """
    names = {(t.data_ptr(), tuple(t.shape)): name for name, t in tensors.items()}
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if not computes:
        nothing = torch.empty(1, channels, *SIZE, device="meta", dtype=_dtype(tensors))
        reading = _read(module, names, nothing, source)
        if not reading.problem or isinstance(module, torch.jit.ScriptModule):
            return reading
    return _read(module, names, seeded_image(module, (1, channels, *SIZE)), source)


def _dtype(tensors: Mapping[str, torch.Tensor]) -> torch.dtype:
    return next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float32)


def _read(
    module: Any, names: Mapping[tuple[int, Shape], str], image: torch.Tensor, source: str
) -> ModuleReading:
    recorder = Recorder(Expressions(), names, computes=not image.is_meta)
    scripted = isinstance(module, torch.jit.ScriptModule)
    problem = "what a ScriptModule calls cannot be read" if scripted else ""
    outputs: list[torch.Tensor] = []
    single = False
    try:
        if not (scripted and image.is_meta):
            result = run(module, image, recorder)
            outputs, single = outputs_of(result), isinstance(result, torch.Tensor)
    except Exception as error:
        problem = f"its forward raised {type(error).__name__}: {error}"
    if recorder.writes:
        raise NotImplementedError(f"{source}: {recorder.writes} in place")
    if recorder.changed_outside():
        raise NotImplementedError(
            f"{source}: a hook or a part of it changes tensors outside of PyTorch (numpy)"
        )
    results = tuple(map(recorder.values.number, outputs))
    told = (recorder.table, recorder.calls, results, problem, single)
    return ModuleReading(source, module, image, outputs, *told)
