"""The context prior: its order, exact frequencies that read only what is known, grids of any size, an unbiased loss."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.exact.test_exact import SURROUNDINGS
from tests.priors.cases import every_grid, random_indices, randomised, seeded
from vqkit.errors import ConfigError, DataError
from vqkit.exact.layers import ExactLayer
from vqkit.priors import ContextPrior, load_prior
from vqkit.priors.coding_order import groups, pattern
from vqkit.priors.context.shown import Shown, draw_shown

KINDS: list[dict[str, Any]] = [
    {"grid": [6, 5]},
    {"grid": [9]},
    {"grid": [3, 3], "num_codebooks": 3},
    {"grid": [2, 3, 3], "cell": 2},
    {"grid": [], "num_codebooks": 2},
    {"grid": [4, 5], "num_codebooks": 4, "cell": 2, "later_cell": [4, 1]},
    {"grid": [4, 4], "classes": 2, "condition_dropout": 0.5},
]
each_kind = pytest.mark.parametrize("options", KINDS, ids=str)


def made(**options: Any) -> Any:
    return randomised(ContextPrior, **{"codebook_size": 5, "hidden_channels": 12, **options}).float()


def items_of(prior: Any, grid: tuple[int, ...], count: int, seed: int = 0) -> Tensor:
    return torch.randint(prior.codebook_size, (count, *grid, prior.num_codebooks), generator=seeded(seed))


def drawn(prior: Any, items: Tensor, grid: list[int]) -> Shown:
    return draw_shown(prior.order, prior.codebook_nats, items, grid, None)


def all_frequencies(prior: Any, items: Tensor) -> list[Tensor]:
    condition = None if prior.classes is None else torch.arange(len(items)) % prior.classes
    return [prior.frequencies(items, step, condition) for step in prior.steps(items.shape[1:-1], prior.num_codebooks)]


# ---- the order


def test_the_pattern_is_for_ever() -> None:
    """Every file depends on it."""
    assert pattern(2, 2).tolist() == [[0, 2], [3, 1]]
    assert pattern(4, 2).tolist() == [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]
    assert pattern(8, 1).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert pattern(2, 3).flatten().tolist() == [0, 4, 5, 1, 6, 2, 3, 7]
    assert pattern(1, 3).tolist() == [[[0]]]
    assert pattern(4, 0).tolist() == 0


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_every_beginning_of_the_pattern_is_spread_evenly(axes: int) -> None:
    """Each half of a cell's half has as many known positions, and half of all is a checkerboard."""
    for cell in (2, 4, 8):
        found = pattern(cell, axes)
        assert sorted(found.flatten().tolist()) == list(range(cell**axes))
        corners = 2**axes
        coarse = found[tuple(slice(None, None, 2) for _ in range(axes))]
        assert set(coarse.flatten().tolist()) == set(range(cell**axes // corners))
        places = torch.stack(torch.meshgrid(*[torch.arange(cell)] * axes, indexing="ij")).sum(dim=0)
        assert torch.equal(found < cell**axes // 2, places % 2 == 0)


@each_kind
def test_steps_cover_every_index_once(options: dict[str, Any]) -> None:
    prior = made(**options)
    axes = len(options["grid"])
    for grid in (tuple(options["grid"]), (1,) * axes, (7, 2, 5)[:axes]):
        for codebooks in range(1, prior.num_codebooks + 1):
            steps = prior.steps(grid, codebooks)
            seen = [(step.codebook, each) for step in steps for each in step.positions.tolist()]
            assert len(set(seen)) == len(seen) == math.prod(grid) * codebooks
            assert [step.codebook for step in steps] == sorted(step.codebook for step in steps)
            assert all(len(step.positions) for step in steps)
            full = prior.steps(grid, prior.num_codebooks)[: len(steps)]
            assert all(torch.equal(a.positions, b.positions) for a, b in zip(steps, full, strict=True))
    if axes == 2 and prior.num_codebooks == 1:
        assert [len(step.positions) for step in prior.steps((8, 8), 1)] == [4] * 16


# ---- exact frequencies


@each_kind
def test_frequencies_sum_and_read_only_what_earlier_steps_have_filled(options: dict[str, Any]) -> None:
    prior = made(**options)
    for grid in (tuple(options["grid"]), (7, 2, 5)[: len(options["grid"])]):
        items = items_of(prior, grid, 3)
        condition = None if prior.classes is None else torch.arange(3) % 2
        filled = torch.full_like(items, -9)
        flat = filled.view(3, -1, prior.num_codebooks)
        seen = 0
        for step, wanted in zip(prior.steps(grid), all_frequencies(prior, items), strict=True):
            assert wanted.shape == (3, len(step.positions), 5)
            assert wanted.sum(dim=2).eq(1 << 24).all()
            assert int(wanted.min()) >= 1
            assert torch.equal(prior.frequencies(filled, step, condition), wanted), "it read what is not there yet"
            shorter = filled[..., : step.codebook + 1]
            assert torch.equal(prior.frequencies(shorter, step, condition), wanted), "later codebooks may be missing"
            flat[:, step.positions, step.codebook] = items.view_as(flat)[:, step.positions, step.codebook]
            seen += len(step.positions)
        assert torch.equal(filled, items)
        assert seen == math.prod(grid) * prior.num_codebooks


def test_each_index_depends_on_what_is_known_near_it() -> None:
    """On every known one within the halo, and on none beyond it."""
    prior = made(grid=[12], hidden_channels=32, layers=2)
    changed = torch.zeros(12, 12, dtype=torch.bool)
    group = groups((12,), 4)
    for seed, other in itertools.product(range(3), range(12)):
        before = items_of(prior, (12,), 1, seed)
        after = before.clone()
        after[0, other, 0] = (after[0, other, 0] + 1) % 5
        both = zip(prior.steps((12,)), all_frequencies(prior, before), all_frequencies(prior, after), strict=True)
        for step, a, b in both:
            changed[other, step.positions] |= (a != b).any(dim=2)[0]
    place = torch.arange(12)
    near = ((place[:, None] - place[None]).abs() <= prior.halo) & (group[:, None] < group[None])
    assert torch.equal(changed, near)


@each_kind
def test_log_prob_is_the_sum_of_the_logarithms_of_the_frequencies(options: dict[str, Any]) -> None:
    prior = made(**options)
    indices = random_indices(prior, 4)
    items = indices.view(4, *prior.grid, prior.num_codebooks)
    condition = None if prior.classes is None else torch.arange(4) % 2
    bits = torch.zeros(4, dtype=torch.float64)
    for step, found in zip(prior.steps(prior.grid), all_frequencies(prior, items), strict=True):
        index = items.view(4, -1, prior.num_codebooks)[:, step.positions, step.codebook]
        bits += (24 - found.gather(2, index[..., None]).double().log2()).sum(dim=(1, 2))
    found = prior.log_prob(indices, condition)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert torch.allclose(-found / math.log(2), bits, rtol=1e-12)


def test_the_first_codebooks_of_all_are_a_distribution() -> None:
    """Later codebooks can be dropped: what is left is coded with the same frequencies."""
    prior = made(grid=[2, 2], num_codebooks=2, codebook_size=2)
    total = torch.zeros((), dtype=torch.float64)
    firsts = torch.tensor(list(itertools.product(range(2), repeat=4))).view(-1, 2, 2, 1)
    chance = torch.zeros(len(firsts), dtype=torch.float64)
    for step in prior.steps((2, 2), 1):
        found = prior.frequencies(firsts, step)
        chance += found.gather(2, firsts.flatten(1)[:, step.positions, None]).double().log2().sum(dim=(1, 2)) - 24
    total = chance.exp2().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-12)
    grids = every_grid(prior)
    marginal = torch.zeros(len(firsts), dtype=torch.float64)
    number = (grids[..., 0].flatten(1) * torch.tensor([8, 4, 2, 1])).sum(dim=1)
    marginal.index_add_(0, number, prior.log_prob(grids).exp())
    assert torch.allclose(marginal, chance.exp2(), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "surrounding"), [*((KINDS[0], each) for each in SURROUNDINGS), (KINDS[2], "autocast")], ids=str
)
def test_nothing_around_it_changes_a_frequency(options: dict[str, Any], surrounding: str) -> None:
    prior = made(**{**options, "hidden_channels": 40, "codebook_size": 37})
    items = items_of(prior, prior.grid, 16)
    wanted = all_frequencies(prior, items)
    with SURROUNDINGS[surrounding]():
        found = all_frequencies(prior, items)
        single = [all_frequencies(prior, each[None]) for each in items[:2]]
        prior.set_storage_dtype(torch.float64)
        wide = all_frequencies(prior, items)
    for number, each in enumerate(wanted):
        assert torch.equal(found[number], each)
        assert torch.equal(wide[number], each)
        assert torch.equal(torch.cat([row[number] for row in single]), each[:2])
    assert torch.equal(torch.cat(all_frequencies(prior.double(), items), dim=1), torch.cat(wanted, dim=1))


@pytest.mark.parametrize("axes", [1, 2])
def test_a_cut_out_with_a_halo_has_the_frequencies_of_the_whole(axes: int) -> None:
    prior = made(grid=[8] * axes, layers=3, num_codebooks=2)
    assert prior.halo == 3
    grid = (26, 21)[:axes]
    items = items_of(prior, grid, 2)
    cut = tuple(slice(4, 16) for _ in range(axes))  # from a multiple of the cell on
    inner = torch.zeros([12] * axes, dtype=torch.bool)
    inner[tuple(slice(3, 9) for _ in range(axes))] = True
    part = items[(slice(None), *cut)]
    where = torch.arange(math.prod(grid)).view(grid)[cut].flatten()
    of_whole = all_frequencies(prior, items)
    differ = False
    for step, whole, found, own in zip(
        prior.steps(grid), of_whole, all_frequencies(prior, part), prior.steps(part.shape[1:-1]), strict=True
    ):
        place = torch.searchsorted(step.positions, where[own.positions])
        same = (whole[:, place] == found).all(dim=2)
        assert same[:, inner.flatten()[own.positions]].all()
        differ |= not bool(same.all())
    assert differ, "at the edges of the cut-out less is known"


def test_what_earlier_codebooks_add_may_be_kept_from_step_to_step() -> None:
    prior = made(grid=[4, 5], num_codebooks=3, later_cell=[2, 1])
    items = items_of(prior, (4, 5), 2)
    steps = prior.steps((4, 5))
    for codebook, earlier in ((1, None), (2, None)):
        for each in range(codebook):
            more = prior.network.embedded(items[..., each].flatten(1), each)
            earlier = more if earlier is None else earlier + more
        for step in (step for step in steps if step.codebook == codebook):
            assert torch.equal(prior.frequencies(items, step, earlier=earlier), prior.frequencies(items, step))
    assert [prior.order.number(step.codebook, step.group, 2) for step in steps] == list(range(16 + 4 + 1))


def test_a_large_grid_has_no_kept_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = made(grid=[8, 8])
    items = items_of(prior, (9, 10), 2)
    wanted = all_frequencies(prior, items)
    monkeypatch.setattr("vqkit.priors.context.network._KEPT_PLAN", 10)
    assert all(torch.equal(a, b) for a, b in zip(wanted, all_frequencies(prior, items), strict=True))


def test_a_folder_gives_back_the_same_frequencies(tmp_path: Path) -> None:
    prior = made(grid=[5, 5], num_codebooks=3, cell=2, later_cell=[4, 1])
    prior.save_pretrained(tmp_path)
    again: Any = load_prior(tmp_path)
    items = items_of(prior, (6, 7), 3)
    for a, b in zip(all_frequencies(prior, items), all_frequencies(again, items), strict=True):
        assert torch.equal(a, b)
    kept = sorted([*(name for name, _ in prior.named_parameters()), "codebook_nats"])
    assert sorted(prior.state_dict()) == kept, "floats alone are kept"


def test_most_looks_go_to_the_codebooks_that_cost_most_and_the_loss_is_still_an_estimate() -> None:
    prior = made(grid=[4, 4], num_codebooks=2, cell=2, later_cell=2)
    items = items_of(prior, (4, 4), 64).flatten(1, 2)
    prior.train()
    torch.manual_seed(0)
    wanted = -float(prior.log_prob(items.view(64, 4, 4, 2)).mean().detach()) / 32
    prior.codebook_nats.copy_(torch.tensor([3.0, 1.0]))
    shown = torch.cat([drawn(prior, items, [4, 4]).codebook for _ in range(20)])
    assert abs(float((shown == 0).float().mean()) - 0.75) < 0.02
    found = [float(prior(items[torch.randperm(64)].view(64, 4, 4, 2)).loss.detach()) for _ in range(60)]
    assert abs(sum(found) / 60 - wanted) < 0.03
    assert prior.codebook_nats[0] != 3.0  # it follows what was seen


def test_frequencies_in_training_are_those_of_the_integers() -> None:
    prior = made(grid=[5, 5])
    items = items_of(prior, (5, 5), 3)
    wanted = all_frequencies(prior, items)
    prior.train()
    assert all(torch.equal(a, b) for a, b in zip(wanted, all_frequencies(prior, items), strict=True))
    assert all(module.training for module in prior.modules())


def test_evaluation_changes_nothing_and_derives_once() -> None:
    prior = made(grid=[5, 5])
    items = items_of(prior, (5, 5), 2)
    before = {name: each.clone() for name, each in prior.state_dict().items()}
    all_frequencies(prior, items)
    derived = [module.integers() for module in prior.modules() if isinstance(module, ExactLayer)]  # type: ignore[operator]
    prior(items[..., 0])
    again = [module.integers() for module in prior.modules() if isinstance(module, ExactLayer)]  # type: ignore[operator]
    assert all(a is b for a, b in zip(derived, again, strict=True))
    assert all(torch.equal(before[name], each) for name, each in prior.state_dict().items())


# ---- training


@each_kind
def test_training_sees_the_exact_network(options: dict[str, Any]) -> None:
    prior = made(scale=0.1, **options)  # so that no probability is near the smallest frequency
    indices = random_indices(prior, 8)
    condition = None if prior.classes is None else torch.arange(8) % 2
    exact = prior.log_prob(indices, condition)
    trained = prior.train().log_prob(indices, condition)
    assert trained.requires_grad
    assert torch.allclose(trained.detach().double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"grid": [3, 3]}, {"grid": [3], "num_codebooks": 3}], ids=str)
