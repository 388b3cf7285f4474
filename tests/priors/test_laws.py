"""What every prior obeys: probabilities that sum to one, strict order, a uniform start, folders, seeds, holding."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.priors.cases import (
    NETWORKS,
    SEQUENTIAL,
    SMALL,
    cases,
    conditions,
    every_grid,
    frequencies_agree,
    named,
    random_indices,
    randomised,
    reads,
    seeded,
    some_condition,
)
from vqkit.errors import ConfigError, DataError
from vqkit.priors import (
    PRIORS,
    ContextPrior,
    GatedPixelCNN,
    HistogramPrior,
    MaskedPrior,
    NextScalePrior,
    TransformerPrior,
    load_prior,
)

each_case = pytest.mark.parametrize(("kind", "options"), cases(), ids=named)
each_network = pytest.mark.parametrize("kind", NETWORKS, ids=named)


@each_case
def test_the_probabilities_of_all_grids_sum_to_one(kind: Any, options: dict[str, Any]) -> None:
    prior = randomised(kind, **options)
    grids = every_grid(prior)
    found = [prior.log_prob(grids, each).detach() for each in conditions(prior, len(grids))]
    for log_prob in found:
        assert log_prob.shape == (len(grids),)
        assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=1e-9)
        assert prior.codebook_size == 1 or float(log_prob.std()) > 0.1, "random weights give no uniform distribution"
    for a, b in itertools.combinations(found, 2):
        assert not torch.allclose(a, b), "conditions differ"


@each_case
def test_logits_are_of_each_index(kind: Any, options: dict[str, Any]) -> None:
    prior = randomised(kind, **options)
    grids = every_grid(prior)
    condition = some_condition(prior, len(grids))
    logits = prior.logits(grids, condition)
    assert logits.shape == (*grids.shape, prior.codebook_size)
    each = logits.log_softmax(-1).gather(-1, grids[..., None]).flatten(1).sum(1)
    assert torch.allclose(each, prior.log_prob(grids, condition), atol=1e-12)


ORDERS: list[dict[str, Any]] = [
    {"grid": [3, 4]},
    {"grid": [2, 3], "num_codebooks": 3},
    {"grid": [6], "num_codebooks": 2},
    {"grid": [], "num_codebooks": 4},
    {"grid": [2, 2, 3]},
    {"grid": [2, 3], "classes": 2},
]


def ranks(prior: Any) -> Tensor:
    """When each index is drawn, ``[n * C]``: two of one group and one codebook have one number."""
    group = torch.arange(prior.positions)
    if isinstance(prior, MaskedPrior):
        from vqkit.priors.masked.schedule import boundaries

        ends = torch.tensor(boundaries(prior.positions, prior.steps))
        group = torch.searchsorted(ends, prior.order.argsort(), right=True) - 1
    return (group[:, None] * prior.num_codebooks + torch.arange(prior.num_codebooks)).flatten()


@pytest.mark.parametrize("options", ORDERS, ids=str)
@pytest.mark.parametrize("kind", [TransformerPrior, MaskedPrior], ids=named)
def test_an_index_depends_on_all_earlier_ones_and_on_no_other(kind: Any, options: dict[str, Any]) -> None:
    """Of a masked prior a position's codebooks see those of earlier groups, and the earlier ones of the position."""
    prior = randomised(kind, codebook_size=4, **{**options, "hidden_channels": 16})
    n, codebooks = prior.indices_per_item, prior.num_codebooks
    condition = some_condition(prior, n)
    moved = torch.zeros(n, n, dtype=torch.float64)  # [which was changed, which was looked at]
    for seed in range(4):
        indices = random_indices(prior, 1, seed)
        changed = indices.view(1, n).repeat(n, 1)
        changed[range(n), range(n)] = (changed[range(n), range(n)] + 1) % 4
        before = prior.logits(indices, None if condition is None else condition[:1]).view(1, n, 4)
        after = prior.logits(changed.view(n, *prior.item_shape), condition).view(n, n, 4)
        moved = moved.maximum((after - before).detach().abs().amax(-1))
    rank, place = ranks(prior), torch.arange(n) // codebooks
    same_group = rank[:, None] // codebooks == rank[None] // codebooks
    earlier = (rank[:, None] < rank[None]) & (~same_group | (place[:, None] == place[None]))
    assert float(moved[~earlier].max()) < 1e-12, "an index saw itself or one that is not before it"
    assert float(moved[earlier].min()) > 1e-9, "an index is blind to an earlier one"


