"""The next-scale prior: its groups and places, what each index depends on, and samples of several levels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.priors.cases import every_grid, frequencies_agree, random_indices, randomised, seeded
from vqkit.errors import ConfigError
from vqkit.priors import NextScalePrior
from vqkit.priors.scales.groups import levels_of, token_groups, token_places

CASES: list[dict[str, Any]] = [
    {"grid": [2, 2], "num_codebooks": 5},
    {"grid": [2, 3], "num_codebooks": 4, "parts": 2},
    {"grid": [3], "num_codebooks": 6, "levels": [2, 4]},
    {"grid": [2, 2], "num_codebooks": 3},
]


def test_levels_are_told_by_the_number_of_indices() -> None:
    assert levels_of(5, 2) == (1, 4)
    assert levels_of(85, 2) == (1, 4, 16, 64)
    assert levels_of(64, 2) == (1, 3, 12, 48)
    assert levels_of(8, 1) == (1, 1, 2, 4)
    assert levels_of(7, 1) == (1, 2, 4)
    assert levels_of(9, 3) == (1, 8)
    assert levels_of(6, 2) == (1,) * 6
    assert levels_of(1, 2) == levels_of(1, 0) == (1,)


@pytest.mark.parametrize("options", CASES, ids=str)
def test_groups_hold_every_index_once_and_levels_in_order(options: dict[str, Any]) -> None:
    prior = NextScalePrior(4, **options, hidden_channels=8, layers=1)
    groups = token_groups(prior.grid, prior.levels, prior.parts)
    assert torch.cat(groups).sort().values.tolist() == list(range(prior.indices_per_item))
    levels = [prior.level[group % prior.num_codebooks] for group in groups]
    assert all(len(set(each.tolist())) == 1 for each in levels)
    assert torch.cat(levels).diff().min() >= 0


def test_places_of_fine_indices_lie_around_the_coarse_one() -> None:
    places, longest = token_places((2, 2), (1, 4))
    assert longest == 4
    cells = places.view(4, 5, 2)
    torch.testing.assert_close(cells[:, 0], cells[:, 1:].mean(dim=1))
    assert cells[0, 1:].tolist() == [[0.5, 0.5], [0.5, 1.5], [1.5, 0.5], [1.5, 1.5]]
    bands = token_places((1, 1), (1, 3, 12))[0]
    torch.testing.assert_close(bands[1:4], bands[:1].expand(3, 2))
    assert len(set(map(tuple, bands[4:].tolist()))) == 4


@pytest.mark.parametrize("options", CASES, ids=str)
def test_an_index_depends_on_all_earlier_groups_and_on_no_other(options: dict[str, Any]) -> None:
    prior = randomised(NextScalePrior, codebook_size=4, **options)
    n = prior.indices_per_item
    indices = random_indices(prior, 1)
    changed = indices.view(1, n).repeat(n, 1)
    changed[range(n), range(n)] = (changed[range(n), range(n)] + 1) % 4
    before = prior.logits(indices).view(1, n, 4)
    after = prior.logits(changed.view(n, *prior.item_shape)).view(n, n, 4)
    moved = (after - before).detach().abs().amax(-1)  # [which was changed, which was looked at]
    number = torch.empty(n, dtype=torch.int64)
    for rank, group in enumerate(prior.groups):
        number[group] = rank
    earlier = number[:, None] < number[None]
    assert float(moved[~earlier].max()) < 1e-12
    assert float(moved[earlier].min()) > 1e-9


@pytest.mark.parametrize("parts", [1, 2])
def test_samples_of_levels_occur_as_often_as_the_probabilities_say(parts: int) -> None:
    prior = randomised(NextScalePrior, codebook_size=2, grid=[1, 2], num_codebooks=5, parts=parts, scale=0.3)
    grids = every_grid(prior)
    probabilities = prior.log_prob(grids).detach().exp()
    assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-9)
    assert frequencies_agree(prior.sample(4000, generator=seeded(2)), probabilities, 2)


def test_guidance_of_one_is_the_conditional_distribution() -> None:
    """Of a guidance that hardly differs from 1 the samples of a seed are those of the plain way: the same logits."""
    options = {"codebook_size": 8, "grid": [2, 2], "num_codebooks": 5, "classes": 3, "condition_dropout": 0.2}
    prior, condition = randomised(NextScalePrior, **options), torch.tensor([0, 1, 2])
    plain = prior.sample(3, condition, generator=seeded(0))
    assert torch.equal(plain, prior.sample(3, condition, guidance=1.0 + 1e-9, generator=seeded(0)))


def test_levels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 indices of all levels, and a position has 5"):
        NextScalePrior(4, (2, 2), num_codebooks=5, levels=[1, 3])
    with pytest.raises(ConfigError, match="parts=0"):
        NextScalePrior(4, (2, 2), num_codebooks=5, parts=0)
