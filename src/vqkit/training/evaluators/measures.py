"""Measures of evaluations by name, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from vqkit.errors import ConfigError

_DIRECTIONS = {"max:": 1, "min:": -1}
_HIGHER = {
    "psnr_db",
    "psnr_item_mean_db",
    "ssim",
    "usage",
    "perplexity",
    "snr_db",
    "si_sdr_db",
    "stoi",
    "pesq",
    "visqol",
}
_LOWER = ("loss", "distance", "mse", "error", "nats_per_index", "bits_per_item", "bits_per_dim")
"""Ends of names."""


@dataclass(frozen=True)
class Measure:
    """A measure of evaluations, and which way is better.

    Attributes:
        name: in the values of an evaluation.
        sign: 1 where higher is better, -1 where lower is.
    """

    name: str
    sign: int

    @classmethod
    def read(cls, text: str) -> Measure:
        """Read a setting: a name whose direction is known, or ``max:NAME``, ``min:NAME``.

        Raises:
            ConfigError: the direction is not known.
        """
        for prefix, sign in _DIRECTIONS.items():
            if text.startswith(prefix):
                return cls(text.removeprefix(prefix), sign)
        if text in _HIGHER:
            return cls(text, 1)
        if text.endswith(_LOWER):
            return cls(text, -1)
        raise ConfigError(f"best_by={text!r}: is more of it better, or less? Give max:{text} or min:{text}")

    @property
    def better(self) -> str:
        """Which way is better, in a word."""
        return "higher" if self.sign > 0 else "lower"
