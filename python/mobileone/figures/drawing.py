"""Drawings of a block's operators: the branches of the train-time form, or what they became."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mobileone._core import Graph
from mobileone.figures.plots import PALETTE, ink_color, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["block_names", "draw_block"]

_Node = dict[str, Any]
# Columns are 1 wide and rows 1 high; a box leaves room for the arrows between them.
_BOX_WIDTH, _BOX_HEIGHT = 0.78, 0.62
_DETOUR = 0.45  # rows above the line, between the boxes of two rows
_INCHES_PER_COLUMN, _INCHES_PER_ROW = 1.65, 0.72
_COLORS = {
    "Conv2d": PALETTE[0],
    "BatchNorm": PALETTE[1],
    "Add": PALETTE[2],
    "Multiply": PALETTE[2],
    "Activation": PALETTE[3],
    "Linear": PALETTE[0],
    "LayerNorm": PALETTE[1],
    "Attention": PALETTE[3],
}
_NAMES = {
    "BatchNorm": "batch norm",
    "LayerNorm": "layer norm",
    "Add": "sum",
    "Multiply": "scale",
    "GlobalAvgPool": "global\naverage pool",
}


class Drawn(Protocol):
    """A `mobileone.Model`, in either form."""

    @property
    def name(self) -> str: ...
    @property
    def form(self) -> str: ...
    @property
    def graph(self) -> Graph: ...


def block_names(graph: Graph) -> list[str]:
    """The blocks in order of execution.

    MobileOne: "stage0" (the stem), "stage1.0", "stage1.1", ...; MobileViT: "conv_1" (the stem),
    "layer_1.0", ..., "conv_1x1_exp".
    """
    names = (_block_of(str(node["name"])) for node in graph.nodes)
    return list(dict.fromkeys(name for name in names if name))


def draw_block(model: Drawn, block: str, ax: Axes | None = None) -> Axes:
    """One box per operator of a block, data flowing from left to right (paper, figure 3).

    "÷2" is a stride of 2.

    Args:
        model: in either form.
        block: one of `block_names`.
        ax: where to draw; None makes a figure that fits. Needs matplotlib.

    Raises:
        ValueError: a block that the model does not have.
    """
    known = block_names(model.graph)
    if block not in known:
        raise ValueError(f"block is {block!r}; expected one of {', '.join(known)}")
    nodes = [n for n in model.graph.nodes if _block_of(str(n["name"])) == block]
    places = _places(nodes)
    columns = max(x for x, _ in places.values()) + 1
    rows = [y for _, y in places.values()]
    height = max(rows) - min(rows) + 1
    if ax is None:
        ax = new_axes(_INCHES_PER_COLUMN * (columns + 0.6), _INCHES_PER_ROW * height + 0.6)
    _draw_arrows(ax, nodes, places, columns)
    for node in nodes:
        _draw_box(ax, node, places[node["name"]])
    ax.set_xlim(-0.6, columns + 0.1)
    ax.set_ylim(max(rows) + 0.55, min(rows) - 0.55)
    ax.set_axis_off()
    count = "1 operator" if len(nodes) == 1 else f"{len(nodes)} operators"
    ax.set_title(f"{model.name}, {block}, {model.form} form: {count}", fontsize="medium")
    return ax


def _block_of(name: str) -> str:
    """ "stage1.0" for "stage1.0.relu", "stage0" for "stage0.relu"; empty outside of blocks."""
    parts = name.split(".")
    if not parts[0].startswith(("stage", "layer_", "conv_")) or len(parts) < 2:
        return ""
    return ".".join(parts[:2]) if parts[1].isdigit() else parts[0]


def _places(nodes: Sequence[_Node]) -> dict[str, tuple[int, float]]:
    """Column and row of every operator; column 0 is where the block's input arrives."""
    names = {str(node["name"]) for node in nodes}
    inner = {node["name"]: [i for i in node["inputs"] if i in names] for node in nodes}
    consumers: dict[str, list[str]] = {name: [] for name in names}
    for name, inputs in inner.items():
        for source in inputs:
            consumers[source].append(name)
    columns = _columns(nodes, inner, consumers)
    rows = _rows(nodes, inner, consumers)
    return {name: (columns[name], rows[name]) for name in rows}


