"""Likelihoods by the names that configs use."""

from __future__ import annotations

from vqkit.errors import ConfigError
from vqkit.likelihoods.base import Likelihood
from vqkit.likelihoods.categorical import Categorical
from vqkit.likelihoods.gaussian import Gaussian
from vqkit.likelihoods.logistic import Logistic, LogisticMixture
from vqkit.registry import Registry
from vqkit.spelling import setting

LIKELIHOODS: Registry[type[Likelihood]] = Registry("likelihood", "vqkit.likelihoods", Likelihood)
"""Classes of likelihoods by name; each is built from the signal's channels alone."""
LIKELIHOODS.register("gaussian", citations=())(Gaussian)
LIKELIHOODS.register("logistic", citations=("kingma2016improved",))(Logistic)
LIKELIHOODS.register("logistic_mixture", citations=("salimans2017pixelcnn",))(LogisticMixture)
LIKELIHOODS.register("categorical", citations=("vandenoord2016pixel", "vandenoord2016wavenet"))(Categorical)


def build_likelihood(
    name: str, channels: int, levels: int | None, *, learned_scale: bool = False, step: float | None = None
) -> Likelihood:
    """The likelihood that a config names.

    Args:
        name: a key of ``LIKELIHOODS``.
        channels: C.
        levels: of the signal (256: images and video), which the logistic ones need; None: real numbers.
        step: between the values of integers, which the logistic ones count as well; None: there are none.
        learned_scale: whether the Gaussian's scale is trained with the networks.

    Raises:
        ConfigError: an unknown name, or a likelihood of levels for signals that have none.

    Example:
        >>> from vqkit.likelihoods import build_likelihood
        >>> type(build_likelihood("gaussian", 3, 256)).__name__
        'Gaussian'
    """
    kind = LIKELIHOODS.get_part(name)
    if kind is Gaussian:
        return Gaussian(channels, learned=learned_scale)
    if kind is Categorical:
        return Categorical(channels, levels)
    if kind.needs_levels and levels is None and step is None:
        raise ConfigError(
            f"{setting('likelihood', name)} counts the levels of 8-bit images and video, or integers of fields; take "
            f"{setting('likelihood', 'gaussian')}"
        )
    return kind(channels)
