"""Ctrl-C and SIGTERM ask for an orderly end; a second Ctrl-C ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):  # not print(): a signal may arrive in the middle of one
            os.write(2, b"\nstopping: saving after this step (Ctrl-C again quits at once)\n")


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Within the block, SIGINT and SIGTERM set ``asked`` instead of interrupting (main thread only)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