def _columns(
    nodes: Sequence[_Node], inner: dict[str, list[str]], consumers: dict[str, list[str]]
) -> dict[str, int]:
    """As late as possible, so that the batch norms of all branches stand in one column."""
    earliest: dict[str, int] = {}
    for node in nodes:  # in order of execution: inputs come first
        earliest[node["name"]] = max((earliest[i] + 1 for i in inner[node["name"]]), default=1)
    latest = dict(earliest)
    for name in reversed([str(node["name"]) for node in nodes]):
        latest[name] = min((latest[c] - 1 for c in consumers[name]), default=max(earliest.values()))
    return latest


def _rows(
    nodes: Sequence[_Node], inner: dict[str, list[str]], consumers: dict[str, list[str]]
) -> dict[str, float]:
    """A row per branch, centred on the main line; a side path (squeeze-excite) one row below."""
    branches = [str(node["name"]) for node in nodes if not inner[node["name"]]]
    rows = {name: i - (len(branches) - 1) / 2 for i, name in enumerate(branches)}
    for node in nodes:
        name, inputs = str(node["name"]), inner[node["name"]]
        if name in rows:
            continue
        if len(inputs) > 1:
            rows[name] = 0.0
        else:
            rows[name] = rows[inputs[0]] + (1.0 if len(consumers[inputs[0]]) > 1 else 0.0)
    return rows


def _draw_arrows(
    ax: Axes, nodes: Sequence[_Node], places: dict[str, tuple[int, float]], columns: int
) -> None:
    arrow: Callable[..., Any] = ax.annotate
    style = {"arrowstyle": "-|>", "color": ink_color(), "linewidth": 1.0, "shrinkA": 0}
    style |= {"shrinkB": 0}
    half = _BOX_WIDTH / 2
    for node in nodes:
        x, y = places[node["name"]]
        for source in node["inputs"]:
            # What comes from another block arrives at the left edge.
            from_x, from_y = places.get(source, (0, 0.0))
            start = (from_x + half, from_y) if source in places else (0.05, 0.0)
            if x - from_x > 1:
                # Past the columns between on the row of the target, or above the boxes in it.
                above = any(from_x < column < x and row == y for column, row in places.values())
                knees = [(from_x + 0.5, y - _DETOUR), (x - 0.5, y - _DETOUR)]
                path = [start, *knees] if above else [start, (from_x + 0.5, y)]
                ax.plot(*zip(*path, strict=True), color=ink_color(), linewidth=1.0)
                start = path[-1]
            arrow("", (x - half, y), start, arrowprops=style)
    last = places[nodes[-1]["name"]]
    arrow("", (columns - 0.05, last[1]), (last[0] + half, last[1]), arrowprops=style)
    ax.text(0.0, 0.0, _input_text(nodes), ha="right", va="center", fontsize="small")


def _input_text(nodes: Sequence[_Node]) -> str:
    """Channels of the block's input, if an operator tells."""
    for node in nodes:
        channels = node["attributes"].get("in_channels", node["attributes"].get("channels"))
        if channels is not None:
            return f"{channels}\nchannels"
    return "input"


def _draw_box(ax: Axes, node: _Node, place: tuple[int, float]) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    corner = (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2)
    color = _COLORS.get(str(node["kind"]), "gray")
    look: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 1.8}
    # A faint fill under text in the page's own colour reads on light and on dark alike.
    ax.add_patch(
        FancyBboxPatch(corner, _BOX_WIDTH, _BOX_HEIGHT, fc=(color, 0.18), ec=color, **look)
    )
    ax.text(x, y, _text(node), ha="center", va="center", fontsize="small")


def _text(node: _Node) -> str:
    """What the operator is, and what tells it from its neighbours."""
    kind, attributes = str(node["kind"]), node["attributes"]
    if kind == "Conv2d":
        height, width = attributes["kernel_size"]
        groups, channels = attributes["groups"], attributes["in_channels"]
        depthwise = groups == channels > 1
        name = "depthwise" if depthwise else "conv"
        to = f"{channels} channels" if depthwise else f"{channels} → {attributes['out_channels']}"
        stride = "" if attributes["stride"] == [1, 1] else f", ÷{attributes['stride'][0]}"
        bias = "\n+ bias" if attributes["bias"] else ""
        return f"{height}×{width} {name}{stride}\n{to}{bias}"
    if kind == "Activation":
        return {"relu": "ReLU", "silu": "SiLU"}.get(attributes["kind"], str(attributes["kind"]))
    if kind == "Linear":
        return f"linear\n{attributes['in_features']} → {attributes['out_features']}"
    if kind == "Attention":
        return f"attention\n{attributes['heads']} heads"
    return _NAMES.get(kind, kind.lower())
