"""Profile on known steps, then the real engine. No timing limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mobileone import profile
from mobileone.measure.profile_result import Profile

PROTOCOL = {
    "label": "net",
    "form": "inference",
    "input_shape": [1, 3, 64, 64],
    "dtype": "float32",
    "threads": 1,
    "threads_reason": "threads argument",
    "runs": 5,
    "seed": 0,
}


def step(name: str, time_ns: int, **values: Any) -> dict[str, Any]:
    shapes = {"input_shapes": [(1, 3, 64, 64)], "output_shape": (1, 8, 32, 32)}
    base = {"name": name, "kind": "conv", "implementation": "jit:x", "macs": 0, "bytes": 0}
    return {**base, **shapes, "time_ns": time_ns, **values}


def known(wall_ns: int = 10_007, peak: float | None = 8.0) -> Profile:
    steps = [
        step("stem", 2000, macs=4000, bytes=2048),
        step("pool", 3001, kind="pool", implementation="ref", input_shapes=[(1, 8), (2, 2)]),
        step("idle", 0, macs=10),
    ]
    return Profile(steps, wall_ns, PROTOCOL, peak, {"cpu": {"model": "m"}})


def test_rows_add_up_to_the_wall_time_exactly() -> None:
    data = known().to_dict()
    assert sum(data["times_ns"]) == data["wall_ns"] == 10_007
    assert sum(row["percent"] for row in data["rows"]) == pytest.approx(100, abs=1e-9)
    last = known().rows[-1]
    assert (last.name, last.kind, last.time_us) == ("overhead", "overhead", 5.006)
    assert (last.gflops, last.peak_percent, last.output_shape) == (None, None, ())


def test_overhead_stays_explicit_where_the_steps_exceed_the_wall_time() -> None:
    result = known(wall_ns=5000)
    assert result.rows[-1].time_us == -0.001
    assert sum(result.to_dict()["times_ns"]) == 5000


def test_fractions_of_nanoseconds_still_add_up() -> None:
    steps = [step(f"s{i}", 0) | {"time_ns": 10.5 + i / 3} for i in range(9)]
    data = Profile(steps, 120, PROTOCOL, None, {}).to_dict()
    assert sum(data["times_ns"]) == 120
    assert all(isinstance(ns, int) for ns in data["times_ns"])


def test_rates() -> None:
    stem, pool, idle, _ = known().rows
    # 4000 multiply-adds in 2000 ns: 8000 FLOP / 2000 ns = 4 GFLOP/s, half of the peak of 8
    assert (stem.gflops, stem.peak_percent) == (4.0, 50.0)
    assert stem.percent == pytest.approx(100 * 2000 / 10_007)
    assert pool.gflops is None
    assert idle.gflops is None, "a step of zero time has no rate"
    assert known(peak=None).rows[0].peak_percent is None


def test_table_shows_every_step_and_the_total() -> None:
    lines = repr(known()).splitlines()
    names = [line.split()[0] for line in lines[3:]]
    assert names == ["stem", "pool", "idle", "overhead", "total"]
    assert "1x3x64x64 -> 1x8x32x32" in lines[3]
    assert "1x8 2x2 -> 1x8x32x32" in lines[4]
    assert "jit:x" in lines[3]
    assert "10.0" in lines[-1]
    assert "faster half of 5 runs" in lines[0]
    assert "<td" in known()._repr_html_()


def test_chrome_trace_lays_the_steps_end_to_end(tmp_path: Path) -> None:
    known().to_chrome_trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == ["stem", "pool", "idle", "overhead"]
    assert {event["ph"] for event in events} == {"X"}
    end = 0.0
    for event in events:
        assert event["ts"] == pytest.approx(end)
        end = event["ts"] + event["dur"]
    assert end == pytest.approx(10.007)
    assert events[0]["args"]["implementation"] == "jit:x"


def test_chrome_trace_leaves_out_negative_overhead(tmp_path: Path) -> None:
    known(wall_ns=5000).to_chrome_trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == ["stem", "pool", "idle"]


def test_json_and_dataframe(tmp_path: Path) -> None:
    known().to_json(tmp_path / "p.json")
    data = json.loads((tmp_path / "p.json").read_text())
    assert data["schema"] == "mobileone.profile/1"
    assert data["rows"][0]["input_shapes"] == [[1, 3, 64, 64]]
    frame = known().to_dataframe()
    assert frame["name"].tolist() == ["stem", "pool", "idle", "overhead"]
    assert frame["time_us"].sum() == pytest.approx(10.007)


def test_plot_shows_the_slowest_steps_and_sums_up_the_rest() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = [step(f"s{i}", 1000 * (i + 1), kind=f"k{i % 6}") for i in range(30)]
    result = Profile(steps, 465_000 + 500, PROTOCOL, None, {})
    ax = result.plot()
    ax.figure.canvas.draw()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [*(f"s{i}" for i in range(5, 30)), "6 other steps"]
    widths = sum(bar.get_width() for bar in ax.patches)
    assert widths == pytest.approx(result.wall_us)
    assert "µs" in ax.get_xlabel()
    pyplot.close(ax.figure)


def test_tables_and_figures_name_the_ends_of_long_steps() -> None:
    """The data keeps every operator."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    long = ["x" * 20, "y" * 20, "z" * 20 + "!"]
    chains = [" > ".join(parts) for parts in (["a", "b", "c"], long, ["d" * 40, "e" * 40])]
    assert len(chains[1]) == 67
    steps = [step(chain, 10, kind=chain.upper()) for chain in chains]
    result = Profile(steps, 31, PROTOCOL, None, {})
    assert [row.name for row in result.rows[:3]] == chains
    expected = [chains[0], f"{long[0]} > … > {long[2]}", chains[2]]
    lines = str(result).splitlines()[3:6]
    assert [re.split("  +", line)[:2] for line in lines] == [[c, c.upper()] for c in expected]
    ax = result.plot()
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_yticklabels()][:3] == expected
    pyplot.close(ax.figure)


@pytest.mark.parametrize("runs", [0, -1, 1.5, True])
def test_bad_runs(runs: object) -> None:
    with pytest.raises(ValueError, match="runs is"):
        profile("mobileone_s0", runs=runs)  # type: ignore[arg-type]


def test_bad_model() -> None:
    with pytest.raises(ValueError, match="expected a mobileone Model"):
        profile(3)  # type: ignore[arg-type]


# With the engine


@pytest.mark.parametrize("form", ["inference", "train-time"])
def test_engine_profile_covers_the_whole_net(form: str) -> None:
    import mobileone

    model = mobileone.create_model("mobileone_mu0", seed=0)
    if form == "inference":
        model = mobileone.reparameterize(model)
    result = mobileone.profile(model, runs=3, threads=1)
    assert result.protocol["form"] == form
    assert sum(result.to_dict()["times_ns"]) == result.wall_ns > 0
    assert result.rows[-1].name == "overhead"
    steps = result.rows[:-1]
    assert all(row.name and row.kind and row.implementation for row in steps)
    assert len({row.name for row in steps}) == len(steps)
    assert sum(row.macs for row in steps) == model.macs
    assert all(row.bytes > 0 for row in steps)
    json.dumps(result.to_dict())


def test_engine_profile_of_another_shape() -> None:
    import mobileone

    result = mobileone.profile("mobileone_mu0", input_size=(40, 56), batch_size=2, runs=1)
    assert result.rows[0].input_shapes[0] == (2, 3, 40, 56)
