"""The end of a run before its last step: a callback asked for it, or the patience of early stopping is over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vqkit.errors import TrainingStopped
from vqkit.spelling import resuming
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.record.log import read_log
from vqkit.training.record.run import record_stop

STOP = "stop"
"""Kind of the line of the log."""


@dataclass
class EarlyStop:
    """A request to end the run as at its last step: what comes after it is done, and the run is finished.

    The step is recorded in ``run.json`` before anything else, so that whatever kills the process then, ``resume`` ends
    the run there.

    Attributes:
        path: the run's folder.
        reason: why it ends; the first one counts.
        asked: whether somebody has asked.
    """

    path: Path
    reason: str = ""
    asked: bool = False

    def ask(self, reason: str) -> None:
        """Ask for the end of the run before its next step."""
        if not self.asked:
            self.reason, self.asked = reason, True

    def record(self, position: Position, channels: Channels) -> None:
        """Say, and record, that the run ended where it stands, if it did before its last step.

        Raises:
            TrainingStopped: a full disk.
        """
        if position.last_step is None or channels.log is None:
            return
        step = position.last_step
        try:
            record_stop(self.path, step, self.reason)
        except OSError as error:
            raise TrainingStopped(
                f"step {step:,}: that the run ends here ({self.reason}) was not written ({error}). Free some space, "
                f"then: {resuming(self.path)}"
            ) from error
        channels.say(f"stopped at step {step:,}: {self.reason}")
        if all(line["kind"] != STOP or line["step"] != step for line in read_log(self.path)):
            channels.write(step, STOP, {"reason": self.reason})
