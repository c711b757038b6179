"""Drawings of blocks: every operator a box, no two in one place, in either form."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import mobileone
import pytest
from mobileone.figures import drawing
from mobileone.figures.drawing import block_names, draw_block

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def boxes(ax: object) -> list[tuple[float, float]]:
    from matplotlib.patches import FancyBboxPatch

    patches = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]  # type: ignore[attr-defined]
    return [(p.get_x(), p.get_y()) for p in patches]


@pytest.mark.parametrize("form", ["train-time", "inference"])
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4", "mobileone_mu0"])
def test_every_operator_of_every_block_gets_a_box_of_its_own(name: str, form: str) -> None:
    model = mobileone.create_model(name, form=form)
    blocks = block_names(model.graph)
    assert len(blocks) == 1 + 2 * sum(model.config["depths"])
    # Equal blocks need to be drawn once.
    for block in [blocks[0], blocks[1], blocks[2], *blocks[-3:]]:
        prefix = f"{block}."
        operators = [n for n in model.graph.nodes if n["name"].startswith(prefix)]
        places = boxes(draw_block(model, block))
        assert len(places) == len(operators)
        for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
            apart = abs(x - other_x) > 0.99 or abs(y - other_y) > 0.99
            assert apart, f"{block}: boxes at {x, y} and {other_x, other_y}"


def test_branches_stand_below_one_another() -> None:
    model = mobileone.create_model("mobileone_s0")
    ax = draw_block(model, "stage2.2")
    texts = [text.get_text() for text in ax.texts]
    # Four 3x3 branches, the 1x1 one, and the batch norm of the identity.
    assert texts.count("3×3 depthwise\n128 channels") == 4
    assert texts.count("1×1 depthwise\n128 channels") == 1
    assert texts.count("batch norm") == 6
    assert "13 operators" in ax.get_title()


def test_data_flows_to_the_right() -> None:
    for name, form in itertools.product(
        ("mobileone_s0", "mobileone_s4"), ("train-time", "inference")
    ):
        graph = mobileone.create_model(name, form=form).graph
        block = block_names(graph)[-1]
        nodes = [n for n in graph.nodes if n["name"].startswith(f"{block}.")]
        places = drawing._places(nodes)
        for node in nodes:
            for source in node["inputs"]:
                assert places.get(source, (0, 0))[0] < places[node["name"]][0]


def test_squeeze_excite_runs_beside_the_main_line() -> None:
    nodes = mobileone.create_model("mobileone_s4", form="inference").graph.nodes
    places = drawing._places([n for n in nodes if n["name"].startswith("stage4.1.")])
    assert places["stage4.1.se.scale"][1] == places["stage4.1.reparam_conv"][1] == 0
    assert {places[f"stage4.1.se.{name}"][1] for name in ("pool", "reduce", "sigmoid")} == {1}


def test_an_axes_is_drawn_into_and_returned() -> None:
    from matplotlib import pyplot

    ax = pyplot.figure().add_subplot()
    assert draw_block(mobileone.create_model("mobileone_mu0"), "stage0", ax) is ax


def test_unknown_blocks_are_refused_with_the_known_ones() -> None:
    model = mobileone.create_model("mobileone_mu0")
    with pytest.raises(ValueError, match=r"block is 'stage9'; expected one of stage0, stage1\.0"):
        draw_block(model, "stage9")


@pytest.mark.parametrize("form", ["train-time", "inference"])
def test_every_operator_of_a_mobilevit_gets_a_box_of_its_own(form: str) -> None:
    model = mobileone.create_model("mobilevit_xxs", form=form)
    blocks = block_names(model.graph)
    # MobileNetV2 blocks, a MobileViT block in each of the last three layers, two convolutions.
    assert len(blocks) == sum(model.config["depths"]) + 3 + 2
    assert (blocks[0], blocks[-1]) == ("conv_1", "conv_1x1_exp")
    for block in ("conv_1", "layer_1.0", "layer_2.0", "layer_3.1"):
        operators = [n for n in model.graph.nodes if n["name"].startswith(f"{block}.")]
        places = boxes(draw_block(model, block))
        assert len(places) == len(operators)
        for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
            assert abs(x - other_x) > 0.99 or abs(y - other_y) > 0.99, block
    texts = [text.get_text() for text in draw_block(model, "layer_3.1").texts]
    assert texts.count("attention\n4 heads") == 2
    assert texts.count("linear\n64 → 192") == 2
    assert texts.count("layer norm") == 5
