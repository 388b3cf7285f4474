"""Filters against brute force, guidance, draws; conditions: what they refuse, and training without them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.priors.cases import (
    NETWORKS,
    SMALL,
    every_grid,
    frequencies_agree,
    named,
    random_indices,
    randomised,
    seeded,
)
from vqkit.errors import ConfigError, DataError
from vqkit.priors import Conditions, ContextPrior, GatedPixelCNN, MaskedPrior, TransformerPrior
from vqkit.priors.filtering import draw, filtered, guided

each_network = pytest.mark.parametrize("kind", NETWORKS, ids=named)
with_vectors = [kind for kind in NETWORKS if kind is not ContextPrior]  # which has classes only


def brute_force(logits: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """The probabilities that are sampled, by counting for each index how many and how much is likelier than it."""
    weights = [math.exp(each / temperature) for each in logits]
    kept = [sum(other > each for other in weights) < (top_k or len(weights)) for each in weights]
    total = sum(each for each, stays in zip(weights, kept, strict=True) if stays)
    inside = [
        stays and sum(o for o in weights if o > each) / total < (top_p or 1.0)
        for each, stays in zip(weights, kept, strict=True)
    ]
    total = sum(each for each, stays in zip(weights, inside, strict=True) if stays)
    return [each / total if stays else 0.0 for each, stays in zip(weights, inside, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 7, 8])
@pytest.mark.parametrize("top_p", [None, 1e-6, 0.3, 0.9, 1.0])
def test_filters_agree_with_brute_force(temperature: float, top_k: int | None, top_p: float | None) -> None:
    rows = torch.randn(40, 8, generator=seeded(0), dtype=torch.float64) * 2
    rows[:5] = rows[:5].round()  # ties
    rows[5] = 0.0
    found = filtered(rows, temperature=temperature, top_k=top_k, top_p=top_p).softmax(-1)
    wanted = torch.tensor([brute_force(row, temperature, top_k, top_p) for row in rows.tolist()], dtype=torch.float64)
    assert torch.allclose(found, wanted, atol=1e-12)
    assert torch.equal(found == 0, wanted == 0)


def test_ties_stay_together_and_one_index_always_stays() -> None:
    tied = torch.zeros(2, 6)
    assert torch.equal(filtered(tied, top_k=2), tied)
    assert torch.equal(filtered(tied, top_p=0.1), tied)
    assert filtered(torch.tensor([[0.0, 1.0, 2.0]]), top_p=1e-9).isfinite().sum() == 1


def test_guidance_goes_from_one_distribution_through_the_other() -> None:
    conditional, free = torch.randn(2, 5, 7, generator=seeded(0)).unbind()
    assert torch.equal(guided(conditional, free, 1.0), conditional)
    assert torch.equal(guided(conditional, free, 0.0), free)
    for weight in (-1.0, 0.3, 4.0):
        assert torch.allclose(guided(conditional, free, weight), free + weight * (conditional - free), atol=1e-6)


def test_what_is_filtered_out_is_never_drawn() -> None:
    logits = torch.full((20_000, 4), -math.inf)
    logits[:, 1], logits[:, 3] = 0.0, math.log(3.0)
    drawn = draw(logits, seeded(0))
    assert drawn.bincount(minlength=4).tolist()[::2] == [0, 0]
    assert float((drawn == 3).float().mean()) == pytest.approx(0.75, abs=0.02)


# ---- in samples


@each_network
def test_top_1_is_the_likeliest_index(kind: Any) -> None:
    prior = randomised(kind, codebook_size=5, grid=[3, 3])
    options = {"order": "fixed"} if kind is MaskedPrior else {}
    samples = prior.sample(4, top_k=1, generator=seeded(0), **options)
    assert torch.equal(prior.logits(samples).argmax(-1), samples)
    assert torch.equal(samples, prior.sample(4, top_p=1e-6, generator=seeded(1), **options))
    assert not torch.equal(samples, prior.sample(4, generator=seeded(0), **options))


def filtered_probabilities(prior: Any, logits: Tensor, grids: Tensor, **options: Any) -> Tensor:
    each = filtered(logits, **options).log_softmax(-1).gather(-1, grids[..., None])
    return each.flatten(1).sum(1).exp().detach()


@each_network
def test_samples_follow_temperature_and_filters(kind: Any) -> None:
    prior = randomised(kind, codebook_size=4, grid=[2, 1], num_codebooks=2)
    grids, options = every_grid(prior), {"temperature": 0.7, "top_k": 3, "top_p": 0.8}
    more = {"order": "fixed"} if kind is MaskedPrior else {}
    samples = prior.sample(4000, generator=seeded(2), **options, **more)
    assert frequencies_agree(samples, filtered_probabilities(prior, prior.logits(grids), grids, **options), 4)


@pytest.mark.parametrize(
    ("kind", "conditions"),
    [(kind, {"classes": 3}) for kind in NETWORKS] + [(kind, {"condition_dim": 2}) for kind in with_vectors],
    ids=named,
)
def test_guided_samples_follow_the_guided_logits(kind: Any, conditions: dict[str, int]) -> None:
    prior = randomised(kind, codebook_size=3, grid=[2, 2], condition_dropout=0.2, **conditions)
    one = torch.tensor([1]) if prior.classes else torch.randn(1, 2, generator=seeded(5))
    grids, count = every_grid(prior), 4000
    more = {"order": "fixed"} if kind is MaskedPrior else {}
    every = one.expand(len(grids), *one.shape[1:])
    conditional, free = prior.logits(grids, every), prior.logits(grids)
    for guidance in (2.5, 0.0):
        samples = prior.sample(count, one.expand(count, *one.shape[1:]), guidance=guidance, generator=seeded(0), **more)
        expected = filtered_probabilities(prior, guided(conditional, free, guidance), grids)
        assert frequencies_agree(samples, expected, 3)
    plain = prior.sample(count, one.expand(count, *one.shape[1:]), generator=seeded(0), **more)
    assert frequencies_agree(plain, filtered_probabilities(prior, conditional, grids), 3)
    unconditional = prior.sample(count, generator=seeded(0), **more)
    assert frequencies_agree(unconditional, filtered_probabilities(prior, free, grids), 3)


@each_network
def test_guidance_needs_what_condition_dropout_teaches(kind: Any) -> None:
    prior = kind(4, [2], classes=3, **SMALL)
    with pytest.raises(ConfigError, match=r"guidance=2.0: this prior was made with condition_dropout=0.*=0.1"):
        prior.sample(2, torch.tensor([0, 1]), guidance=2.0)
    free = kind(4, [2], classes=3, condition_dropout=0.1, **SMALL)
    with pytest.raises(ConfigError, match=r"guidance=2.0 without a condition"):
        free.sample(2, guidance=2.0)


# ---- conditions


@each_network
def test_minus_one_is_no_class(kind: Any) -> None:
    prior = randomised(kind, codebook_size=4, grid=[2, 2], classes=3, condition_dropout=0.1)
    indices = random_indices(prior, 3)
    mixed = prior.log_prob(indices, torch.tensor([-1, 2, -1]))
    assert torch.equal(mixed[[0, 2]], prior.log_prob(indices)[[0, 2]])
    assert torch.allclose(mixed[1], prior.log_prob(indices, torch.full((3,), 2))[1])
    with pytest.raises(DataError, match=r"condition run from -2 to 0; allowed are -1 to 2 .*; -1 stands for none"):
        prior.log_prob(indices, torch.tensor([-2, 0, 0]))
    strict = randomised(kind, codebook_size=4, grid=[2, 2], classes=3)
    with pytest.raises(DataError, match="condition run from -1 to 0; allowed are 0 to 2"):
        strict.log_prob(indices, torch.tensor([-1, 0, 0]))


@pytest.mark.parametrize("kind", with_vectors, ids=named)
def test_vectors_that_do_not_fit(kind: Any) -> None:
    prior = kind(4, [2], condition_dim=3, **SMALL)
    indices = torch.zeros(2, 2, dtype=torch.int64)
    for condition, message in [
        (None, r"no condition given; this prior has condition_dim=3: give float \[2, 3\] vectors; only one trained"),
        (torch.zeros(2, 4), r"shape \[2, 4\]; give floats of shape \[2, 3\]: .*condition_dim=3"),
        (torch.zeros(2, 3).long(), r"condition is torch.int64 .* give floats"),
        (torch.tensor([[0.0, 1.0, math.nan], [0.0, 0.0, 0.0]]), "NaN or Inf in 1 of 2 vectors"),
    ]:
        with pytest.raises(DataError, match=message):
            prior.log_prob(indices, condition)
        with pytest.raises(DataError, match=message):
            prior.sample(2, condition)


@pytest.mark.parametrize("kind", [GatedPixelCNN, TransformerPrior], ids=named)
@pytest.mark.parametrize("options", [{"classes": 3}, {"condition_dim": 2}], ids=str)
def test_training_drops_as_many_conditions_as_asked(kind: Any, options: dict[str, int]) -> None:
    """The mean loss over draws lies between the conditional and the unconditional one, as far as the probability."""
    prior = randomised(kind, codebook_size=4, grid=[2, 2], condition_dropout=0.25, **options).train()
    indices = random_indices(prior, 1).expand(4000, 2, 2).contiguous()
    one = torch.tensor([1]) if prior.classes else torch.randn(1, 2, generator=seeded(5))
    condition = one.expand(4000, *one.shape[1:])
    torch.manual_seed(0)
    dropped = float(prior(indices, condition).loss.detach())
    with_it = -float(prior.log_prob(indices[:1], condition[:1]).detach()) / 4
    without = -float(prior.log_prob(indices[:1]).detach()) / 4
    assert (dropped - with_it) / (without - with_it) == pytest.approx(0.25, abs=0.03)
    prior.eval()
    assert float(prior(indices, condition).loss.detach()) == pytest.approx(with_it, rel=1e-9)


def test_kinds_of_conditions() -> None:
    assert not Conditions()
    assert Conditions().none() is None
    assert Conditions().layer(4) is None
    assert Conditions(classes=3, dropout=0.1).rows == 4
    assert Conditions(classes=3).none() is None
    none = Conditions(dim=2, dropout=0.1).none()
    assert none is not None
    assert none.shape == (2,)
