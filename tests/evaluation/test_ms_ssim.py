"""MS-SSIM against the authors' procedure in SciPy, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import ms_ssim as reference
from vqkit.evaluation import ms_ssim, ms_ssim_db, ssim
from vqkit.evaluation.ms_ssim import scales


def pair(channels: int, height: int, width: int, noise: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height + width)
    coarse = torch.rand(2, channels, 1 + height // 8, 1 + width // 8, generator=generator, dtype=torch.float64)
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return x, (x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)


@pytest.mark.parametrize(
    ("channels", "size", "count"),
    [(1, (161, 161), 5), (3, (177, 202), 5), (1, (160, 300), 4), (1, (40, 47), 2), (3, (21, 64), 2), (1, (20, 64), 1)],
)
@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_ms_ssim_equals_the_authors_procedure(channels: int, size: tuple[int, int], count: int, noise: float) -> None:
    x, y = pair(channels, *size, noise)
    assert scales(*size) == count
    expected = [
        np.mean([reference.ms_ssim(a.numpy(), b.numpy(), count) for a, b in zip(i, j, strict=True)])
        for i, j in zip(x, y, strict=True)
    ]
    assert ms_ssim(x, y).numpy() == pytest.approx(np.array(expected), abs=1e-9)


def test_ms_ssim_of_one_scale_is_ssim() -> None:
    x, y = pair(3, 18, 19, 0.1)
    assert torch.allclose(ms_ssim(x, y), ssim(x, y), atol=1e-12)


def test_ms_ssim_laws() -> None:
    x, y = pair(3, 170, 180, 0.1)
    assert ms_ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-12)
    assert torch.allclose(ms_ssim(x, y), ms_ssim(y, x), atol=1e-12)
    assert torch.allclose(ms_ssim(255 * x, 255 * y, peak=255), ms_ssim(x, y), atol=1e-12)
    assert bool((ms_ssim(x, 1 - x) >= 0).all())
    assert torch.equal(ms_ssim(torch.cat([x, x]), torch.cat([y, y])), ms_ssim(x, y).repeat(2))
    with pytest.raises(ValueError, match="expected two tensors"):
        ms_ssim(x, y[:1])
    with pytest.raises(ValueError, match="no pixels"):
        ms_ssim(x[..., :0], y[..., :0])


def test_decibels_of_ms_ssim() -> None:
    assert ms_ssim_db(0.9) == pytest.approx(10)
    assert ms_ssim_db(0.99) == pytest.approx(20)
    assert ms_ssim_db(1.0) == pytest.approx(100)
