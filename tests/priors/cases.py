"""Small priors of every class for the tests: few enough grids to list them all."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.priors import PRIORS, HistogramPrior, Prior, SequentialPrior

SMALL: dict[str, Any] = {"hidden_channels": 8, "layers": 2}
NETWORKS: list[type[Any]] = [kind for kind in PRIORS.values() if not kind.closed_form]
"""Every registered prior that learns by gradient steps, one that is registered tomorrow too."""
SEQUENTIAL: list[type[Any]] = [kind for kind in NETWORKS if issubclass(kind, SequentialPrior)]

SHAPES: list[dict[str, Any]] = [
    {"codebook_size": 3, "grid": [2, 2]},
    {"codebook_size": 2, "grid": [2, 2], "num_codebooks": 2},
    {"codebook_size": 2, "grid": [5]},
    {"codebook_size": 3, "grid": [], "num_codebooks": 3},
    {"codebook_size": 1, "grid": [3]},
    {"codebook_size": 2, "grid": [2, 1, 3]},
]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"classes": 3},
    {"classes": 2, "condition_dropout": 0.3},
    {"condition_dim": 3},
    {"condition_dim": 2, "condition_dropout": 0.3},
]


def reads(kind: type[Any], options: dict[str, Any]) -> bool:
    """Whether this class reads grids of so many axes, and such conditions."""
    if not all(kind.takes(name) for name in options):
        return False
    try:
        kind(**{"codebook_size": 2, **SMALL, **options})
    except ConfigError as error:
        if "axes" not in str(error):  # only a number of axes may be refused
            raise
        return False
    return True


def cases() -> list[Any]:
    """``(class, options)``: every shape without a condition, and every kind of condition on one shape."""
    found = [(kind, each) for kind in NETWORKS for each in SHAPES if reads(kind, each)]
    more = [{"codebook_size": 3, "grid": [2, 2], **each} for each in CONDITIONS[1:]]
    return found + [(kind, each) for kind in NETWORKS for each in more if reads(kind, each)]


def named(case: Any) -> str:
    """A test's id."""
    return case.__name__ if isinstance(case, type) else str(case)


def randomised(kind: type[Any], seed: int = 0, scale: float = 0.5, **options: Any) -> Any:
    """A prior in float64 with every parameter away from its start: zeros would hide what is wrong."""
    small = {} if kind is HistogramPrior else SMALL
    prior = kind(**{**small, **options}).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=scale, generator=generator)
    return prior


def every_grid(prior: Prior) -> Tensor:
    """All grids that a prior gives a probability to, ``[K^positions, ...]``."""
    rows = list(itertools.product(range(prior.codebook_size), repeat=prior.indices_per_item))
    return torch.tensor(rows).view(-1, *prior.item_shape)


def number_of(grids: Tensor, codebook_size: int) -> Tensor:
    """The place of each grid in ``every_grid``."""
    flat = grids.flatten(1)
    digits = codebook_size ** torch.arange(flat.shape[1] - 1, -1, -1)
    return (flat * digits).sum(dim=1)


def random_indices(prior: Prior, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(prior.codebook_size, (count, *prior.item_shape), generator=generator)


def conditions(prior: Prior, count: int) -> list[Tensor | None]:
    """Some conditions, the same for all of ``count`` items: each class, or two vectors; None where that is allowed."""
    found: list[Tensor | None] = []
    kind = prior.conditions
    if kind.classes is not None:
        found += [torch.full((count,), each) for each in range(kind.classes)]
    if kind.dim is not None:
        vectors = torch.randn(2, kind.dim, generator=torch.Generator().manual_seed(1))
        found += [each.expand(count, -1) for each in vectors]
    if not kind or kind.dropout:
        found.append(None)
    return found


def some_condition(prior: Prior, count: int) -> Tensor | None:
    return conditions(prior, count)[0]


def frequencies_agree(grids: Tensor, probabilities: Tensor, codebook_size: int) -> bool:
    """Whether samples occur as often as the probabilities of ``every_grid`` say: a chi-square test, 4 deviations."""
    expected = probabilities.double() * len(grids)
    found = number_of(grids, codebook_size).bincount(minlength=len(expected)).double()
    often = expected >= 5
    seen = torch.cat([found[often], found[~often].sum()[None]])
    wanted = torch.cat([expected[often], expected[~often].sum()[None]]).clamp_min(1e-3)
    freedom = len(wanted) - 1
    return float(((seen - wanted) ** 2 / wanted).sum()) < freedom + 4 * (2 * freedom) ** 0.5 + 4


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
