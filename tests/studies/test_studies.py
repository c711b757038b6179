"""mobileone.studies: the network against PyTorch, the statistics, the results and their tables."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mobileone import _core, studies
from mobileone.studies import measure, paper
from mobileone.studies.networks import ACTIVATIONS
from torch_plain_cnn import forward

# Twelve standard deviations of the derived rounding error: exceeded once in 10^32.
DEVIATIONS = 12.0
SMALL: dict[str, Any] = {
    "num_classes": 5,
    "stem_width": 12,
    "widths": [20, 32],
    "strides": [2, 1],
    "reduction": 4,
}
QUICK: dict[str, Any] = {"runs": 4, "rounds": 2, "warmup": 0, "input_size": 32, "threads": 1}


def perturbed(model: studies.PlainCnn) -> studies.PlainCnn:
    """The same network with biases that are not zero, so that gates leave the middle."""
    random = np.random.default_rng(1)
    weights = {
        name: w + random.uniform(-1.5, 1.5, w.shape).astype(np.float32) if w.ndim == 1 else w
        for name, w in model.network.weights().items()
    }
    network = _core.Network(model.graph, weights)
    return studies.PlainCnn(network, model.config, arch=model.arch)


@pytest.mark.parametrize("activation", ACTIVATIONS.values())
@pytest.mark.parametrize("skip", [False, True])
def test_reference_agrees_with_torch(activation: str, skip: bool) -> None:
    """Both compute in float64: they differ by its rounding errors alone."""
    options = {"skip": skip, "squeeze_excite": skip and activation != "se_relu"}
    model = perturbed(studies.plain_cnn(activation, **options, **SMALL))
    x = np.random.default_rng(2).standard_normal((2, 3, 20, 17)).astype(np.float32)
    expected = forward(model.network.weights(), x, model.config)
    (found,), _ = _core.reference_forward(model.network, x, [model.graph.output_name])
    # Fewer than 10^4 roundings of 2^-53 between input and logits, each on values of the logits'
    # size or below.
    assert np.abs(found - expected).max() <= 1e4 * 2.0**-53 * np.abs(expected).max()


@pytest.mark.parametrize("activation", ACTIVATIONS.values())
def test_engine_stays_within_the_rounding_bounds_of_torch(activation: str) -> None:
    model = perturbed(studies.plain_cnn(activation, **{**SMALL, "widths": [48, 64]}))
    x = np.random.default_rng(3).standard_normal((2, 3, 40, 33)).astype(np.float32)
    expected = forward(model.network.weights(), x, model.config)
    (deviation,), _ = _core.rounding_deviation(model.network, x, [model.graph.output_name])
    for backend in ("onednn", "auto"):
        found = model.compile(x.shape, threads=1, backend=backend)(x)
        assert np.abs(found - expected).max() <= DEVIATIONS * deviation[1]


def test_the_full_network_has_thirty_layers() -> None:
    kinds = [node["kind"] for node in studies.plain_cnn().graph.nodes]
    assert kinds.count("Conv2d") + kinds.count("Linear") == 30


def test_networks_compile_to_onednn_steps_only() -> None:
    compiled = studies.plain_cnn(**SMALL).compile((1, 3, 32, 32), threads=1)
    assert {step["implementation"].split()[0] for step in compiled.steps} == {"onednn"}


def test_a_network_survives_pickle_and_deepcopy() -> None:
    model = perturbed(studies.plain_cnn("dynamic_relu_b", **SMALL))
    x = np.ones((1, 3, 32, 32), np.float32)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(twin) is studies.PlainCnn
        assert np.array_equal(twin(x), model(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "tanh"}, "activation is tanh; expected one of relu"),
        ({"reduction": 0}, "reduction is 0; expected at least 1"),
        ({"widths": [8], "strides": [1, 1]}, "widths has 1 entries and strides 2"),
        ({"activation": "se_relu", "squeeze_excite": True}, "expected one of both"),
        ({"depth": 3}, "no field 'depth'"),
    ],
)
def test_bad_networks_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        studies.plain_cnn(**arguments)


def by_definition(x: list[float], y: list[float]) -> float:
    """1 - 6 sum d^2 / (n (n^2 - 1)), which holds without ties."""
    n = len(x)
    rank = [{v: r for r, v in enumerate(sorted(values))} for values in (x, y)]
    squares = sum((rank[0][a] - rank[1][b]) ** 2 for a, b in zip(x, y, strict=True))
    return 1 - 6 * squares / (n * (n * n - 1))


def test_rank_correlation_is_the_textbooks() -> None:
    x = [1.0, 2.0, 3.0, 4.0, 5.0]
    for y in itertools.permutations([2.0, 4.0, 8.0, 16.0, 32.0]):
        found = studies.rank_correlation(x, list(y))
        assert found.coefficient == pytest.approx(by_definition(x, list(y)), abs=1e-12)


def test_rank_correlation_with_ties_and_constants() -> None:
    # Ranks (1, 2.5, 2.5, 4) and (1, 2, 3, 4): Pearson's coefficient is 4.5 / sqrt(4.5 * 5).
    found = studies.rank_correlation([1, 7, 7, 9], [1, 2, 3, 4])
    assert found.coefficient == pytest.approx(4.5 / math.sqrt(22.5), abs=1e-12)
    assert math.isnan(studies.rank_correlation([1, 1, 1], [1, 2, 3]).coefficient)


def test_p_values() -> None:
    # Of the 5! orders two are perfectly correlated, one each way.
    assert studies.rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).p_value == 2 / 120
    # Random orders: 0.4 % is four standard errors at p = 0.05 and less everywhere else below it.
    x = list(range(9))
    exact = [abs(by_definition(x, list(o))) for o in itertools.permutations(x)]
    y = [3, 0, 1, 4, 2, 6, 8, 5, 7]
    coefficient = abs(by_definition([float(v) for v in x], [float(v) for v in y]))
    expected = sum(c >= coefficient - 1e-9 for c in exact) / len(exact)
    assert 0 < expected < 0.05
    found = studies.rank_correlation(x, y).p_value
    assert abs(found - expected) <= 4 * math.sqrt(0.05 / 40_000)


def test_rank_correlation_refuses_what_has_no_ranks() -> None:
    with pytest.raises(ValueError, match="x has 2 values and y has 3"):
        studies.rank_correlation([1, 2], [1, 2, 3])


def test_activations_stand_beside_the_papers_table() -> None:
    result = studies.activations(["ReLU", "SiLU", "DynamicReLU-A"], **QUICK)
    assert [row.label for row in result.rows] == ["ReLU", "SiLU", "DynamicReLU-A"]
    assert result.rows[0].ratio == 1.0
    assert result.rows[2].paper == {"paper mobile ms": 273.49}
    assert result.rows[2].paper_ratio == pytest.approx(273.49 / 1.53)
    assert all(row.min_ms > 0 for row in result.rows)
    text, page = repr(result), result._repr_html_()
    assert "273.49" in text
    assert "Table 2" in page
    assert result.fingerprint["cpu"]["model"] in page
    json.dumps(result.to_dict(), allow_nan=False)
    assert list(result.to_dataframe()["paper mobile ms"]) == [1.53, 2.54, 273.49]


def test_every_activation_of_the_table_is_measured() -> None:
    assert list(ACTIVATIONS) == list(paper.ACTIVATIONS_MS)
    assert list(ACTIVATIONS.values()) == _core.plain_cnn_activations()


def test_blocks_stand_beside_the_papers_table() -> None:
    result = studies.blocks(**QUICK)
    ratios = {row.label: row.paper_ratio for row in result.rows}
    assert ratios["squeeze-excite"] == pytest.approx(2.10 / 1.53)
    assert ratios["skip connections"] == pytest.approx(2.62 / 1.53)
    assert ratios["both"] is None
    params = {row.label: row.params for row in result.rows}
    assert params["skip connections"] == params["baseline"] < params["squeeze-excite"]


def test_correlation_over_models() -> None:
    models = {str(w): studies.plain_cnn(**{**SMALL, "widths": [w, w]}) for w in (8, 64, 512)}
    result = studies.correlation(models, **QUICK)
    latencies = [row.min_ms for row in result.benchmark.rows]
    macs = [float(row.macs) for row in result.benchmark.rows]
    assert result.coefficients["FLOPs"].coefficient == pytest.approx(by_definition(macs, latencies))
    text = repr(result)
    assert "0.47" in text
    assert "paper, CPU" in text
    json.dumps(result.to_dict(), allow_nan=False)


def test_variants_stand_beside_table_9() -> None:
    result = studies.variants(["mobileone_s0", "mobileone_mu0"], **QUICK)
    s0, mu0 = result.rows
    assert s0.paper == {"paper mobile ms": 0.79, "paper CPU ms": 10.55, "paper top-1 %": 71.4}
    assert set(mu0.paper.values()) == {None}
    assert mu0.params < s0.params
    assert s0.paper_ratio == 1.0
    assert mu0.paper_ratio is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: studies.activations(["Tanh"]), "names holds 'Tanh'"),
        (lambda: studies.activations([]), "names is empty"),
        (lambda: studies.correlation(["mobileone_s0"]), "models has 1 entries"),
        (lambda: studies.blocks(runs=0), "runs is 0"),
        (lambda: studies.variants(["mobileone_s9"]), "mobileone_s9"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_ctrl_c_keeps_what_was_measured(ctrl_c_at: Callable[[int], None]) -> None:
    ctrl_c_at(5)
    result = measure.activations(["ReLU", "GELU"], **{**QUICK, "runs": 40, "rounds": 20})
    assert result.interrupted
    assert "interrupted" in repr(result)
    assert [row.label for row in result.rows] == ["ReLU", "GELU"]


def test_figures() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    result = studies.activations(["ReLU", "GELU"], **QUICK)
    ax = result.plot()
    ax.figure.canvas.draw()
    ratios = [*(row.ratio for row in result.rows), 1.0, 1.63 / 1.53]
    # Two rounds on a busy machine may be far apart.
    scale = "linear" if max(ratios) <= 5 * min(ratios) else "log"
    assert ax.get_xscale() == scale
    assert [bar.get_x() + bar.get_width() for bar in ax.patches] == pytest.approx(ratios)
    far = studies.activations(["ReLU", "DynamicReLU-A"], **QUICK).plot()
    assert far.get_xscale() == "log"
    assert [bar.get_x() for bar in far.patches] == [1.0] * 4
    assert far.patches[-1].get_width() == pytest.approx(273.49 / 1.53 - 1.0)
    models = {str(w): studies.plain_cnn(**{**SMALL, "widths": [w, w]}) for w in (8, 64, 512)}
    dots = studies.correlation(models, **QUICK).plot().collections[0].get_offsets()
    assert len(dots) == 3
