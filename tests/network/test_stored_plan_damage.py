"""Stored plans of other machines, tampered with or damaged: errors, or plans that run."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import images
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobileone import _core
from mobileone.checkpoint import CheckpointError
from mobileone.families import family_of
from mobileone.network.stored_plan import FORMAT
from stored_plans import MODELS, SHAPE, START, Header, changed, rewrite, small_int8, small_model

pytestmark = pytest.mark.skipif(
    _core.isa() == "none", reason="stored plans need the fused kernels' instruction sets"
)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(JSON, st.sampled_from([None, 1]))
def test_headers_are_read_as_python_reads_them(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    read = _core.parse_json(text)
    assert repr(read) == repr(json.loads(text))  # -0.0 and 1 beside 1.0 as well


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a": 1, "a": 1}', 'another key than "a"'),
        (b"[NaN]", "expected a value"),
        (b"9223372036854775808", "an integer of 64 bits"),
        (b'"\xff"', "utf-8"),
    ],
)
def test_headers_that_are_no_strict_json(text: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        _core.parse_json(text)


def test_a_dtype_that_the_weights_are_not_packed_for(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    small_model().save_plan(path, SHAPE, threads=1)
    rewrite(path, changed("dtype", "int8"))
    with pytest.raises(
        ValueError, match=r"plan: dtype is 'int8'; expected 'float32' or 'bfloat16'"
    ):
        mobileone.load_plan(path)
    rewrite(path, changed("dtype", "bfloat16"))
    with pytest.raises(ValueError, match="describes no plan"):  # whether this CPU has it or not
        mobileone.load_plan(path)


def test_another_instruction_set_is_refused(stored: Path, python: Run) -> None:
    if "avx2" not in _core.available_isas() or _core.isa() == "avx2":
        pytest.skip("needs a CPU with AVX-512 that may use it")
    script = f"""
