"""Conversion: its two losses by another formula, the turn of each other class, and that a model learns from it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.objectives.cases import decoded, prepared
from tests.training.cases import StopAfter
from vqkit.data import ArraySource
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.models.decoding import OtherClass
from vqkit.objectives import ConversionObjective, build_objective

SETTINGS: dict[str, Any] = {
    "steps": 40, "batch_size": 16, "learning_rate": 3e-3, "evaluations": 0, "log_every": 1, "seed": 0, "quiet": True,
    "tensorboard": False,
}  # fmt: skip
CLASSES = [0, 2, 1, 2]
OTHERS = {0: [1, 0, 2, 0], 1: [2, 1, 0, 1]}
"""Of three classes, the next and the one after it, by the step."""


@pytest.mark.parametrize("axes", [0, 2, 3])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_both_losses_by_the_formula(axes: int, step: int) -> None:
    given, objective = decoded(axes), prepared("conversion", axes)
    assert isinstance(objective, ConversionObjective)
    objective.steps = step
    others = OTHERS[step % 2]
    with torch.no_grad():
        scale = torch.tensor([1.0 + other for other in others], dtype=torch.float64).view(-1, *[1] * (axes + 1))
        made = objective.classifier(given.mean * scale).softmax(dim=1).movedim(1, -1).numpy()
        real = objective.classifier(given.target).softmax(dim=1).movedim(1, -1).numpy()
    made, real = (each.reshape(4, -1, 4) for each in (made, real))
    wanted = np.mean([-math.log(row[other]) for rows, other in zip(made, others, strict=True) for row in rows])
    named = np.mean([-math.log(row[own]) for rows, own in zip(real, CLASSES, strict=True) for row in rows])
    found_out = np.mean([-math.log(row[3]) for rows in made for row in rows])
    (loss,) = objective.losses(given).values()
    (own,) = objective.own_losses(given.detach()).values()
    assert loss.item() == pytest.approx(wanted)
    assert own.item() == pytest.approx((named + found_out) / 2)


@pytest.mark.parametrize("axes", [0, 1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_converted_is_to_have_the_same_latents(axes: int, masked: bool) -> None:
    """The change of the latents in units of their variance, by NumPy; items without a class do not count."""
    masked = masked and axes > 0
    given, objective = decoded(axes, masked=masked), prepared("conversion(kept=0.5)", axes)
    given = replace(given, classes=torch.tensor([0, 2, 1, -1]))
    losses = objective.losses(given)
    assert list(losses) == ["conversion_loss", "conversion_kept_loss"]
    made = (given.mean * torch.tensor([2.0, 1.0, 3.0, 2.0]).view(-1, *[1] * (axes + 1))).detach().numpy()
    wanted, found = ((each + each**2).reshape(4, 2, -1) for each in (given.target.numpy(), made))
    counted = np.ones((4, found.shape[2]), dtype=bool) if given.mask is None else given.mask.numpy().reshape(4, -1)
    rows, others = (np.concatenate([each[item][:, counted[item]].T for item in range(3)]) for each in (wanted, found))
    assert losses["conversion_kept_loss"].item() == pytest.approx(
        0.5 * np.mean((others - rows) ** 2) / np.mean(rows.var(axis=0))
    )
    losses["conversion_kept_loss"].backward()
    assert given.parameters.grad is not None
    nobody = objective.losses(replace(given, classes=torch.full((4,), -1)))
    assert float(nobody["conversion_kept_loss"]) == 0.0


def test_each_loss_leaves_the_others_parameters_alone() -> None:
    given, objective = decoded(1), prepared("conversion", 1)
    sum(objective.losses(given).values()).backward()  # type: ignore[union-attr]
    assert given.parameters.grad is not None
    assert all(parameter.grad is None for parameter in objective.parameters())
    given.parameters.grad = None
    sum(objective.own_losses(given.detach()).values()).backward()  # type: ignore[union-attr]
    assert given.parameters.grad is None
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_items_without_a_class_do_not_count_and_a_start_may_be_later() -> None:
    given, objective = decoded(1), prepared("conversion(after=2)", 1)
    assert float(next(iter(objective.losses(given).values()))) == 0.0
    for _ in range(2):
        objective.end_step()
    assert objective.get_extra_state() == 2
    given = replace(given, classes=torch.tensor([0, -1, 1, 3]))
    rows = torch.tensor([0, 2])
    assert given.latents is not None
    known = replace(
        given, latents=given.latents[rows], mean=given.mean[rows], target=given.target[rows],
        classes=torch.tensor([0, 1]),
    )  # fmt: skip
    for losses in (objective.losses, objective.own_losses):
        assert float(next(iter(losses(given).values()))) == pytest.approx(float(next(iter(losses(known).values()))))
        nobody = replace(given, classes=torch.full((4,), -1))
        assert float(next(iter(losses(nobody).values()))) == 0.0


def test_what_it_is_not_for_is_refused() -> None:
    plain, one = vqkit.VQVAE(4, hidden_channels=8), vqkit.VQVAE(4, hidden_channels=8, classes=1)
    for model in (plain, one):
        with pytest.raises(ConfigError, match=r"'conversion' is for a decoder that is told one of several classes"):
            model.use_objective("likelihood + 0.1*conversion")
    for text, words in (
        ("width=0", "1 or more"),
        ("kept=-1", "0 or more"),
        ("after=-1", "0 or more"),
        ("learning_rate=0", "above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            build_objective(f"conversion({text})")


def voices() -> ArraySource:
    """Vectors of two classes around two centers."""
    classes = np.arange(64) % 2
    x = np.array([[-2.0, 0.0], [2.0, 0.0]])[classes] + 0.3 * np.random.default_rng(0).normal(size=(64, 2))
    return ArraySource(x.astype(np.float32), labels=classes, class_names=["left", "right"])


def trained(out: Path, objective: str, **more: Any) -> vqkit.Run:
    source = voices()
    model = vqkit.VQVAE.for_source(source, 8, code_dim=2, hidden_channels=8, conditional=True, seed=0)
    return vqkit.train(model, source, out=out, objective=objective, **{**SETTINGS, **more})


def test_the_model_learns_to_be_taken_for_the_other_class(tmp_path: Path) -> None:
    """By a classifier that hardly learns, so that only the model moves."""
    run = trained(tmp_path / "run", "0.01*likelihood + conversion(learning_rate=1e-12)", steps=150)
    said = [line["conversion_loss"] for line in run.log() if line["kind"] == "train"]
    assert said[-1] < said[0] - 0.1
    assert said[-1] < math.log(3)


def test_latents_of_conversions_come_nearer_those_of_their_originals(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "likelihood + conversion(kept=1)", steps=60)
    said = [line["conversion_kept_loss"] for line in run.log() if line["kind"] == "train"]
    assert said[-1] < 0.5 * said[0]


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """The classifier, its optimizer and the turn of the classes are in the checkpoint."""
    objective = "likelihood + 0.1*conversion(after=3)"
    whole = trained(tmp_path / "whole", objective)
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path / "run", objective, callbacks=StopAfter(5), checkpoint_seconds=0)
    parted = vqkit.resume(tmp_path / "run", data=voices(), quiet=True, tensorboard=False)
    weights = [(run.path / "model/model.safetensors").read_bytes() for run in (whole, parted)]
    assert weights[0] == weights[1]


def test_a_decoder_that_draws_value_by_value_is_refused() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 1, 320)).astype(np.float32)
    source = ArraySource(noise, kind="sound@8k", labels=np.arange(4) % 2, class_names=["left", "right"])
    model = vqkit.VQVAE.for_source(
        source, 4, conditional=True, encoder="seanet", decoder="wavenet", likelihood="categorical", hidden_channels=4,
        downsampling=80,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"'conversion' decodes in each step, and an autoregressive decoder draws"):
        model.use_objective("likelihood + 0.1*conversion")


def test_a_conversion_is_never_of_no_class_and_is_decoded_once() -> None:
    model = vqkit.VQVAE.for_source(
        voices(), 8, code_dim=2, hidden_channels=8, conditional=True, condition_dropout=0.9, seed=0
    ).train()
    told: list[Any] = []
    model.decoder_condition.embedding.register_forward_hook(lambda _, given, __: told.append(given[0]))  # type: ignore[union-attr]
    latents, classes = torch.zeros(64, 2), torch.arange(64) % 2
    decode = OtherClass(partial(model._mean_as, [], None))
    made = decode(latents, classes)
    assert (told[0].flatten() == classes).all()
    assert made.requires_grad
    with torch.no_grad():
        assert decode(latents, classes) is decode(latents, classes)
    assert len(told) == 1
    with torch.no_grad():
        decode(latents, 1 - classes)
    assert len(told) == 2
