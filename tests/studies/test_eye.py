"""What the eye sees and the numbers do not say: fine detail, and the statements on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from vqkit.studies.ladder.eye import disagreements, fine_detail


def rung(key: str, frechet: float, psnr_db: float, samples: float | None, again: float = 1.0) -> dict[str, Any]:
    return {
        "key": key, "title": key.upper(), "status": "done", "frechet_samples": frechet, "frechet_noise": 0.1,
        "psnr_db": psnr_db, "detail_samples": samples, "detail_reconstructions": again,
    }  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_fine_detail_is_the_mean_squared_laplacian(channels: int) -> None:
    images = torch.rand(4, channels, 9, 7, generator=torch.Generator().manual_seed(0))
    each = [ndimage.laplace(plane)[1:-1, 1:-1] for image in images.double().numpy() for plane in image]
    assert fine_detail(images) == pytest.approx(np.mean(np.square(each)), rel=1e-5)
    levels = (images * 255).round().to(torch.uint8)
    assert fine_detail(levels) == pytest.approx(fine_detail(levels.float() / 255), rel=1e-6)
    assert fine_detail(images[:, :, :2]) == 0


def test_equal_distances_and_unequal_detail_are_said() -> None:
    (found,) = disagreements([rung("ae", 5.0, 20.0, 0.4), rung("vae", 5.1, 22.0, 0.9)])
    assert found["statement"].startswith("The Frechet distance does not tell samples of AE and VAE apart")
    assert "VAE's show 2.2 times the fine detail of AE's" in found["statement"]
    assert "AE 5 and 40%, VAE 5.1 and 90%" in found["numbers"]


def test_a_better_distance_with_worse_detail_is_said_and_one_with_better_is_not() -> None:
    (found,) = disagreements([rung("ae", 5.0, 20.0, 0.4), rung("vae", 9.0, 22.0, 0.9)])
    assert "AE samples better than VAE, yet what it makes is blurrier" in found["statement"]
    assert disagreements([rung("ae", 9.0, 20.0, 0.4), rung("vae", 5.0, 22.0, 0.9)]) == []
    noisy = disagreements([rung("ae", 5.0, 20.0, 2.5), rung("vae", 9.0, 22.0, 1.1)])  # noise is no detail
    assert "AE samples better than VAE, yet what it makes is noisier" in noisy[0]["statement"]


def test_equal_errors_and_unequal_detail_are_said_widest_first() -> None:
    rungs = [rung("pca", 1.0, 22.1, 1.0, 0.5), rung("ae", 3.0, 22.3, 1.0, 0.7), rung("vqvae", 6.0, 22.2, 1.0, 1.0)]
    first, second, third = disagreements(rungs)
    assert first["statement"].startswith("Reconstructions of PCA and VQVAE")
    assert "VQVAE's have 2.0 times the fine detail of PCA's" in first["statement"]
    assert "PCA and AE" in third["statement"] or "PCA and AE" in second["statement"]


def test_what_is_not_known_is_not_judged() -> None:
    failed = {"key": "ae", "title": "AE", "status": "failed"}
    old = {key: value for key, value in rung("vae", 5.0, 20.0, 1.0).items() if not key.startswith("detail")}
    assert disagreements([failed, old, rung("pca", 5.0, 20.0, None), rung("vqvae", 5.0, 20.0, 0.4)]) == []
