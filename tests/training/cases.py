"""Callbacks that tests of interrupted training share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from vqkit.training import Callback


class StopAfter(Callback):
    """Sends Ctrl-C to this process once the checkpoint of a step has been written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_checkpoint(self, step: int, path: Path) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGINT)
