"""Two models on the same pictures, and the statistics behind it."""

from __future__ import annotations

import math
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.tasks.classification import metrics

from .test_evaluate import folder, network, rows, same

__all__ = ["folder"]  # a fixture


def test_both_models_see_the_same_pictures_in_one_pass(folder: Path) -> None:
    first, second = network(seed=1), network(seed=2)
    second.input_size = (48, 56)  # another data config: pictures are resized twice
    both = mobileone.evaluate(first, folder, against=second)
    same(both, mobileone.evaluate(first, folder))
    assert both.against is not None
    same(both.against, mobileone.evaluate(second, folder))
    assert both.comparison is not None
    pairs = list(zip(rows(both), rows(both.against), strict=True))
    changed = [a["key"] for a, b in pairs if a["prediction"] != b["prediction"]]
    assert [change.key for change in both.comparison.changes] == changed
    assert both.comparison.agreement == 1 - len(changed) / 48
    assert changed[0] in repr(both)
    assert list(both.comparison.to_dataframe().key) == changed


def test_train_time_and_inference_form_agree(folder: Path) -> None:
    model = mobileone.create_model("custom", widths=[8], depths=[1], seed=1)
    model.input_size = (64, 64)
    result = mobileone.evaluate(model, folder, against=mobileone.reparameterize(model))
    assert result.comparison is not None
    assert result.comparison.agreement == 1
    assert result.comparison.p_value == 1
    assert "custom (train-time)" in repr(result.comparison)


def test_8_bit_integers_beside_float32(folder: Path, tmp_path: Path) -> None:
    model = mobileone.reparameterize(network())
    integers = mobileone.quantize(model, folder, progress=False)
    integers.save(tmp_path / "integers.safetensors")
    told = {"upright": True}  # as `preprocess` does
    result = mobileone.evaluate(model, folder, against=tmp_path / "integers.safetensors", **told)
    same(result, mobileone.evaluate(model, folder, **told))
    assert result.against is not None
    paths = [folder / row["key"] for row in rows(result)]
    logits = np.concatenate([integers(integers.preprocess(path)) for path in paths])
    assert [row["prediction"] for row in rows(result.against)] == logits.argmax(1).tolist()
    nll = np.array([row["nll"] for row in rows(result)])
    assert (nll != [row["nll"] for row in rows(result.against)]).all()  # they are not the same


@pytest.mark.parametrize("dynamic_batch", [True, False])
def test_a_session_of_onnx_runtime(dynamic_batch: bool, folder: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network()
    path = tmp_path / "model.onnx"
    model.export_onnx(path, dynamic_batch=dynamic_batch)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    result = mobileone.evaluate(model, folder, against=session)
    assert result.comparison is not None
    assert result.comparison.agreement == 1
    alone = mobileone.evaluate(path, folder, data_config=model.data_config)
    assert [r["prediction"] for r in rows(alone)] == [r["prediction"] for r in rows(result)]
    same(alone, mobileone.evaluate(path, folder))  # the file says what it expects
    same(alone, mobileone.evaluate(session, folder))
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        mobileone.evaluate("none.onnx", folder)


def test_compiled_models_and_functions(folder: Path) -> None:
    model = network()
    compiled = model.compile((7, 3, 64, 64))
    whole = mobileone.evaluate(model, folder)
    for other in (compiled, lambda x: model(x)):
        result = mobileone.evaluate(model, folder, against=other)
        assert result.against is not None
        same(whole, result.against)


def test_models_must_have_the_same_classes(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"numbers of classes: .* has 1000, .* has 10"):
        mobileone.evaluate(network(), folder, against=network(10))
    few = network(10)
    with pytest.raises(ValueError, match="gave 10 logits; expected 1000"):
        mobileone.evaluate(network(), folder, against=lambda x: few(x))


def test_mcnemar_counts_coins() -> None:
    for gained, lost in ((0, 0), (1, 0), (3, 9), (9, 3), (25, 14), (400, 460)):
        n, k = gained + lost, min(gained, lost)
        tail = sum(math.comb(n, i) for i in range(k + 1))
        expected = min(1.0, float(2 * tail / 2**n)) if gained != lost else 1.0
        assert metrics.mcnemar_p_value(gained, lost) == pytest.approx(expected, rel=1e-10)
    assert metrics.mcnemar_p_value(0, 50_000) == 0


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.97):
        covered = 0
        for right in rng.binomial(200, share, 2000):
            found = metrics.wilson(int(right), 200)
            assert found.low <= found.value <= found.high
            covered += found.low <= share <= found.high
        # Wilson's coverage is 95 % on average; 2000 draws have a deviation of 0.5 %.
        assert 0.92 < covered / 2000 < 0.98
    # Newcombe (1998), table I: 81 of 263.
    found = metrics.wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert metrics.wilson(0, 29).low == 0
    assert metrics.wilson(29, 29).high == 1


def test_paired_differences() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for gained, lost, _ in rng.multinomial(1000, [0.08, 0.05, 0.87], 1000):
        found = metrics.paired_difference(int(gained), int(lost), 1000)
        covered += found.low <= 0.03 <= found.high
    assert 0.92 < covered / 1000 < 0.98


def test_sums_do_not_depend_on_order() -> None:
    values = np.random.default_rng(0).lognormal(0, 8, 5000)
    total = metrics.units(values)
    assert total == metrics.units(values[::-1])
    assert total == sum(metrics.units(part) for part in np.array_split(values, 7))
    assert metrics.exact_sum(total) == pytest.approx(math.fsum(values), rel=1e-12)
    assert metrics.units(np.array([3e30])) == round(3e30 * 2**32)


def test_ranks_and_ties() -> None:
    logits = np.array([[1, 3, 2, 3], [0, 0, 0, 0]], np.float32)
    labels = np.array([3, 2])
    assert metrics.ranks(logits, labels).tolist() == [1, 2]
    np.testing.assert_allclose(np.exp(metrics.log_softmax(logits)).sum(1), 1)
