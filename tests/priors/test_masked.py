"""The masked prior: its schedule and order, an unbiased loss, orders of sampling; and the histogram prior."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from tests.priors.cases import every_grid, frequencies_agree, random_indices, randomised, seeded
from vqkit.errors import ConfigError, DataError
from vqkit.priors import HistogramPrior, MaskedPrior
from vqkit.priors.masked.schedule import boundaries, spread_order, unmasked_count

# ---- schedule and order


@pytest.mark.parametrize(("count", "steps"), [(256, 8), (16, 8), (5, 8), (1, 8), (64, 1), (64, 64), (63, 100), (0, 3)])
def test_the_cosine_schedule(count: int, steps: int) -> None:
    found = [int(unmasked_count(torch.tensor(count), step, steps)) for step in range(steps + 1)]
    assert found[0] == 0
    assert found[-1] == count
    assert all(b > a or a == count for a, b in itertools.pairwise(found)), "each step reveals something"
    for step, each in enumerate(found):
        cosine = count - math.floor(count * math.cos(math.pi / 2 * step / steps) + 1e-9)
        assert each == max(cosine, min(step, count)) or step == steps
    assert boundaries(count, steps) == sorted(set(found))
    assert boundaries(256, 8) == [0, 5, 20, 44, 75, 114, 159, 207, 256]


def test_every_beginning_of_the_fixed_order_is_spread_over_the_grid() -> None:
    for grid in ([16, 16], [8, 8, 8], [64], [5, 9], [], [1, 1]):
        order = spread_order(grid)
        assert sorted(order.tolist()) == list(range(math.prod(grid)))
    places = spread_order([16, 16])
    for beginning, nearest in ((5, 5.0), (16, 3.0), (44, 2.0)):
        points = torch.stack([places[:beginning] // 16, places[:beginning] % 16], dim=1).double()
        distances = torch.cdist(points, points) + 99 * torch.eye(beginning)
        assert float(distances.min()) >= nearest
    assert int(spread_order([64])[:8].sort().values.diff().min()) >= 5


def test_the_fixed_order_is_for_ever() -> None:
    """``log_prob`` of every saved masked prior depends on it."""
    assert spread_order([3, 4]).tolist() == [0, 9, 2, 11, 5, 7, 8, 1, 10, 3, 4, 6]
    assert spread_order([2, 2, 2]).tolist() == [0, 7, 3, 5, 6, 1, 2, 4]
    assert spread_order([7]).tolist() == [0, 5, 2, 4, 1, 6, 3]


# ---- the loss


@pytest.mark.parametrize(
    "options", [{"grid": [2, 2], "steps": 3}, {"grid": [5], "num_codebooks": 2, "steps": 2}], ids=str
)
def test_the_loss_estimates_the_nats_of_the_average_order(options: dict[str, Any]) -> None:
    """The mean over all orders, by their list; the mean of many training losses, by drawing them."""
    prior = randomised(MaskedPrior, codebook_size=3, **options)
    indices = random_indices(prior, 2)
    exact, orders = 0.0, list(itertools.permutations(range(prior.positions)))
    fixed = prior.order.clone()
    with torch.no_grad():
        for order in orders:
            prior.order.copy_(torch.tensor(order))
            exact += -float(prior.log_prob(indices).mean()) / prior.indices_per_item / len(orders)
        prior.order.copy_(fixed)
        prior.train()
        torch.manual_seed(0)
        many = indices.repeat(3000, *[1] * (indices.ndim - 1))
        losses = torch.stack([prior(many).loss for _ in range(8)])
    assert float(losses.mean()) == pytest.approx(exact, abs=4 * float(losses.std()) / 8**0.5 + 1e-3)
    prior.eval()
    assert float(prior(indices).loss.detach()) == pytest.approx(
        -float(prior.log_prob(indices).detach().mean()) / prior.indices_per_item, rel=1e-12
    )


def test_what_is_hidden_in_training_are_the_steps_of_the_schedule() -> None:
    prior = MaskedPrior(4, [4, 4], hidden_channels=8, layers=1)
    torch.manual_seed(0)
    known = 16 - prior._random_hidden(16_000).sum(dim=1)
    ends = boundaries(16, 8)
    found = known.bincount(minlength=17)
    for first, last in itertools.pairwise(ends):
        assert int(found[first]) == pytest.approx(1000 * (last - first), abs=2)
    assert int(found[ends[:-1]].sum()) == 16_000


def test_more_steps_assume_less_independence() -> None:
    """In one step all positions are independent; in as many as positions none is, given those before."""
    prior = randomised(MaskedPrior, codebook_size=2, grid=[3])
    grids = every_grid(prior)
    for steps in (1, 2, 3, 7):
        assert float(prior.log_prob(grids, steps=steps).exp().sum().detach()) == pytest.approx(1.0, abs=1e-9)
    table = prior.log_prob(grids, steps=1).exp().detach().view(2, 2, 2)
    rows, columns = table.sum((1, 2)), table.sum((0, 2))
    assert torch.allclose(table.sum(2), rows[:, None] * columns[None], atol=1e-9)
    assert torch.allclose(prior.log_prob(grids, steps=3), prior.log_prob(grids, steps=99))
    assert not torch.allclose(prior.log_prob(grids, steps=1), prior.log_prob(grids, steps=3))


# ---- sampling


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_fixed_order_samples_what_log_prob_says(steps: int) -> None:
    prior = randomised(MaskedPrior, codebook_size=2, grid=[2, 2])
    probabilities = prior.log_prob(every_grid(prior), steps=steps).exp().detach()
    samples = prior.sample(4000, order="fixed", steps=steps, generator=seeded(0))
    assert frequencies_agree(samples, probabilities, 2)


def test_random_orders_sample_the_average_over_orders() -> None:
    prior = randomised(MaskedPrior, codebook_size=2, grid=[3])
    grids = every_grid(prior)
    orders = list(itertools.permutations(range(3)))
    expected = torch.zeros(8, dtype=torch.float64)
    for order in orders:
        prior.order.copy_(torch.tensor(order))
        expected += prior.log_prob(grids, steps=3).exp().detach() / len(orders)
    samples = prior.sample(6000, order="random", steps=3, generator=seeded(0))
    assert frequencies_agree(samples, expected, 2)


def test_confidence_reveals_the_surest_positions_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position whose logits are certain is known in the first step, whatever the fixed order."""
    prior = randomised(MaskedPrior, codebook_size=4, grid=[6], scale=0.1)
    seen = []
    inner = prior._features

    def watched(items: Any, hidden: Any, condition: Any) -> Any:
        seen.append(hidden[0].clone())
        return inner(items, hidden, condition)

    monkeypatch.setattr(prior, "_features", watched)
    logits = prior.logits(torch.zeros(1, 6, dtype=torch.int64), steps=1)[0]
    surest = int(logits.log_softmax(-1).max(-1).values.argmax())
    seen.clear()
    prior.sample(1, steps=6, top_k=1, choice_temperature=0.0)
    assert (~seen[1]).nonzero().flatten().tolist() == [surest]
    assert [int(each.sum()) for each in seen] == [6, 5, 4, 3, 2, 1]