@pytest.mark.parametrize("options", ORDERS, ids=str)
@pytest.mark.parametrize("kind", SEQUENTIAL, ids=named)
def test_no_gradient_flows_from_an_index_to_a_later_embedding(kind: Any, options: dict[str, Any]) -> None:
    """The indices are all different, so a gradient of their rows of the embedding is one of their positions."""
    if not reads(kind, options):
        pytest.skip("a PixelCNN reads 2 axes")
    positions = math.prod(options["grid"])
    prior = randomised(kind, **{**options, "codebook_size": positions})
    if positions == 1:
        return
    row = torch.arange(positions).view(1, *options["grid"])
    indices = row if prior.num_codebooks == 1 else row[..., None].expand(*row.shape, prior.num_codebooks).contiguous()
    logits = prior.logits(indices, some_condition(prior, 1)).view(positions, -1)
    for position in range(positions):
        (gradient,) = torch.autograd.grad(logits[position].square().sum(), prior.embedding, retain_graph=True)
        reached = gradient.abs().amax(dim=(0, 2)) > 0
        assert not bool(reached[position:].any()), f"position {position} has a gradient from itself or later ones"
        assert bool(reached[:position].all()) or kind is GatedPixelCNN


# ---- cached and whole


CACHED: list[dict[str, Any]] = [
    {"grid": [5, 4]},
    {"grid": [4, 3], "num_codebooks": 3},
    {"grid": [7], "num_codebooks": 2},
    {"grid": [], "num_codebooks": 3},
    {"grid": [5, 1]},
    {"grid": [3, 2, 2]},
    {"grid": [3, 3], "classes": 3},
    {"grid": [3, 3], "condition_dim": 4, "condition_dropout": 0.2},
    {"grid": [6, 7], "layers": 4},
]


@pytest.mark.parametrize("options", CACHED, ids=str)
@pytest.mark.parametrize("kind", SEQUENTIAL, ids=named)
def test_cached_and_uncached_logits_agree(kind: Any, options: dict[str, Any]) -> None:
    if not reads(kind, options):
        pytest.skip("a PixelCNN reads 2 axes")
    kernels = [3, 5] if kind is GatedPixelCNN else [None]
    for kernel in kernels:
        prior = randomised(kind, codebook_size=5, **options, **({"kernel": kernel} if kernel else {}))
        indices = random_indices(prior, 3)
        for condition in conditions(prior, 3):
            whole, stepwise = prior.logits(indices, condition).detach(), prior.stepwise_logits(indices, condition)
            assert stepwise.shape == whole.shape
            assert torch.allclose(stepwise, whole, atol=1e-10)
            assert float(whole.std()) > 0.1
    single = prior.float()
    assert torch.allclose(
        single.stepwise_logits(indices, condition), single.logits(indices, condition).detach(), atol=1e-3, rtol=1e-3
    )


# ---- the start and the loss


@each_case
def test_untrained_it_is_uniform(kind: Any, options: dict[str, Any]) -> None:
    prior = kind(**SMALL, **options)
    indices = random_indices(prior, 7)
    for mode in (True, False):
        prior.train(mode)
        out = prior(indices, some_condition(prior, 7))
        assert float(out.loss.detach()) == pytest.approx(math.log(prior.codebook_size), abs=1e-6)
        bits = prior.indices_per_item * math.log2(prior.codebook_size)
        assert float(out.metrics["bits_per_item"]) == pytest.approx(bits, abs=1e-5)


@each_case
def test_every_parameter_is_used_in_training(kind: Any, options: dict[str, Any]) -> None:
    prior = randomised(kind, **{**options, "codebook_size": 4}).train()
    prior(random_indices(prior, 6), some_condition(prior, 6)).loss.backward()
    assert [name for name, each in prior.named_parameters() if each.grad is None] == []


