"""Domain confusion: its two losses by another formula, what it refuses, and that the codes lose the class by it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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
    assert float(loss) == pytest.approx(np.mean(divergence))
    assert float(own) == pytest.approx(np.mean(entropy))


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
    for text in ("confusion(width=0)", "confusion(width=1.5)"):
        with pytest.raises(ConfigError, match=r"width=.*: give a whole number, 1 or more"):
            build_objective(text)
    for text in ("confusion(learning_rate=0)", "confusion(learning_rate=true)"):
        with pytest.raises(ConfigError, match=r"learning_rate=.*: give one above 0"):
            build_objective(text)


def _of_two_makers() -> ArraySource:
    """Vectors of four contents, shifted by which of two classes they are of."""
    generator = np.random.default_rng(0)
    content, maker = generator.integers(0, 4, 512), generator.integers(0, 2, 512)
    x = np.eye(4)[content] + 3 * np.outer(2 * maker - 1, [0.5, 0.5, 0.5, 0.5])
    x = x + 0.05 * generator.standard_normal(x.shape)
    return ArraySource(x.astype(np.float32), labels=maker, class_names=["anna", "ben"])


def _told(codes: Any, labels: Any) -> float:
    """How many items the most frequent label of their code is right of."""
    table = np.zeros((8, 2))
    np.add.at(table, (codes, labels), 1)
    return float(table.max(axis=1).sum() / len(labels))


def test_codes_forget_the_class_and_keep_the_content(tmp_path: Path) -> None:
    source = _of_two_makers()
    found = {}
    for number, objective in enumerate(("likelihood", "likelihood + 0.5*confusion(width=16)")):
        model = vqkit.VQVAE.for_source(source, 8, code_dim=2, hidden_channels=32, conditional=True, seed=0)
        vqkit.train(
            model, source, steps=400, batch_size=64, objective=objective, out=tmp_path / str(number), quiet=True,
            tensorboard=False, evaluations=0, learning_rate=3e-3,
        )  # fmt: skip
        x = torch.from_numpy(source[:])
        labels = torch.from_numpy(np.asarray(source.labels))
        error = (model.eval().decode(model.encode(x), condition=labels) - x).square().mean()
        found[objective] = _told(model.encode(x).numpy(), np.asarray(source.labels)), float(error)
    (told, _), (forgotten, error) = found.values()
    assert told > 0.95
    assert forgotten < 0.65
    assert error < 0.25  # the variance of the class alone is 2.25
