"""State of a run: everything that its next step depends on, taken to a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError, ModelFolderError
from vqkit.training.checkpoints import checkpoint, state
from vqkit.training.diagnostics.health import CodebookHealth
from vqkit.training.evaluators.schedule import EvaluationSchedule
from vqkit.training.optim.objective import ObjectiveOptimizers
from vqkit.training.position import Position
from vqkit.training.record.metrics import StepMetrics
from vqkit.training.sharp.guard import Guard
from vqkit.training.trainable import Trainable


@dataclass(frozen=True)
class RunState:
    """The parts of a run that change while it trains.

    Batches depend on the step alone; restoring these parts, and the random generators, continues bit for bit.

    Attributes:
        model: that is trained.
        average: of its weights.
        optimizer: of the model.
        objectives: parameters and optimizers that objectives have of their own.
        position: steps and seconds.
        evaluations: how many are done.
        metrics: sums since the last line of the log.
        health: counts of codes and of restarts.
        guard: of adversaries; None: the run has none.
    """

    model: Trainable
    average: Trainable
    optimizer: torch.optim.Optimizer
    objectives: ObjectiveOptimizers
    position: Position
    evaluations: EvaluationSchedule
    metrics: StepMetrics
    health: CodebookHealth
    guard: Guard | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, on the CPU; every process must call it, since sharded ones are gathered."""
        return {**state.collect(self.model, self.average, self.optimizer), **self.objectives.collect()}

    def values(self) -> dict[str, Any]:
        """Return what is kept beside the tensors, as JSON values."""
        parts = (self.position, self.evaluations, self.metrics, self.health)
        found = {name: value for part in parts for name, value in part.state().items()}
        return found if self.guard is None else {**found, **self.guard.state()}

    def put_back(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to tensors of an earlier step, random generators aside; the run goes on from the step where it is."""
        self.optimizer.state.clear()
        state.restore_module("model", tensors, self.model)
        state.restore_module("average", tensors, self.average)
        state.restore_optimizer("optimizer", tensors, self.model, self.optimizer)
        self.objectives.put_back(tensors)

    def restore(self, saved: checkpoint.Checkpoint) -> int:
        """Go to a checkpoint; returns the size that the log had there.

        Raises:
            ModelFolderError: it is of another model, or of no run.
        """
        try:
            values = state.checked(saved.values)
            state.restore(saved.tensors, self.model, self.average, self.optimizer)
            self.objectives.restore(saved.tensors)
            self.position.restore(saved.step, values)
            self.evaluations.restore(values)
            self.metrics.restore(values)
            self.health.restore(values)
            if self.guard is not None:
                self.guard.restore(values)
            return max(0, int(values["log_size"]))
        except ConfigError:  # of what lies outside the run, such as the network of a perceptual objective
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ModelFolderError(
                f"checkpoint {saved.path} is not of this run ({' '.join(str(error).split())[:300]}); remove it to go "
                "on from an older one, or start a new run"
            ) from error
