"""Networks inside larger ones: prefixes, several networks, classifiers elsewhere, and none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from mobileone.checkpoint import CheckpointError, LoadedCheckpoint, load_state_dict
from mobileone.verification.rounding import rounding_bound

from .mobilevit_networks import TINY as MOBILEVIT
from .networks import LAYOUT_WORDS, TINY, renamed, tensor_shapes, tensors

State = dict[str, Any]
PLAIN, OTHER = (tensors(tensor_shapes(TINY), seed) for seed in (0, 1))
FEATURES, CLASSES = TINY["widths"][-1], TINY["num_classes"]
BACKBONE = {k: v for k, v in PLAIN.items() if not k.startswith("linear.")}
HEAD = {k.removeprefix("linear."): v for k, v in PLAIN.items() if k not in BACKBONE}
DECODER = {
    "decoder.blocks.0.conv.weight": np.zeros((8, 8, 3, 3), np.float32),
    "decoder.blocks.0.bn.weight": np.ones(8, np.float32),
}


def load(tree: object, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(tree, parameter_shapes=tensor_shapes, **options)


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def check_same(loaded: LoadedCheckpoint, state: State) -> None:
    for name, array in state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)


@pytest.mark.parametrize(
    "prefix", ["net.", "model.backbone.", "student.", "img_backbone.", "0.", "a.b.c.d.e.", "stem."]
)
@pytest.mark.parametrize("layout", LAYOUT_WORDS)
def test_any_prefix(prefix: str, layout: str) -> None:
    loaded = load({"state_dict": under(prefix, renamed(PLAIN, TINY, layout))})
    check_same(loaded, PLAIN)
    assert loaded.layout == layout
    assert loaded.report.prefixes == (prefix,)


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
def test_a_backbone_beside_a_decoder(layout: str) -> None:
    named = zip(PLAIN, renamed(PLAIN, TINY, layout).items(), strict=True)
    state = under("encoder.", dict(item for name, item in named if name in BACKBONE)) | DECODER
    with pytest.raises(CheckpointError, match=r"strict=False|num_classes=0"):
        load(state)
    loaded = load(state, strict=False)
    check_same(loaded, BACKBONE)
    assert loaded.config["num_classes"] == 0
    assert loaded.report.ignored == tuple(DECODER)
    assert loaded.report.missing == ()
    assert "no classifier: results are pooled features" in str(loaded.report)


def test_what_is_beside_may_be_larger_than_the_network() -> None:
    beside = {f"decoder.{i}.weight": np.zeros((4, 4), np.float32) for i in range(2 * len(PLAIN))}
    state = under("encoder.", PLAIN) | beside
    with pytest.raises(
        CheckpointError, match=r"explains \d+ of \d+ keys under 'encoder\.'.*strict"
    ):
        load(state)
    check_same(load(state, strict=False), PLAIN)


def test_the_strict_message_says_what_to_do() -> None:
    state = under("encoder.", PLAIN) | DECODER
    message = (
        r"nearest is apple custom .* under 'encoder\.', but 2 unexpected: decoder\.blocks\.0.*"
        r"strict=False loads the network without them"
    )
    with pytest.raises(CheckpointError, match=message):
        load(state)
    with pytest.raises(CheckpointError, match=r"num_classes=0 gives pooled features"):
        load(BACKBONE)
    # Where the network itself is not whole, nothing helps.
    broken = {k: v for k, v in state.items() if "stage2.1" not in k}
    with pytest.raises(CheckpointError, match=r"encoder\.stage2\.1\S*: missing") as caught:
        load(broken)
    assert "strict=False" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"encoder\.stage2\.1\S*: missing"):
        load(broken, strict=False)


@pytest.mark.parametrize(
    ("prefixes", "weights", "taken"),
    [
        (("student.", "teacher."), "auto", 0),
        (("teacher.", "student."), "auto", 1),
        (("model.", "model_ema.module."), "auto", 1),
        (("model.", "model_ema.module."), "model", 0),
        (("model.", "model_ema.module."), "ema", 1),
        (("query.", "key."), "auto", 0),
        (("", "ema."), "ema", 1),
    ],
)
def test_several_networks(prefixes: tuple[str, str], weights: str, taken: int) -> None:
    states = (PLAIN, OTHER)
    state = under(prefixes[0], PLAIN) | under(prefixes[1], OTHER)
    loaded = load(state, strict=False, weights=weights)
    check_same(loaded, states[taken])
    assert "".join(loaded.report.prefixes) == prefixes[taken]
    assert loaded.report.others == tuple(filter(None, [prefixes[1 - taken]]))
    with pytest.raises(CheckpointError, match="unexpected"):
        load(state, weights=weights)


def test_averaged_weights_that_no_prefix_speaks_of() -> None:
    with pytest.raises(CheckpointError, match=r"weights='ema' asked for"):
        load(under("student.", PLAIN) | under("teacher.", OTHER), weights="ema", strict=False)


@pytest.mark.parametrize("name", ["net", "state", "params", "weights", "my.weights", "best model"])
def test_any_wrapper(name: str) -> None:
    tree = {
        "epoch": 3,
        name: PLAIN,
        "optimizer": {"state": {0: {"exp_avg": PLAIN["linear.weight"]}}, "param_groups": []},
        "scheduler": {"last_lr": [0.1], "values": np.zeros(3)},
    }
    loaded = load(tree)
    check_same(loaded, PLAIN)
    assert loaded.report.wrapper == name


@pytest.mark.parametrize("name", ["ema", "params_ema", "model_ema_state_dict", "swa_model"])
def test_any_name_of_averaged_weights(name: str) -> None:
    for weights, state in (("auto", OTHER), ("ema", OTHER), ("model", PLAIN)):
        loaded = load({"params": PLAIN, name: OTHER}, weights=weights)
        check_same(loaded, state)
        assert loaded.report.averaged is (state is OTHER)


def test_a_wrapper_that_is_there_twice() -> None:
    loaded = load({"model": PLAIN, "best": PLAIN, "again": {"model": PLAIN}})
    assert (loaded.report.wrapper, loaded.report.others) == ("model", ())


# Classifiers.

ELSEWHERE = {
    "behind a dropout": under("head.fc.1.", HEAD),
    "in a sequence": under("classifier.3.", HEAD),
    "by another name": under("fc_age.", HEAD),
}


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("prefix", ["", "base.", "model.features."])
def test_a_classifier_elsewhere(where: str, prefix: str) -> None:
    state = under(prefix, BACKBONE) | ELSEWHERE[where]
    for strict in (True, False):
        loaded = load(state, strict=strict)
        check_same(loaded, PLAIN)
        assert loaded.report.missing == loaded.report.ignored == ()
        name = next(iter(ELSEWHERE[where])).rpartition(".")[0]
        assert loaded.report.head == name
        assert loaded.report.heads == (f"{name} ({CLASSES})",)


def test_several_classifiers() -> None:
    pitch = {k: v + 1 for k, v in HEAD.items()}
    state = BACKBONE | under("fc_yaw.", HEAD) | under("fc_pitch.", pitch)
    named = r"2 heads \(classes\): fc_yaw \(7\), fc_pitch \(7\); head='fc_yaw' takes that one"
    with pytest.raises(CheckpointError, match=named):
        load(state)
    with pytest.warns(UserWarning, match=named):
        assert load(state, strict=False).config["num_classes"] == 0
    for head, values in (("fc_yaw", HEAD), ("fc_pitch", pitch)):
        loaded = load(state, head=head)
        check_same(loaded, BACKBONE | under("linear.", values))
        assert loaded.report.head == head
        assert f"classifier {head} of fc_yaw (7); fc_pitch (7)" in str(loaded.report)
    with pytest.raises(CheckpointError, match=r"head='fc'; expected one of its heads: fc_yaw"):
        load(state, head="fc")
    with pytest.raises(CheckpointError, match="expected one of its heads: linear"):
        load(PLAIN, head="fc")
    check_same(load(PLAIN, head="linear"), PLAIN)


def test_classifiers_of_several_sizes() -> None:
    age = {"weight": HEAD["weight"][:3], "bias": HEAD["bias"][:3]}
    state = BACKBONE | under("a.head.", HEAD) | under("b.age.", age)
    check_same(load(state, num_classes=3, strict=False), under("linear.", age))
    check_same(load(state, head="age"), under("linear.", age))
    # A layout's own one is taken unless another one is asked for.
    state = PLAIN | under("aux.", age)
    check_same(load(state, strict=False), PLAIN)
    loaded = load(state, head="aux")
    check_same(loaded, BACKBONE | under("linear.", age))
    assert loaded.report.ignored == ("linear.weight", "linear.bias")


@pytest.mark.parametrize(
    "beside",
    [
        {"head.3.weight": np.zeros((4, CLASSES), np.float32)},  # a second layer reads the first
        {"neck.bn.weight": np.zeros(FEATURES, np.float32)},
        {"head.1.running_mean": np.zeros(CLASSES, np.float32)},
    ],
)
def test_part_of_a_larger_head_is_taken_only_where_asked_for(beside: State) -> None:
    state = BACKBONE | under("head.0.", HEAD) | beside
    with pytest.warns(UserWarning, match=r"no classifier is taken.*head='head\.0' takes"):
        assert load(state, strict=False).config["num_classes"] == 0
    check_same(load(state, strict=False, head="head.0"), PLAIN)


def test_a_new_classifier_is_never_made_in_silence(tmp_path: Path) -> None:
    whole = mobileone.create_model("mobileone_mu0", seed=1)
    state = {k: v for k, v in whole.state_dict().items() if not k.startswith("linear.")}
    x = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    bare = mobileone.load(state, strict=False)
    assert (bare.num_classes, bare(x).shape) == (0, (2, 384))
    with pytest.warns(UserWarning, match="started anew"):
        model = mobileone.load(state, strict=False, num_classes=1000)
    assert model.class_names is not None
    assert model.class_names[17] == "class 17"  # not one of ImageNet's
    model.save(tmp_path / "x.safetensors")
    again = mobileone.load(tmp_path / "x.safetensors")
    fused = mobileone.reparameterize(model)
    for net in (model, again, fused):
        with pytest.warns(UserWarning, match="predict: the classifier of .* has random weights"):
            net.predict(np.zeros((64, 64, 3), np.uint8))
        with pytest.warns(UserWarning, match="verify: the classifier"):
            assert mobileone.verify(net, net, input_size=64, batch_size=1, samples=1)
        with pytest.warns(UserWarning, match="export_onnx: the classifier"):
            net.export_onnx(tmp_path / "x.onnx")
    # Not of one that has been trained since.
    weights = model.state_dict()
    trained = mobileone.load({k: v + (k == "linear.bias") for k, v in weights.items()})
    model.network = trained.network
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(np.zeros((64, 64, 3), np.uint8))


# Networks without a classifier.


def test_mobilevit_without_its_last_convolution() -> None:
    whole = tensors(tensor_shapes(MOBILEVIT))
    body = {k: v for k, v in whole.items() if not k.startswith(("classifier", "conv_1x1_exp"))}
    model = mobileone.load(body, num_classes=0)
    x = np.random.default_rng(0).standard_normal((1, MOBILEVIT["in_channels"], 64, 64), np.float32)
    assert model(x).shape == (1, MOBILEVIT["widths"][-1])
    full = mobileone.load(whole)
    for ours, theirs in zip(model.features(x), full.features(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(model(x), model.features(x)[-1].mean((2, 3)), rtol=1e-4, atol=1e-6)
    with pytest.raises(CheckpointError, match="num_classes=0 gives pooled features"):
        mobileone.load(body)
    head = {k: v for k, v in whole.items() if k not in body and "conv" not in k}
    with pytest.raises(CheckpointError, match=r"conv_1x1_exp.*missing"):
        mobileone.load(body | head)


@pytest.mark.parametrize(("name", "width"), [("mobileone_mu0", 384), ("mobilevit_xxs", 320)])
def test_pooled_features(name: str, width: int, tmp_path: Path) -> None:
    model = mobileone.create_model(name, num_classes=0, seed=3)
    x = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    fused = mobileone.reparameterize(model)
    assert mobileone.verify(model, fused, input_size=64)
    for net in (model, fused):
        pooled = net(x)
        assert (
            pooled.shape == net.compile(x.shape)(x).shape == (2, net.num_params and pooled.shape[1])
        )
        out = np.empty_like(pooled)
        assert net(x, out=out) is out
        np.testing.assert_array_equal(out, pooled)
        net.save(tmp_path / "x.safetensors")
        again = mobileone.load(tmp_path / "x.safetensors")
        assert (again.num_classes, again.arch) == (0, model.arch)
        np.testing.assert_array_equal(again(x), pooled)
    with pytest.raises(ValueError, match=r"predict: .* has no classifier"):
        model.predict(np.zeros((64, 64, 3), np.uint8))
    runtime = pytest.importorskip("onnxruntime")
    fused.export_onnx(tmp_path / "x.onnx")
    session = runtime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": x})
    assert found.shape == pooled.shape
    # Two float32 results, each within its bound of the exact one.
    assert np.abs(found - pooled).max() <= 2**0.5 * rounding_bound(fused, x).logits
