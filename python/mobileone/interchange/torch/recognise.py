"""Sums of linear branches in a block, found by tracing what its forward computes.

Attribute names do not matter. The block's forward is traced symbolically (torch.fx) with
convolutions, batch norms and everything without a batch norm as they are; in the trace, terms of a
sum that are norm(conv(x)) or norm(x) of one x are its branches. They become one call; the rest
stays as traced.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mobileone.interchange.torch.geometry import Geometry, merged, of_convolution

MERGED = "merged_branches"  # the method that the rewritten forward calls

_ADD_FUNCTIONS = (operator.add, operator.iadd, torch.add)
_ADD_METHODS = ("add", "add_")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_TRACED = (*_HOOKS, "training")


@dataclass(frozen=True)
class Branch:
    """Names, in the block, of a branch's convolution (None: the identity) and batch norm."""

    conv: str | None
    norm: str


@dataclass(frozen=True)
class BranchSum:
    """The branches of a block, their common geometry, and the forward that calls `MERGED`."""

    branches: tuple[Branch, ...]
    geometry: Geometry
    forward: Callable[..., Any]
    within: tuple[str, ...]
    """Modules of the block that the new forward no longer calls."""


def find_branch_sum(block: nn.Module) -> BranchSum | None:
    """The largest sum of branches in a block's forward; None where there is none or no trace.

    A forward that computes one thing in training and another in evaluation is not recognised.
    """
    best: BranchSum | None = None
    # A sum may be a module without parameters; but so may be one that acts in training only.
    for deep in (False, True):
        graph, inlined = _trace(block, deep)
        found = None if graph is None else _rewrite(block, graph, inlined)
        if found is not None and (best is None or len(found.branches) > len(best.branches)):
            best = found
        if best is not None and len(best.branches) > 1:
            break
    return best


def _trace(block: nn.Module, deep: bool) -> tuple[fx.Graph | None, set[str]]:
    """What forward computes, and the modules traced through; no graph if it depends on the mode."""
    before = {module: {key: module.__dict__[key] for key in _TRACED} for module in block.modules()}
    graphs = []
    try:
        for training in (True, False):
            for module in before:  # a hook would see symbols
                module.__dict__.update({key: OrderedDict() for key in _HOOKS}, training=training)
            tracer = _Tracer(deep)
            graphs.append(tracer.trace(block))
    except Exception:  # whatever a forward of any class raises when it is given a symbol
        return None, set()
    finally:
        for module, attributes in before.items():
            module.__dict__.update(attributes)
    return (graphs[0] if str(graphs[0]) == str(graphs[1]) else None), tracer.inlined


def is_plain_norm(module: nn.Module) -> bool:
    """Whether it is a batch norm of a replica's own images, with nothing after it (timm's may)."""
    if not isinstance(module, nn.BatchNorm2d):
        return False
    plain = type(module) is nn.BatchNorm2d
    after = [module.get_submodule(name) for name, _ in module.named_children()]
    ours = type(module).__name__ == "BatchNormAct2d" and type(module).__module__.startswith("timm.")
    return (plain and not after) or (ours and all(type(part) is nn.Identity for part in after))


def has_hooks(module: nn.Module) -> bool:
    """Whether calling it does more than its forward."""
    return any(module.__dict__[kind] for kind in _HOOKS)


class _Tracer(fx.Tracer):
    def __init__(self, deep: bool) -> None:
        super().__init__()
        self.deep = deep
        self.inlined: set[str] = set()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """What keeps its own forward."""
        leaf = self._is_leaf(m)
        if not leaf:
            self.inlined.add(module_qualified_name)
        return leaf

    def _is_leaf(self, m: nn.Module) -> bool:
        if isinstance(m, nn.Conv2d | _BatchNorm):
            return True
        if any(isinstance(part, _BatchNorm) for part in m.modules()):
            return False
        builtin = type(m).__module__.startswith("torch.nn.")
        return not self.deep or builtin or next(m.parameters(), None) is not None


def _rewrite(block: nn.Module, graph: fx.Graph, inlined: set[str]) -> BranchSum | None:
    found: tuple[fx.Node, dict[fx.Node, Branch], Geometry] | None = None
    for node in graph.nodes:
        if all(_is_add(user) for user in node.users):
            continue  # part of a larger sum, or never used
        branches, geometry = _branches(block, list(_terms(block, node)))
        if geometry is not None and (found is None or len(branches) > len(found[1])):
            found = node, branches, geometry
    if found is None:
        return None
    root, branches, geometry = found
    source = _input(block, next(node for node, part in branches.items() if part.conv))
    with graph.inserting_before(root):
        total = graph.call_module(MERGED, (source,))
        for term in _terms(block, root):
            if term not in branches:
                total = graph.call_function(operator.add, (total, term))
    before = _called(graph)
    root.replace_all_uses_with(total)
    for node in reversed(list(graph.nodes)):
        if not node.users and (_is_add(node) or _is_part(block, node, branches)):
            graph.erase_node(node)
    within = tuple(sorted(inlined | (before - _called(graph))))
    return BranchSum(tuple(branches.values()), geometry, _compiled(graph), within)


