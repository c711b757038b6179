"""A torch.export.ExportedProgram as a program: its operators by ONNX's names.

What does not depend on images is computed by PyTorch as it is read.
"""

from __future__ import annotations

import copy
from typing import Any

from mobileone.checkpoint.graphs.aten.table import ATEN
from mobileone.checkpoint.graphs.calls import Call, hint_of
from mobileone.checkpoint.graphs.statement import Array, Program, Statement
from mobileone.util.errors import CheckpointError, shown

__all__ = ["load_exported", "read_exported"]


def load_exported(path: str) -> Any:
    """The program of a .pt2 file.

    Raises:
        OSError: there is no such file.
        CheckpointError: it is none.
    """
    import torch

    with open(path, "rb"):  # names the file where it is missing
        pass
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever PyTorch makes of a damaged archive
        raise CheckpointError(
            f"{path}: no program of torch.export: {type(error).__name__}: {shown(str(error))}"
        ) from error


def read_exported(exported: Any, where: str) -> Program:
    """The program.

    Raises:
        CheckpointError: a program of something else than one batch of images.
        NotImplementedError: an operator that is not supported.
    """
    reader = ExportedReader(exported, where)
    reader.read()
    return reader.program


class ExportedReader:
    """Walks over a program's nodes.

    Attributes:
        where: for messages.
        statements: what has been read.
        constants: by name, those of the program and those that were computed.
        inputs: name and shape of the images.
        outputs: names of the results.
        program: of all these, as far as it has been read.
    """

    def __init__(self, exported: Any, where: str) -> None:
        self.where = where
        self.statements: list[Statement] = []
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.outputs: list[str] = []
        self.program = Program(
            where=where,
            statements=self.statements,
            constant=self.constants.get,
            fold=lambda statement, given: None,
            inputs=self.inputs,
            outputs=self.outputs,
            opset=13,
            language="torch.export",
        )
        self._exported = exported
        self._tensors: dict[str, Any] = {}  # PyTorch's, by the names of nodes
        self._names: dict[str, Any] = {}  # of nodes that are another's result
        self._modules: dict[str, Any] = {}  # parts of a program, by the names of nodes

    def read(self) -> None:
        """All nodes."""
        import torch

        self._take_tensors()
        with torch.no_grad():
            for node in self._exported.graph.nodes:
                if node.op == "placeholder":
                    self._placeholder(node)
                elif node.op == "output":
                    self._finish()
                else:
                    self._step(node, self._exported.graph_module)

    def _step(self, node: Any, module: Any) -> None:
        if node.op == "get_attr":
            held = getattr(module, node.target)
            if hasattr(held, "graph"):
                self._modules[node.name] = held
            else:
                self._hold(node.name, held)
        elif any(given.name in self._modules for given in node.all_input_nodes):
            self._inline(node)
        else:
            self._call(node)

    def _inline(self, node: Any) -> None:
        """A part that runs under another setting of autocast or gradients, which change nothing."""
        names = [getattr(given, "name", "") for given in node.args]
        place = next(i for i, name in enumerate(names) if name in self._modules)
        target = str(node.target)
        if target not in ("wrap_with_autocast", "wrap_with_set_grad_enabled"):
            self.program.refuse(Statement(node.name, target, (), ()), "control flow")
        module = self._modules[names[place]]
        given = list(node.args[place + 1 :])
        for inner in copy.deepcopy(module.graph).nodes:
            inner.name = f"{node.name}.{inner.name}"
            if inner.op == "placeholder":
                self._pass(inner.name, given.pop(0))
            elif inner.op == "output":
                self._pass(node.name, inner.args[0])
            else:
                self._step(inner, module)

    def _pass(self, name: str, given: Any) -> None:
        """Another name of a value, or of a list of them."""
        self._names[name] = self.name_of(given)
        if getattr(given, "name", None) in self._tensors:
            self._hold(name, self._tensors[given.name])

    def _take_tensors(self) -> None:
        signature, program = self._exported.graph_signature, self._exported
        held = {**program.state_dict, **program.constants}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **getattr(signature, "inputs_to_lifted_tensor_constants", {}),
        }
        for name, target in named.items():
            if target not in held:
                raise CheckpointError(f"{self.where}: the tensor {shown(target)!r} is missing")
            self._hold(name, held[target])

    def _hold(self, name: str, tensor: Any) -> None:
        self._tensors[name] = tensor
        numbers = tensor.detach().cpu()
        if numbers.dtype.is_floating_point and numbers.dtype.itemsize < 4:
            numbers = numbers.float()
        self.constants[name] = numbers.numpy()

    def _placeholder(self, node: Any) -> None:
        if node.name in self._tensors:
            return
        value = node.meta.get("val")
        shape = tuple(hint_of(extent) for extent in getattr(value, "shape", ()))
        if self.inputs or len(shape) != 4 or not value.dtype.is_floating_point:
            raise NotImplementedError(
                f"{self.where}: input {shown(node.name)!r} has shape {shape}; expected images "
                "(N, C, H, W) as the only input"
            )
        self.inputs[node.name] = shape

    def _finish(self) -> None:
        for name in self._exported.graph_signature.user_outputs:
            if isinstance(name, str):
                self.outputs.append(str(self._names.get(name, name)))

    def _call(self, node: Any) -> None:
        value = node.meta.get("val")
        if value is None and not node.users:  # an assertion
            return
        kind = type(value).__name__
        if isinstance(value, int | float) or kind in ("SymInt", "SymFloat", "SymBool"):
            self._names[node.name] = hint_of(value)  # sizes, as they were when it was exported
            return
        if getattr(node.target, "__name__", "") == "getitem":
            whole, index = node.args
            found = self._names.get(whole.name, whole.name)
            self._names[node.name] = found[index] if isinstance(found, list) else found
            return
        if all(n.name in self._tensors or self._is_number(n) for n in node.all_input_nodes):
            self._compute(node)
            return
        target = str(node.target)
        handler = ATEN.get(target.removeprefix("aten.").partition(".")[0].rstrip("_"))
        statement = Statement(node.name, "", (), (node.name,), source=target)
        if handler is None or not target.startswith("aten."):
            self.program.refuse_kind(statement, ATEN)
        handler(Call(self, node))

    def _is_number(self, node: Any) -> bool:
        return isinstance(self._names.get(node.name), int | float)

    def _compute(self, node: Any) -> None:
        """A node of constants alone, by PyTorch."""
        import torch

        def given(argument: Any) -> Any:
            return self._tensors.get(argument.name, self._names.get(argument.name))

        args = torch.fx.map_arg(node.args, given)
        kwargs = torch.fx.map_arg(node.kwargs, given)
        result = node.target(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            self._hold(node.name, result)
            return
        names = []
        for index, tensor in enumerate(result):
            names.append(f"{node.name}.{index}")
            self._hold(names[-1], tensor)
        self._names[node.name] = names

    def name_of(self, argument: Any) -> Any:
        """The name of a node's result, a list of them, or the argument as it is."""
        if isinstance(argument, list | tuple):
            return [self.name_of(one) for one in argument]
        if not hasattr(argument, "meta"):
            return argument
        return self._names.get(argument.name, argument.name)

    def alias(self, node: Any, names: Any) -> None:
        """A node's result is another value, or several."""
        self._names[node.name] = names
