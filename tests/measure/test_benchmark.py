"""benchmark(): schedule and statistics on scripted times, then on the engine; no timing limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mobileone import benchmark
from mobileone.measure.benchmark_result import BenchmarkResult, Measurement

Clock = Callable[[int], int]


class ScriptedGraph:
    """Counts a multiply-add per pixel of the default 40 x 48 image, and attention's per row."""

    def macs(self, shape: tuple[int, ...]) -> int:
        assert shape[0] == 1
        return shape[2] * shape[3]

    def attention_macs(self, shape: tuple[int, ...]) -> int:
        assert shape[0] == 1
        return shape[2]


@dataclass
class ScriptedModel:
    """A model whose k-th timed run takes ``clock(k)`` ns; ``log`` takes (name, runs) per call."""

    name: str = "scripted"
    form: str = "inference"
    clock: Clock = lambda k: 1000
    log: list[tuple[str, int]] = field(default_factory=list)
    arch: str = "mobileone_s0"
    num_params: int = 10
    graph: ScriptedGraph = field(default_factory=lambda: ScriptedGraph())
    input_size: tuple[int, int] = (40, 48)
    config: dict[str, int] = field(default_factory=lambda: {"in_channels": 3})
    done: int = 0
    compiled_for: tuple[tuple[int, ...], int] | None = None

    def compile(self, shape: tuple[int, ...], *, threads: int) -> ScriptedModel:
        self.compiled_for = (shape, threads)
        return self

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.zeros((len(x), 3), np.float32)

    def time(self, x: np.ndarray, runs: int) -> np.ndarray:
        self.log.append((self.name, runs))
        times = [self.clock(k) for k in range(self.done, self.done + runs)]
        self.done += runs
        return np.array(times, np.int64)


def measure(*models: ScriptedModel, **options: object) -> BenchmarkResult:
    options = {"warmup": 0, "progress": False, "threads": 1, **options}
    return benchmark(list(models), **options)  # type: ignore[arg-type]


def test_statistics_of_known_samples() -> None:
    model = ScriptedModel(clock=lambda k: 1000 * (k + 1))
    result = measure(model, runs=101, rounds=7)
    (row,) = result.rows
    assert result.samples == {"scripted": pytest.approx(1000 * np.arange(1, 102))}
    assert row.runs == 101
    expected = {"min_ms": 1, "p10_ms": 11, "median_ms": 51, "p90_ms": 91, "p99_ms": 100}
    for name, microseconds in expected.items():
        assert getattr(row, name) == pytest.approx(microseconds / 1000, rel=1e-12), name
    # 40 x 48 multiply-adds and attention's 40 in 1 us
    assert row.gflops == pytest.approx(2 * 1.96)
    assert (row.ratio, row.ratio_low, row.ratio_high, row.ratio_of_minima) == (1, 1, 1, 1)


def test_models_are_interleaved_in_rotating_order() -> None:
    log: list[tuple[str, int]] = []
    models = [ScriptedModel(name, log=log) for name in "abc"]
    measure(*models, runs=10, rounds=4)
    assert [name for name, _ in log] == list("abc" + "bca" + "cab" + "abc")
    per_round = {name: [runs for n, runs in log if n == name] for name in "abc"}
    assert all(runs == [2, 3, 2, 3] for runs in per_round.values())


def test_ratio_is_immune_to_drift_that_reaches_all_models() -> None:
    # Both models slow down tenfold from round 5 on; b always takes 3 times as long as a.
    drift = [1000] * 50 + [10_000] * 50
    a = ScriptedModel("a", clock=lambda k: drift[k])
    b = ScriptedModel("b", clock=lambda k: 3 * drift[k])
    result = measure(a, b, runs=100, rounds=10)
    row = result.rows[1]
    assert (row.ratio, row.ratio_low, row.ratio_high) == (3, 3, 3)
    assert row.ratio_of_minima == pytest.approx(3)


