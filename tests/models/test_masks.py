"""Masks of padded positions: what lies under them counts nowhere, and a mask that keeps all changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit.errors import DataError
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.networks import grid_mask
from vqkit.ops import codebook_histograms

TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "channels": 2, "axes": 1, "downsampling": 4}


def sounds() -> tuple[Tensor, Tensor]:
    """Four signals of 32 samples, of which 32, 16, 13 and 8 are there."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([32, 16, 13, 8])
    return torch.rand(4, 2, 32, generator=generator) - 0.5, torch.arange(32) < lengths[:, None]


def build(name: str, **options: Any) -> Model:
    torch.manual_seed(0)
    if name in ("autoencoder", "vae"):
        model: Model = {"autoencoder": Autoencoder, "vae": VAE}[name](4, latent="grid", **TINY, **options)
    elif name == "vae vector":
        model = VAE(4, size=[32], **TINY, **options)
    elif name == "residual":
        model = VQVAE(16, code_dim=8, num_codebooks=2, stacking="residual", **TINY, **options)
    else:
        model = VQVAE(16, quantizer=name, code_dim=8, **TINY, **options)
    model.prepare([sounds()[0]])
    return model


MODELS = ["ema", "gradient", "fsq", "bsq", "gumbel", "ibq", "residual", "autoencoder", "vae", "vae vector"]


@pytest.mark.parametrize("name", MODELS)
def test_what_lies_under_the_mask_is_not_read(name: str) -> None:
    x, mask = sounds()
    found: list[dict[str, Tensor]] = []
    for junk in (0.0, float("nan"), 1e9):
        model = build(name, **({"free_bits": 0.1, "beta": 0.5} if name.startswith("vae") else {}))
        given = torch.where(mask[:, None], x, junk)
        torch.manual_seed(1)
        output = model.train()(given, mask=mask)
        output.loss.backward()
        state = dict(model.state_dict())
        state |= {f"grad {key}": each.grad for key, each in model.named_parameters() if each.grad is not None}
        state |= {"loss": output.loss.detach(), "codes": model.eval().encode(given, mask)} | output.metrics
        found.append(state)
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for key, value in found[0].items():
            assert torch.equal(other[key], value), key


@pytest.mark.parametrize("name", MODELS)
def test_a_mask_that_keeps_all_changes_nothing(name: str) -> None:
    x, _ = sounds()
    plain, masked = build(name), build(name)
    outputs = []
    for model, mask in ((plain, None), (masked, torch.ones(4, 32, dtype=torch.bool))):
        torch.manual_seed(1)
        outputs.append(model.train()(x, mask=mask))
    assert torch.allclose(outputs[0].loss, outputs[1].loss, rtol=1e-5)
    for key, value in outputs[0].metrics.items():
        assert torch.allclose(outputs[1].metrics[key], value, rtol=1e-5, atol=1e-7), key
    for key, value in plain.state_dict().items():
        assert torch.allclose(masked.state_dict()[key].double(), value.double(), rtol=1e-5, atol=1e-6), key


def test_the_error_is_the_mean_over_what_is_there() -> None:
    x, mask = sounds()
    for name in ("ema", "autoencoder"):
        model = build(name).eval()
        output = model(x, mask)
        error = (output.reconstruction - x).square().movedim(1, -1)[mask]
        assert torch.allclose(output.metrics["mse"], error.mean(), rtol=1e-5)
        assert torch.allclose(output.metrics["reconstruction_loss"], error.mean() / model.signal_std**2, rtol=1e-4)


def test_statistics_and_usage_are_of_what_is_there() -> None:
    x, mask = sounds()
    model = build("ema", quantizer_options={"decay": 0.0, "decay_warmup": False, "restart_below": 0.0})
    output = model.train()(x, mask=mask)
    counted = torch.tensor([[True] * 8, [True] * 4 + [False] * 4, [True] * 4 + [False] * 4, [True] * 2 + [False] * 6])
    assert torch.equal(output.counted, counted)
    assert torch.equal(grid_mask(mask, 4), counted)
    histogram = codebook_histograms(output.indices[counted], 16)[0]
    assert torch.equal(model.get_submodule("quantizer").average_counts, histogram.float())


def test_images_have_masks_too() -> None:
    torch.manual_seed(0)
    model = VQVAE(16, code_dim=8, hidden_channels=8, residual_channels=4, channels=1).eval()
    x = torch.randint(0, 256, (2, 1, 10, 14), dtype=torch.uint8)
    mask = torch.zeros(2, 10, 14, dtype=torch.bool)
    mask[0, :, :9], mask[1] = True, True
    other = torch.where(mask[:, None], x, 255 - x)
    assert torch.equal(model(x, mask.numpy()).loss, model(other, mask).loss)
    assert model(x, mask).counted.shape == (2, 3, 4)
    assert not model(x, mask).counted[0, :, 3].any()


def test_other_masks_are_refused() -> None:
    x, mask = sounds()
    model = build("ema")
    for wrong in (mask.long(), mask[:2], mask[:, None], mask.float()):
        with pytest.raises(DataError, match=r"the mask is .* give torch.bool of shape \(4, 32\)"):
            model(x, wrong)
    with pytest.raises(DataError, match="PCA reads whole signals"):
        PCA(2, channels=2, axes=1, size=[32])(x, mask)


def test_masks_and_copies_go_together() -> None:
    x, mask = sounds()
    model = build("ema").eval()
    assert torch.equal(copy.deepcopy(model).encode(x, mask), model.encode(x, mask))
