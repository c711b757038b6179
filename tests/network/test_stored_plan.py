"""Stored plans: the same bits as the plan they were made of, and every damage an error."""

from __future__ import annotations

import functools
import json
import os
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
from mobileone.data.config import DataConfig
from mobileone.network.stored_plan import FORMAT

pytestmark = pytest.mark.skipif(
    _core.isa() == "none", reason="stored plans need the fused kernels' instruction sets"
)

START = struct.Struct("<8sIIQ")
SHAPE = (2, 3, 48, 40)
Header = dict[str, Any]


def small_model(**changes: Any) -> mobileone.Model:
    """Stem, pairs with and without squeeze-and-excitation, classifier."""
    config = {"widths": [16, 48, 40], "depths": [1, 2, 1], "se_depths": [0, 1, 1]}
    full = config | {"num_classes": 7, "form": "inference", "seed": 3} | changes
    return mobileone.create_model("custom", **full)


def small_mobilevit() -> mobileone.Model:
    """Every kind of step that MobileViT has."""
    return mobileone.create_model(
        "mobilevit_custom",
        widths=[16, 24],
        depths=[1, 2],
        transformer_widths=[0, 24],
        ffn_widths=[0, 40],
        transformer_depths=[0, 1],
        head_width=48,
        heads=2,
        num_classes=7,
        form="inference",
        seed=3,
    )


@functools.cache
def small_int8() -> mobileone.Model:
    """Stem, blocks, squeeze-and-excitation between integers and before the pool."""
    noise = np.random.default_rng(0).standard_normal((4, 3, 48, 40), np.float32)
    with pytest.warns(UserWarning, match="4 images"):
        return mobileone.quantize(small_model(), noise)


MODELS = [small_model, small_mobilevit, small_int8]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "small.plan"
    small_model().save_plan(path, SHAPE, threads=1)
    return path


def rewrite(path: Path, change: Callable[[Header], Any]) -> None:
    """Change the header, with a checksum that fits; the weights stay where the header says."""
    data = path.read_bytes()
    magic, version, _, length = START.unpack(data[: START.size])
    header = json.loads(data[START.size : START.size + length])
    weights = data[len(data) - header["weights_bytes"] :]
    replaced = change(header)
    text = json.dumps(header if replaced is None else replaced).encode()
    start = START.pack(magic, version, _core.checksum(text), len(text)) + text
    path.write_bytes(start + b"\0" * (-len(start) % 4096) + weights)


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


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 33, 50)])
@pytest.mark.parametrize("make", MODELS)
def test_the_same_bits_as_the_plan(
    tmp_path: Path, make: Callable[[], mobileone.Model], shape: tuple[int, ...], threads: int
) -> None:
    model = make()
    model.save_plan(tmp_path / "plan", shape, threads)
    plan = mobileone.load_plan(tmp_path / "plan")
    x = images(shape[0], shape[2:])  # type: ignore[arg-type]
    compiled = model.compile(shape, threads=threads)
    np.testing.assert_array_equal(plan(x), compiled(x))
    assert (plan.input_shape, plan.threads) == (shape, threads)
    assert [s["implementation"] for s in plan.steps] == [
        s["implementation"] for s in compiled.steps
    ]


# And what its steps are called.
HOW = [
    ({"algorithm": "direct"}, "direct"),
    ({"algorithm": "strassen"}, "strassen"),
    ({"dtype": "bfloat16"}, "bf16"),
]


@pytest.mark.parametrize(("how", "called"), HOW)
def test_how_every_step_runs_is_stored(tmp_path: Path, how: dict[str, Any], called: str) -> None:
    if "dtype" in how and "bfloat16" not in _core.native_dtypes():
        pytest.skip("needs a CPU with bfloat16")
    model = small_model(widths=[64, 64, 128], depths=[1, 1, 1], se_depths=[0, 0, 0])
    x = images(1, (64, 64))
    model.save_plan(tmp_path / "plan", x.shape, threads=1, **how)
    plan = mobileone.load_plan(tmp_path / "plan")
    compiled = model.compile(x.shape, threads=1, **how)
    np.testing.assert_array_equal(plan(x), compiled(x))
    assert any(called in step["implementation"] for step in plan.steps)
    assert [s["implementation"] for s in plan.steps] == [
        s["implementation"] for s in compiled.steps
    ]


def test_the_direct_plan_is_the_smallest(tmp_path: Path) -> None:
    """Strassen's algorithm keeps seven quarters of the weights that it multiplies."""
    model = small_model(widths=[64, 64, 128], depths=[1, 1, 1], se_depths=[0, 0, 0])
    sizes = {}
    for algorithm in ("direct", "strassen"):
        model.save_plan(tmp_path / algorithm, (1, 3, 64, 64), algorithm=algorithm)
        sizes[algorithm] = (tmp_path / algorithm).stat().st_size
    assert sizes["direct"] < sizes["strassen"]


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