def _branches(
    block: nn.Module, terms: list[fx.Node]
) -> tuple[dict[fx.Node, Branch], Geometry | None]:
    """The terms that one convolution can replace, by node, and that convolution's geometry."""
    found: dict[fx.Node, Branch] = {}
    for term in terms:
        if (branch := _branch(block, term)) is not None:
            found[term] = branch
    convolved = [term for term, branch in found.items() if branch.conv]
    if not convolved:
        return {}, None
    source = _input(block, convolved[0])
    found = {term: part for term, part in found.items() if _input(block, term) is source}
    norm = block.get_submodule(next(iter(found.values())).norm)
    parts = []
    for branch in found.values():
        part = _conv_geometry(block, branch)
        if branch.conv and part is None:
            return {}, None
        parts.append(part)
    return found, merged(parts, norm.num_features)  # type: ignore[arg-type]


def _conv_geometry(block: nn.Module, branch: Branch) -> Geometry | None:
    if branch.conv is None:
        return None
    return of_convolution(block.get_submodule(branch.conv))  # type: ignore[arg-type]


def _branch(block: nn.Module, node: fx.Node) -> Branch | None:
    if node.op != "call_module" or len(node.users) != 1 or len(node.args) != 1:
        return None
    if not is_plain_norm(block.get_submodule(str(node.target))):
        return None
    inner = _through_identities(block, node.args[0])
    if inner.op == "call_module" and type(block.get_submodule(str(inner.target))) is nn.Conv2d:
        if len(inner.users) == 1 and len(inner.args) == 1:
            return Branch(str(inner.target), str(node.target))
        return None
    return Branch(None, str(node.target))


def _input(block: nn.Module, term: fx.Node) -> fx.Node:
    """What the branch of a norm's node is applied to."""
    inner = _through_identities(block, term.args[0])
    branch = _branch(block, term)
    return _through_identities(block, inner.args[0]) if branch and branch.conv else inner


def _through_identities(block: nn.Module, node: Any) -> fx.Node:
    while (
        node.op == "call_module"
        and type(block.get_submodule(str(node.target))) is nn.Identity
        and len(node.args) == 1
    ):
        node = node.args[0]
    result: fx.Node = node
    return result


def _is_part(block: nn.Module, node: fx.Node, branches: dict[fx.Node, Branch]) -> bool:
    if node.op != "call_module":
        return False
    names = {name for branch in branches.values() for name in (branch.conv, branch.norm)}
    return node.target in names or type(block.get_submodule(str(node.target))) is nn.Identity


def _is_add(node: fx.Node) -> bool:
    known = (node.op == "call_function" and node.target in _ADD_FUNCTIONS) or (
        node.op == "call_method" and node.target in _ADD_METHODS
    )
    return known and len(node.args) == 2 and not node.kwargs


def _terms(block: nn.Module, node: Any) -> Iterator[fx.Node]:
    """The terms of the sum that a node is; a single term where it is none. Zeros are left out."""
    if not isinstance(node, fx.Node):
        if isinstance(node, int | float) and node == 0:
            return
        raise _NotATermError
    inner = _through_identities(block, node)
    if not _is_add(inner):
        yield inner
        return
    try:
        parts = [term for part in inner.args for term in _terms(block, part)]
    except _NotATermError:
        parts = [inner]
    yield from parts


class _NotATermError(Exception):
    pass


def _called(graph: fx.Graph) -> set[str]:
    return {str(node.target) for node in graph.nodes if node.op == "call_module"}


_FUNCTIONS: dict[tuple[str, tuple[tuple[str, int], ...]], Callable[..., Any]] = {}


def _compiled(graph: fx.Graph) -> Callable[..., Any]:
    """The graph as a function of (self, x); blocks that compute the same share one."""
    code = graph.python_code("self")
    names = tuple(sorted((name, id(value)) for name, value in code.globals.items()))
    if (code.src, names) not in _FUNCTIONS:
        space = dict(code.globals)
        exec(code.src, space)  # as torch.fx.GraphModule does with the same source
        _FUNCTIONS[code.src, names] = space["forward"]
    return _FUNCTIONS[code.src, names]
