"""The rate as an objective: its value against the prior's own nats, its gradient against loops, what models do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import vqkit
from tests.objectives.cases import decoded, prepared
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.models.rates.objective import RateObjective
from vqkit.objectives import Assignment, Decoded, build_objective
from vqkit.priors import ContextPrior
from vqkit.training.record.log import read_log


def filled(*, axes: int = 2, codebooks: int = 2, size: int = 4, **options: object) -> RateObjective:
    """An objective whose prior says something else of each code in each context."""
    quantizer = vqkit.quantizers.ResidualQuantizer(
        [vqkit.quantizers.EMAVectorQuantizer(size, 2) for _ in range(codebooks)]
    )
    quantizer.double().eval().initialize(torch.randn(64, 2, generator=torch.Generator().manual_seed(1)).double())
    objective = RateObjective(hidden_channels=8, layers=2, **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    objective.prepare_for(type("Model", (), {"axes": axes, "channels": 2, "quantizer": quantizer}))
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    quantizer.freeze()
    return objective.double().train()


def batch(objective: RateObjective, *grid: int) -> Decoded:
    latents = torch.randn(4, 2, *grid, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    latents.requires_grad_()
    indices = objective._quantizer[0].encode(latents.detach())
    return replace(decoded(2), assignment=Assignment(latents, indices))


def estimates(objective: RateObjective, given: Decoded, count: int = 250) -> Tensor:
    """Of the prior's loss, with the items in an order of their own each time: each has its part of the steps."""
    assert given.assignment is not None
    torch.manual_seed(0)
    found = []
    for _ in range(count):
        turn = torch.randperm(4)
        shuffled = Assignment(given.assignment.latents[turn], given.assignment.indices[turn])
        with torch.no_grad():
            found.append(objective.own_losses(replace(given, assignment=shuffled))["rate_prior"])
    return torch.stack(found)


def test_the_mean_over_draws_is_the_rate_under_the_prior() -> None:
    objective = filled()
    given = batch(objective, 3, 5)
    assert given.assignment is not None
    prior = ContextPrior(4, (3, 5), num_codebooks=2, hidden_channels=8, layers=2).double().train()
    prior.load_state_dict(objective.context.state_dict())
    exact = -float(prior.log_prob(given.assignment.indices).sum().detach()) / math.log(2.0) / given.target.numel()
    drawn = estimates(objective, given)
    assert float(drawn.mean()) == pytest.approx(exact, abs=4 * float(drawn.std()) / 250**0.5)
    assert float(drawn.std()) < exact


def test_codes_that_were_left_out_cost_nothing() -> None:
    objective = filled()
    given = batch(objective, 3, 5)
    assert given.assignment is not None
    first = given.assignment.indices.clone()
    first[..., 1] = -1
    fewer = replace(given, assignment=replace(given.assignment, indices=first))
    means = [float(estimates(objective, each).mean()) for each in (given, fewer)]
    prior = ContextPrior(4, (3, 5), num_codebooks=2, hidden_channels=8, layers=2).double().train()
    prior.load_state_dict(objective.context.state_dict())
    logits = prior.logits(given.assignment.indices)[..., 0, :].log_softmax(-1)
    exact = -float(logits.gather(-1, first[..., :1]).sum().detach()) / math.log(2.0) / given.target.numel()
    assert means[1] == pytest.approx(exact, rel=0.1)
    assert means[1] < means[0]


def test_the_gradient_is_that_of_a_relaxed_choice() -> None:
    """One codebook, no axes: all is one step, and its softmax is written out."""
    objective = filled(axes=0, codebooks=2, temperature=0.7)
    given = batch(objective)
    assert given.assignment is not None
    torch.manual_seed(5)
    objective.losses(given)["rate_loss"].backward()  # type: ignore[no-untyped-call]
    found = given.assignment.latents.grad
    assert found is not None
    torch.manual_seed(5)
    with torch.no_grad():
        costs = list(objective._costs(given.assignment, given, None))
    stages = list(objective._quantizer[0].stages)  # type: ignore[arg-type]
    total = torch.zeros(())
    latents = given.assignment.latents.detach().clone().requires_grad_()
    for cost in costs:
        rows = cost.asked[:, 0].nonzero()[:, 0].tolist()
        table = stages[cost.codebook].table().detach()
        spare = []
        for row in rows:
            left = latents[row]
            if cost.codebook:
                left = left - stages[0].table()[given.assignment.indices[row, 0]].detach()
            spare.append([(left - code).square().sum() for code in table])
        nearest = sum(float(min(each)) for each in spare) / len(rows)
        for place, each in enumerate(spare):
            weights = torch.stack([-one / (0.7 * nearest) for one in each]).softmax(0)
            bits = -cost.logits[place].log_softmax(0) / math.log(2.0)
            total = total + (weights * bits).sum() * cost.weight[place]
    (total / given.target.numel()).backward()  # type: ignore[no-untyped-call]
    assert latents.grad is not None
    assert torch.allclose(found, latents.grad, rtol=1e-9)


