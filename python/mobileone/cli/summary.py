"""Tables of what models are, form, size, cost and configuration, and of what they see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobileone.util.tables import Column, Table, count_text

if TYPE_CHECKING:
    from mobileone.model import Model

__all__ = ["forms_table", "model_table", "prediction_table"]


def forms_table(models: Mapping[str, Model]) -> Table:
    """One row per labelled model: form, parameters and multiply-adds."""
    titles = ["parameters", "MACs", "tensors"]
    columns = [Column("model", "left"), Column("form", "left"), *map(Column, titles)]
    rows = [
        [
            label,
            model.form,
            count_text(model.num_params),
            count_text(model.macs),
            str(len(model.state_dict())),
        ]
        for label, model in models.items()
    ]
    return Table("models", columns, rows)


def model_table(source: str, model: Model) -> Table:
    """Two columns: everything there is to know about one model."""
    height, width = model.input_size
    rows = [
        ("source", source),
        ("name", model.name),
        ("architecture", model.arch),
        ("form", model.form),
        ("parameters", f"{model.num_params} ({count_text(model.num_params)})"),
        ("MACs", f"{model.macs} ({count_text(model.macs)}) at {height}x{width}"),
        *((f"config {name}", str(value)) for name, value in model.config.items()),
        *((f"data {name}", str(value)) for name, value in vars(model.data_config).items()),
    ]
    return Table("model", [Column("property", "left"), Column("value", "left")], rows)


def prediction_table(source: str, predictions: Sequence[tuple[str, float]]) -> Table:
    """One row per class: its name and probability."""
    rows = [(name, f"{probability:.2%}") for name, probability in predictions]
    return Table(source, [Column("class", "left"), Column("probability")], rows)
