"""Distortion against scikit-image, and judgements of whole sets against NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from tests.reference import judgement as reference
from vqkit import VQVAE
from vqkit.errors import DataError
from vqkit.evaluation import distortion, evaluate, psnr_db, squared_error, ssim

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, **{**SMALL, **options})
    model.prepare([random(8, model.channels, *[8] * model.axes)])
    return model.eval()


def in_batches(x: Tensor, size: int) -> Iterator[tuple[Any, Tensor]]:
    for start in range(0, len(x), size):
        yield np.arange(start, min(start + size, len(x))), x[start : start + size]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(11, 11), (16, 16), (32, 17), (40, 64)])
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_ssim_equals_scikit_image(
    channels: int, size: tuple[int, int], noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distortion, "_BLOCK", 700)  # several strips
    x = random(4, channels, *size)
    y = (x + noise * (random(4, channels, *size, seed=1) - 0.5)).clamp(0, 1)
    expected = [
        structural_similarity(
            a.double().numpy(),
            b.double().numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(x, y, strict=True)
    ]
    assert ssim(x, y).numpy() == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize(("size", "window"), [((8, 8), 7), ((9, 30), 9), ((2, 5), 1), ((12, 13), 11)])
def test_ssim_of_images_smaller_than_the_window(size: tuple[int, int], window: int) -> None:
    """scikit-image refuses these; a window by loops does not, and agrees with it where both can."""
    x = random(3, 2, *size)
    y = (x + 0.2 * (random(3, 2, *size, seed=1) - 0.5)).clamp(0, 1)
    expected = [
        np.mean([reference.ssim(a.double().numpy(), b.double().numpy(), window) for a, b in zip(i, j, strict=True)])
        for i, j in zip(x, y, strict=True)
    ]
    assert ssim(x, y).numpy() == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 2), (3, 100)])
def test_ssim_of_thin_images_is_finite_and_one_for_equal_ones(size: tuple[int, int]) -> None:
    x = random(2, 3, *size)
    assert ssim(x, x).tolist() == pytest.approx([1.0, 1.0])
    assert bool(((ssim(x, 1 - x) <= 1) & (ssim(x, 1 - x) >= -1)).all())


def test_ssim_symmetry_range_and_errors() -> None:
    x, y = random(2, 3, 20, 20), random(2, 3, 20, 20, seed=1)
    assert torch.allclose(ssim(x, y), ssim(y, x), atol=1e-12)
    assert torch.allclose(ssim(255 * x, 255 * y, peak=255), ssim(x, y), atol=1e-9)
    with pytest.raises(ValueError, match="two tensors"):
        ssim(x, y[:1])
    with pytest.raises(ValueError, match="no pixels"):
        ssim(x[..., :0], y[..., :0])


def test_psnr_equals_scikit_image() -> None:
    x, y = random(1, 3, 20, 20), random(1, 3, 20, 20, seed=1)
    expected = peak_signal_noise_ratio(x.double().numpy(), y.double().numpy(), data_range=1.0)
    assert psnr_db(float(squared_error(x, y)[0])) == pytest.approx(expected, abs=1e-9)
    assert psnr_db(4.0, peak=2.0) == pytest.approx(0.0)
    assert psnr_db(0.0) == math.inf


def test_squared_error_is_per_item() -> None:
    x, y = random(5, 2, 3, 4), random(5, 2, 3, 4, seed=1)
    expected = ((x.double().numpy() - y.double().numpy()) ** 2).mean(axis=(1, 2, 3))
    assert squared_error(x, y).numpy() == pytest.approx(expected, rel=1e-12)
    assert squared_error(x[:, :, 0, 0], y[:, :, 0, 0]).shape == (5,)


@pytest.mark.parametrize("batch_size", [1, 7, 23])
def test_a_judgement_is_of_the_whole_set_whatever_the_batches(batch_size: int) -> None:
    model, x = tiny(), random(23, 3, 9, 12)
    found = evaluate(model, in_batches(x, batch_size))
    indices, y = model.encode(x), model.reconstruct(x)
    codes = reference.codebook_measures(indices.numpy(), 16)
    errors = reference.distortion(x.double().numpy(), y.double().numpy())
    assert found.items == 23
    assert found.positions == indices.numel() == 23 * 5 * 6
    for name in ("usage", "perplexity"):
        assert getattr(found, name) == pytest.approx(codes[name], rel=1e-9)
    for name, value in errors.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-5)
    assert found.rate.nominal_bits == pytest.approx(codes["nominal_bits"]) == pytest.approx(23 * 30 * 4)
    assert found.rate.entropy_bits == pytest.approx(codes["entropy_bits"], rel=1e-9)
    assert found.rate.entropy_bits < found.rate.nominal_bits
    assert found.rate.stored_bytes == 23 * 30
    assert found.rate.original_bytes == x.numel() * 4
    each = [psnr_db(float(error)) for error in squared_error(x, y)]
    assert found.psnr_item_mean_db == pytest.approx(np.mean(each), rel=1e-6)
    assert found.ssim == pytest.approx(float(ssim(x, y).mean()), rel=1e-5)


def test_stored_bytes_follow_the_codebook() -> None:
    torch.manual_seed(0)
    model = VQVAE(257, **SMALL).eval()
    assert evaluate(model, in_batches(random(2, 3, 8, 8), 2)).rate.stored_bytes == 2 * 16 * 2


def test_uint8_counts_as_bytes_and_judges_the_same() -> None:
    model = tiny()
    x = torch.randint(0, 256, (6, 3, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    as_bytes, as_floats = evaluate(model, in_batches(x, 3)), evaluate(model, in_batches(x.float() / 255, 3))
    assert (as_bytes.mse, as_bytes.perplexity) == (as_floats.mse, as_floats.perplexity)
    assert as_bytes.rate.original_bytes * 4 == as_floats.rate.original_bytes == x.numel() * 4


def test_sizes_may_differ_from_batch_to_batch() -> None:
    model = tiny()
    parts = [random(2, 3, 8, 8), random(1, 3, 31, 14, seed=1), random(3, 3, 5, 4, seed=2)]
    found = evaluate(model, [(None, part) for part in parts])
    pairs = [(x.reshape(-1), model.reconstruct(x).reshape(-1)) for x in parts]
    x, y = (torch.cat(side).double().numpy() for side in zip(*pairs, strict=True))
    assert found.items == 6
    assert found.mse == pytest.approx(np.mean((x - y) ** 2), rel=1e-6)  # pooled: large images weigh more
    assert found.positions == 2 * 16 + 16 * 7 + 3 * 3 * 2


@pytest.mark.parametrize("axes", [0, 1, 3])
def test_other_signals_than_images(axes: int) -> None:
    model = tiny(axes=axes, channels=2, downsampling=1 if axes == 0 else 2)
    found = evaluate(model, in_batches(random(5, 2, *[6] * axes), 2))
    assert found.ssim is None
    assert (found.psnr_db is None) == (axes == 0)
    if axes == 1:  # [-1, 1]: peak to peak 2
        assert found.psnr_db == pytest.approx(10 * math.log10(4 / found.mse))


def test_no_items_is_a_typed_error_and_the_mode_is_restored() -> None:
    model = tiny().train()
    with pytest.raises(DataError, match="no items"):
        evaluate(model, [])
    assert model.training
    with pytest.raises(DataError, match="channels"):
        evaluate(model, [(None, random(2, 1, 8, 8))])
    assert model.training
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, in_batches(random(4, 3, 8, 8), 2))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_perfect_reconstruction_is_strict_json(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = tiny(), random(2, 3, 8, 8)
    monkeypatch.setattr(model, "to_signal", lambda numbers: x)
    values = evaluate(model, [(None, x)]).as_dict()
    assert values["mse"] == 0
    assert values["psnr_db"] is None
    assert values["ssim"] == pytest.approx(1.0)
