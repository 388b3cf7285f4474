"""Non-finite values in training: a check in every step, and the tensor that has them first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.errors import TrainingStopped
from vqkit.objectives import Objective
from vqkit.spelling import option, resuming, setting
from vqkit.training.checkpoints import checkpoint
from vqkit.training.config import TrainConfig
from vqkit.training.record.run import CHECKPOINTS
from vqkit.training.trainable import Output


class NonFiniteError(TrainingStopped):
    """NaN or Inf in a step; a guard may have something to go back to."""


class NonFiniteCheck:
    """Stops a training whose loss or gradient is NaN or Inf.

    The CPU is looked at in every step; on another device a bad step is remembered there, and read when something is
    reported or saved.

    Args:
        model: that is trained.
        config: of the training.
        folder: the run's.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, folder: Path) -> None:
        self.model = model
        self.config = config
        self.folder = folder
        self.log: Callable[[int, str, dict[str, Any]], None] | None = None
        self._bad_step: Tensor | None = None
        self.quiet = False

    def check(self, step: int, x: Tensor, output: Output, norm: Tensor) -> None:
        """Look at a step before the update.

        Raises:
            TrainingStopped: names the first tensor that is not finite.
        """
        finite = torch.isfinite(output.loss.detach()) & torch.isfinite(norm)
        if finite.device.type == "cpu":
            if not bool(finite):
                self._stop(step, step, first_nonfinite(x, output, self.model))
            return
        here = torch.where(finite, -1, step)
        self._bad_step = here if self._bad_step is None else torch.where(self._bad_step >= 0, self._bad_step, here)
        if step % self.config.log_every == 0 and int(self._bad_step) >= 0:
            self._stop(int(self._bad_step), step, first_nonfinite(x, output, self.model))

    def check_now(self, step: int) -> None:
        """Read what a device remembers; raises as ``check``."""
        if self._bad_step is not None and int(self._bad_step) >= 0:
            self._stop(int(self._bad_step), step, "the loss or the gradient norm")

    def forget(self) -> None:
        """Forget what a device remembers, after the run has gone back."""
        self._bad_step = None

    def _stop(self, step: int, now: int, what: str) -> None:
        good = checkpoint.found(self.folder / CHECKPOINTS)
        where = f"the last good checkpoint is {good[-1]}" if good else "no checkpoint had been written yet"
        late = "" if step == now else f" (found at step {now}, when the device was next asked)"
        message = (
            f"NaN or Inf at step {step}{late}: in {what}. Training stopped; {where}. Go on from it with: "
            f"{resuming(self.folder)} and a lower {option('learning_rate')}, or a smaller {setting('clip_norm')}"
            + (f", or {option('precision', 'float32')}" if self.config.precision != "float32" else "")
        )
        if self.log is not None and not self.quiet:
            self.log(step, "error", {"message": message})
        raise NonFiniteError(message if not self.quiet else f"NaN or Inf at step {step}{late}: in {what}")


def first_nonfinite(x: Tensor, output: Output, model: nn.Module) -> str:
    """The first tensor with NaN or Inf along the way of a training step, by name, and how much of it is bad."""
    candidates: list[tuple[str, Tensor]] = [("the training batch", x)]
    candidates += [(f"parameter {name}", parameter) for name, parameter in model.named_parameters()]
    candidates += [(f"buffer {name}", buffer) for name, buffer in model.named_buffers()]
    candidates += [(f"metric {name}", value) for name, value in output.metrics.items()]
    candidates += output.tensors().items()
    candidates += _objective_tensors(output, model)
    candidates.append(("the loss", output.loss))
    candidates += [
        (f"gradient of {name}", parameter.grad)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    ]
    for name, tensor in candidates:
        bad = ~torch.isfinite(tensor.detach())
        if bool(bad.any()):
            return f"{name} ({int(bad.sum()):,} of {tensor.numel():,} values)"
    return "the gradient norm (every single tensor is finite: it overflowed)"


def _objective_tensors(output: Output, model: nn.Module) -> list[tuple[str, Tensor]]:
    """List what the parts of an objective have of their own: parameters, and ``own_losses``, computed once more."""
    objective = getattr(model, "objective", None)
    found: list[tuple[str, Tensor]] = []
    for part in objective.parts if isinstance(objective, Objective) else ():
        found += [(f"parameter {name} of objective {part.name}", value) for name, value in part.named_parameters()]
        for decoded in output.decoded:
            losses = part.own_losses(decoded)
            found += [(f"own loss {name} of objective {part.name}", loss) for name, loss in losses.items()]
    return found
