"""Writer of a run's checkpoints: a full disk costs one of them, not the run."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor

from vqkit.errors import TrainingStopped
from vqkit.spelling import resuming
from vqkit.training.checkpoints import checkpoint
from vqkit.training.checkpoints.run_state import RunState
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.record.channels import Channels
from vqkit.training.record.run import CHECKPOINTS


class CheckpointWriter:
    """Writes the state of a run, once a step at most.

    Args:
        state: of the run.
        path: the run's folder.
        config: of the training.
        processes: the first one writes.

    Attributes:
        last_saved: step of the newest checkpoint; None before the first.
    """

    def __init__(self, state: RunState, path: Path, config: TrainConfig, processes: Processes) -> None:
        self._state = state
        self._path = path
        self._keep = config.keep_checkpoints
        self._seconds = config.checkpoint_seconds
        self._processes = processes
        self._last_try, self._tried = time.perf_counter(), -1
        self.last_saved: int | None = None

    def due(self, now: float) -> bool:
        """Return True if it is time for a checkpoint, by ``time.perf_counter``, and none was tried at this step."""
        position = self._state.position
        wait = position.budget.between_checkpoints(self._seconds)
        return self._tried != position.step and now - self._last_try >= wait

    def save(self, channels: Channels, *, last: bool = False) -> None:
        """Write a checkpoint.

        Args:
            channels: told of it, or of why it could not be written.
            last: whether there will be no later one.

        Raises:
            TrainingStopped: the last one cannot be written.
        """
        position = self._state.position
        self._last_try, self._tried = time.perf_counter(), position.step
        if self.last_saved == position.step:
            return
        with position.budget.saving():
            tensors = self._state.tensors()
            error = self._write(tensors, channels) if self._processes.main else None
        self._last_try = time.perf_counter()
        (written,) = self._processes.agree([float(error is None)])
        if written:
            self.last_saved = position.step
        elif error is not None:
            good = checkpoint.found(self._path / CHECKPOINTS)
            kept = f"{good[-1]} is still there" if good else "there is none yet"
            message = f"step {position.step}: checkpoint not written ({error}); {kept}"
            if last:
                raise TrainingStopped(f"{message}. Free some space, then: {resuming(self._path)}")
            channels.say(f"{message}. Training goes on and tries again.", style="yellow")

    def _write(self, tensors: dict[str, Tensor], channels: Channels) -> OSError | None:
        assert channels.log is not None
        step = self._state.position.step
        values = {**self._state.values(), "log_size": channels.log.size()}
        try:
            path = checkpoint.save(self._path / CHECKPOINTS, step, tensors, values, self._keep)
        except OSError as error:
            return error
        if self._state.guard is not None:
            self._state.guard.prune(self._path / CHECKPOINTS)
        channels.tell("on_checkpoint", step, path)
        return None