@each_case
def test_a_duplicated_batch_leaves_the_loss_unchanged(kind: Any, options: dict[str, Any]) -> None:
    prior = randomised(kind, **options)
    indices, condition = random_indices(prior, 5), some_condition(prior, 5)
    once = prior(indices, condition)
    twice = prior(torch.cat([indices] * 2), None if condition is None else torch.cat([condition] * 2))
    assert float(once.loss.detach()) == pytest.approx(float(twice.loss.detach()), rel=1e-12)
    mean = -float(prior.log_prob(indices, condition).detach().mean()) / prior.indices_per_item
    assert float(once.metrics["nats_per_index"]) == pytest.approx(mean, rel=1e-12, abs=1e-12)


# ---- sampling


@each_case
def test_samples_occur_as_often_as_the_probabilities_say(kind: Any, options: dict[str, Any]) -> None:
    prior = randomised(kind, **options)
    grids, count = every_grid(prior), 3000
    exact = {"order": "fixed"} if kind is MaskedPrior else {}
    samples = prior.sample(count, some_condition(prior, count), generator=seeded(1), **exact)
    assert samples.shape == (count, *prior.item_shape)
    assert samples.dtype == torch.int64
    probabilities = prior.log_prob(grids, some_condition(prior, len(grids))).detach().exp()
    assert frequencies_agree(samples, probabilities, prior.codebook_size)


@each_network
def test_a_seed_gives_its_samples_and_the_mode_stays(kind: Any) -> None:
    prior = randomised(kind, codebook_size=4, grid=[3, 3], **({} if kind is ContextPrior else {"dropout": 0.5}))
    first = prior.sample(9, generator=seeded(0))
    assert torch.equal(first, prior.sample(9, generator=seeded(0)))
    assert not torch.equal(first, prior.sample(9, generator=seeded(1)))
    prior.train()
    assert torch.equal(first, prior.sample(9, generator=seeded(0))), "dropout is off"
    assert all(module.training for module in prior.modules())
    torch.manual_seed(0)
    untouched = torch.get_rng_state()
    prior.sample(2, generator=seeded(0))
    assert torch.equal(torch.get_rng_state(), untouched)


