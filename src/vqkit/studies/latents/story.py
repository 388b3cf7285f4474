"""Claims of a study of latents: holes in the autoencoder's plane, and what the KL term does to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.studies.spread import by_seed, compared, over_seeds

_SETTLED = 0.9
"""The least share of latents within the plane, of the share of samples there."""


def claims(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claims with whether they hold here, and the numbers behind them; none unless both models are done.

    Args:
        entries: of the study's document.
    """
    done = {str(each["key"]): each for each in entries if each["status"] == "done"}
    if not {"ae", "vae"} <= done.keys():
        return []
    ae, vae = done["ae"], done["vae"]
    return [
        _claim(
            "More samples of the autoencoder than of the VAE fall into holes.",
            compared(vae, ae, "empty_mass"),
            f"samples that fall where no item is: autoencoder {ae['empty_mass']:.1%}, VAE {vae['empty_mass']:.1%} "
            f"(of latents that were samples themselves {vae['by_chance']:.1%})",
        ),
        _claim(
            "From what it reconstructs to what it samples the autoencoder moves away from the data more than the VAE.",
            _moves_more(ae, vae),
            "squared error to the nearest item, samples over reconstructions: "
            f"autoencoder {_farther(ae):.2f} times, VAE {_farther(vae):.2f} times",
        ),
        _claim(
            "The autoencoder reconstructs better, since nothing but the error counts.",
            compared(ae, vae, "mse"),
            f"SNR of held-out items: autoencoder {ae['snr_db']:.2f} dB, VAE {vae['snr_db']:.2f} dB",
        ),
    ]


def not_settled(entries: Sequence[Mapping[str, Any]], reach: float) -> str:
    """Say that the VAE's latents do not lie as its prior does yet, where far fewer of them than of samples are inside.

    Args:
        entries: of the study's document.
        reach: of the plane.
    """
    expected = math.erf(reach / math.sqrt(2)) ** 2
    for each in entries:
        if each["key"] == "vae" and each["status"] == "done" and each["inside"] < _SETTLED * expected:
            return (
                f"Of the VAE's latents {each['inside']:.1%} lie within the plane, and {expected:.1%} of samples from "
                "its prior: it has not been trained for long enough to be compared; give more steps."
            )
    return ""


def _farther(entry: Mapping[str, Any]) -> float:
    """How many times further from the data samples are than reconstructions."""
    return float(entry["samples_to_data_mse"]) / max(float(entry["reconstructions_to_data_mse"]), 1e-30)


def _moves_more(ae: Mapping[str, Any], vae: Mapping[str, Any]) -> bool | None:
    """Whether the ratio of the autoencoder is the larger one, beyond the noise of the seeds."""
    of_vae, of_ae = (over_seeds([{"farther": _farther(each)} for each in by_seed(entry)]) for entry in (vae, ae))
    return compared(of_vae, of_ae, "farther")


def _claim(claim: str, holds: bool | None, numbers: str) -> dict[str, Any]:
    return {"claim": claim, "holds": holds, "numbers": numbers}
