"""The tuner, and the file that keeps what it finds."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone import _core
from mobileone.cli.commands import main
from mobileone.network import tune_cache, tuning
from mobileone.verification.rounding import rounding_bound

pytestmark = pytest.mark.skipif(not _core.available_isas(), reason="no fused kernels on this CPU")

SHAPE = (1, 3, 96, 96)
VARIABLE = "MOBILEONE_TUNE_CACHE"


@pytest.fixture(scope="module")
def fused() -> mobileone.Model:
    return mobileone.reparameterize(mobileone.create_model("mobileone_s1", seed=0))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "not there yet" / "tuning.json"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def tune(model: mobileone.Model, shape: tuple[int, ...] = SHAPE, **how: Any) -> Any:
    return model.compile(shape, tune="measure", tune_budget_s=0.3, **{"threads": 1, **how})


def algorithms(plan: Any) -> dict[str, int]:
    return {node: record["strassen"] for node, record in plan.plan.records.items()}


def test_what_is_measured_is_used_by_later_plans(
    fused: mobileone.Model, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    tuned = tune(fused, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all("tuned" in step["implementation"] for step in tuned.steps[:-2])

    def measures(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(tuning._Tuner, "tune", measures)
    for later in (fused.compile(SHAPE, threads=1), tune(fused)):
        assert later.plan.records == tuned.plan.records
    x = images(1, SHAPE[2:])
    expected = fused.compile(SHAPE, threads=1, algorithm="direct")(x)
    difference = np.abs(tuned(x).astype(np.float64) - expected).max()
    assert difference <= np.sqrt(2) * rounding_bound(fused, x, []).logits
    np.testing.assert_array_equal(fused(x), tuned(x))


def test_an_image_has_the_same_bits_on_any_threads_after_tuning(
    fused: mobileone.Model, file: Path
) -> None:
    x = images(3, SHAPE[2:])
    expected = tune(fused)(x[:1])[0]
    for threads in (1, 2, 5):
        for batch in (1, 3):
            plan = fused.compile(x[:batch].shape, threads=threads)
            np.testing.assert_array_equal(plan(x[:batch])[0], expected)
    for threads, batch in ((2, 1), (1, 2)):  # measured as well, where the algorithms are decided
        plan = tune(fused, x[:batch].shape, threads=threads)
        np.testing.assert_array_equal(plan(x[:batch])[0], expected)


def write(file: Path, model: mobileone.Model, strassen: int, rows: int) -> None:
    nodes = model.compile(SHAPE, threads=1).plan.records
    tuned = tune_cache.Tuned(dict.fromkeys(nodes, strassen), dict.fromkeys(nodes, (rows, 1)))
    assert tune_cache.store_tuned(model.graph, SHAPE, 1, tuned) == file


def test_a_plan_is_made_as_the_file_says(fused: mobileone.Model, file: Path) -> None:
    for strassen, rows in ((0, 2), (1, 4), (1, 2)):
        write(file, fused, strassen, rows)
        records = fused.compile(SHAPE, threads=1).plan.records
        applies = {
            node
            for node, record in fused.compile(
                SHAPE, threads=1, algorithm="strassen"
            ).plan.records.items()
            if record["strassen"]
        }
        assert applies
        for node, record in records.items():
            assert record["strassen"] == (strassen if node in applies else 0)
        assert {record["rows"] for record in records.values()} >= {rows}
        other = fused.compile((1, 3, 128, 96), threads=1)  # nothing is known of that size
        assert not any("tuned" in step["implementation"] for step in other.steps)


def test_two_levels_of_strassens_algorithm_are_taken_where_they_apply(
    fused: mobileone.Model, file: Path
) -> None:
    write(file, fused, 2, 4)
    tuned = fused.compile(SHAPE, threads=1)
    levels, weights = algorithms(tuned), fused.state_dict()
    assert {1, 2} <= set(levels.values())
    steps = {step["name"].rpartition(" > ")[2]: step for step in tuned.plan.steps}
    for node, count in levels.items():
        outputs, inputs = weights[f"{node}.weight"].shape[:2]
        if inputs == 3:
            continue  # the stem, by windows
        assert count == (2 if outputs % 64 == inputs % 64 == 0 else 1 if inputs % 32 == 0 else 0)
        assert ("strassen levels=2" in steps[node]["implementation"]) == (count == 2)
    x = images(1, SHAPE[2:])
    expected = fused.compile(SHAPE, threads=1, algorithm="direct")(x)
    difference = np.abs(tuned(x).astype(np.float64) - expected).max()
    assert difference <= np.sqrt(2) * rounding_bound(fused, x, []).logits


def test_the_file_does_not_overrule_the_guard_of_strassens_algorithm(file: Path) -> None:
    model = mobileone.create_model("mobileone_s1", seed=0)
    weights = model.state_dict()
    fused = mobileone.reparameterize(model)
    weights = {name: np.array(w) for name, w in fused.state_dict().items()}
    found = algorithms(fused.compile(SHAPE, algorithm="strassen"))
    node = next(n for n, s in found.items() if s and weights[f"{n}.weight"].shape[2] == 1)
    weights[f"{node}.weight"][0] *= 1e4  # one output channel among small ones
    scaled = mobileone.load(weights)
    write(file, scaled, 1, 4)
    assert algorithms(fused.compile(SHAPE, threads=1))[node] == 1
    assert algorithms(scaled.compile(SHAPE, threads=1))[node] == 0


def test_a_stored_plan_keeps_what_was_tuned(
    fused: mobileone.Model, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(file, fused, 1, 4)
    fused.save_plan(tmp_path / "s1.plan", SHAPE, threads=1)
    x = images(1, SHAPE[2:])
    expected = fused.compile(SHAPE, threads=1)(x)
    monkeypatch.setenv(VARIABLE, "off")
    stored = mobileone.load_plan(tmp_path / "s1.plan")
    np.testing.assert_array_equal(stored(x), expected)
    assert {record["rows"] for record in stored.plan.records.values()} >= {4}


def test_nothing_is_kept_without_a_file(
    fused: mobileone.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    assert tune_cache.cache_path() is None
    assert any("tuned" in step["implementation"] for step in tune(fused).steps)
    plan = fused.compile(SHAPE, threads=1)
    assert not any("tuned" in step["implementation"] for step in plan.steps)


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tune_cache.cache_path() == tmp_path / "mobileone" / "tuning.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tune_cache.cache_path() == tmp_path / ".cache" / "mobileone" / "tuning.json"


def spoil(file: Path, change: Any) -> None:
    value = json.loads(file.read_text())
    ((_, networks),) = value["machines"].items()
    ((_, entry),) = networks.items()
    change(entry)
    file.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": "mobileone.tuning/2", "machines": {}}',
        '{"format": "mobileone.tuning/1", "machines": []}',
    ],
)
def test_a_file_that_is_none_is_ignored_with_a_warning(
    fused: mobileone.Model, file: Path, text: str
) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.warns(UserWarning, match=r"tuning\.json: is ignored, no file of tuning's"):
        plan = fused.compile(SHAPE, threads=1)
    assert not any("tuned" in step["implementation"] for step in plan.steps)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.pop("tilings"),
        lambda entry: entry["algorithms"].update(dict.fromkeys(entry["algorithms"], 3)),
        lambda entry: entry["algorithms"].clear(),
        lambda entry: entry["tilings"].update(x={"stage1.1.reparam_conv": [0, 1]}),
        lambda entry: entry["tilings"].update(x={"stage1.1.reparam_conv": [1, 1 << 40]}),
        lambda entry: entry["tilings"].update(x={"stage1.1.reparam_conv": "77"}),
    ],
)
def test_a_damaged_entry_is_ignored_with_a_warning(
    fused: mobileone.Model, file: Path, change: Any
) -> None:
    write(file, fused, 1, 4)
    spoil(file, change)
    with pytest.warns(UserWarning, match="is ignored"):
        fused.compile(SHAPE, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fused.compile(SHAPE, threads=1)  # once is enough


def test_another_machines_entries_are_kept_and_not_used(fused: mobileone.Model, file: Path) -> None:
    write(file, fused, 1, 4)
    name = next(m for m in _core.known_machines() if m != _core.machine_name())
    _core.force_machine(name)
    try:
        plan = fused.compile(SHAPE, threads=1)
        assert not any("tuned" in step["implementation"] for step in plan.steps)
        write(file, fused, 0, 2)
    finally:
        _core.force_machine("")
    assert len(json.loads(file.read_text())["machines"]) == 2
    assert {r["rows"] for r in fused.compile(SHAPE, threads=1).plan.records.values()} >= {4}


def test_a_file_that_cannot_be_written_is_a_warning(
    fused: mobileone.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "tuning.json"))
    with pytest.warns(UserWarning, match="what tuning found is not kept: .*file"):
        tune(fused)


def test_what_cannot_be_tuned_is_named(fused: mobileone.Model) -> None:
    with pytest.raises(ValueError, match="tune is 'guess'; expected 'model' or 'measure'"):
        fused.compile(SHAPE, tune="guess")
    for how in ({"algorithm": "direct"}, {"backend": "loops"}):
        with pytest.raises(ValueError, match=r"tune='measure' with .*expected 'auto' for both"):
            fused.compile(SHAPE, tune="measure", **how)
    with pytest.raises(ValueError, match="tune='measure' with dtype='bfloat16'"):
        fused.compile(SHAPE, tune="measure", dtype="bfloat16")
    for seconds in (0, -1, float("nan"), float("inf"), "5"):
        with pytest.raises(ValueError, match=r"tune_budget_s is .*; expected seconds, more"):
            fused.compile(SHAPE, tune="measure", tune_budget_s=seconds)  # type: ignore[arg-type]


@pytest.mark.skipif("bfloat16" not in _core.native_dtypes(), reason="no AVX512-BF16")
def test_what_float32_found_is_not_for_bfloat16(fused: mobileone.Model, file: Path) -> None:
    before = fused.compile(SHAPE, threads=1, dtype="bfloat16").plan.records
    tune(fused)
    after = fused.compile(SHAPE, threads=1, dtype="bfloat16")
    assert after.plan.records == before
    assert not any("tuned" in step["implementation"] for step in after.steps)


def test_a_network_without_fused_steps_has_nothing_to_tune(file: Path) -> None:
    model = mobileone.create_model("custom", widths=[8], depths=[1], num_classes=3, seed=0)
    assert tune(model, (1, 3, 32, 32))(images(1, (32, 32))).shape == (1, 3)


def test_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--input-size", "96", "--threads", "1", "--budget", "0.3"]
    assert main(["tune", "mobileone_mu0", *options]) == 0
    captured = capsys.readouterr()
    assert f"kept in {file}" in captured.out
    assert "tuned" in captured.out
    assert captured.err == ""
    assert file.exists()