def test_ratio_is_the_median_over_rounds_with_an_interval_around_it() -> None:
    factors = [1, 2, 2, 2, 9]
    a = ScriptedModel("a")
    b = ScriptedModel("b", clock=lambda k: 1000 * factors[k // 4])
    row = measure(a, b, runs=20, rounds=5).rows[1]
    assert row.ratio == 2
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    assert 1 <= row.ratio_low <= 2 <= row.ratio_high <= 9
    assert row.ratio_low < row.ratio_high
    assert row.ratio_of_minima == 1


def test_warm_up_runs_are_not_among_the_samples() -> None:
    model = ScriptedModel(clock=lambda k: 10**6 if k < 7 else 1000)
    result = measure(model, runs=20, warmup=7)
    assert result.samples["scripted"].tolist() == [1000] * 20


def test_slow_runs_are_timed_in_short_pieces() -> None:
    log: list[tuple[str, int]] = []
    model = ScriptedModel(clock=lambda k: 40_000_000, log=log)
    result = measure(model, runs=10, rounds=1, warmup=2)
    assert max(runs for _, runs in log) <= 2
    assert result.samples["scripted"].size == 10


def test_budget_limits_the_runs_of_each_model_to_its_share() -> None:
    fast, slow = ScriptedModel("fast"), ScriptedModel("slow", clock=lambda k: 10_000_000)
    # Half of 0.2 s each: at most 10 runs of 10 ms, all 1000 runs of 1 us.
    result = measure(fast, slow, runs=1000, rounds=5, warmup=4, budget_s=0.2)
    assert [row.runs for row in result.rows] == [1000, 10]


def test_budget_stops_between_rounds() -> None:
    import time

    def sleepy(k: int) -> int:
        time.sleep(0.01)
        return 1000

    result = measure(ScriptedModel(clock=sleepy), runs=500, rounds=500, warmup=2, budget_s=0.05)
    assert 1 <= result.rows[0].runs < 500


def test_ctrl_c_keeps_what_was_measured() -> None:
    def pressed(k: int) -> int:
        if k == 25:
            raise KeyboardInterrupt
        return 2000

    models = [ScriptedModel("a"), ScriptedModel("b", clock=pressed)]
    result = measure(*models, runs=100, rounds=10)
    assert result.interrupted
    assert [row.runs for row in result.rows] == [30, 20], "the third round had timed a only"
    assert result.rows[1].ratio == 2
    assert "interrupted" in repr(result)
    assert result.to_dict()["interrupted"] is True


def test_ctrl_c_in_the_first_round_leaves_only_the_measured_model() -> None:
    def pressed(k: int) -> int:
        raise KeyboardInterrupt

    result = measure(ScriptedModel("a"), ScriptedModel("b", clock=pressed), runs=10, rounds=2)
    assert [row.label for row in result.rows] == ["a"]


def test_ctrl_c_before_any_sample_is_passed_on() -> None:
    def pressed(k: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(ScriptedModel(clock=pressed), runs=10)


def test_labels_tell_equal_names_apart() -> None:
    forms = ["train-time", "inference", "inference"]
    result = measure(*(ScriptedModel("s0", form) for form in forms), runs=2)
    labels = ["s0 (train-time)", "s0 (inference) #1", "s0 (inference) #2"]
    assert [row.label for row in result.rows] == labels
    named = benchmark({"x": ScriptedModel(), "y": ScriptedModel()}, runs=1, threads=1)  # type: ignore[dict-item]
    assert list(named.samples) == ["x", "y"]


def test_shape_threads_and_macs_reach_the_row() -> None:
    model = ScriptedModel(config={"in_channels": 5})
    (row,) = measure(model, runs=1, batch_size=2, threads=3).rows
    assert model.compiled_for == ((2, 5, 40, 48), 3)
    assert (row.input_shape, row.threads, row.macs) == ((2, 5, 40, 48), 3, 2 * 40 * 49)
    (row,) = measure(model, runs=1, input_size=(33, 64)).rows
    assert row.input_shape == (1, 5, 33, 64)
    assert row.macs == 33 * 65
    (row,) = measure(model, runs=1, input_size=64).rows
    assert row.input_shape[2:] == (64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "runs is 0"),
        ({"runs": 2.5}, "runs is 2.5"),
        ({"warmup": -1}, "warmup is -1"),
        ({"rounds": 0}, "rounds is 0"),
        ({"rounds": True}, "rounds is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"input_size": 31}, "input_size is 31"),
        ({"input_size": (64, 64, 3)}, "expected an integer or"),
        ({"budget_s": 0}, "budget_s is 0"),
        ({"budget_s": math.nan}, "budget_s is nan"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(ScriptedModel(), **options)


@pytest.mark.parametrize("models", [[], {}, [3], {"a": None}, object()])
def test_bad_models(models: object) -> None:
    with pytest.raises(ValueError, match="models"):
        benchmark(models)  # type: ignore[arg-type]


def test_to_dict_and_json_hold_every_sample_and_the_machine(tmp_path: Path) -> None:
    result = measure(ScriptedModel("a"), ScriptedModel("b"), runs=5, rounds=2)
    result.to_json(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    assert data == json.loads(json.dumps(result.to_dict()))
    assert data["schema"] == "mobileone.benchmark/1"
    assert data["samples_ns"]["b"] == {"0": [1000] * 2, "1": [1000] * 3}
    assert data["fingerprint"]["cpu"]["model"]
    assert data["protocol"]["rounds"] == 2
    assert data["protocol"]["threads"] == 1
    assert [row["label"] for row in data["rows"]] == ["a", "b"]


def test_table_says_which_form_and_on_what(capsys: pytest.CaptureFixture[str]) -> None:
    result = measure(ScriptedModel("a", "train-time"), ScriptedModel("b"), runs=5)
    text = repr(result)
    assert "train-time (multi-branch)" in text
    assert "inference (fused)" in text
    assert result.fingerprint["cpu"]["model"] in text
    assert "1 thread (threads argument)" in text
    assert "inference (fused)" in result._repr_html_()
    assert capsys.readouterr().out == ""


def test_dataframe_has_a_line_per_model() -> None:
    frame = measure(ScriptedModel("a"), ScriptedModel("b"), runs=5).to_dataframe()
    assert frame["label"].tolist() == ["a", "b"]
    assert frame["min_ms"].tolist() == [0.001, 0.001]


def luminance(color: str) -> float:
    """Relative luminance of a hex colour (WCAG 2.1)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("background", ["#FFFFFF", "#111111"])
def test_plot_colours_stand_out_from_light_and_dark(background: str) -> None:
    from mobileone.figures.plots import PALETTE

    for color in PALETTE:
        low, high = sorted([luminance(color), luminance(background)])
        # WCAG 2.1 criterion 1.4.11: graphics need a contrast of at least 3 : 1.
        assert (high + 0.05) / (low + 0.05) >= 3, color


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_plot_draws_the_rows_statistics(style: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = [ScriptedModel(name, clock=lambda k: 1000 * (k + 1)) for name in "abcde"]
    result = measure(*models, runs=101)
    with pyplot.style.context(style):
        ax = result.plot()
        ax.figure.canvas.draw()
    boxes = [(box.get_x(), box.get_x() + box.get_width()) for box in ax.patches]
    assert boxes == [pytest.approx((row.p10_ms, row.p90_ms)) for row in result.rows]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{n} (inference)" for n in "abcde"
    ]
    assert "ms" in ax.get_xlabel()
    assert result.plot(ax) is ax
    pyplot.close(ax.figure)


def test_samples_keep_their_order_by_round() -> None:
    measurement = Measurement("a", "a", "inference", 1, 1, (1, 3, 32, 32), 1, None, 0.0, 0.0)
    measurement.add(1, np.array([3]))
    measurement.add(0, np.array([1]))
    measurement.add(0, np.array([2]))
    assert measurement.samples.tolist() == [1, 2, 3]
    assert measurement.num_runs == 3


def test_progress_bar_counts_all_runs(capsys: pytest.CaptureFixture[str]) -> None:
    measure(ScriptedModel(), runs=30, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "/30" in captured.err
    measure(ScriptedModel(), runs=30, progress=None)
    assert capsys.readouterr().err == ""


# With the engine


@pytest.fixture(scope="module")
def engine_result() -> BenchmarkResult:
    import mobileone

    train_time = mobileone.create_model("mobileone_mu0", seed=0)
    models = {"before": train_time, "after": mobileone.reparameterize(train_time)}
    options = {"input_size": 64, "runs": 12, "rounds": 3, "warmup": 2, "threads": 1}
    return mobileone.benchmark(models, **options)


def test_engine_is_timed_in_both_forms(engine_result: BenchmarkResult) -> None:
    before, after = engine_result.rows
    assert (before.form, after.form) == ("train-time", "inference")
    assert before.params > after.params
    for row in engine_result.rows:
        assert row.runs == 12
        assert 0 < row.min_ms <= row.p10_ms <= row.median_ms <= row.p90_ms <= row.p99_ms
        assert min(row.compile_ms, row.first_run_ms) > 0
        assert row.load_ms is None


def test_engine_result_serialises(engine_result: BenchmarkResult) -> None:
    data = json.loads(json.dumps(engine_result.to_dict()))
    assert sum(map(len, data["samples_ns"]["after"].values())) == 12
    assert "error" not in data["fingerprint"]["engine"]


def test_name_and_file_are_sources(tmp_path: Path) -> None:
    import mobileone

    path = tmp_path / "net.safetensors"
    mobileone.create_model("mobileone_mu0", seed=1).save(path)
    options = {"runs": 2, "warmup": 0, "threads": 1}
    result = mobileone.benchmark(["mobileone_mu0", path], **options)
    by_name, by_file = result.rows
    assert (by_name.label, by_name.form) == ("mobileone_mu0", "inference")
    assert (by_file.label, by_file.form) == ("net.safetensors", "train-time")
    assert by_file.load_ms is not None
    assert by_name.gflops == pytest.approx(2 * by_name.macs / (by_name.min_ms * 1e6))


def test_unknown_name_lists_the_known_ones() -> None:
    import mobileone

    with pytest.raises(ValueError, match=r"'mobileone_s9'.*mobileone_s0"):
        mobileone.benchmark("mobileone_s9")


def test_runs_from_other_shapes_and_batches() -> None:
    import mobileone

    options = {"input_size": (33, 47), "batch_size": 3, "runs": 1, "warmup": 0, "threads": 2}
    (row,) = mobileone.benchmark("mobileone_mu0", **options).rows
    assert (row.input_shape, row.threads, row.runs) == ((3, 3, 33, 47), 2, 1)
