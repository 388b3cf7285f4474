"""Stepwise sampling: the same grids as ``sample``, watched while they fill."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

import vqkit
from vqkit.errors import ConfigError
from vqkit.priors import PRIORS, Prior, StepwisePrior

KINDS = [name for name, part in PRIORS.available().items() if issubclass(part, StepwisePrior)]


def made(kind: str, codebooks: int = 1, **options: Any) -> StepwisePrior:
    torch.manual_seed(0)
    prior = PRIORS.get_part(kind)(8, (4, 4), num_codebooks=codebooks, hidden_channels=8, layers=1, **options)
    for parameter in prior.parameters():  # untrained priors are uniform: nothing would depend on what is known
        torch.nn.init.normal_(parameter, std=0.5)
    return prior.eval()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_every_prior_of_ours_that_has_steps_shows_them() -> None:
    assert set(KINDS) == {"pixelcnn", "transformer", "masked", "next_scale", "context"}


@pytest.mark.parametrize("codebooks", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_is_the_sample_of_the_same_seed(kind: str, codebooks: int) -> None:
    prior = made(kind, codebooks)
    parts = list(prior.sample_steps(3, temperature=0.9, top_k=5, generator=seeded()))
    assert torch.equal(parts[-1].indices, prior.sample(3, temperature=0.9, top_k=5, generator=seeded()))
    assert parts[-1].filled.all()
    assert not parts[0].filled.any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_filled_stays_as_it_is_and_grows_with_each_step(kind: str) -> None:
    parts = list(made(kind).sample_steps(2, generator=seeded()))
    for before, after in itertools.pairwise(parts):
        assert after.fraction > before.fraction
        assert after.filled[before.filled].all()
        assert torch.equal(after.indices[before.filled], before.indices[before.filled])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_is_there_from_the_first_step(kind: str) -> None:
    prior = made(kind)
    known, keep = torch.full((2, 4, 4), 7), torch.zeros(2, 4, 4, dtype=torch.bool)
    keep[:, 1:3, 1:] = True
    parts = list(prior.sample_steps(2, known=known, keep=keep, generator=seeded()))
    assert torch.equal(parts[0].filled, keep)
    assert all((part.indices[keep] == 7).all() for part in parts)
    assert torch.equal(parts[-1].indices, prior.sample(2, known=known, keep=keep, generator=seeded()))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_large_request_are_drawn_one_after_another(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = made(kind)
    monkeypatch.setattr(type(prior), "_rows_at_once", property(lambda self: 2))
    parts = list(prior.sample_steps(3, generator=seeded()))
    assert torch.equal(parts[-1].indices, prior.sample(3, generator=seeded()))
    assert max(part.fraction for part in parts if not part.filled[2].any()) == pytest.approx(2 / 3)


def test_the_mode_is_as_before_between_steps_and_after_an_early_end() -> None:
    prior = made("transformer").train()
    steps = prior.sample_steps(1)
    next(steps)
    assert prior.training
    steps.close()
    assert prior.training


def test_guidance_and_classes_are_as_in_sample() -> None:
    prior = made("masked", classes=3, condition_dropout=0.1)
    told = torch.tensor([0, 2])
    parts = list(prior.sample_steps(2, told, guidance=2.0, steps=3, generator=seeded()))
    assert len(parts) == 4
    assert torch.equal(parts[-1].indices, prior.sample(2, told, guidance=2.0, steps=3, generator=seeded()))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_before_the_first_step(kind: str) -> None:
    with pytest.raises(ConfigError, match="temperature=0"):
        made(kind).sample_steps(1, temperature=0)


def test_a_histogram_has_no_steps() -> None:
    prior: Prior = vqkit.HistogramPrior(8, (4, 4))
    assert not isinstance(prior, StepwisePrior)
