"""Activation checkpointing: what is computed twice is learned once, and the gradients are the same numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vqkit.models import VAE, VQVAE
from vqkit.quantizers import QUANTIZERS, build_quantizer
from vqkit.quantizers.base import Quantizer

RESTARTS = {"restart_every": 1, "restart_below": 0.7}
CASES: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "ema": ("ema", {"decay": 0.5, "decay_warmup": False, **RESTARTS}, 1, "product"),
    "ema entropy cosine": ("ema", {"entropy_weight": 0.1, "cosine": True, **RESTARTS}, 1, "product"),
    "ema weighing bits": ("ema", {"rate_weight": 0.3, "reservoir": 32, **RESTARTS}, 1, "product"),
    "ema behind a map": ("ema", {"projection_dim": 4}, 1, "product"),
    "gradient": ("gradient", {"gradient": "rotation", **RESTARTS}, 1, "product"),
    "simvq": ("simvq", RESTARTS, 1, "product"),
    "ibq": ("ibq", RESTARTS, 1, "product"),
    "gumbel": ("gumbel", {}, 1, "product"),
    "fsq behind a map": ("fsq", {}, 1, "product"),
    "lfq behind a map": ("lfq", {}, 1, "product"),
    "bsq behind a map": ("bsq", {}, 1, "product"),
    "residual": ("ema", {"quantizer_dropout": 0.5, **RESTARTS}, 3, "residual"),
    "residual at many rates": ("ema", {"rate_weight_range": [0.01, 3.0], **RESTARTS}, 3, "residual"),
    "product": ("ema", RESTARTS, 2, "product"),
}


def after(name: str, how: Callable[..., Any] | None, *, passes: int = 1) -> tuple[dict[str, Tensor], list[Tensor]]:
    kind, options, codebooks, stacking = CASES[name]
    torch.manual_seed(0)
    quantizer: Quantizer = build_quantizer(kind, 16, 8, options, codebooks, stacking).train()
    before, behind = nn.Linear(8, 8), nn.Linear(8, 8)
    gradients: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        found = quantizer(before(x).transpose(1, 2))
        loss = sum(found.losses.values()) if found.losses else 0.0
        result: Tensor = behind(found.quantized.transpose(1, 2)).square().mean() + loss
        return result

    every = [*before.parameters(), *behind.parameters(), *quantizer.parameters()]
    for _ in range(3):
        for each in every:
            each.grad = None
        xs = [torch.randn(4, 32, 8, requires_grad=True) for _ in range(passes)]
        torch.stack([f(x) if how is None else how(f, x) for x in xs]).sum().backward()
        gradients += [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in every]
    return {key: each.clone() for key, each in quantizer.state_dict().items()}, gradients


def non_reentrant(f: Callable[..., Any], x: Tensor) -> Any:
    return checkpoint(f, x, use_reentrant=False)


def reentrant(f: Callable[..., Any], x: Tensor) -> Any:
    return checkpoint(f, x, use_reentrant=True)


@pytest.mark.parametrize("how", [non_reentrant, reentrant])
@pytest.mark.parametrize("name", CASES)
def test_checkpointing_changes_neither_state_nor_gradients(name: str, how: Callable[..., Any]) -> None:
    state, gradients = after(name, None)
    again, regradients = after(name, how)
    for key, value in state.items():
        assert torch.equal(again[key], value), key
    for mine, wanted in zip(regradients, gradients, strict=True):
        assert torch.allclose(mine, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["ema", "fsq behind a map", "residual"])
def test_several_passes_before_one_backward_find_each_its_own_state(name: str) -> None:
    state, gradients = after(name, None, passes=3)
    again, regradients = after(name, non_reentrant, passes=3)
    assert all(torch.equal(again[key], value) for key, value in state.items())
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(regradients, gradients, strict=True))


def test_a_whole_model_counts_its_steps_once() -> None:
    tiny: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1, "likelihood_warmup": 4}
    torch.manual_seed(0)
    data = torch.rand(8, 1, 8, 8)
    for model in (
        VQVAE(16, code_dim=8, likelihood="logistic", **tiny),
        VAE(4, size=[8, 8], beta_warmup=5, likelihood="logistic", **tiny),
    ):
        model.prepare([data])
        model.train()
        other = copy.deepcopy(model)
        for _ in range(3):
            for each, how in ((model, False), (other, True)):
                each.zero_grad()
                torch.manual_seed(1)
                loss = checkpoint(lambda x, m=each: m(x).loss, data, use_reentrant=False) if how else each(data).loss
                loss.backward()
        assert int(other.steps_seen) == int(model.steps_seen) == 3
        for mine, wanted in zip(other.parameters(), model.parameters(), strict=True):
            assert torch.allclose(mine.grad, wanted.grad, rtol=1e-4, atol=1e-7)  # type: ignore[arg-type]


def test_without_checkpointing_nothing_is_kept() -> None:
    assert set(QUANTIZERS) >= {"ema"}
    model = VQVAE(16, code_dim=8, hidden_channels=8, residual_channels=4, channels=1).train()
    for _ in range(3):
        model(torch.rand(4, 1, 8, 8)).loss.backward()
    assert not model.quantizer._replay._kept  # type: ignore[union-attr]
    assert not model._replay._kept
