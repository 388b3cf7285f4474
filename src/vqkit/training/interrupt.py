"""Ctrl-C and SIGTERM ask for an orderly end; a second Ctrl-C ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class StoppedError(KeyboardInterrupt):
    """Somebody asked to stop, in the middle of work that may be thrown away."""


class StopRequest:
    """A request to stop the run, set by a signal.

    Args:
        alone: whether this process decides for itself; several processes that train together must agree, and then
            nothing is broken off.
    """

    def __init__(self, *, alone: bool = True) -> None:
        self.asked = False
        self._alone = alone
        self._at_once = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            StoppedError: within ``at_once``.
            KeyboardInterrupt: at the second Ctrl-C.
        """
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        doing = b"stopping" if self._at_once else b"stopping: saving after this step (Ctrl-C again quits at once)"
        with suppress(OSError):  # not print(): a signal may arrive in the middle of one
            os.write(2, b"\n" + doing + b"\n")
        if self._at_once:
            raise StoppedError

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a signal breaks off what is being done: for work that changes nothing and can be repeated.

        Raises:
            StoppedError: the signal came, now or before.
        """
        before, self._at_once = self._at_once, self._alone
        try:
            if self.asked and self._alone:
                raise StoppedError
            yield
        finally:
            self._at_once = before


@contextmanager
def stop_on_signal(*, alone: bool = True) -> Iterator[StopRequest]:
    """Within the block, SIGINT and SIGTERM set ``asked`` instead of interrupting (main thread only)."""
    request = StopRequest(alone=alone)
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
