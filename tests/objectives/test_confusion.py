"""Domain confusion: its two losses by another formula, what it refuses, and that the codes lose the class by it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vqkit
from tests.objectives.cases import decoded, prepared
from vqkit.data import ArraySource
from vqkit.errors import ConfigError
from vqkit.objectives import ConfusionObjective, build_objective


@pytest.mark.parametrize("axes", range(4))
def test_both_losses_by_the_formula(axes: int) -> None:
    given, objective = decoded(axes, masked=axes > 0), prepared("confusion", axes)
    assert isinstance(objective, ConfusionObjective)
    assert given.latents is not None
    kept = torch.ones(4, *given.latents.shape[2:], dtype=torch.bool) if given.mask is None else given.mask
    visible = torch.where(kept.unsqueeze(1), given.latents, 0.0)
    with torch.no_grad():
        chances = objective.classifier(visible).softmax(dim=1).movedim(1, -1).numpy()
    divergence, entropy = [], []
    for place in kept.nonzero().tolist():
        row = chances[tuple(place)]
        divergence.append(sum(math.log(1 / 3 / chance) / 3 for chance in row))
        entropy.append(-math.log(row[[0, 2, 1, 2][place[0]]]))
    (loss,) = objective.losses(given).values()
    (own,) = objective.own_losses(given.detach()).values()
    assert loss.item() == pytest.approx(np.mean(divergence))
    assert own.item() == pytest.approx(np.mean(entropy))


def test_each_loss_leaves_the_others_parameters_alone() -> None:
    given, objective = decoded(1), prepared("confusion", 1)
    sum(objective.losses(given).values()).backward()  # type: ignore[union-attr]
    assert given.parameters.grad is not None
    assert all(parameter.grad is None for parameter in objective.parameters())
    given.parameters.grad = None
    sum(objective.own_losses(given.detach()).values()).backward()  # type: ignore[union-attr]
    assert given.parameters.grad is None
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_items_without_a_class_do_not_count() -> None:
    given, objective = decoded(1), prepared("confusion", 1)
    given = replace(given, classes=torch.tensor([0, -1, 1, 3]))
    known = replace(given, latents=given.parameters[[0, 2]], classes=torch.tensor([0, 1]))
    for losses in (objective.losses, objective.own_losses):
        assert float(next(iter(losses(given).values()))) == pytest.approx(float(next(iter(losses(known).values()))))
        nobody = replace(given, classes=torch.full((4,), -1))
        assert float(next(iter(losses(nobody).values()))) == 0.0


def test_what_it_is_not_for_is_refused() -> None:
    plain, vectors = vqkit.VQVAE(4, hidden_channels=8), vqkit.VQVAE(4, hidden_channels=8, condition_dim=2)
    for model in (plain, vectors):
        with pytest.raises(ConfigError, match=r"'confusion' is for a decoder that is told the class.*conditional=True"):
            model.use_objective("likelihood + 0.1*confusion")
    for text in ("confusion(width=0)", "confusion(width=-4)"):
        with pytest.raises(ConfigError, match=r"width=.*: give a whole number, 1 or more"):
            build_objective(text)
    for text in ("confusion(learning_rate=0)", "confusion(learning_rate=-1)"):
        with pytest.raises(ConfigError, match=r"learning_rate=.*: give one above 0"):
            build_objective(text)


def test_an_encoder_drops_the_class_and_keeps_what_is_needed() -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(300) % 3
    content = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    x = torch.stack([content[:, 0] + 2.0 * classes, content[:, 1] - classes], dim=1)
    given, objective = decoded(0), prepared("confusion(width=16, learning_rate=0.01)", 0)
    encoder, own = nn.Linear(5, 2).double(), objective.make_optimizer()
    assert own is not None
    told = nn.functional.one_hot(classes, 3).double()
    decoder = nn.Linear(5, 2).double()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.02)
    signal = torch.cat([x, told], dim=1)

    def apart(latents: Tensor) -> float:
        means = torch.stack([latents[classes == number].mean(dim=0) for number in range(3)])
        return float((means[0] - means[2]).norm() / latents.std(dim=0).norm())

    first = apart(x)
    for _ in range(300):
        latents = encoder(signal)
        error = (decoder(torch.cat([latents, told], dim=1)) - x).square().mean()
        now = replace(given, latents=latents, latents_mask=None, classes=classes)
        optimizer.zero_grad()
        (error + sum(objective.losses(now).values())).backward()
        optimizer.step()
        own.zero_grad()
        sum(objective.own_losses(now.detach()).values()).backward()  # type: ignore[union-attr]
        own.step()
    assert first > 1.5
    assert apart(encoder(signal).detach()) < 0.3 * first
    assert error.item() < 0.3  # of a content of variance 1


def test_a_run_has_both_terms_in_its_log(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8), dtype=np.uint8)
    source = ArraySource(images, labels=np.arange(8) % 2)
    model = vqkit.VQVAE.for_source(source, 4, code_dim=2, hidden_channels=8, conditional=True, seed=0)
    vqkit.train(
        model, source, steps=2, batch_size=4, objective="likelihood + 0.1*confusion(width=4)", out=tmp_path / "run",
        quiet=True, tensorboard=False, evaluations=0, log_every=1,
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line["kind"] == "train"]
    assert len(logged) == 2
    assert all(line["confusion_loss"] >= 0 and line["confusion_classifier"] > 0 for line in logged)
