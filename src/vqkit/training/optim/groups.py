"""Parameter groups of an optimizer, collected from the parts of a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from vqkit.errors import ConfigError
from vqkit.pretrained.groups import OwnGroups, ParameterGroup
from vqkit.training.distributed import is_sharded

_LEAST_SIDE = 8
"""Of a matrix whose steps are made orthogonal: smaller ones are filters, gains and outputs of a few channels."""


def collect_groups(model: nn.Module, weight_decay: float, *, matrices: bool = False) -> list[dict[str, Any]]:
    """Return every parameter of a model in one group of an optimizer: ``params``, ``weight_decay``, ``lr_scale``.

    Each part's ``parameter_groups`` is asked, the outermost first: what it names, no part inside it changes. Without
    a word, weights of two or more axes decay, and the others do not. Sharded and whole parameters are never in one
    group.

    Args:
        model: whose parts are asked.
        weight_decay: of the run.
        matrices: whether weight matrices are in groups of their own (``orthogonal`` of a group says which it is): those
            of two or more axes with at least 8 rows and, flattened, 8 columns, that are no table of an
            ``nn.Embedding`` and of no group that says ``orthogonal=False``.

    Raises:
        ConfigError: a part names something that is no group, or a parameter that is not the model's.
    """
    settings: dict[nn.Parameter, tuple[float | None, float, bool]] = {}
    own = set(model.parameters())
    tables = {part.weight for part in model.modules() if isinstance(part, nn.Embedding)}
    for name, part in model.named_modules():
        if isinstance(part, OwnGroups):
            for group in part.parameter_groups():
                _check_group(group, own, f"{name or 'the model'} ({type(part).__name__})")
                for parameter in group.parameters:
                    settings.setdefault(parameter, (group.weight_decay, group.lr_scale, group.orthogonal))
    groups: dict[tuple[float, float, bool, bool], dict[str, Any]] = {}
    for parameter in model.parameters():
        decay, scale, may = settings.get(parameter, (None, 1.0, True))
        if decay is None:
            decay = weight_decay if parameter.ndim >= 2 else 0.0
        matrix = matrices and may and parameter not in tables and _is_matrix(parameter)
        key = (decay, scale, is_sharded(parameter.data), matrix)
        group_of = groups.setdefault(key, {"params": [], "weight_decay": decay, "lr_scale": scale})
        if matrices:
            group_of["orthogonal"] = matrix
        group_of["params"].append(parameter)
    return list(groups.values())


def set_learning_rate(groups: list[dict[str, Any]], learning_rate: float) -> None:
    """Set the learning rate of groups for the next step: this one, times each group's own scale."""
    for group in groups:
        group["lr"] = learning_rate * group["lr_scale"]


def _is_matrix(parameter: nn.Parameter) -> bool:
    rows = parameter.shape[0] if parameter.ndim >= 2 else 0
    return rows >= _LEAST_SIDE and parameter.numel() // rows >= _LEAST_SIDE


def _check_group(group: Any, own: set[nn.Parameter], part: str) -> None:
    if not isinstance(group, ParameterGroup):
        raise ConfigError(
            f"parameter_groups of {part} gives a {type(group).__name__}; give a list of vqkit.ParameterGroup"
        )
    for parameter in group.parameters:
        if not isinstance(parameter, nn.Parameter) or parameter not in own:
            shape = tuple(parameter.shape) if isinstance(parameter, nn.Parameter) else type(parameter).__name__
            raise ConfigError(
                f"parameter_groups of {part} names a parameter {shape} that is not the model's; name those of "
                "model.parameters()"
            )