def test_held_positions_shorten_the_work_of_each_grid_alone() -> None:
    prior = randomised(MaskedPrior, codebook_size=3, grid=[3, 3])
    keep = torch.zeros(3, 3, 3, dtype=torch.bool)
    keep[1], keep[2, 0] = True, True
    known = random_indices(prior, 3)
    for order in ("confident", "random", "fixed"):
        made = prior.sample(3, known=known, keep=keep, order=order, generator=seeded(0))
        assert torch.equal(made[keep], known[keep])


def test_what_a_masked_prior_refuses() -> None:
    with pytest.raises(ConfigError, match="steps=0: give 1 or more"):
        MaskedPrior(4, [2], steps=0)
    prior = MaskedPrior(4, [2], hidden_channels=8, layers=1)
    for options, message in [
        ({"steps": 0}, "steps=0"),
        ({"order": "zap"}, "order='zap': choose one of confident, random, fixed"),
        ({"choice_temperature": -1.0}, "choice_temperature=-1.0: give 0 or more"),
        ({"choice_temperature": math.nan}, "choice_temperature=nan: give 0 or more"),
    ]:
        with pytest.raises(ConfigError, match=message):
            prior.sample(1, **options)
    with pytest.raises(ConfigError, match="steps=0"):
        prior.log_prob(torch.zeros(1, 2).long(), steps=0)


