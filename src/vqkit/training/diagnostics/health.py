"""Health of a codebook in training: how its codes are used, where they lie, and how many were restarted."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vqkit.pretrained.trainable import Trainable
from vqkit.training.diagnostics.codebook import Doctor
from vqkit.training.diagnostics.collapse import CodebookMonitor
from vqkit.training.diagnostics.discriminators import DiscriminatorDoctor


class CodebookHealth:
    """What the log says of ``Trainable.monitored_quantizer``; nothing of a model without one.

    Args:
        model: that is trained.
        looks: whether latents are looked at too, in one process alone.
    """

    def __init__(self, model: Trainable, *, looks: bool) -> None:
        self._model = model
        self._monitor: CodebookMonitor | None = None
        self._doctor: Doctor | None = None
        self.discriminators = DiscriminatorDoctor()
        quantizer = model.monitored_quantizer
        if quantizer is not None:
            size = (quantizer.codebook_size, quantizer.num_codebooks)
            self._monitor = CodebookMonitor(*size)
            self._doctor = Doctor(*size) if looks else None

    @property
    def looks(self) -> bool:
        """Whether latents are looked at."""
        return self._doctor is not None

    def add(self, indices: Tensor | None) -> None:
        """Count the codes of one batch."""
        if self._monitor is not None and indices is not None:
            self._monitor.add(indices.detach())

    def close_window(self) -> tuple[dict[str, Any], list[str]]:
        """Return usage and perplexity for a line of the log, and warnings."""
        if self._monitor is None:
            return {}, []
        warning = self._monitor.close_window()
        values = {"usage": self._monitor.usage, "perplexity": self._monitor.perplexity}
        return values, [warning] if warning else []

    def look(self, x: Tensor, step: int) -> tuple[dict[str, Any], list[str]]:
        """Return distances and spacings of codes for a line of the log, and warnings.

        Args:
            x: what the model's ``forward`` takes, in evaluation mode.
            step: optimizer steps done.
        """
        latents = None if self._doctor is None else self._model.latents(x)
        if self._doctor is None or latents is None:
            return {}, []
        return self._doctor.look(self._model.monitored_quantizer, latents, step)

    @property
    def restarts(self) -> int | None:
        """Codes restarted so far; None without a quantizer."""
        quantizer = self._model.monitored_quantizer
        return None if quantizer is None else int(quantizer.restarts)

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        return {
            "restarts": self.restarts,
            "monitor": None if self._monitor is None else self._monitor.state(),
            "doctor": None if self._doctor is None else self._doctor.state(),
            **({"discriminators": seen} if (seen := self.discriminators.state()) else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go to the state of a checkpoint; those of older versions have no doctor.

        Raises:
            ValueError: it is of another codebook.
        """
        if self._monitor is not None:
            self._monitor.restore(state["monitor"])
        if self._doctor is not None and state.get("doctor") is not None:
            self._doctor.restore(state["doctor"])
        self.discriminators.restore(state.get("discriminators") or {})
        if state["restarts"] is not None:
            self._model.monitored_quantizer.restarts = state["restarts"]