@each_network
def test_many_grids_are_made_in_pieces(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = randomised(kind, codebook_size=3, grid=[2, 2], classes=2, condition_dropout=0.1)
    monkeypatch.setattr(kind, "_rows_at_once", property(lambda self: 8))
    condition = torch.arange(11) % 2
    known = random_indices(prior, 11)
    keep = torch.zeros(11, 2, 2, dtype=torch.bool)
    keep[:, 0, 0] = True
    made = prior.sample(11, condition, guidance=2.0, known=known, keep=keep, generator=seeded(0))
    assert made.shape == (11, 2, 2)
    assert torch.equal(made[keep], known[keep])


@each_network
def test_kept_positions_are_held_and_the_others_are_drawn(kind: Any) -> None:
    prior = randomised(kind, codebook_size=4, grid=[3, 2], num_codebooks=2)
    known = random_indices(prior, 50)
    keep = torch.rand(50, 3, 2, generator=seeded(1)) < 0.5
    keep[0], keep[1] = True, False
    unread = known.masked_fill(~keep[..., None], -7)
    made = prior.sample(50, known=unread, keep=keep, generator=seeded(0))
    assert torch.equal(made[keep], known[keep])
    assert float((made[~keep] == known[~keep]).float().mean()) < 0.6
    assert torch.equal(made[0], known[0])
    whole = torch.ones(50, 3, 2, dtype=torch.bool)
    assert torch.equal(prior.sample(50, known=known, keep=whole), known)


@each_network
def test_what_follows_a_held_beginning_is_exactly_conditional(kind: Any) -> None:
    """For a prior with a fixed order the beginning is that of its order; one position a step."""
    prior = randomised(kind, codebook_size=2, grid=[4])
    grids, count = every_grid(prior), 3000
    first = prior.order[:2] if kind in (MaskedPrior, NextScalePrior) else torch.arange(2)
    if kind is ContextPrior:
        first = torch.cat([step.positions for step in prior.steps([4])[:2]])
    exact = {"order": "fixed", "steps": 4} if kind is MaskedPrior else {}
    keep = torch.zeros(4, dtype=torch.bool)
    keep[first] = True
    held = torch.tensor([1, 0, 0, 1])
    made = prior.sample(count, known=held.expand(count, -1), keep=keep.expand(count, -1), generator=seeded(3), **exact)
    fits = (grids[:, keep] == held[keep]).all(dim=1)
    log_prob = prior.log_prob(grids, steps=4) if kind is MaskedPrior else prior.log_prob(grids)
    joint = log_prob.detach().exp() * fits
    assert frequencies_agree(made, joint / joint.sum(), 2)


# ---- folders and construction


@each_case
def test_a_folder_gives_back_the_same_prior(kind: Any, options: dict[str, Any], tmp_path: Path) -> None:
    prior = randomised(kind, **options).float()
    prior.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("model_type") == kind.model_type
    assert config.pop("vqkit_format") == 1
    assert config == prior.config
    indices = random_indices(prior, 4)
    again = load_prior(tmp_path)
    assert type(again) is kind
    assert not again.training
    for condition in conditions(prior, 4):
        assert torch.equal(again.log_prob(indices, condition), prior.log_prob(indices, condition))


def test_folders_of_the_first_release_still_load(tmp_path: Path) -> None:
    """A PixelCNN's config and tensor names as version 0.1 wrote them, before conditions could be vectors."""
    prior = randomised(GatedPixelCNN, codebook_size=4, grid=[3, 3], classes=2, layers=3).float()
    names = sorted(prior.state_dict())
    per_layer = ["across.bias", "across.weight", "down.convolution.bias", "down.convolution.weight"]
    per_layer += ["down_class.weight", "out.bias", "out.weight", "right.convolution.bias", "right.convolution.weight"]
    per_layer += ["right_class.weight"]
    head = ["first.weight", "first_bias", "last", "last_bias", "second", "second_bias"]
    assert names == sorted(
        ["embedding", "position", *(f"head.{each}" for each in head)]
        + [f"layers.{number}.{each}" for number in range(3) for each in per_layer]
    )
    prior.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    old = {"codebook_size", "grid", "num_codebooks", "classes", "hidden_channels", "layers", "kernel", "dropout"}
    path.write_text(json.dumps({name: each for name, each in written.items() if name in {*old, "model_type"}}))
    indices, condition = random_indices(prior, 2), torch.tensor([0, 1])
    assert torch.equal(load_prior(tmp_path).log_prob(indices, condition), prior.log_prob(indices, condition))


@pytest.mark.parametrize("kind", list(PRIORS.values()), ids=named)
def test_tokens_say_what_a_prior_needs(kind: Any) -> None:
    tokens = SimpleNamespace(codebook_size=7, num_codebooks=2, grid=(3, 4))
    prior = kind.for_tokens(tokens)
    assert (prior.codebook_size, prior.num_codebooks, prior.grid) == (7, 2, (3, 4))
    assert PRIORS[prior.model_type] is kind
    with pytest.raises(ConfigError, match="grid: the tokens say it; leave it out"):
        kind.for_tokens(tokens, grid=[2])
    with pytest.raises(ConfigError, match=f"{kind.__name__} takes no zap; it takes: codebook_size, grid"):
        kind.for_tokens(tokens, zap=1)
    tokens.grid = None
    with pytest.raises(DataError, match="grids of different sizes"):
        kind.for_tokens(tokens)


@each_network
def test_options_reach_the_prior_that_tokens_describe(kind: Any) -> None:
    tokens = SimpleNamespace(codebook_size=7, num_codebooks=1, grid=())
    prior = kind.for_tokens(tokens, hidden_channels=16, layers=1, classes=4, condition_dropout=0.1)
    assert prior.config["hidden_channels"] == 16
    assert (prior.classes, prior.item_shape) == (4, ())


# ---- learning


@pytest.mark.parametrize("kind", [TransformerPrior, MaskedPrior], ids=named)
def test_it_learns_rows_that_copy_and_their_class(kind: Any) -> None:
    """Every row repeats its first index, which is one of the class's two: log 2 nats a row and no more."""
    torch.manual_seed(0)
    # one position a step: positions that are revealed together are independent, which no row is
    more = {"steps": 6} if kind is MaskedPrior else {}
    prior = kind(6, [2, 3], classes=3, hidden_channels=32, layers=2, heads=2, **more)
    optimizer = torch.optim.Adam(prior.parameters(), 4e-3)
    steps = 130 if kind is TransformerPrior else 220
    for step in range(steps):
        condition = torch.randint(3, (64,))
        rows = (2 * condition[:, None, None] + torch.randint(2, (64, 2, 1))).expand(64, 2, 3)
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps) + 1e-5
        optimizer.zero_grad()
        prior(rows, condition).loss.backward()
        optimizer.step()
    prior.eval()
    with torch.no_grad():
        assert float(prior(rows, condition).loss) < math.log(2) / 3 + 0.04
    wanted = torch.tensor([0, 1, 2] * 10)
    made = prior.sample(30, wanted, generator=seeded(0))
    assert float((made // 2 == wanted[:, None, None]).float().mean()) > 0.95
    assert float((made == made[..., :1]).float().mean()) > 0.9


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": [1, 2, 1, 2]}, r"grid=\[1, 2, 1, 2\]: a transformer reads grids of 0 to 3 axes; 4 axes"),
        ({"hidden_channels": 7}, "hidden_channels=7: .* even"),
        ({"layers": 0}, "layers=0: give 1 or more"),
        ({"dropout": 1.0}, r"dropout=1.0: give a probability in \[0, 1\)"),
        ({"hidden_channels": 12, "heads": 4}, "heads=4: .*hidden_channels=12; give one of 1, 2, 3, 6"),
        ({"heads": 0}, "heads=0: .* give one of"),
        ({"codebook_size": 0}, "codebook_size=0: give 1 or more"),
        ({"classes": 2, "condition_dim": 2}, "classes=2 and condition_dim=2: .* give one"),
        ({"condition_dropout": 0.1}, "condition_dropout=0.1: there is no condition to drop"),
        ({"classes": 2, "condition_dropout": 1.0}, r"condition_dropout=1.0: give a probability in \[0, 1\)"),
        ({"condition_dim": 0}, "condition_dim=0: give 1 or more"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [TransformerPrior, MaskedPrior], ids=named)
def test_values_out_of_range(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**{"codebook_size": 4, "grid": [2, 2], **SMALL, **options})


def test_what_sampling_refuses() -> None:
    for kind in [*NETWORKS, HistogramPrior]:
        prior = kind(4, [2], **({} if kind is HistogramPrior else SMALL))
        whole = torch.ones(1, 2, dtype=torch.bool)
        for options, error, message in [
            ({"temperature": 0.0}, ConfigError, "temperature=0.0: give a number above 0"),
            ({"top_k": 0}, ConfigError, r"top_k=0: give 1 to 4 \(the prior's codebook_size\)"),
            ({"top_k": 5}, ConfigError, "top_k=5: give 1 to 4"),
            ({"top_p": 0.0}, ConfigError, "top_p=0.0: give a probability above 0"),
            ({"top_p": 1.1}, ConfigError, "top_p=1.1"),
            ({"guidance": 2.0}, ConfigError, "guidance=2.0: this prior has no condition"),
            ({"guidance": math.nan}, ConfigError, "guidance=nan: give a finite number"),
            ({"keep": whole}, ConfigError, "keep is given without known"),
            ({"known": torch.zeros(1, 2).long()}, ConfigError, "known is given without keep"),
            ({"known": torch.full((1, 2), 4), "keep": whole}, DataError, "indices run from 4 to 4"),
            ({"known": torch.zeros(2, 2).long(), "keep": whole}, DataError, r"known has shape \[2, 2\]; give \[1, 2\]"),
            ({"known": torch.zeros(1, 2).long(), "keep": whole.long()}, DataError, "give torch.bool of shape"),
            (
                {"known": torch.zeros(1, 2).long(), "keep": whole[:, :1]},
                DataError,
                r"give torch.bool of shape \[1, 2\]",
            ),
            ({"known": torch.zeros(1, 2), "keep": whole}, DataError, "known are torch.float32"),
        ]:
            with pytest.raises(error, match=message):
                prior.sample(1, **options)
