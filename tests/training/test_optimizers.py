"""Optimizers by name: oracle of Muon's step, which parameters it takes, exact resume, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.training import OPTIMIZERS, OptimizerMaker
from vqkit.training.optim.groups import collect_groups
from vqkit.training.optim.muon import Muon, orthogonalize
from vqkit.training.optim.optimizers import build_optimizer_maker, parse_optimizer

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {"steps": 20, "batch_size": 8, "evaluations": 0, "log_every": 1, **QUIET}
DATA = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), dtype=np.uint8)


def small_model() -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(DATA, 8, hidden_channels=16, residual_blocks=1, residual_channels=16, seed=0)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_five_iterations_bring_singular_values_near_one_and_keep_the_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.from_numpy(np.random.default_rng(1).normal(size=shape))
    made = orthogonalize(matrix, 5)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ made @ right.T  # diagonal: the same singular vectors
    assert torch.allclose(inner, inner.diag().diag(), atol=1e-10)


def test_a_step_is_that_of_the_equation() -> None:
    """Two steps of one matrix, by the lines of the paper in NumPy; a bias steps as Adam's."""
    generator = np.random.default_rng(2)
    start, gradients = generator.normal(size=(16, 32)), generator.normal(size=(2, 16, 32))
    weight, bias = nn.Parameter(torch.tensor(start)), nn.Parameter(torch.ones(4, dtype=torch.float64))
    groups: list[dict[str, Any]] = [
        {"params": [weight], "orthogonal": True, "weight_decay": 0.5},
        {"params": [bias], "orthogonal": False},
    ]
    made = Muon(groups, lr=0.01, scale=3.0, momentum=0.9, iterations=2, betas=(0.9, 0.99), fused=None)
    wanted, mean = start.copy(), np.zeros((16, 32))
    for gradient in gradients:
        weight.grad, bias.grad = torch.tensor(gradient), torch.full((4,), 7.0, dtype=torch.float64)
        made.step()
        mean = 0.9 * mean + 0.1 * gradient
        x = 0.1 * gradient + 0.9 * mean
        x /= np.linalg.norm(x)
        for _ in range(2):
            a = x @ x.T
            x = 3.4445 * x - 4.7750 * a @ x + 2.0315 * a @ a @ x
        wanted = wanted * (1 - 0.01 * 0.5) - 0.01 * 3.0 * x
    assert np.allclose(weight.detach().numpy(), wanted, atol=1e-6)
    assert torch.allclose(bias, torch.full_like(bias, 1 - 2 * 0.01), atol=1e-6)  # Adam of a constant gradient


def test_matrices_are_weights_of_networks_and_no_codebooks_tables_or_filters() -> None:
    model = small_model()
    groups = collect_groups(model, 0.0, matrices=True)
    taken = {id(p) for group in groups if group["orthogonal"] for p in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in taken}
    assert names
    assert all(name.startswith(("encoder.", "decoder.")) for name in names)
    table = nn.ModuleDict({"table": nn.Embedding(32, 32), "layer": nn.Linear(32, 32)})
    groups = collect_groups(table, 0.0, matrices=True)
    assert sum(len(group["params"]) for group in groups if group["orthogonal"]) == 1
    assert sum(len(group["params"]) for group in collect_groups(model, 0.0)) == len(list(model.parameters()))


@pytest.mark.parametrize("optimizer", ["muon(scale=10.0, iterations=2)", "adamw(beta2=0.95)"])
def test_a_run_of_two_parts_is_the_whole_run_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "steps": 12, "optimizer": optimizer}
    whole = vqkit.train(small_model(), DATA, out=tmp_path / "whole", **settings)
    with pytest.raises(TrainingInterrupted):
        vqkit.train(small_model(), DATA, out=tmp_path / "run", callbacks=StopAfter(5), checkpoint_seconds=0, **settings)
    parted = vqkit.resume(tmp_path / "run", data=DATA, **QUIET)
    weights = [(run.path / "model/model.safetensors").read_bytes() for run in (whole, parted)]
    assert weights[0] == weights[1]
    assert f'"optimizer": "{optimizer}"' in (parted.path / "run.json").read_text()


def test_a_training_of_muon_differs_and_learns(tmp_path: Path) -> None:
    losses = {}
    for name in ("adamw", "muon"):
        run = vqkit.train(small_model(), DATA, out=tmp_path / name, optimizer=name, **SETTINGS)
        losses[name] = [line["loss"] for line in run.log() if line["kind"] == "train"]
    assert all(loss[-1] < loss[0] for loss in losses.values())
    assert losses["muon"][-1] != losses["adamw"][-1]
    assert '"optimizer"' not in (tmp_path / "adamw" / "run.json").read_text()  # as the runs of versions that knew one


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mun", "muon"),
        ("muon(scale=0)", "scale=0: give a finite number above 0"),
        ("muon(iterations=1.5)", "iterations=1.5: give a whole number"),
        ("adamw(beta1=1)", "beta1=1: a decay lies in"),
        ("adamw(speed=2)", "speed"),
        ("adamw(", "is not the name of an optimizer"),
        (3, "optimizer=3: give a name"),
    ],
)
def test_what_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        build_optimizer_maker(parse_optimizer(given))


@pytest.mark.usefixtures("own_registries")
def test_an_optimizer_of_ones_own(tmp_path: Path) -> None:
    @OPTIMIZERS.register("momentum")
    class Momentum(OptimizerMaker):
        """Plain momentum."""

        def make(self, groups: list[dict[str, Any]], learning_rate: float, fused: bool | None) -> torch.optim.Optimizer:
            return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, fused=fused)

    run = vqkit.train(small_model(), DATA, out=tmp_path / "run", optimizer="momentum", **SETTINGS)
    assert '"optimizer": "momentum"' in (run.path / "run.json").read_text()
