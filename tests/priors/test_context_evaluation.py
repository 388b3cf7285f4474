"""The evaluation of a context prior: quicker than the walk of the coder, and the same integers."""

from __future__ import annotations

import math

import pytest
import torch

from vqkit.exact import TOTAL_BITS, frequencies, frequencies_of
from vqkit.priors import ContextPrior


def random_prior(grid: list[int], codebooks: int, **options: int) -> ContextPrior:
    torch.manual_seed(1)
    prior = ContextPrior(11, grid, num_codebooks=codebooks, hidden_channels=8, layers=2, **options)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return prior.eval()


@pytest.mark.parametrize(("grid", "codebooks"), [([5, 6], 3), ([7], 1), ([], 2)])
def test_log_prob_is_of_the_frequencies_that_files_are_coded_with(grid: list[int], codebooks: int) -> None:
    prior = random_prior(grid, codebooks)
    items = torch.randint(11, (6, *grid, codebooks))
    nats = torch.zeros(6, dtype=torch.float64)
    for step in prior.steps(grid):
        table = prior.frequencies(items, step)
        own = items.reshape(6, -1, codebooks)[:, step.positions, step.codebook]
        nats += (table.gather(2, own.unsqueeze(2)).double() / (1 << TOTAL_BITS)).log().sum(dim=(1, 2))
    shaped = items if codebooks > 1 else items[..., 0]
    assert torch.allclose(prior.log_prob(shaped), nats, rtol=1e-13)
    assert float(prior(shaped).loss) == pytest.approx(-float(nats.mean()) / (math.prod(grid) * codebooks), rel=1e-12)


def test_the_same_number_in_any_batch() -> None:
    prior = random_prior([6, 6], 3)
    items = torch.randint(11, (9, 6, 6, 3))
    alone = torch.cat([prior.log_prob(item.unsqueeze(0)) for item in items])
    assert torch.equal(prior.log_prob(items), alone)
    assert torch.equal(prior.log_prob(items[2:5]), alone[2:5])


def test_one_frequency_of_a_row_is_that_of_the_whole_row() -> None:
    torch.manual_seed(2)
    weights = (torch.rand(200, 7) ** 4 * (1 << 30)).long()
    weights[:, 3] = 1 << 30  # the largest
    weights[::5, 5] = 1 << 30  # ... twice: the first of them gets what is missing
    for chosen in (torch.randint(7, (200,)), torch.full((200,), 3), torch.full((200,), 5)):
        assert torch.equal(frequencies_of(weights, chosen), frequencies(weights).gather(1, chosen[:, None])[:, 0])
