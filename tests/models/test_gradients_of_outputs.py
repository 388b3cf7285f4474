"""Gradients where a person expects them: through ``output.reconstruction``, and through ``decode`` where asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.cases import NETWORKS, ready, signals
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.models.network import NetworkModel

TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 1}
X = 0.3 + 0.4 * torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def build(kind: type[Model], **options: Any) -> Model:
    torch.manual_seed(0)
    if kind is VQVAE:
        model: Model = VQVAE(16, code_dim=8, **TINY, **options)
    else:
        model = kind(4, size=[8, 8], **TINY, **options)  # type: ignore[call-arg]
    model.prepare([X])
    return model


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic", "logistic_mixture"])
@pytest.mark.parametrize("kind", [VQVAE, Autoencoder, VAE])
def test_a_loss_on_the_reconstruction_reaches_decoder_and_encoder(kind: type[Model], likelihood: str) -> None:
    model = build(kind, likelihood=likelihood).train()
    output = model(X)
    assert not any(metric.requires_grad for metric in output.metrics.values())
    (output.reconstruction - X).abs().mean().backward()
    for part in ("encoder", "decoder"):
        gradients = [each.grad for each in model.get_submodule(part).parameters() if each.grad is not None]
        assert sum(float(each.abs().sum()) for each in gradients) > 0, part


def test_its_gradient_is_that_of_the_squared_error() -> None:
    model = build(Autoencoder).train()
    model.signal_mean.fill_(0.5)
    weights = list(model.get_submodule("decoder").parameters())
    output = model(X)
    inside = bool(((output.reconstruction > 0) & (output.reconstruction < 1)).all())
    assert inside  # nothing is clipped here
    own = torch.autograd.grad(
        (output.reconstruction - X).square().mean() / model.signal_std**2, weights, retain_graph=True
    )
    want = torch.autograd.grad(output.loss, weights)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(own, want, strict=True))


def test_decode_carries_gradients_where_asked() -> None:
    for quantizer in ("ema", "gradient"):
        model = build(VQVAE, quantizer=quantizer).eval()
        codes = model.encode(X)
        assert not model.decode(codes).requires_grad
        back = model.decode(codes, gradient=True)
        assert torch.equal(back, model.decode(codes))
        back.sum().backward()
        assert all(each.grad is not None for each in model.get_submodule("decoder").parameters())
        codebook: Tensor = model.get_submodule("quantizer").codebook  # type: ignore[assignment]
        assert (codebook.grad is not None) == (quantizer == "gradient")
        with torch.no_grad():
            assert not model.decode(codes, gradient=True).requires_grad
    pca = PCA(4, channels=1, size=[8, 8])
    pca.fit(lambda: iter([torch.rand(32, 1, 8, 8)]))
    for continuous in (build(Autoencoder).eval(), build(VAE).eval(), pca):
        latents = continuous.encode(X).requires_grad_()
        continuous.decode(latents, gradient=True).sum().backward()
        assert latents.grad is not None
        assert float(latents.grad.abs().sum()) > 0


def test_the_forward_pass_of_pca_carries_the_gradient_of_its_signals() -> None:
    pca = PCA(4, channels=1, size=[8, 8])
    pca.fit(lambda: iter([torch.rand(32, 1, 8, 8)]))
    x = X.clone().requires_grad_()
    pca(x).reconstruction.sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0


def halves(model: NetworkModel, x: Tensor, **options: Any) -> Tensor:
    """The forward pass as a loop of one's own has it, from public names."""
    latents = model.latents(x)
    if isinstance(model, VQVAE):
        latents = model.quantizer(latents, update=False).quantized
    elif isinstance(model, VAE):
        latents = model.posterior(x)[0]
    return model.decode_latents(latents, x.shape[2:], **options)


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
@pytest.mark.parametrize("rung", NETWORKS)
def test_a_forward_pass_in_two_calls_is_that_of_the_model(rung: str, axes: int) -> None:
    model: Any = ready(rung, axes)
    x = signals(3, 2, axes)
    own = halves(model, x)
    assert torch.equal(own, model(x).reconstruction)
    assert torch.equal(own, model.reconstruct(x))
    assert own.requires_grad


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic_mixture"])
@pytest.mark.parametrize("kind", [VQVAE, Autoencoder])
def test_a_loss_of_ones_own_without_clipping_has_a_gradient_everywhere(kind: type[Model], likelihood: str) -> None:
    model: Any = build(kind, likelihood=likelihood).train()
    weights = list(model.decoder.parameters())
    inside = torch.autograd.grad(halves(model, X).square().mean(), weights, allow_unused=True)
    wanted = torch.autograd.grad(model(X).reconstruction.square().mean(), weights, allow_unused=True)
    for mine, theirs in zip(inside, wanted, strict=True):
        assert (mine is None) == (theirs is None)
        assert mine is None or torch.allclose(mine, theirs, rtol=1e-4, atol=1e-7)
    model.signal_mean.fill_(1.5)  # every value would be clipped
    assert float(halves(model, X).max()) == 1.0
    unclipped = halves(model, X, clip=False)
    assert float(unclipped.min()) > 1.0
    ((unclipped - X).square().mean()).backward()
    assert sum(float(each.grad.abs().sum()) for each in weights if each.grad is not None) > 0
