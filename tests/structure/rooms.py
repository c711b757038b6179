"""The rooms of the Python package, and who imports whom, read from the sources: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "mobileone"

# From top to bottom: a module imports from rows below its own and from its own room.
ROWS = (
    ("__init__", "__main__"),
    ("cli", "studies"),
    ("model",),
    ("interchange.onnx.fuse", "quantization"),
    (
        *("verification", "measure", "evaluation", "train", "interchange", "interchange.torch"),
        "tasks.results",
    ),
    ("checkpoint", "figures"),
    ("checkpoint.graphs", "checkpoint.modules"),
    ("network",),
    ("families",),
    ("tasks", "families.naming"),
    ("checkpoint.containers", "data", "util.machine"),
    ("util",),
    ("_core",),
)
RANK = {room: rank for rank, row in enumerate(ROWS) for room in row}

# Packages beyond NumPy and the standard library, and the rooms whose functions import them.
THIRD_PARTY = {
    "PIL": {"data"},
    "faster_coco_eval": {"tasks"},
    "huggingface_hub": {"checkpoint"},
    "matplotlib": {"figures"},
    "onnx": {
        "checkpoint.containers",
        "checkpoint.graphs",
        "interchange",
        "interchange.onnx.fuse",
    },
    "onnxruntime": {"evaluation", "interchange.onnx.fuse", "studies"},
    "openvino": {"studies"},
    "pyarrow": {"data"},
    "pandas": {"evaluation", "measure", "quantization", "studies", "train"},
    "ray": {"evaluation"},
    "sklearn": {"data"},
    "threadpoolctl": {"util.machine"},
    "torch": {"checkpoint.graphs", "checkpoint.modules", "interchange.torch"},
    "tqdm": {"measure"},
}
# Rooms of classes of another package's, imported only when somebody asks for the room.
WHOLLY_OF = {"interchange.torch": "torch", "checkpoint.modules": "torch"}


class Import(NamedTuple):
    """One imported module.

    Attributes:
        source: of the importing module, without "mobileone."; "__init__" for the package's own.
        target: the same of ours, or the name of a package that is not ours.
        ours: whether the target is a module of this package.
        at_import: whether it is imported when the importing module is.
        typing: whether only type checkers import it.
        line: in the importing file.
    """

    source: str
    target: str
    ours: bool
    at_import: bool
    typing: bool
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(module: str) -> str:
    """The longest room that the module is in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in RANK:
            return name
    raise AssertionError(f"{module} is in no room of ROWS")


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports() -> tuple[Import, ...]:
    """Of every module: also those inside functions, by `import_module`, and for type checkers."""
    found: list[Import] = []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node, at_import, typing in _statements(tree, at_import=True, typing=False):
            for target in _targets(node):
                ours, target_name = _resolve(target)
                if not (ours and target_name == name):
                    found.append(Import(name, target_name, ours, at_import, typing, node.lineno))
    return tuple(found)


def _statements(
    tree: ast.AST, *, at_import: bool, typing: bool
) -> Iterator[tuple[ast.stmt | ast.Call, bool, bool]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            yield child, at_import, typing
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from _statements(
            child, at_import=at_import and not inside, typing=typing or for_types
        )


def _targets(node: ast.stmt | ast.Call) -> list[str]:
    """Dotted names; of `from a import b` both a.b, if that is a module, and else a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if _is_module(name) else str(node.module) for name in names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [a.value for a in node.args if isinstance(a, ast.Constant)]
    return []


def _is_module(name: str) -> bool:
    own = name.removeprefix("mobileone.")
    return name.startswith("mobileone.") and (own == "_core" or own in modules())


def _resolve(target: str) -> tuple[bool, str]:
    """Whether it is ours, and its name as in `Import`."""
    if target == "mobileone":
        return True, "__init__"
    if target.startswith("mobileone."):
        return True, target.removeprefix("mobileone.")
    return False, target.partition(".")[0]


def strings(path: Path) -> list[str]:
    """The constants of a module, without docstrings and other bare strings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
    ]
