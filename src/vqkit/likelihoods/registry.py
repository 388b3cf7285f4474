"""Likelihoods by the names that configs use."""

from __future__ import annotations

from collections.abc import Callable

from vqkit.errors import ConfigError
from vqkit.likelihoods.base import Likelihood
from vqkit.likelihoods.gaussian import Gaussian
from vqkit.likelihoods.logistic import LogisticMixture

LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "gaussian": Gaussian,
    "logistic": lambda channels: LogisticMixture(channels, components=1, conditional_channels=False),
    "logistic_mixture": LogisticMixture,
}


def build_likelihood(name: str, channels: int, levels: int | None, *, learned_scale: bool = False) -> Likelihood:
    """The likelihood that a config names.

    Args:
        name: a key of ``LIKELIHOODS``.
        channels: C.
        levels: of the signal (256: images and video), which the logistic ones need; None: real numbers.
        learned_scale: whether the Gaussian's scale is trained with the networks.

    Raises:
        ConfigError: an unknown name, or a likelihood of levels for signals that have none.
    """
    if name not in LIKELIHOODS:
        raise ConfigError(f"likelihood={name!r} is unknown; choose one of: {', '.join(LIKELIHOODS)}")
    if name == "gaussian":
        return Gaussian(channels, learned=learned_scale)
    if levels is None:
        raise ConfigError(f"likelihood={name!r} counts the levels of 8-bit images and video; take likelihood=gaussian")
    return LIKELIHOODS[name](channels)
