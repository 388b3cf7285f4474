"""Units and offsets of vectors and sound: the same data in other units gives the same model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.data import ArraySource
from vqkit.errors import ConfigError
from vqkit.evaluation import evaluate
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.ops.linear.moments import Moments

TINY: dict[str, Any] = {"hidden_channels": 16, "downsampling": 1}


def rows() -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 8)) @ rng.normal(size=(8, 8))


def trained(kind: str, values: np.ndarray[Any, Any], path: Path) -> tuple[Model, float]:
    source = vqkit.load_source(values.astype(np.float32))
    torch.manual_seed(0)
    model: Model
    if kind == "pca":
        model = PCA.for_source(source, 4, whiten=True)
    elif kind == "vqvae":
        model = VQVAE.for_source(source, codebook_size=16, code_dim=8, residual_channels=8, **TINY)
    else:
        model = {"ae": Autoencoder, "vae": VAE}[kind].for_source(source, latent_dim=4, **TINY)
    data = torch.from_numpy(source.gather(range(len(source))))
    model.prepare([data])
    if isinstance(model, PCA):
        model.fit(lambda: iter([data]))
    else:
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(15):
            optimizer.zero_grad()
            model.train()(data).loss.backward()
            optimizer.step()
    model.finish([data])
    model.eval().save_pretrained(path)
    return model, evaluate(model, [(None, data)]).nmse


@pytest.mark.parametrize("kind", ["pca", "ae", "vae", "vqvae"])
def test_units_change_nothing(kind: str, tmp_path: Path) -> None:
    _, want = trained(kind, rows(), tmp_path / "1")
    for number, (scale, offset) in enumerate([(1e-8, 0.0), (1e-15, 0.0), (1e6, 0.0), (1e15, 0.0), (1.0, 1e4)]):
        _, found = trained(kind, rows() * scale + offset, tmp_path / f"of {number}")
        assert found == pytest.approx(want, rel=0.05 if offset else 1e-3), (scale, offset)


def test_whitened_scores_have_unit_variance_in_any_unit() -> None:
    for scale in (1e-15, 1e-8, 1.0, 1e15):
        data = torch.from_numpy((rows() * scale).astype(np.float32))
        pca = PCA(3, axes=0, channels=8, whiten=True)
        pca.fit(lambda data=data: iter([data]))
        assert torch.allclose(pca.encode(data).std(dim=0), torch.ones(3), atol=1e-3)
        left = (pca.decode(pca.encode(data)).double() - data.double()).square().mean() / data.double().var()
        assert float(left) == pytest.approx(0.18, abs=0.1)
    flat = PCA(2, axes=0, channels=3, whiten=True)
    flat.fit(lambda: iter([torch.full((5, 3), 7.0)]))
    assert torch.isfinite(flat.encode(torch.full((5, 3), 7.0))).all()
    assert torch.equal(flat.reconstruct(torch.full((5, 3), 7.0)), torch.full((5, 3), 7.0))


@pytest.mark.parametrize("kind", ["ae", "vae", "vqvae"])
def test_offsets_of_columns_do_not_hide_their_spread(kind: str, tmp_path: Path) -> None:
    offsets = np.array([1e5, -3e4, 0, 0, 7, 100, 0, -1e5])
    model, _ = trained(kind, rows() + offsets, tmp_path / "apart")
    plain, _ = trained(kind, rows(), tmp_path / "plain")
    assert model.config["channel_means"]
    assert not plain.config["channel_means"]
    assert model.signal_mean.shape == (8,)
    x = torch.from_numpy((rows() + offsets).astype(np.float32))
    error = (model.reconstruct(x).double() - x.double()).square().mean()
    y = torch.from_numpy(rows().astype(np.float32))
    want = (plain.reconstruct(y).double() - y.double()).square().mean()
    assert float(error) == pytest.approx(float(want), rel=0.05)
    back = vqkit.load_model(tmp_path / "apart")
    assert torch.equal(back.reconstruct(x), model.reconstruct(x))
    assert torch.isfinite(back.log_likelihood(x, back.encode(x))).all()


def test_constant_columns_beside_others(tmp_path: Path) -> None:
    values = rows()
    values[:, :4] = [0, 1e4, -5e4, 3]
    model, _ = trained("ae", values, tmp_path / "r")
    x = torch.from_numpy(values.astype(np.float32))
    back = model.reconstruct(x)
    assert torch.isfinite(back).all()
    assert torch.allclose(model.signal_mean, x.mean(dim=0), rtol=1e-5, atol=1e-5)
    assert torch.equal(model.signal_mean[:4], x[0, :4])
    assert float(model.signal_std) == pytest.approx(float(x[:, 4:].double().std(correction=0)) / math.sqrt(2), rel=0.2)


def test_means_of_channels_are_for_vectors() -> None:
    with pytest.raises(ConfigError, match="channel_means=true with axes=2"):
        VQVAE(16, channel_means=True)
    assert "channel_means" in VQVAE(16).config


def test_quiet_sound_is_normalised() -> None:
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, axes=1, code_dim=8, hidden_channels=8, residual_channels=4)
    wave = torch.randn(16, 1, 32) * 1e-6
    model.prepare([wave])
    assert float(model.signal_std) == pytest.approx(1e-6, rel=0.1)
    assert float(model(wave).metrics["reconstruction_loss"]) < 10


def test_the_variance_of_a_set_is_that_of_its_numbers() -> None:
    for scale, offset in ((1.0, 0.0), (1e-12, 0.0), (1e15, 0.0), (1.0, 1e9), (1e-3, 1e4)):
        values = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 500)) * scale + offset)
        moments = Moments()
        for part in values:
            moments.add(part)
        assert moments.mean == pytest.approx(float(values.mean()), rel=1e-9, abs=1e-9 * scale)
        assert moments.variance == pytest.approx(float(values.var(correction=0)), rel=1e-5) or offset == 1e9
    same = Moments()
    same.add(torch.full((9,), 1e7) + 0.1)
    assert same.variance == 0.0


def test_errors_of_a_set_that_does_not_vary_are_infinite() -> None:
    flat = ArraySource(np.full((6, 3), 5.0, np.float32), name="flat")
    model = VQVAE.for_source(flat, codebook_size=4, code_dim=2, residual_channels=8, **TINY)
    found = evaluate(model.eval(), [(None, torch.full((6, 3), 5.0))])
    assert found.mse > 0
    assert found.nmse == math.inf
    assert found.as_dict()["nmse"] is None
