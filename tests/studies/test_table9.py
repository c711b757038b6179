"""studies.table9 and table1: rows beside the paper's, other runtimes on the same network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mobileone import studies
from mobileone.studies import paper
from mobileone.studies.architectures import ARCHITECTURES, architecture
from mobileone.studies.runtimes import RUNTIMES, Rival
from mobileone.studies.table9 import NAMES
from mobileone.verification.rounding import rounding_bound

QUICK: dict[str, Any] = {"runs": 2, "rounds": 2, "warmup": 0, "input_size": 32, "progress": False}
SMALL = ("MobileNetV3-S", "MobileOne-S0", "MobileNetV1")


@pytest.fixture(scope="module")
def result() -> studies.Table9Result:
    pytest.importorskip("onnxruntime")
    return studies.table9(SMALL, runtimes=["onnxruntime"], **QUICK)


def test_rows_stand_beside_the_papers(result: studies.Table9Result) -> None:
    assert [row.label for row in result.rows] == list(SMALL)
    assert result.engines == ["mobileone", "onnxruntime"]
    for row in result.rows:
        assert row.paper == paper.TABLE9[row.label]
        assert set(row.ratios) == {"onnxruntime"}
        assert all(ms > 0 for ms in row.min_ms.values())
    text = repr(result)
    assert "3.74" in text  # MobileNetV3-S on the GPU
    assert "onnxruntime / ours" in text
    json.dumps(result.to_dict(), allow_nan=False)
    frame = result.to_dataframe()
    assert list(frame["paper_top1"]) == [67.4, 71.4, 70.6]
    assert result.fingerprint["cpu"]["model"] in text


def test_every_network_of_the_table() -> None:
    assert set(paper.TABLE9) <= set(NAMES)
    assert set(paper.FIGURE2) <= set(NAMES)
    assert len(paper.FIGURE2) == 12


def test_front_is_what_nothing_surpasses(result: studies.Table9Result) -> None:
    front = result.front()
    for row in result.rows:
        better = [
            other.label
            for other in result.rows
            if other.min_ms["mobileone"] < row.min_ms["mobileone"]
            and (other.top1 or 0) >= (row.top1 or 0)
        ]
        assert (row.label in front) == (not better)


def test_correlation_is_of_one_engine(result: studies.Table9Result) -> None:
    found = result.correlation("onnxruntime")
    assert [row.min_ms for row in found.benchmark.rows] == [
        row.min_ms["onnxruntime"] for row in result.rows
    ]
    assert "this CPU, onnxruntime, 3 models" in repr(found)
    assert "one family" not in repr(found)
    direct = studies.table1(SMALL, **QUICK)
    assert "this CPU, mobileone, 3 models" in repr(direct)


@pytest.mark.parametrize("name", ["ShuffleNetV2-1.0", "Mobile-Former-52"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rivals_compute_the_same(runtime: str, name: str) -> None:
    pytest.importorskip(runtime)
    model = architecture(name, seed=3)
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    session = Rival(model, runtime).compile(x.shape, threads=1)
    bound = np.sqrt(2) * rounding_bound(model, x).logits
    assert np.abs(session(x) - model(x)).max() <= bound
    assert session.time(x, 3).shape == (3,)


def test_figure(result: studies.Table9Result) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    ax = result.plot()
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.texts] == list(SMALL)
    (steps,) = (line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert list(steps.get_ydata()) == sorted(paper.TABLE9[n].top1 for n in result.front())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: studies.table9(["ResNet"]), "names holds 'ResNet'; expected some of"),
        (lambda: studies.table9([]), "names is empty"),
        (lambda: studies.table9(SMALL, runtimes=["tvm"]), "runtimes holds 'tvm'"),
        (lambda: studies.table1(SMALL, engine="tvm"), "engine is 'tvm'; expected one of"),
        (lambda: studies.table1(SMALL[:2], **QUICK), "expected as many of each, at least 3"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_ctrl_c_keeps_what_was_measured(ctrl_c_at: Callable[[int], None]) -> None:
    ctrl_c_at(3)
    found = studies.table9(SMALL, runtimes=[], **QUICK)
    assert found.interrupted
    assert [row.label for row in found.rows] == list(SMALL[:2])


def test_every_architecture_has_a_name_of_the_paper() -> None:
    assert {name for name in ARCHITECTURES if name not in paper.TABLE9} == {
        "MobileNetV3-S (ReLU)",
        "MobileNetV3-L (ReLU)",
    }