def test_its_value_is_that_of_the_codes_chosen() -> None:
    objective = filled()
    given = batch(objective, 4, 4)
    torch.manual_seed(2)
    relaxed = objective.losses(given)["rate_loss"]
    torch.manual_seed(2)
    assert float(relaxed) == pytest.approx(float(objective.own_losses(given)["rate_prior"]), rel=1e-9)


def test_what_is_judged_is_judged_at_the_same_steps() -> None:
    objective = prepared("rate", 2)
    given = decoded(2).detach()
    assert float(objective.losses(given)["rate_loss"]) == float(objective.losses(given)["rate_loss"])


def photos() -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = rng.random((64, 1, 4, 4)).repeat(4, 2).repeat(4, 3)
    return (255 * np.clip(0.8 * smooth + 0.2 * rng.random((64, 1, 16, 16)), 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model of two residual codebooks."""
    torch.manual_seed(0)
    model = vqkit.VQVAE(
        16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4, num_codebooks=2, stacking="residual"
    )
    out = tmp_path_factory.mktemp("tokenizer") / "run"
    settings = {"steps": 100, "batch_size": 16, "learning_rate": 4e-3}
    return vqkit.train(model, photos(), out=out, quiet=True, tensorboard=False, **settings).path


def trained_on(tokenizer: Path, out: Path, objective: str, steps: int, **options: object) -> vqkit.Run:
    return vqkit.train(
        vqkit.load_model(tokenizer), photos(), out=out, objective=objective, steps=steps, batch_size=16,
        learning_rate=2e-3, freeze=["quantizer"], quiet=True, tensorboard=False, **options,
    )  # fmt: skip


def test_indices_cost_less_after_a_joint_stage(tokenizer: Path, tmp_path: Path) -> None:
    rates, errors = [], []
    for weight in ("0.0", "1.0"):
        text = f"likelihood + {weight}*rate(hidden_channels=8, layers=1, learning_rate=0.01)"
        lines = read_log(trained_on(tokenizer, tmp_path / weight, text, 100).path)
        rates.append([line["rate_prior"] for line in lines if "rate_prior" in line][-1])
        errors.append([line["reconstruction_loss"] for line in lines if "rate_prior" in line][-1])
    assert rates[1] < 0.9 * rates[0]
    assert errors[1] < 4 * errors[0]


def test_a_codebook_that_moves_is_refused(tokenizer: Path) -> None:
    model = vqkit.load_model(tokenizer)
    with pytest.raises(ConfigError, match=r"the codebook would follow .* freeze"):
        vqkit.train(model, photos(), objective="likelihood + 0.3*rate", steps=2, quiet=True, tensorboard=False)


def test_an_interrupted_training_goes_on_bit_for_bit(tokenizer: Path, tmp_path: Path) -> None:
    objective = "likelihood + 0.1*rate(after=3, hidden_channels=8, layers=1)"
    whole = trained_on(tokenizer, tmp_path / "whole", objective, 12)
    with pytest.raises(TrainingInterrupted):
        trained_on(tokenizer, tmp_path / "run", objective, 12, callbacks=StopAfter(7), checkpoint_seconds=0)
    parted = vqkit.resume(tmp_path / "run", data=photos(), quiet=True, tensorboard=False)
    weights = [(run.path / "model/model.safetensors").read_bytes() for run in (whole, parted)]
    assert weights[0] == weights[1]


def test_it_begins_with_a_prior_that_is_there(tmp_path: Path) -> None:
    model = vqkit.VQVAE(16, channels=1, hidden_channels=8, code_dim=4)
    ContextPrior(16, (4, 4), hidden_channels=8, layers=1).save_pretrained(tmp_path / "prior")
    model.use_objective(f"likelihood + 0.1*rate(prior='{tmp_path / 'prior'}')")
    assert sum(each.numel() for each in model.objective.parameters()) > 0
    ContextPrior(8, (4, 4), hidden_channels=8, layers=1).save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match="is of 1 codebooks of 8 codes on 2 axes, and the model has 1 of 16 on 2"):
        model.use_objective(f"rate(prior='{tmp_path / 'other'}')")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate(temperature=0)", "temperature=0: give a finite number above 0"),
        ("rate(layers=0)", "layers=0: give a whole number from 1"),
        ("rate(prior=3)", "prior=3: give a word"),
    ],
)
def test_settings_out_of_range_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_objective(text)


def test_models_without_indices_and_codes_that_are_no_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="indices have a rate, and this model has none"):
        vqkit.Autoencoder(8, size=(8, 8), hidden_channels=8).use_objective("rate")
    with pytest.raises(ConfigError, match="quantizer=ema has such"):
        vqkit.VQVAE(16, quantizer="lfq", hidden_channels=8).use_objective("rate")


def test_with_relative_each_item_has_the_weight_of_its_own_error() -> None:
    objective = filled(relative=True)
    given = batch(objective, 4, 4)
    assert given.assignment is not None
    given = replace(given, mean=given.mean.detach(), assignment=replace(given.assignment))
    alike = replace(given, mean=given.target + 2.0)
    torch.manual_seed(2)
    found = float(objective.losses(alike)["rate_loss"])
    objective.relative = False
    torch.manual_seed(2)
    assert found == pytest.approx(4 * float(objective.losses(given)["rate_loss"]), rel=1e-9)
