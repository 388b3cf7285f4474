"""Laws of every objective: of those in the registry, of sums and of adversaries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.objectives.cases import EVERY, Adversary, assigned, decoded, prepared, supported
from vqkit.errors import ConfigError
from vqkit.likelihoods import LIKELIHOODS
from vqkit.objectives import Decoded, build_objective, mean_of

CASES = [(axes, text) for axes in range(4) for text in supported(axes)]
MASKABLE = [(axes, text) for axes, text in CASES if axes]


def taken(given: Decoded, **changes: Tensor | None) -> Decoded:
    """The same batch with other tensors; the mean and the latents follow the parameters."""
    changed: Any = replace(given, **changes)  # type: ignore[arg-type]
    mean = given.likelihood.mean(changed.parameters)
    latents = changed.parameters
    found: Decoded = replace(
        changed, mean=mean, latents=latents, latents_mask=changed.mask, assignment=assigned(latents)
    )
    return found


def doubled(given: Decoded) -> Decoded:
    mask = None if given.mask is None else torch.cat([given.mask] * 2)
    parameters = torch.cat([given.parameters] * 2)
    return taken(
        given, parameters=parameters, target=torch.cat([given.target] * 2), signal=torch.cat([given.signal] * 2),
        mask=mask, classes=None if given.classes is None else torch.cat([given.classes] * 2),
    )  # fmt: skip


@pytest.mark.parametrize(("axes", "text"), CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_a_duplicated_batch_leaves_every_loss_unchanged(axes: int, text: str, masked: bool) -> None:
    given = decoded(axes, masked=masked and axes > 0)
    objective = prepared(text, axes)
    if any(part.estimated for part in objective.parts):
        pytest.skip("its draws differ between items")
    for losses in (objective.losses, objective.own_losses):
        once, twice = losses(given), losses(doubled(given))
        assert once.keys() == twice.keys()
        for name, loss in once.items():
            assert torch.allclose(loss, twice[name], rtol=1e-9), name


@pytest.mark.parametrize(("axes", "text"), CASES)
def test_the_gradient_is_finite_and_not_zero(axes: int, text: str) -> None:
    given = decoded(axes)
    losses = prepared(text, axes).losses(given)
    assert all(name.endswith("_loss") and loss.ndim == 0 for name, loss in losses.items())
    (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), given.parameters)
    assert bool(torch.isfinite(gradient).all())
    assert bool(gradient.any())


@pytest.mark.parametrize(("axes", "text"), MASKABLE)
def test_what_a_mask_leaves_out_is_not_read(axes: int, text: str) -> None:
    given = decoded(axes, masked=True)
    assert given.mask is not None
    hidden = ~given.mask.unsqueeze(1)
    other = taken(
        given,
        parameters=torch.where(hidden, 7.0, given.parameters),
        target=torch.where(hidden, 9.0, given.target),
    )
    objective = prepared(text, axes)
    for losses in (objective.losses, objective.own_losses):
        torch.manual_seed(1)
        first = losses(given)
        torch.manual_seed(1)
        second = losses(other)
        assert all(torch.equal(first[name], second[name]) for name in first)
    loss = torch.stack(list(objective.losses(given).values())).sum()
    (gradient,) = torch.autograd.grad(loss, given.parameters)
    assert not torch.where(hidden, gradient, 0.0).any()
    torch.manual_seed(1)
    masked = objective.losses(given)
    torch.manual_seed(1)
    unmasked = objective.losses(taken(given, mask=None))
    assert any(not torch.equal(unmasked[name], value) for name, value in masked.items())


@pytest.mark.parametrize(("axes", "text"), CASES)
def test_it_is_zero_at_the_target_where_it_says_so(axes: int, text: str) -> None:
    objective = prepared(text, axes)
    perfect, random = objective.losses(decoded(axes, perfect=True)), objective.losses(decoded(axes))
    if objective.zero_at_target:
        assert all(float(loss) == 0.0 for loss in perfect.values())
        assert all(float(loss) > 0.0 for loss in random.values())


@pytest.mark.parametrize("text", EVERY)
def test_signals_it_is_not_for_are_refused(text: str) -> None:
    for axes in set(range(4)) - {axes for axes, each in CASES if each == text}:
        with pytest.raises(ConfigError, match=rf"for signals of .* axes, and these have {axes}"):
            build_objective(text).prepare(axes, 1)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("learned", [False, True])
def test_the_likelihood_is_squared_error_or_nats_per_value(likelihood: str, learned: bool) -> None:
    given = decoded(2, likelihood=likelihood, learned=learned)
    (loss,) = build_objective("likelihood").losses(given).values()
    nats = -given.likelihood.log_prob(given.parameters, given.signal, given.unit).sum() / given.signal.numel()
    squared = (given.mean - given.target).square().sum() / given.signal.numel()
    expected = squared if likelihood == "gaussian" and not learned else nats
    assert torch.allclose(loss, expected)
    if likelihood != "gaussian":
        half = replace(given, warmup=torch.tensor(0.25, dtype=torch.float64))
        (mixed,) = build_objective("likelihood").losses(half).values()
        assert torch.allclose(mixed, 0.25 * nats + 0.75 * squared)


def test_l1_is_the_mean_absolute_error() -> None:
    given = decoded(1, masked=True)
    assert given.mask is not None
    errors = [
        abs(given.mean[item, channel, time] - given.target[item, channel, time]).item()
        for item, time in given.mask.nonzero().tolist()
        for channel in range(2)
    ]
    assert build_objective("l1").losses(given)["l1_loss"].item() == pytest.approx(sum(errors) / len(errors))


def test_the_models_term_leaves_the_gradient_of_the_discriminator_alone() -> None:
    objective = prepared("adversary", 2)
    given = decoded(2)
    sum(objective.losses(given).values()).backward()  # type: ignore[union-attr]
    assert given.parameters.grad is not None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in objective.parameters())
    detached = given.detach()
    sum(objective.own_losses(detached).values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_the_discriminators_loss_is_the_hinge() -> None:
    objective = prepared("adversary", 1)
    given = decoded(1).detach()
    (loss,) = objective.own_losses(given).values()
    assert isinstance(objective, Adversary)
    real, made = objective.discriminator(given.target), objective.discriminator(given.mean)
    expected = sum(max(0, 1 - float(value)) for value in real.flatten()) / real.numel() / 2
    expected += sum(max(0, 1 + float(value)) for value in made.flatten()) / made.numel() / 2
    assert float(loss) == pytest.approx(expected)
    (term,) = objective.losses(given).values()
    assert float(term) == pytest.approx(-float(made.mean()))


def test_an_adversary_begins_after_its_steps() -> None:
    objective = prepared("adversary(after=2)", 2)
    given = decoded(2)
    for active in (False, False, True):
        (term,) = objective.losses(given).values()
        assert bool(term) is active
        assert term.requires_grad
        assert bool(objective.own_losses(given.detach())) is active
        objective.end_step()


def test_an_adaptive_weight_balances_the_gradients() -> None:
    given = decoded(2)
    objective = prepared("likelihood + 0.5*gradient + 0.25*adversary(adaptive=True)", 2)
    losses = objective.losses(given)
    norms = {
        name: float(torch.autograd.grad(loss, given.parameters, retain_graph=True)[0].norm())
        for name, loss in {**losses, "rest": losses["reconstruction_loss"] + losses["gradient_loss"]}.items()
    }
    assert norms["adversary_loss"] == pytest.approx(0.25 * norms["rest"], rel=1e-5)
    plain = prepared("likelihood + 0.25*adversary", 2).losses(given)
    assert torch.equal(losses["adversary_loss"], plain["adversary_loss"])  # only the gradient is multiplied
    with torch.no_grad():
        assert torch.equal(objective.losses(given)["adversary_loss"], plain["adversary_loss"])


def test_means_over_a_mask() -> None:
    values = torch.arange(12.0).view(2, 2, 3)
    mask = torch.tensor([[True, True, False], [False, False, True]])
    assert float(mean_of(values, mask)) == pytest.approx((0 + 1 + 3 + 4 + 8 + 11) / 6)
    assert float(mean_of(values, torch.zeros_like(mask))) == 0.0
