"""What a model holds and is: its bundle, seen as attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from mobileone._core import Graph, Network, Plan
from mobileone.data.config import DataConfig
from mobileone.network.bundle import Bundle
from mobileone.network.plan_cache import PlanCache
from mobileone.network.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self

    from mobileone.quantization.report import QuantizationReport

__all__ = ["ModelState"]

T = TypeVar("T")


class _Held(Generic[T]):
    """An attribute of a model that its bundle holds; assigning replaces the bundle."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, model: None, owner: type) -> _Held[T]: ...
    @overload
    def __get__(self, model: ModelState, owner: type) -> T: ...
    def __get__(self, model: ModelState | None, owner: type) -> _Held[T] | T:
        value: T = self if model is None else getattr(model.bundle, self.name)  # type: ignore[assignment]
        return value

    def __set__(self, model: ModelState, value: T) -> None:
        model._session.amend(**{self.name: value})


class ModelState:
    """A bundle and the session that runs it; `Model` adds the verbs."""

    name: _Held[str] = _Held()
    arch: _Held[str] = _Held()
    config: _Held[dict[str, Any]] = _Held()
    data_config: _Held[DataConfig] = _Held()
    network: _Held[Network] = _Held()
    report: _Held[Any] = _Held()

    def __init__(
        self,
        network: Network,
        config: dict[str, Any],
        *,
        arch: str,
        name: str | None = None,
        report: Any = None,
        data_config: DataConfig | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        told: dict[str, Any] = {"name": name, "report": report, "class_names": class_names}
        bundle = Bundle.of(network, config, arch=arch, data_config=data_config, **told)
        self._session = Session(bundle)

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The model that runs a bundle."""
        model = cls.__new__(cls)
        model._session = Session(bundle)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and deepcopy take along: everything but compiled plans."""
        own = {key: value for key, value in vars(self).items() if key != "_session"}
        return own | self._session.state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._session, own = Session.from_state(state)
        self.__dict__ |= own

    @property
    def bundle(self) -> Bundle:
        """The network as it is now, and what is known of it. Immutable."""
        return self._session.bundle

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.bundle.graph

    @property
    def form(self) -> str:
        """ "inference" when nothing is left to re-parameterize, else "train-time"."""
        return self.bundle.form

    @property
    def num_params(self) -> int:
        """Trainable parameters; running statistics do not count."""
        return self.bundle.num_params

    @property
    def num_classes(self) -> int:
        """Number of logits; 0 for a network without a classifier."""
        return self.bundle.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called; None means ImageNet's names for 1000, else numbers."""
        return self.bundle.class_names

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        self._session.amend(class_names=names)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) it was trained at; part of `data_config`."""
        return self.bundle.input_size

    @input_size.setter
    def input_size(self, size: tuple[int, int]) -> None:
        self.data_config = replace(self.data_config, input_size=size)

    @property
    def quantization(self) -> QuantizationReport | None:
        """Of an int8 network what `mobileone.quantize` found; None of others."""
        from mobileone.quantization.report import QuantizationReport

        text = self.bundle.quantization
        return QuantizationReport.from_text(text) if text else None

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image of `input_size`, counted as in the paper (Table 8):
        of convolutions and linear layers. `graph.attention_macs` counts attention's own.
        """
        return self.bundle.macs

    @property
    def training(self) -> bool:
        """Whether it is in training mode; see `train`."""
        return self._session.training

    @training.setter
    def training(self, mode: bool) -> None:
        self._session.training = bool(mode)

    @property
    def dropout_seed(self) -> int:
        """Of the next training step, which increases it by one; says which elements dropout drops.
        The same on every machine and with any number of threads.
        """
        return self._session.dropout_seed

    @dropout_seed.setter
    def dropout_seed(self, seed: int) -> None:
        self._session.dropout_seed = seed

    @property
    def plans(self) -> PlanCache[Plan]:
        """The cache of compiled plans, least recently used first."""
        return self._session.plans
