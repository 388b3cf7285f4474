"""Measures of evaluations by name, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from vqkit.errors import ConfigError

_DIRECTIONS = {"max:": 1, "min:": -1}
_HIGHER = {"psnr_db", "psnr_item_mean_db", "ssim", "usage", "perplexity"}
_LOWER = ("loss", "mse", "error", "nats_per_index", "bits_per_item", "bits_per_dim")
"""Ends of names."""
_PEAKED = ("psnr_db", "psnr_item_mean_db")
_KNOWN = sorted(_HIGHER | {"mse", "nmse", "bits_per_item", "bits_per_dim", "lossless_bits_per_dim", "nats_per_index"})
_NEAR = 0.75


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
        near = get_close_matches(text, _KNOWN, 2, _NEAR)
        meant = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise ConfigError(f"best_by={text!r}: is more of it better, or less? Give max:{text} or min:{text}{meant}")

    def value_in(self, values: Mapping[str, Any]) -> float:
        """Return the measure in the values of an evaluation; NaN where it is not there, or not a number.

        What an evaluation says None for, since JSON has no infinity, is infinite: the PSNR of a perfect reconstruction,
        and the NMSE of a set that does not vary.
        """
        found, error = values.get(self.name), values.get("mse")
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
        if self.name in values and found is None and error is not None:
            ranged = values.get("psnr_peak") is not None
            if (error == 0 and ranged and self.name in _PEAKED) or (error > 0 and self.name == "nmse"):
                return math.inf
        return math.nan

    @property
    def better(self) -> str:
        """Which way is better, in a word."""
        return "higher" if self.sign > 0 else "lower"
