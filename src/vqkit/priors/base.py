"""What every prior is: a distribution over grids of indices, with one interface, saved as a folder."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vqkit.checking import check_types
from vqkit.errors import ConfigError, DataError, ModelFolderError
from vqkit.models import folder


@dataclass
class PriorOutput:
    """One forward pass.

    Attributes:
        loss: the scalar to minimise: nats per index, a mean over batch, positions and codebooks.
        metrics: scalars to watch, by name: ``nats_per_index`` and ``bits_per_item`` (the ideal length of one whole
            grid under this prior); without gradient.
    """

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    reconstruction: None = None
    indices: None = None


class Prior(nn.Module, ABC):
    """p(indices), or p(indices | class): integer grids ``[batch, *grid]``, or ``[batch, *grid, codebooks]``.

    A prior knows nothing of the signals behind the indices. The last axis is there exactly when
    ``num_codebooks > 1``. ``config`` holds the keyword arguments of the class, all of them, as strict JSON values.

    Args:
        config: the keyword arguments of the final class, with at least ``codebook_size``, ``grid``,
            ``num_codebooks`` and ``classes``.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """

    prior_type: ClassVar[str]
    closed_form: ClassVar[bool] = False
    channels: ClassVar[int] = 1
    config: dict[str, Any]
    grid: tuple[int, ...]
    codebook_size: int
    num_codebooks: int
    classes: int | None

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        check_types(type(self).__init__, config)
        for name in ("codebook_size", "num_codebooks", "classes"):
            if config[name] is not None and config[name] < 1:
                raise ConfigError(f"{name}={config[name]}: give 1 or more")
        if min(config["grid"], default=1) < 1:
            raise ConfigError(f"grid={list(config['grid'])}: each axis has 1 position or more")
        self.config = {**config, "grid": list(config["grid"])}
        self.grid = tuple(config["grid"])
        self.codebook_size = config["codebook_size"]
        self.num_codebooks = config["num_codebooks"]
        self.classes = config["classes"]

    @abstractmethod
    def log_prob(self, indices: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log-probability of each whole grid, ``[batch]`` float, in nats; differentiable in the parameters.

        Args:
            indices: int64 ``[batch, *grid]``, or ``[batch, *grid, codebooks]``, each in ``[0, codebook_size)``.
            condition: int64 ``[batch]``, the class of each item, when the prior has classes; otherwise None.

        Raises:
            DataError: indices of another shape, dtype or range; a condition that is missing, unwanted or out of range.
        """

    @abstractmethod
    def _sample(
        self, count: int, condition: Tensor | None, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """``sample`` with checked arguments, in evaluation mode, without gradient."""

    def forward(self, indices: Tensor, condition: Tensor | None = None) -> PriorOutput:
        """Loss and metrics of a batch of grids; arguments and errors as ``log_prob``."""
        loss = -self.log_prob(indices, condition).mean() / self.indices_per_item
        nats = loss.detach()
        return PriorOutput(
            loss, {"nats_per_index": nats, "bits_per_item": nats * (self.indices_per_item / math.log(2.0))}
        )

    @torch.no_grad()
    def sample(
        self,
        count: int,
        condition: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """New grids from p(indices), int64 ``[count, *grid]`` or ``[count, *grid, codebooks]``.

        Dropout is off while sampling, whatever the mode; the mode is as before afterwards.

        Args:
            count: how many grids.
            condition: int64 ``[count]``, the class of each grid, when the prior has classes; otherwise None.
            temperature: each index is drawn from p^(1 / temperature), renormalised: 1 samples the prior itself, less
                makes likely indices likelier.
            generator: where the randomness comes from, on any device; None is torch's global one.

        Raises:
            ConfigError: ``count`` below 1 or ``temperature`` not above 0.
            DataError: a condition that is missing, unwanted, or of another shape, dtype or range.
        """
        if count < 1:
            raise ConfigError(f"count={count}: give 1 or more")
        if not (0.0 < temperature < math.inf):
            raise ConfigError(f"temperature={temperature}: give a number above 0; 1 samples the prior itself")
        condition = self._checked_condition(condition, count)
        training = self.training
        self.eval()
        try:
            return self._sample(count, condition, temperature, generator)
        finally:
            self.train(training)

    def read_batch(self, batch: Tensor) -> Tensor:
        """Grids int64 ``[batch, *item_shape]`` from a training batch ``[batch, 1, *item_shape]`` of any integers."""
        return batch[:, 0].long()

    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Nothing is taken from the data before the first step."""

    def finish(self, batches: Iterable[Tensor]) -> None:
        """Nothing is fitted after the last step."""

    @property
    def model_type(self) -> str:
        """The class, as run folders name it."""
        return self.prior_type

    @property
    def axes(self) -> int:
        """Axes of an item: those of the grid, and one for several codebooks."""
        return len(self.item_shape)

    @property
    def indices_per_item(self) -> int:
        """Positions times codebooks."""
        return math.prod(self.grid) * self.num_codebooks

    @property
    def item_shape(self) -> tuple[int, ...]:
        """``(*grid)``, or ``(*grid, codebooks)`` with several codebooks."""
        return self.grid if self.num_codebooks == 1 else (*self.grid, self.num_codebooks)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder; each file appears whole or not at all.

        Raises:
            OSError: the folder cannot be written (the files that were there before stay as they were).
        """
        folder.save(path, self.prior_type, self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """A prior from a local folder, or from the Hugging Face hub by ``owner/name``; in evaluation mode.

        Raises:
            ModelFolderError: nothing there, incomplete, damaged, or another class.
            ConfigError: the config has keys that this class does not take.
        """
        location = folder.locate(name, revision)
        found, config = folder.read_config(location)
        if found != cls.prior_type:
            raise ModelFolderError(f"{location}: holds a {found!r}, not a {cls.prior_type!r} prior")
        return cls.from_state(config, folder.read_tensors(location), str(location))

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """A prior from its config and its tensors; ``where`` names their folder in errors."""
        try:
            prior = cls.from_config(config)
        except ConfigError as error:
            raise ConfigError(f"{where}/{folder.CONFIG}: {error}") from error
        folder.load_tensors(prior, tensors, where)
        return prior.eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new prior from its keyword arguments.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a required one that is missing.
        """
        valid = {name: each for name, each in inspect.signature(cls.__init__).parameters.items() if name != "self"}
        unknown = sorted(set(config) - set(valid))
        if unknown:
            raise ConfigError(f"{cls.__name__} takes no {', '.join(unknown)}; it takes: {', '.join(valid)}")
        missing = [name for name, each in valid.items() if each.default is each.empty and name not in config]
        if missing:
            raise ConfigError(f"{cls.__name__} needs {', '.join(missing)}")
        return cls(**config)

    def _checked_indices(self, indices: Tensor) -> Tensor:
        """``indices`` on the prior's device, contiguous; raises ``DataError`` unless they are grids of this prior."""
        if indices.dtype != torch.int64:
            raise DataError(f"indices are {indices.dtype}; a prior reads torch.int64: convert them with .long()")
        if tuple(indices.shape[1:]) != self.item_shape or indices.ndim == 0 or len(indices) == 0:
            expected = ", ".join(["batch", *map(str, self.item_shape)])
            raise DataError(
                f"indices have shape {list(indices.shape)}; this prior reads [{expected}] with a batch of 1 or more "
                f"(grid={list(self.grid)}, num_codebooks={self.num_codebooks} in its config)"
            )
        _check_range("indices", indices, self.codebook_size, "codebook_size")
        return indices.to(self.device).contiguous()

    def _checked_condition(self, condition: Tensor | None, count: int) -> Tensor | None:
        """``condition`` on the prior's device; raises ``DataError`` unless it fits ``classes`` and ``count``."""
        if self.classes is None:
            if condition is not None:
                raise DataError("got a condition, but this prior is unconditional (classes=None in its config)")
            return None
        if condition is None:
            raise DataError(
                f"no condition given; this prior has classes={self.classes}: give int64 [{count}] class ids"
            )
        if condition.dtype != torch.int64 or tuple(condition.shape) != (count,):
            raise DataError(
                f"condition is {condition.dtype} of shape {list(condition.shape)}; "
                f"give torch.int64 of shape [{count}]: one class id for each item"
            )
        _check_range("condition", condition, self.classes, "classes")
        return condition.to(self.device)


def _check_range(what: str, values: Tensor, bound: int, bound_name: str) -> None:
    if values.numel():
        low, high = (int(each) for each in values.aminmax())
        if low < 0 or high >= bound:
            raise DataError(
                f"{what} run from {low} to {high}; allowed are 0 to {bound - 1} ({bound_name}={bound} in the config)"
            )


def draw(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """One index from each row of ``logits`` ``[rows, K]``, int64 ``[rows]``, by the Gumbel-max trick.

    argmax(logits / temperature + g) with independent g = -log(e), e ~ Exp(1), is distributed as
    softmax(logits / temperature). The noise is drawn on the generator's device, so one CPU generator gives one
    sequence of samples whatever the device of the prior.
    """
    noise = torch.empty(logits.shape, device=logits.device if generator is None else generator.device)
    noise = noise.exponential_(generator=generator).to(logits.device)
    return (logits / temperature - noise.log()).argmax(dim=-1)
