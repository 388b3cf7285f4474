"""Sums of the metrics of training steps between two lines of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class StepMetrics:
    """Running sums on the device, read when a line is written: no step waits for a number.

    Args:
        device: of the metrics.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add the metrics of a step, scalars without gradient."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._steps += 1

    @property
    def steps(self) -> int:
        """Steps since the means were taken."""
        return self._steps

    def take_means(self) -> dict[str, float]:
        """Return the means since the last call, and begin anew."""
        means = {name: float(total) / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint; the sums are exact."""
        return {"sums": {name: float(total).hex() for name, total in self._sums.items()}, "summed": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to the state of a checkpoint."""
        sums: Mapping[str, str] = state["sums"]
        self._sums = {name: torch.tensor(float.fromhex(value), device=self._device) for name, value in sums.items()}
        self._steps = state["summed"]
