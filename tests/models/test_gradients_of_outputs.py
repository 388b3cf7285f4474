"""Gradients where a person expects them: through ``output.reconstruction``, and through ``decode`` where asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model

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
