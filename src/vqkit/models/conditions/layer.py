"""Condition of a decoder: a class embedding, or a map of a vector, appended to the latents at every position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from vqkit.data.conversion import as_tensor
from vqkit.errors import ConfigError, DataError
from vqkit.priors.conditions import Conditions, checked_names
from vqkit.spelling import spelled

DEFAULT_CHANNELS = 16
_SHOWN = 20
_ARGUMENTS = ("classes", "class_names", "condition_dim", "condition_dropout", "condition_channels")


@final
class DecoderCondition(nn.Module):
    """A class (or a vector) of each item as channels beside its latents, so that any decoder can be conditioned.

    A class is a row of a learned table (``vqkit.priors.Conditions`` says more of conditions), a vector is mapped by a
    matrix; either is repeated over the grid and appended to what the decoder reads: a decoder needs ``channels`` more
    ``in_channels``, and knows of nothing. The speaker of the VQ-VAE paper (arXiv 1711.00937, section 4.4) is such a
    condition: what the decoder is told of who speaks, the codes need not hold.

    Args:
        conditions: their kind.
        channels: numbers that are appended.
        class_names: of the classes, in the order of their ids.

    Raises:
        ConfigError: a number out of range, or names that are not one for each class.

    Example:
        >>> import torch
        >>> from vqkit.models.conditions.layer import DecoderCondition
        >>> from vqkit.priors import Conditions
        >>> layer = DecoderCondition(Conditions(classes=2), 4, ["anna", "ben"])
        >>> layer.append(torch.zeros(3, 8, 5), "ben").shape
        torch.Size([3, 12, 5])
    """

    def __init__(self, conditions: Conditions, channels: int, class_names: list[str] | None = None) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"condition_channels={channels}: give 1 or more")
        embedding = conditions.layer(channels, std=1.0)
        assert embedding is not None, "a model without conditions has no such layer"
        self.conditions = conditions
        self.channels = channels
        self.class_names = checked_names(class_names, conditions.classes)
        self.embedding = embedding
        self.no_condition = conditions.none()
        self._drops = True

    @contextmanager
    def never_dropped(self) -> Iterator[None]:
        """Within the block conditions are told in training mode too, whatever ``condition_dropout`` says."""
        before, self._drops = self._drops, False
        try:
            yield
        finally:
            self._drops = before

    def append(self, latents: Tensor, given: Any) -> Tensor:
        """``[batch, D + channels, *grid]`` of what the decoder reads, ``[batch, D, *grid]``, and a condition.

        In training mode conditions are dropped with probability ``condition_dropout``.

        Args:
            latents: codewords, or continuous latents.
            given: as ``read`` takes it.

        Raises:
            DataError: as ``read``.
        """
        condition = self.read(given, latents.shape[0])
        if self.training and self._drops:
            dropped = self.conditions.dropped(condition, self.no_condition)
            condition = condition if dropped is None else dropped
        if self.training or self.conditions.dim is None or torch.compiler.is_exporting():
            channels = self.embedding(condition)
        else:  # a product of one row at a time, which is the same in every batch
            channels = torch.cat([self.embedding(row) for row in condition.split(1)])
        channels = channels.to(latents.dtype).view(latents.shape[0], -1, *[1] * (latents.ndim - 2))
        return torch.cat([latents, channels.expand(-1, -1, *latents.shape[2:])], dim=1)

    def read(self, given: Any, count: int) -> Tensor:
        """Class ids int64 ``[count]``, or vectors ``[count, condition_dim]``, of whatever a person gives.

        Args:
            given: a class by its name or its id, or a vector ``[condition_dim]``, for all items; or one for each: a
                list, an array or a tensor. None: without, for a model with ``condition_dropout`` above 0.
            count: of items.

        Raises:
            DataError: a condition that is missing, unknown, or of another shape, dtype or range.
        """
        like = self.embedding.weight
        if given is None:
            none = self.conditions.without(count, self.no_condition, like.device) if self.conditions.dropout else None
            if none is None:
                raise DataError(f"no {self._noun} given, and the decoder always decodes under one: {self._repair()}")
            return none
        condition = self.parse(given)
        if torch.compiler.is_exporting():  # of each item: a graph asks no question of values
            return condition
        if condition.ndim == (self.conditions.dim is not None):
            condition = condition.expand(count, *condition.shape)
        found = self.conditions.checked(condition, count, self.no_condition, like)
        assert found is not None, "there are conditions"
        return found

    def parse(self, given: Any) -> Tensor:
        """Class ids int64, or vectors: of each item, or one for all; errors as ``read``, but for their number."""
        if torch.compiler.is_exporting():
            return cast("Tensor", given)
        return self._ids(given) if self.conditions.classes is not None else self._vectors(given)

    @property
    def _noun(self) -> str:
        return "class" if self.conditions.classes is not None else "vector"

    def _repair(self) -> str:
        if self.conditions.classes is None:
            return f"give condition=, a vector of {self.conditions.dim} numbers"
        return f"give {spelled(python='condition=', command='--to')}, one of {self.describe()}"

    def describe(self) -> str:
        """The classes by name, or by number where they have none."""
        names = self.class_names
        if names is None:
            return f"the classes 0 to {(self.conditions.classes or 0) - 1}"
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"the classes {', '.join(map(repr, names[:_SHOWN]))}{more}"

    def _ids(self, given: Any) -> Tensor:
        """Class ids int64, of names and numbers."""
        if isinstance(given, str):
            return torch.tensor(self._id(given))
        if isinstance(given, np.ndarray) and given.dtype.kind in "UO":
            given = given.tolist()
        if isinstance(given, list | tuple) and any(isinstance(one, str) for one in given):
            given = [self._id(one) if isinstance(one, str) else one for one in given]
        ids = torch.as_tensor(given)
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise DataError(f"condition is {ids.dtype} of shape {list(ids.shape)}: {self._repair()}")
        lowest, bound = -1 if self.conditions.dropout else 0, self.conditions.classes or 0
        outside = ids[(ids < lowest) | (ids >= bound)]
        if len(outside.flatten()):
            raise DataError(f"the class {int(outside.flatten()[0])} is unknown: {self._repair()}")
        return ids.long()

    def _id(self, name: str) -> int:
        if self.class_names is not None and name in self.class_names:
            return self.class_names.index(name)
        if name.isdecimal() and int(name) < (self.conditions.classes or 0):
            return int(name)
        raise DataError(f"the class {name!r} is unknown: {self._repair()}")

    def _vectors(self, given: Any) -> Tensor:
        found = torch.tensor(given) if isinstance(given, list | tuple) else as_tensor(given, "condition")
        return found.to(self.embedding.weight.dtype)


def take_condition(config: dict[str, Any]) -> DecoderCondition | None:
    """The layer that a model's config says, or None; what says nothing is taken out of the config.

    Raises:
        ConfigError: settings of conditions that do not fit together.
    """
    values: Mapping[str, Any] = {name: config.pop(name, None) for name in _ARGUMENTS}
    channels = DEFAULT_CHANNELS if values["condition_channels"] is None else values["condition_channels"]
    conditions = Conditions(values["classes"], values["condition_dim"], values["condition_dropout"] or 0.0, "model")
    if not conditions:
        checked_names(values["class_names"], None)
        if channels != DEFAULT_CHANNELS:
            raise ConfigError(f"condition_channels={channels}: there is no condition; give classes or condition_dim")
        return None
    layer = DecoderCondition(conditions, channels, values["class_names"])
    kept = {**values, "condition_channels": channels, "condition_dropout": conditions.dropout}
    config |= {name: value for name, value in kept.items() if value is not None}
    return layer
