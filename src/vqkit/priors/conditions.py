"""Conditions of a prior: nothing, a class per item, or a vector per item; "none" is learned beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError, DataError


@final
@dataclass(frozen=True)
class Conditions:
    """The kind of condition of one prior, and the checks that belong to it.

    With ``dropout`` above 0 the prior also learns the distribution without a condition (classifier-free guidance, Ho
    and Salimans 2022, arXiv 2207.12598): in training "none" takes the place of a condition with this probability. None
    is one class more (id ``classes``), or a learned vector.

    Attributes:
        classes: N, of class ids 0 .. N - 1; None: no classes.
        dim: D, of vectors; None: no vectors.
        dropout: probability, in [0, 1).
        owner: what has the conditions, for messages.

    Raises:
        ConfigError: both kinds, a number out of range, or dropout without a condition.

    Example:
        >>> from vqkit.priors import Conditions
        >>> bool(Conditions()), Conditions(classes=10).describe()
        (False, 'classes=10')
    """

    classes: int | None = None
    dim: int | None = None
    dropout: float = 0.0
    owner: str = "prior"

    def __post_init__(self) -> None:
        for name, value in (("classes", self.classes), ("condition_dim", self.dim)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value}: give 1 or more")
        if self.classes is not None and self.dim is not None:
            raise ConfigError(
                f"classes={self.classes} and condition_dim={self.dim}: a condition is a class or a vector, give one"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"condition_dropout={self.dropout}: give a probability in [0, 1)")
        if self.dropout and not self:
            raise ConfigError(
                f"condition_dropout={self.dropout}: there is no condition to drop; give classes or condition_dim as "
                "well, or condition_dropout=0"
            )

    def __bool__(self) -> bool:
        return self.classes is not None or self.dim is not None

    @property
    def rows(self) -> int:
        """Classes, and one more for none."""
        return (self.classes or 0) + bool(self.dropout)

    def none(self) -> nn.Parameter | None:
        """A new learned vector that stands for no condition; None where there is none, or where it is a class."""
        return nn.Parameter(torch.zeros(self.dim)) if self.dim is not None and self.dropout else None

    def layer(self, features: int, std: float = 0.0) -> nn.Embedding | nn.Linear | None:
        """A new map from a condition to ``[batch, features]``; None where there are none.

        Its outputs start with standard deviation ``std`` (for vectors of unit variance).
        """
        if not self:
            return None
        module = nn.Embedding(self.rows, features) if self.dim is None else nn.Linear(self.dim, features, bias=False)
        nn.init.zeros_(module.weight)
        if std:
            nn.init.normal_(module.weight, std=std * (self.dim or 1) ** -0.5)
        return module

    def checked(self, condition: Tensor | None, count: int, none: Tensor | None, like: Tensor) -> Tensor | None:
        """Check conditions: int64 ``[count]`` ids, or vectors ``[count, D]``; None where there is no condition.

        Args:
            condition: as a user gives it: None, class ids (-1: none, where the prior has learned it), or vectors.
            count: of items.
            none: the vector that ``none()`` made.
            like: a tensor on the device and of the dtype that vectors are to have.

        Raises:
            DataError: a condition that is missing, unwanted, or of another shape, dtype or range.
        """
        if not self:
            if condition is not None:
                raise DataError(f"got a condition, but this {self.owner} is unconditional (classes=None in its config)")
            return None
        if condition is None:
            if not self.dropout:
                raise DataError(
                    f"no condition given; this {self.owner} has {self.describe()}: give {self._wanted(count)}; only "
                    "one trained with condition_dropout above 0 knows the distribution without"
                )
            return self.without(count, none, like.device)
        if self.classes is not None:
            return self._checked_classes(condition, count).to(like.device)
        return self._checked_vectors(condition, count).to(like)

    def without(self, count: int, none: Tensor | None, device: torch.device) -> Tensor | None:
        """``count`` times none, as ``checked`` gives it; needs ``dropout`` above 0."""
        if none is not None:
            return none.expand(count, -1)
        return torch.full((count,), self.classes or 0, device=device)

    def dropped(self, condition: Tensor | None, none: Tensor | None) -> Tensor | None:
        """A checked condition, with none in the place of each item's with probability ``dropout``."""
        if condition is None or not self.dropout:
            return condition
        drop = torch.rand(len(condition), device=condition.device) < self.dropout
        if none is None:
            return condition.masked_fill(drop, self.classes or 0)
        return torch.where(drop[:, None], none, condition)

    def describe(self) -> str:
        """``classes=N`` or ``condition_dim=D``, as in the config."""
        return f"classes={self.classes}" if self.classes is not None else f"condition_dim={self.dim}"

    def _wanted(self, count: int) -> str:
        return f"int64 [{count}] class ids" if self.classes is not None else f"float [{count}, {self.dim}] vectors"

    def _checked_classes(self, condition: Tensor, count: int) -> Tensor:
        assert self.classes is not None
        if condition.dtype != torch.int64 or tuple(condition.shape) != (count,):
            raise DataError(
                f"condition is {condition.dtype} of shape {list(condition.shape)}; "
                f"give torch.int64 of shape [{count}]: one class id for each item"
            )
        if not self.dropout:
            check_range("condition", condition, 0, self.classes, "classes")
            return condition
        check_range("condition", condition, -1, self.classes, "classes", "; -1 stands for none")
        return condition.masked_fill(condition < 0, self.classes)

    def _checked_vectors(self, condition: Tensor, count: int) -> Tensor:
        if not condition.is_floating_point() or tuple(condition.shape) != (count, self.dim):
            raise DataError(
                f"condition is {condition.dtype} of shape {list(condition.shape)}; give floats of shape "
                f"[{count}, {self.dim}]: one vector for each item (condition_dim={self.dim} in the config)"
            )
        if not bool(torch.isfinite(condition).all()):
            bad = int((~torch.isfinite(condition)).any(dim=1).sum())
            raise DataError(f"condition has NaN or Inf in {bad:,} of {count:,} vectors; give finite numbers")
        return condition


def check_range(what: str, values: Tensor, lowest: int, bound: int, bound_name: str, more: str = "") -> None:
    """Raise ``DataError`` unless all values lie in ``[lowest, bound)``."""
    if values.numel():
        low, high = (int(each) for each in values.aminmax())
        if low < lowest or high >= bound:
            raise DataError(
                f"{what} run from {low} to {high}; allowed are {lowest} to {bound - 1} ({bound_name}={bound} in the "
                f"config{more})"
            )


def checked_names(names: Sequence[str] | None, classes: int | None) -> list[str] | None:
    """Return the names of classes as a list; None without any.

    Raises:
        ConfigError: they are not one of its own for each class.
    """
    if names is None:
        return None
    if len(names) != classes or len(set(names)) != len(names) or not all(isinstance(each, str) for each in names):
        raise ConfigError(
            f"class_names={list(names)[:8]}: {len(names)} names for classes={classes}; give each class its own name"
        )
    return list(names)