def test_a_published_variant(tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_s0", form="inference")
    model.save_plan(tmp_path / "s0.plan", threads=1)
    plan = mobileone.load_plan(tmp_path / "s0.plan")
    assert plan.input_shape == (1, 3, 224, 224)
    x = images(1, (224, 224))
    np.testing.assert_array_equal(plan(x), model.compile(x.shape, threads=1)(x))


def test_a_segmenter(tmp_path: Path) -> None:
    """A map, and the bias that a pooled branch becomes."""
    model = mobileone.create_segmenter("mobileone_s0", form="inference", seed=1)
    x = images(2, (256, 256))
    model.save_plan(tmp_path / "plan", x.shape, threads=1)
    plan = mobileone.load_plan(tmp_path / "plan")
    assert any(step["kind"] == "Bias" for step in plan.steps)
    np.testing.assert_array_equal(plan(x), model.compile(x.shape, threads=1)(x))


def test_what_travels_with_a_plan(tmp_path: Path) -> None:
    model = small_model()
    model.name = "flowers"
    model.class_names = [f"flower {i}" for i in range(7)]
    model.data_config = DataConfig(mean=(0.1, 0.2, 0.3), channel_order="BGR", input_size=(64, 32))
    model.save_plan(tmp_path / "plan", threads=1)
    plan = mobileone.load_plan(os.fsencode(tmp_path / "plan"))  # type: ignore[arg-type]
    assert (plan.name, plan.arch, plan.config) == ("flowers", "custom", model.config)
    assert (plan.class_names, plan.data_config) == (model.class_names, model.data_config)
    assert plan.input_shape == (1, 3, 64, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 32, 3), np.uint8)
    compiled = model.compile(plan.input_shape, threads=1)
    np.testing.assert_array_equal(plan(pixels), compiled(pixels))
    assert "flowers" in repr(plan)


def test_weights_are_used_in_place(stored: Path) -> None:
    """Nothing is packed or copied: the file is mapped, and outlives its name."""
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    expected = small_model().compile(SHAPE, threads=1)(x)
    plan = mobileone.load_plan(stored)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(stored) in maps.read_text()
    small_model(seed=4).save_plan(stored, SHAPE, threads=1)  # replaced
    np.testing.assert_array_equal(plan(x), expected)
    stored.unlink()
    np.testing.assert_array_equal(plan(x), expected)
    del plan
    if maps.exists():
        assert str(stored) not in maps.read_text()


def test_the_train_time_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"mine")
    with pytest.raises(NotImplementedError, match=r"stage0\S* runs on no fused kernel"):
        small_model(form="train-time").save_plan(path)
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["plan"]


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


def test_an_imported_network(tmp_path: Path) -> None:
    """Of whose configuration the graph is a part."""
    onnx_file = tmp_path / "small.onnx"
    small_model().export_onnx(onnx_file)
    model = mobileone.reparameterize(mobileone.load(onnx_file))
    assert model.arch == "imported"
    model.save_plan(tmp_path / "plan", SHAPE, threads=1)
    plan = mobileone.load_plan(tmp_path / "plan")
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    np.testing.assert_array_equal(plan(x), model.compile(SHAPE, threads=1)(x))
    assert plan.config == model.config


def changed(field: str, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        *path, last = field.split("/")
        target: Any = header
        for key in path:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return change


def first(field: str, edit: Callable[[Any], Any]) -> Callable[[Header], None]:
    """Edit the value of the first key of a mapping."""

    def change(header: Header) -> None:
        key = next(iter(header[field]))
        header[field][key] = edit(header[field][key])

    return change


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
    "no such algorithm": (first("records", lambda r: r | {"strassen": 2}), "strassen is 2"),
    "no rows": (first("records", lambda r: r | {"rows": 0}), "rows is 0; expected 1 to"),
    "a field less": (first("records", lambda r: {"rows": 1}), "has no strassen"),
    "strassen on odd blocks": (first("records", lambda r: r | {"strassen": 1}), "strassen needs"),
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
            classes = plan.config["num_classes"]
        except ValueError as error:
            if "small.plan" not in str(error):
                raise
        else:
            assert logits.shape == (plan.input_shape[0], classes)
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


def test_a_plan_that_is_replaced_or_deleted_goes_on(stored: Path) -> None:
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    plan = mobileone.load_plan(stored)
    expected = plan(x)
    small_model(seed=4).save_plan(stored, SHAPE, threads=1)
    assert not np.array_equal(mobileone.load_plan(stored)(x), expected)
    stored.unlink()
    plan.verify()
    np.testing.assert_array_equal(plan(x), expected)


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