def test_the_loss_estimates_the_nats_per_index(options: dict[str, Any]) -> None:
    prior = made(scale=0.15, look_ahead=0.7, **options)
    one = random_indices(prior, 1)
    exact = float(prior(one).loss)
    prior.train()
    torch.manual_seed(0)
    with torch.no_grad():
        mean = torch.stack([prior(one.expand(7, *one.shape[1:])).loss for _ in range(400)]).mean()
    assert float(mean) == pytest.approx(exact, rel=0.02)


def test_looking_ahead_changes_the_gradient_and_not_the_loss() -> None:
    found = []
    for look_ahead in (0.0, 0.5):
        prior = made(grid=[4, 4], look_ahead=look_ahead).train()
        torch.manual_seed(0)
        loss = prior(random_indices(prior, 8)).loss
        loss.backward()
        found.append((float(loss.detach()), prior.network.out[0].bias.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert not torch.allclose(found[0][1], found[1][1], rtol=1e-2)


def test_every_step_of_a_batch_is_shown_in_proportion() -> None:
    """A batch of as many grids as there are indices shows each step as often as it has indices."""
    prior = made(grid=[8, 8], num_codebooks=2)
    items = random_indices(prior, 1).view(1, 64, 2).expand(128, -1, -1)
    shown = drawn(prior, items, [8, 8])
    codebook, known = shown.codebook, shown.known
    assert codebook.bincount().tolist() == [64, 64]
    assert known.step.bincount().tolist() == [4] * 16 + [16] * 4
    now, known_now = (known.state == 1).sum(dim=1), known.known.sum(dim=(1, 2))
    assert now[:64].unique().tolist() == [4]
    assert now[64:].unique().tolist() == [16]
    assert known_now.unique().tolist() == [*range(0, 64, 4), *range(64, 128, 16)]


def test_it_learns_that_neighbours_copy() -> None:
    """Rows of one index each: once a row's first index is known the others cost nothing; grids of another size too."""
    torch.manual_seed(0)
    prior = ContextPrior(4, [4, 4], hidden_channels=24, layers=3)
    optimizer = torch.optim.Adam(prior.parameters(), 4e-3)
    for step in range(200):
        rows = torch.randint(4, (32, 4, 1)).expand(32, 4, 4)
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 200) + 1e-5
        optimizer.zero_grad()
        prior(rows).loss.backward()
        optimizer.step()
    prior.eval()
    assert float(prior(rows).loss) < math.log(4) / 4 + 0.05
    larger = torch.randint(4, (8, 9, 1), generator=seeded(1)).expand(8, 9, 9)[..., None]
    nats = torch.zeros(())
    for step_, found in zip(prior.steps((9, 9)), all_frequencies(prior, larger.contiguous()), strict=True):
        index = larger.reshape(8, 81)[:, step_.positions, None]
        nats = nats - (found.gather(2, index).double().log() - 24 * math.log(2)).sum() / 8
    assert float(nats) < 0.6 * 81 * math.log(4)
    made_ = prior.sample(40, generator=seeded(0))
    assert float((made_ == made_[..., :1]).float().mean()) > 0.9


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": [1, 2, 1, 2]}, r"grid=\[1, 2, 1, 2\]: a context prior reads grids of 0 to 3 axes"),
        ({"cell": 3}, "cell=3: give one of 1, 2, 4, 8, 16"),
        ({"later_cell": 0}, "later_cell=0: give one of 1, 2, 4, 8, 16"),
        ({"later_cell": [2, 3]}, "later_cell=3: give one of 1, 2, 4, 8, 16"),
        ({"later_cell": []}, "later_cell=0: give one of 1, 2, 4, 8, 16"),
        ({"layers": 0}, "layers=0: give 1 or more"),
        ({"hidden_channels": 0}, "hidden_channels=0: give 1 or more"),
        ({"look_ahead": -0.1}, "look_ahead=-0.1: give 0 or more"),
        ({"codebook_size": 65_537}, "codebook_size=65537: exact frequencies are for 65,536 values at most"),
    ],
    ids=str,
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ContextPrior(**{"codebook_size": 4, "grid": [2, 2], **options})


def test_what_the_coding_interface_refuses() -> None:
    prior = made(grid=[3, 3], num_codebooks=2)
    steps = prior.steps([3, 3], 2)
    with pytest.raises(ConfigError, match="num_codebooks=3: give 1 to 2"):
        prior.steps([3, 3], 3)
    with pytest.raises(ConfigError, match=r"grid=\[3\]: this prior reads grids of 2 axes"):
        prior.steps([3], 1)
    with pytest.raises(ConfigError, match=r"grid=\[3, 0\]"):
        prior.steps([3, 0], 1)
    with pytest.raises(DataError, match=r"items are torch.int64 of shape \[1, 3, 3, 1\]; .* at least the 2 codebooks"):
        prior.frequencies(torch.zeros(1, 3, 3, 1, dtype=torch.int64), steps[-1])
    with pytest.raises(DataError, match=r"items are torch.float32"):
        prior.frequencies(torch.zeros(1, 3, 3, 2), steps[-1])
    with pytest.raises(DataError, match="known indices run from 0 to 7; allowed are 0 to 4"):
        prior.frequencies(torch.full((1, 3, 3, 2), 7), steps[-1])
