"""The story that the ladder tells, as claims that the numbers of a comparison support or contradict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.studies.spread import standard_error, verdict

_SEVERAL = 2.0
"""How many times worse counts as "several times worse"."""


def story(rungs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claims with whether they hold here (None: within the noise) and the numbers; only those whose rungs are done.

    Args:
        rungs: entries of ``compare``'s document.
    """
    done = {each["key"]: each for each in rungs if each["status"] == "done"}
    return [
        claim for claim in (_linear(done), _garbage(done), _regularized(done), _learned(done), _discrete(done)) if claim
    ]


def _linear(done: Mapping[str, Any]) -> dict[str, Any] | None:
    if not {"pca", "ae"} <= done.keys():
        return None
    pca, ae = (done[key]["psnr_at_budget_db"] for key in ("pca", "ae"))
    if pca is None or ae is None:
        return None
    error = math.hypot(*(standard_error(done[key], "psnr_at_budget_db") for key in ("pca", "ae")))
    return _claim(
        "At the same bits a network reconstructs better than the best linear map.",
        verdict(ae - pca, error),
        f"PSNR at the budget: PCA {pca:.2f} dB, autoencoder {ae:.2f} dB",
        error,
    )


def _garbage(done: Mapping[str, Any]) -> dict[str, Any] | None:
    if "ae" not in done:
        return None
    ours, again = done["ae"]["frechet_samples"], done["ae"]["frechet_reconstructions"]
    times = ours / max(again, 1e-12)
    return _claim(
        "What is sampled from an autoencoder's latent space is several times further from the data than what it "
        "reconstructs.",
        verdict(ours - _SEVERAL * again, _noise(done["ae"])),
        f"Frechet distance: samples {ours:.4g}, reconstructions {again:.4g}: {times:.1f} times",
        _noise(done["ae"]),
    )


def _regularized(done: Mapping[str, Any]) -> dict[str, Any] | None:
    if not {"ae", "vae"} <= done.keys():
        return None
    ae, vae = (done[key]["frechet_samples"] for key in ("ae", "vae"))
    return _claim(
        "The VAE's KL term makes its latent space one that can be sampled: its samples beat the autoencoder's.",
        verdict(ae - vae, math.hypot(_noise(done["ae"]), _noise(done["vae"]))),
        f"Frechet distance of samples: autoencoder {ae:.4g}, VAE {vae:.4g}",
        math.hypot(_noise(done["ae"]), _noise(done["vae"])),
    )


def _learned(done: Mapping[str, Any]) -> dict[str, Any] | None:
    if not {"quantized", "vqvae"} <= done.keys():
        return None
    drawn, learned = (done[key]["psnr_db"] for key in ("quantized", "vqvae"))
    if drawn is None or learned is None:
        return None
    error = math.hypot(*(standard_error(done[key], "psnr_db") for key in ("quantized", "vqvae")))
    return _claim(
        "At the same bits a codebook that is learned with its encoder reconstructs better than draws that a VAE is "
        "quantized with.",
        verdict(learned - drawn, error),
        f"PSNR: quantized VAE {drawn:.2f} dB, VQ-VAE {learned:.2f} dB",
        error,
    )


def _discrete(done: Mapping[str, Any]) -> dict[str, Any] | None:
    if not {"ae", "vae", "vqvae"} <= done.keys():
        return None
    ae, vae, vqvae = (done[key]["frechet_samples"] for key in ("ae", "vae", "vqvae"))
    error = math.hypot(_noise(done["vqvae"]), _noise(done["ae" if ae < vae else "vae"]))
    return _claim(
        "With a learned prior over its indices the VQ-VAE's samples beat both.",
        verdict(min(ae, vae) - vqvae, error),
        f"Frechet distance of samples: autoencoder {ae:.4g}, VAE {vae:.4g}, VQ-VAE {vqvae:.4g}",
        error,
    )


def _noise(rung: Mapping[str, Any]) -> float:
    """The standard error of a rung's Frechet distance of samples: over seeds, or with one that of drawing samples."""
    return standard_error(rung, "frechet_samples", rung.get("frechet_noise"))


def _claim(claim: str, holds: bool | None, numbers: str, error: float) -> dict[str, Any]:
    """A claim that holds (True), is contradicted (False), or is within the noise (None)."""
    told = f"{numbers} (standard error of the difference {error:.2g})" if error > 0 else numbers
    return {"claim": claim, "holds": holds, "numbers": told}
