"""What every family's record promises."""

from __future__ import annotations

from typing import Any

import mobileone
import pytest
from cases import FAMILIES, FORMS, Family, each_family
from mobileone.families import NAMES, UNPUBLISHED, all_families, family_of, find_family, graph_of
from mobileone.families.family import INFERENCE, TRAIN_TIME
from mobileone.families.layouts import LAYOUTS


def test_names() -> None:
    assert tuple(family.name for family in all_families()) == NAMES
    assert [family.name for family in all_families() if family.is_default] == [NAMES[0]]
    assert [family.name for family in FAMILIES] == [f.name for f in all_families() if f.variants()]
    for name in UNPUBLISHED:
        record = find_family(name)
        assert (record.name, record.variants(), record.layouts()) == (name, {}, ())
    assert {layout.architecture for layout in LAYOUTS} == {family.name for family in FAMILIES}
    assert all(find_family(name).untold(INFERENCE) for name in ("mobileone", "mobilevit"))
    for unknown in ("mobilenet", ["mobileone"], None, 1):
        with pytest.raises(ValueError, match=r"architecture is .*; expected one of \('mobileone',"):
            family_of({"architecture": unknown})


@each_family
def test_fields_are_those_of_configurations(family: Family) -> None:
    record = find_family(family.name)
    names = {field.name for field in record.fields}
    for name, variant in record.variants().items():
        assert {field.name for field in record.structure()} <= variant.keys() <= names
        config = mobileone.create_model(name, num_classes=3).config
        assert config.keys() == names | {"form"} | record.mark.keys()
        assert family_of(config) is record
        assert record.is_config(config)


@each_family
def test_untold_fields_change_no_weight_and_others_do(family: Family) -> None:
    """Of the inference form; what a field may be is at least what it is."""
    config = family.make("inference").config
    shapes = graph_of(config).parameters()
    other: dict[str, Any] = {"num_conv_branches": 3, "heads": 1, "patch": [1, 3], "dropout": 0.5}
    other |= {"ffn_dropout": 0.5, "classifier_dropout": 0.5, "expansion": config.get("expansion")}
    untold = find_family(family.name).untold(INFERENCE)
    for name, field in untold.items():
        assert field.kind.allows(other[name])
        assert not field.kind.allows("x")
        assert graph_of(config | {name: other[name]}).parameters() == shapes
    for field in find_family(family.name).fields:
        if field.name in ("stem_width", "num_classes", "in_channels"):
            assert field.name not in untold
            assert graph_of(config | {field.name: config[field.name] + 1}).parameters() != shapes


@each_family
@pytest.mark.parametrize("form", FORMS)
def test_the_stem_and_the_classifier_are_weights(family: Family, form: str) -> None:
    record, names = find_family(family.name), family.make(form).state_dict().keys()
    assert names & set(record.stem)
    assert any(name.startswith(record.classifier) for name in names)


@pytest.mark.parametrize("form", [TRAIN_TIME, INFERENCE])
def test_what_no_configuration_can_be(form: str) -> None:
    for family in FAMILIES:
        record, config = find_family(family.name), family.make(form).config
        assert record.is_config(config)
        for field in record.fields:
            assert not record.is_config(config | {field.name: None}), field.name
        assert not record.is_config(config | {"form": "fused"})
