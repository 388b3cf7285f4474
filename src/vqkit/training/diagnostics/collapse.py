"""Watches the codebook while it trains, and says in a sentence when it collapses and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vqkit.checking import check_fields
from vqkit.errors import ConfigError
from vqkit.ops import codebook_histograms, perplexity, usage
from vqkit.pretrained.trainable import Trainable
from vqkit.resources import physical_bytes
from vqkit.spelling import option
from vqkit.training.diagnostics.advice import another_quantizer

_FIELDS = {
    "histogram": Sequence[Any],
    "usage": float | None,
    "perplexity": float | None,
    "best_perplexity": float,
    "warned": bool,
    "bad_windows": int,
}


class CodebookMonitor:
    """Usage and perplexity over a sliding set of the latest training indices.

    A window closes at a line of the log once it holds at least ``10 K`` indices; until then the last closed window
    is what is reported (None before the first). Never one batch: a batch has too few positions to tell.

    Args:
        codebook_size: K.
        num_codebooks: C; usage is over all their codes, perplexity of their mean entropy.
        enough: indices per code that close a window.

    Raises:
        ConfigError: more codes than can be counted in the memory of this machine.
    """

    def __init__(self, codebook_size: int, num_codebooks: int = 1, enough: int = 10) -> None:
        self.codebook_size = codebook_size
        self.num_codebooks = num_codebooks
        self.enough = enough * codebook_size * num_codebooks
        if 8 * codebook_size * num_codebooks > physical_bytes():
            raise ConfigError(
                f"codebook_size={codebook_size:,} with num_codebooks={num_codebooks}: counting how often each code is "
                "used takes more memory than this machine has; choose fewer codes"
            )
        self.histogram = torch.zeros(num_codebooks, codebook_size, dtype=torch.int64)
        self.usage: float | None = None
        self.perplexity: float | None = None
        self.best_perplexity = 0.0
        self.warned = False
        self.bad_windows = 0
        self._pending: Tensor | None = None

    def add(self, indices: Tensor) -> None:
        """Take in one batch of indices: any shape, the last axis the codebooks where there are several."""
        histogram = codebook_histograms(indices, self.codebook_size, self.num_codebooks)
        self._pending = histogram if self._pending is None else self._pending.add_(histogram)

    def close_window(self) -> str | None:
        """Bring ``usage`` and ``perplexity`` up to date; returns a warning when they show a collapse."""
        if self._pending is not None:
            self.histogram += self._pending.cpu()
            self._pending = None
        if int(self.histogram.sum()) < self.enough:
            return None
        self.usage, self.perplexity = usage(self.histogram), perplexity(self.histogram)
        self.histogram.zero_()
        self.best_perplexity = max(self.best_perplexity, self.perplexity)
        return self._diagnose()

    def _diagnose(self) -> str | None:
        assert self.usage is not None
        assert self.perplexity is not None
        low_usage = self.usage < 0.5
        fallen = self.best_perplexity >= 8 and self.perplexity < 0.25 * self.best_perplexity
        narrow = self.perplexity < min(4.0, 0.05 * self.codebook_size)
        if not (low_usage or fallen or narrow):
            self.bad_windows = 0  # what was told is told: a codebook on the edge goes over it again and again
            return None
        self.bad_windows += 1
        if self.warned or self.bad_windows < 2:  # one bad window is a stumble of the first steps
            return None
        self.warned = True
        fell = f" (it was {self.best_perplexity:.0f})" if fallen else ""
        return (
            f"the codebook is collapsing: {self.usage:.0%} of {self.codebook_size:,} codes used, perplexity "
            f"{self.perplexity:.1f}{fell}, over the last {max(self.enough, 1):,} or more indices. Try a lower "
            "learning rate; "
            + another_quantizer(
                f"{option('quantizer', 'ema')}, whose dead codes are restarted (restart_below of 0.2 or more; 0 turns "
                "it off); "
            )
            + "or fewer codes, if the data has fewer distinct patches than codes."
        )

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as JSON values."""
        if self._pending is not None:
            self.histogram += self._pending.cpu()
            self._pending = None
        return {
            "histogram": self.histogram.tolist(),
            "usage": self.usage,
            "perplexity": self.perplexity,
            "best_perplexity": self.best_perplexity,
            "warned": self.warned,
            "bad_windows": self.bad_windows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``.

        Raises:
            ValueError: no such state.
        """
        check_fields(state, _FIELDS)
        self.histogram = torch.tensor(state["histogram"], dtype=torch.int64).view_as(self.histogram)
        self.usage, self.perplexity = state["usage"], state["perplexity"]
        self.best_perplexity, self.warned = state["best_perplexity"], state["warned"]
        self.bad_windows = state["bad_windows"]


def codes_of(model: Trainable) -> int:
    """Return how many codes a monitor of this model counts; 0 without a codebook."""
    quantizer = model.monitored_quantizer
    return quantizer.codebook_size * quantizer.num_codebooks if quantizer else 0
