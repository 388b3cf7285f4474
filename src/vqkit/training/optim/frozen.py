"""Frozen parts: training leaves them as they are, also after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from vqkit.errors import ConfigError
from vqkit.quantizers import Quantizer


@dataclass(frozen=True)
class Frozen:
    """Names of what is held, as ``run.json`` keeps them.

    Attributes:
        parameters: with ``requires_grad=False``.
        modules: in evaluation mode, in a model that is in training mode; the outermost ones. A model that is in
            evaluation mode throughout (as from ``load_model``) says nothing by it.
        quantizers: whose codebook stays: by ``requires_grad_(False)``, or in evaluation mode as above.
    """

    parameters: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    quantizers: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """What is frozen in a model as a person hands it over."""
        held = tuple(_outermost_in_evaluation(model)) if model.training else ()
        return cls(
            parameters=tuple(name for name, parameter in model.named_parameters() if not parameter.requires_grad),
            modules=held,
            quantizers=tuple(
                name
                for name, module in model.named_modules()
                if isinstance(module, Quantizer) and (module.frozen or _within(name, held))
            ),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what ``as_dict`` gave."""
        return cls(**{name: tuple(values.get(name, ())) for name in ("parameters", "modules", "quantizers")})

    def as_dict(self) -> dict[str, list[str]]:
        """As strict JSON values; empty where nothing is frozen."""
        return {name: list(names) for name, names in vars(self).items() if names}

    def apply(self, model: nn.Module) -> None:
        """Freeze the same in another model of this class.

        Raises:
            ConfigError: a name that the model does not have.
        """
        try:
            for name in self.parameters:
                model.get_parameter(name).requires_grad_(False)
            for name in self.modules:
                model.get_submodule(name)
            for name in self.quantizers:
                model.get_submodule(name).frozen = True  # type: ignore[assignment]
        except AttributeError as error:
            raise ConfigError(f"frozen in this run, and not in the model: {error}") from error

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block ``apply``; afterwards the model's own codebooks are no more frozen than they were."""
        before = [each for each in model.modules() if isinstance(each, Quantizer) and not each.frozen]
        self.apply(model)
        try:
            yield
        finally:
            for each in before:
                each.frozen = False

    def train(self, model: nn.Module) -> None:
        """Training mode, but for the modules that are held in evaluation mode."""
        model.train()
        for name in self.modules:
            model.get_submodule(name).eval()


@contextmanager
def freezing(model: nn.Module, parts: Sequence[str]) -> Iterator[None]:
    """Within the block the named parts of a model are frozen; afterwards as before.

    Args:
        model: any.
        parts: names of sub-modules: "encoder", "quantizer", "decoder.blocks.0".

    Raises:
        ConfigError: an unknown name.
    """
    for name in parts:
        _check_part(model, name)
    taken = [module for name in parts for module in model.get_submodule(name).modules()]
    parameters = [each for module in taken for each in module.parameters(recurse=False) if each.requires_grad]
    quantizers = [module for module in taken if isinstance(module, Quantizer) and not module.frozen]
    for parameter in parameters:
        parameter.requires_grad_(False)
    for quantizer in quantizers:
        quantizer.frozen = True
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for quantizer in quantizers:
            quantizer.frozen = False


def check_trainable(model: nn.Module) -> None:
    """Raise ``ConfigError`` where nothing is left to train."""
    parameters = list(model.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        raise ConfigError(
            "every parameter of the model is frozen, so there is nothing to train; thaw a part of it "
            "(requires_grad_(True)), or name fewer parts in freeze="
        )


def _check_part(model: nn.Module, name: str) -> None:
    names = [each for each, _ in model.named_modules() if each]
    if name not in names:
        first = ", ".join(each for each, _ in model.named_children())
        raise ConfigError(f"freeze={name!r}: the model has no part of this name; its parts are {first}, and theirs")


def _outermost_in_evaluation(model: nn.Module, prefix: str = "") -> Iterator[str]:
    for name, child in model.named_children():
        if child.training:
            yield from _outermost_in_evaluation(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _within(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