import mobileone
try: mobileone.load_plan({str(stored)!r})
except ValueError as error: print(error)
"""
    message = python(script, MOBILEONE_MAX_ISA="avx2")
    assert "small.plan" in message
    assert "'avx512'" in message
    assert "'avx2'" in message


def test_another_instruction_set_of_integers_is_refused(tmp_path: Path) -> None:
    """Of a network that has them; other plans do not depend on it."""
    here = _core.quantized_isa()
    other = {"avx512_vbmi": "avx_vnni", "avx_vnni": "avx2_madd"}.get(here, "avx512_vbmi")
    path = tmp_path / "int8.plan"
    small_int8().save_plan(path, SHAPE, threads=1)
    rewrite(path, changed("kernels/integers", other))
    with pytest.raises(ValueError, match=rf"int8\.plan: .*'integers': '{other}'.*'{here}'"):
        mobileone.load_plan(path)
    rewrite(path, changed("kernels/integers", None))
    assert mobileone.load_plan(path).config["architecture"] == "imported"
    small_model().save_plan(path, SHAPE, threads=1)
    rewrite(path, lambda header: [] if "integers" in header["kernels"] else None)
    mobileone.load_plan(path)


def first(field: str, edit: Callable[[Any], Any]) -> Callable[[Header], None]:
    """Edit the value of the first key of a mapping."""

    def change(header: Header) -> None:
        key = next(iter(header[field]))
        header[field][key] = edit(header[field][key])

    return change


def strassen_everywhere(header: Header) -> None:
    for record in header["records"].values():
        record["strassen"] = 1


TAMPERED: dict[str, tuple[Callable[[Header], Any], str]] = {
    "version": (changed("mobileone", "0.0.0"), "mobileone '0.0.0'"),
    "no version": (changed("mobileone", None), "mobileone None"),
    "isa": (changed("kernels/isa", "sse2"), "'sse2'"),
    "panels": (changed("kernels/panel_blocks", 17), "17"),
    "threads 0": (changed("threads", 0), "threads is 0"),
    "threads text": (changed("threads", "2"), "threads is '2'"),
    "three sizes": (changed("input_shape", [1, 3, 64]), "input_shape"),
    "no image": (changed("input_shape", [0, 3, 64, 64]), "input_shape"),
    "channels": (changed("input_shape", [1, 4, 64, 64]), "input_shape"),
    "huge": (changed("input_shape", [1, 3, 64, 1 << 30]), "input_shape"),
    "no name": (changed("name", None), "name is None"),
    "names": (changed("class_names", ["a"]), "class_names"),
    "number as names": (changed("class_names", 3), "class_names is 3"),
    "no config": (changed("config", None), "config is None"),
    "no graph": (changed("graph", None), "graph is None"),
    "no nodes": (changed("graph", "{}"), "no plan"),
    "half a graph": (lambda h: h.update(graph=h["graph"][:-40]), "no plan"),
    "another graph": (lambda h: h.update(graph=h["graph"].replace("48", "64")), "no plan"),
    "no records": (changed("records", {}), "no record of"),
    "one record less": (lambda h: h["records"].popitem() and None, "no record of"),
    "a record that is none": (first("records", lambda r: [*r.values()]), "records is"),
    "text in a record": (first("records", lambda r: r | {"rows": "1"}), "records is"),
    "no such algorithm": (first("records", lambda r: r | {"strassen": 3}), "strassen is 3"),
    "no rows": (first("records", lambda r: r | {"rows": 0}), "rows is 0; expected 1 to"),
    "a field less": (first("records", lambda r: {"rows": 1}), "has no strassen"),
    "strassen on odd blocks": (strassen_everywhere, "strassen needs"),
    "no weights": (changed("weights", {}), "no weights"),
    "unaligned": (first("weights", lambda p: [p[0] + 4, *p[1:]]), "multiple of 64"),
    "outside": (first("weights", lambda p: [1 << 39, *p[1:]]), "inside the file"),
    "negative": (first("weights", lambda p: [-64, *p[1:]]), "weights is"),
    "short weights": (first("weights", lambda p: [p[0], p[1] - 4, p[2]]), "checksum"),
    "another checksum": (first("weights", lambda p: [*p[:2], p[2] ^ 1]), "have checksum"),
    "no checksum": (first("weights", lambda p: [*p[:2], -1]), "weights is"),
    "bytes": (changed("weights_bytes", 64), "bytes; expected"),
    "a list": (lambda _: [1, 2], "expected an object"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_headers(stored: Path, kind: str) -> None:
    """Headers that say something else, with the right checksum."""
    change, message = TAMPERED[kind]
    data = stored.read_bytes()
    rewrite(stored, lambda header: None)
    assert stored.read_bytes() == data  # the tool itself changes nothing
    rewrite(stored, change)
    with pytest.raises(ValueError, match=r"small\.plan: ") as raised:
        mobileone.load_plan(stored)
    assert message in str(raised.value)


OF_CONFIG: dict[str, tuple[Callable[[Header], Any], str]] = {
    "a tiny image": (changed("input_shape", [2, 3, 31, 64]), "at least 32"),
    "form": (changed("config/form", "train-time"), "another graph"),
    "no form": (changed("config/form", None), "a configuration of create_model"),
    "widths": (changed("config/widths", [16, 48, 64]), "another graph"),
    "one stage less": (changed("config/widths", [16, 48]), "config is"),
    "negative width": (changed("config/widths", [16, 48, -40]), "a configuration of create_model"),
    "classes": (changed("config/num_classes", 300), "another graph"),
    "another family": (changed("config/architecture", "mobilevit"), "config is"),
    "no such family": (changed("config/architecture", 3), "config is"),
}


@pytest.mark.parametrize("kind", OF_CONFIG)
def test_a_config_of_another_network(stored: Path, kind: str) -> None:
    """The plan is made of the graph; who asks for the configuration is told."""
    change, message = OF_CONFIG[kind]
    rewrite(stored, change)
    plan = mobileone.load_plan(stored)
    assert np.isfinite(plan(np.zeros(plan.input_shape, np.float32))).all()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"small\.plan: ") as raised:
            _ = plan.config
        assert message in str(raised.value)


VALUES = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([None, True, 1.5, "", "direct", "strassen", [], {}, 2**31, -(2**63), 2**70]),
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [p for k, v in items for p in leaves(v, (*path, k))]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("make", MODELS)
@given(data=st.data())
def test_any_header_is_an_error_or_a_plan_that_runs(
    tmp_path: Path, make: Callable[[], mobileone.Model], data: st.DataObject
) -> None:
    stored = tmp_path / "small.plan"
    if not stored.exists():
        make().save_plan(stored, SHAPE, threads=1)
    original = stored.read_bytes()

    def change(header: Header) -> None:
        path = data.draw(st.sampled_from(leaves(header)))
        target: Any = header
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = data.draw(VALUES)

    rewrite(stored, change)
    try:
        plan = mobileone.load_plan(stored)
    except ValueError as error:
        if "small.plan" not in str(error):
            raise
    else:
        # Sizes that pad to the same blocks make another network of the same weights.
        logits = plan(np.zeros(plan.input_shape, np.float32))
        try:
            config = plan.config
        except ValueError as error:
            if "small.plan" not in str(error):
                raise
        else:
            width = config["num_classes"] or family_of(config).num_features(config)
            assert logits.shape == (plan.input_shape[0], width)
    finally:
        stored.write_bytes(original)


def test_any_flipped_bit_is_noticed(stored: Path) -> None:
    """Of the start, the header, the padding after it, the weights, and what lies between them."""
    data = bytearray(stored.read_bytes())
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    expected = mobileone.load_plan(stored)(x)
    random = np.random.default_rng(0)
    places = [*range(START.size), *random.integers(0, len(data), 600), len(data) - 1]
    for at in places:
        bit = 1 << int(random.integers(8))
        data[at] ^= bit
        stored.write_bytes(data)
        with pytest.raises(ValueError, match=r"small\.plan: "):
            mobileone.load_plan(stored)
        data[at] ^= bit
    stored.write_bytes(data)
    np.testing.assert_array_equal(mobileone.load_plan(stored)(x), expected)


def test_damaged_weights_are_named(stored: Path) -> None:
    data = bytearray(stored.read_bytes())
    plan = mobileone.load_plan(stored)
    plan.verify()
    data[-70] ^= 1
    with stored.open("r+b") as file:  # in place: the same file that the plan uses
        file.write(data)
    for check in (plan.verify, lambda: mobileone.load_plan(stored)):
        with pytest.raises(
            ValueError, match=r"small\.plan: is damaged: its weights \S+ .*checksum"
        ):
            check()


def test_truncated_and_extended_files(stored: Path) -> None:
    data = stored.read_bytes()
    lengths = {0, 1, START.size - 1, START.size, 100, 4095, 4096, len(data) // 2, len(data) - 1}
    for length in sorted(lengths):
        stored.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"small\.plan: "):
            mobileone.load_plan(stored)
    stored.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match=f"has {len(data) + 1} bytes; expected {len(data)}"):
        mobileone.load_plan(stored)


def test_what_is_no_plan(tmp_path: Path, stored: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mobileone.load_plan(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        mobileone.load_plan(tmp_path)
    model = small_model()
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m\.safetensors: starts with .* a plan"):
        mobileone.load_plan(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"a stored plan: mobileone\.load_plan opens it"):
        mobileone.load(stored)
    data = stored.read_bytes()
    for version in (1, FORMAT + 1):
        stored.write_bytes(data[:8] + struct.pack("<I", version) + data[12:])
        with pytest.raises(ValueError, match=f"format {version}; expected {FORMAT}: make it again"):
            mobileone.load_plan(stored)
