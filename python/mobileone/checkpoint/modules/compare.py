"""Whether a module's calls are a graph's operators; and if not, which attribute is another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint.modules.expressions import Expression, Expressions
from mobileone.families.family import ACTIVATIONS
from mobileone.util.errors import listed

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.checkpoint.modules.recorder import Call

__all__ = ["Difference", "first_difference"]

# What expressions of ours are called in messages, and what is supported where another is found.
_TITLES = {
    "conv": "convolution",
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "mean": "global average pooling",
    "multiply": "product",
    "add": "sum",
    "concat": "concatenation",
    "move": "reshape",
    "resize": "bilinear resize (align_corners=False)",
    "matmul": "matrix product",
}


def first_difference(
    graph: Graph,
    expected: Mapping[str, int],
    wanted: tuple[str, ...],
    difference: Difference,
) -> str:
    """What the module does otherwise than the graph, in words; "" if it is the same function.

    Args:
        graph: what is to run.
        expected: the numbers of its nodes' results.
        wanted: nodes whose results must be among the module's.
        difference: of the module, for the words.
    """
    table, calls = difference.table, difference.calls
    if all(expected[name] in calls for name in wanted):
        return ""
    needed = _read_by(graph, wanted)
    for node in graph.nodes:
        name = node["name"]
        number = expected[name]
        if name not in needed or number in calls or table[number].kind in ("input", "move"):
            continue
        return difference.describe(node, table[number])
    return "its result is another one than the network's"


def _read_by(graph: Graph, wanted: tuple[str, ...]) -> set[str]:
    """The nodes that these depend on, with themselves."""
    inputs = {node["name"]: node["inputs"] for node in graph.nodes}
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += inputs[name]
    return found


class Difference:
    """Differences of a module's expressions in words.

    Args:
        table: with the expressions, of both.
        calls: the module's, by the number of their expression.
        module: the whole.
    """

    def __init__(self, table: Expressions, calls: Mapping[int, Call], module: Any) -> None:
        self.table = table
        self.calls = calls
        self.module = module

    @cached_property
    def owners(self) -> dict[int, str]:
        """Names of the module's parts, by identity."""
        return {id(part): name for name, part in self.module.named_modules() if name}

    def describe(self, node: Mapping[str, Any], wanted: Expression) -> str:
        """What stands in the place of a node of ours."""
        same = self._of_same_weights(wanted)
        if same is not None:
            return self._attributes(same, node, wanted)
        title = _TITLES.get(wanted.kind, wanted.kind)
        if wanted.kind == "activation":
            title = f"activation {wanted.get('function')}"
        found = [self.words(n) for n in self._readers(wanted)]
        instead = listed(dict.fromkeys(found)) or "nothing"
        supported = f" (supported: {', '.join(ACTIVATIONS)})" if wanted.kind == "activation" else ""
        return f"{node['name']}: {instead}; expected {title} there{supported}"

    def _of_same_weights(self, wanted: Expression) -> int | None:
        """The module's expression of the same kind and weights."""
        for name in ("weight", "of"):
            own = wanted.get(name)
            for number in self.calls:
                made = self.table[number]
                if own is not None and made.kind == wanted.kind and made.get(name) == own:
                    return number
        return None

    def _attributes(self, number: int, node: Mapping[str, Any], wanted: Expression) -> str:
        found = self.table[number]
        where = self._owner(number) or node["name"]
        pad = self.table[found.inputs[0]]
        if found.kind == "conv" and pad.kind == "call" and pad.get("function") == "pad":
            told = pad.get("told")
            return f"{where}: padding_mode: it reads pad({told}); expected 'zeros', on both sides"
        differ = [
            f"{name} is {_said(found.get(name))}; expected {_said(value)}"
            for name, value in wanted.attributes
            if found.get(name) != value
        ]
        return f"{where}: {'; '.join([*self._before(found, wanted), *differ])}"

    def _before(self, found: Expression, wanted: Expression) -> list[str]:
        """What is done to the inputs that this node should read as they are."""
        if found.inputs == wanted.inputs:
            return []
        extra = [n for n in found.inputs if n not in wanted.inputs]
        words = "; ".join(self.words(n) for n in extra) or "nothing"
        return [f"it reads {words}; expected {self._expected(wanted)}"]

    def _expected(self, wanted: Expression) -> str:
        """What the inputs should be."""
        kinds = [self.table[n] for n in wanted.inputs]
        return ", ".join(
            f"activation {made.get('function')}"
            if made.kind == "activation"
            else _TITLES.get(made.kind, made.kind)
            for made in kinds
        )

    def _readers(self, wanted: Expression) -> list[int]:
        """The module's expressions that read most of the inputs of a wanted one."""
        best: list[int] = []
        most = 1
        for number in self.calls:
            shared = len(set(self.table[number].inputs) & set(wanted.inputs))
            if shared > most:
                best, most = [number], shared
            elif shared == most:
                best.append(number)
        return best

    def _owner(self, number: int) -> str:
        call = self.calls.get(number)
        return "" if call is None else self.owners.get(id(call.owner), "")

    def words(self, number: int) -> str:
        """An expression of the module's: the function that was called, and by what."""
        made = self.table[number]
        call = self.calls.get(number)
        if made.kind == "elsewhere":
            return f"a tensor {made.get('shape')} that no recorded function made"
        if made.kind == "call":
            told = f"({made.get('told')})" if made.get("told") else ""
            words = f"{made.get('function')}{told}"
        elif made.kind == "activation":
            words = f"activation {made.get('function')}"
        elif made.kind == "move":
            base = self.words(made.inputs[0])
            return f"elements in another order (reshape, transpose, flip, ...) of {base}"
        elif made.kind == "changed":
            words = f"a tensor whose memory was changed in place ({made.get('by')})"
        else:
            words = call.function if call is not None else made.kind
        owner = self._owner(number)
        module = type(call.owner).__name__ if call is not None and call.owner is not None else ""
        if owner:
            return f"{words} of {owner} ({module})"
        return f"{words} of {module}" if module else words


def _said(value: Any) -> str:
    return "none" if value is None else repr(value)