# ---- histograms


@pytest.mark.parametrize("per_position", [False, True])
def test_a_histogram_is_the_counts_and_a_half(per_position: bool) -> None:
    indices = torch.randint(3, (40, 2, 2, 2), generator=seeded(0))
    prior = HistogramPrior.of(indices, 4, grid=[2, 2], per_position=per_position)
    assert prior.config == {"codebook_size": 4, "grid": [2, 2], "num_codebooks": 2, "per_position": per_position}
    for row, column, codebook, index in itertools.product(range(2), range(2), range(2), range(4)):
        where = indices[:, row, column, codebook] if per_position else indices[..., codebook]
        wanted = (int((where == index).sum()) + 0.5) / (where.numel() + 2)
        place = 2 * row + column if per_position else 0
        assert float(prior.probabilities()[place, codebook, index]) == pytest.approx(wanted, rel=1e-12)
    table = prior.probabilities().expand(4, 2, 4)
    wanted_nats = sum(
        table[place, codebook, indices[0].view(4, 2)[place, codebook]].log()
        for place in range(4)
        for codebook in range(2)
    )
    assert float(prior.log_prob(indices[:1])) == pytest.approx(float(wanted_nats), rel=1e-12)


def test_a_histogram_is_a_distribution_and_is_sampled() -> None:
    prior = HistogramPrior.of(torch.tensor([[0, 1], [0, 2], [1, 1]]), 3, per_position=True)
    probabilities = prior.log_prob(every_grid(prior)).exp()
    assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-12)
    assert frequencies_agree(prior.sample(4000, generator=seeded(0)), probabilities, 3)
    assert frequencies_agree(HistogramPrior(3, [2]).sample(4000, generator=seeded(0)), torch.full((9,), 1 / 9), 3)
    assert prior.sample(5, top_k=1)[:, 0].unique().tolist() == [0]
    keep = torch.tensor([[True, False]]).expand(20, -1)
    held = prior.sample(20, known=torch.full((20, 2), 2), keep=keep)
    assert held[:, 0].unique().tolist() == [2]


def test_histograms_from_counts_and_from_a_stream() -> None:
    counts = torch.tensor([[5, 0, 1], [2, 2, 2]])
    prior = HistogramPrior.from_histogram(counts, [4])
    assert prior.item_shape == (4, 2)
    assert torch.allclose(prior.probabilities()[0], (counts + 0.5).double() / (counts.sum(1, keepdim=True) + 1.5))
    indices = torch.randint(3, (10, 4), generator=seeded(0))
    fitted = HistogramPrior(3, [4])
    fitted.fit(lambda: iter([indices[:6, None].int(), indices[6:, None].int()]))
    fitted.fit(lambda: iter([indices[:6, None].int(), indices[6:, None].int()]))
    assert torch.equal(fitted.counts, HistogramPrior.of(indices, 3).counts), "fit begins from nothing"
    for call, message in [
        (lambda: HistogramPrior.from_histogram(torch.tensor([1, -1]), [2]), "each 0 or more"),
        (lambda: HistogramPrior.from_histogram(torch.zeros(0), [2]), r"shape \[0\]"),
        (lambda: HistogramPrior.of(indices, 3, grid=[3]), r"with grid=\[3\] give"),
        (lambda: HistogramPrior.of(indices, 2), "indices run from 0 to 2; allowed are 0 to 1"),
    ]:
        with pytest.raises(DataError, match=message):
            call()
