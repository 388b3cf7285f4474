"""Callbacks: what may watch a run, such as a tracker of experiments; TensorBoard is one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vqkit.errors import ConfigError, TrainingStopped
from vqkit.spelling import resuming
from vqkit.training.record.run import Run


class Callback:
    """Base of a user's own watcher of a run; every event does nothing until it is overridden.

    Given to ``train`` and ``resume`` as ``callbacks=[...]``. Events come in the first process only, in the order in
    which they happen. An exception in one stops the training with the callback's name; the last checkpoint is whole,
    and ``resume`` goes on from it.

    Example:
        >>> from vqkit import Callback
        >>> class Losses(Callback):
        ...     def on_metrics(self, step, kind, values):
        ...         if kind == "train":
        ...             print(step, values["loss"])
    """

    def on_start(self, run: Run) -> None:
        """Called when the run's folder and settings are there, before the first step; again when it is resumed."""

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Called for every line of the log.

        Args:
            step: optimizer steps done.
            kind: ``"train"`` (every ``log_every`` steps), ``"validation"``, ``"final"``, ``"warning"``, ``"error"``,
                ``"data"`` or ``"time"``.
            values: numbers and words by name; a number that is not finite is None.
        """

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Called with each sheet of originals and reconstructions."""

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Called when a checkpoint is whole on the disk."""

    def on_end(self, run: Run) -> None:
        """Called once at the end: the run is finished, or was stopped and can be resumed (``run.finished``)."""


class Callbacks:
    """The callbacks of a run, told of its events one after another.

    Args:
        callbacks: in this order.
        folder: the run's, for messages.

    Raises:
        ConfigError: something that is no ``Callback``.
    """

    def __init__(self, callbacks: Sequence[Callback], folder: Path) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    f"callbacks: a {type(callback).__name__} is none; give instances of subclasses of vqkit.Callback"
                )
        self._callbacks = tuple(callbacks)
        self._folder = folder

    def tell(self, event: str, *arguments: Any) -> None:
        """Call one event of every callback.

        Raises:
            TrainingStopped: a callback failed; names it.
        """
        for callback in self._callbacks:
            try:
                getattr(callback, event)(*arguments)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise TrainingStopped(
                    f"the callback {type(callback).__name__} failed in {event} ({reason}); mend it, or leave it out, "
                    f"and go on from the last checkpoint with: {resuming(self._folder)}"
                ) from error


class TensorBoard(Callback):
    """TensorBoard event files in the run's folder; a full disk ends them, not the run.

    Args:
        folder: the run's.
        step: events from this step on, of a run that was killed, are dropped.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)
        except (ImportError, OSError):
            return

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write every number as a scalar."""
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._write("add_scalar", f"{kind}/{name}", value, step)

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Write the picture."""
        self._write("add_image", name, np.asarray(picture), step, dataformats="HWC")

    def on_end(self, run: Run) -> None:
        """Flush what has been buffered."""
        del run
        self._write("close")

    def _write(self, method: str, *arguments: Any, **named: Any) -> None:
        if self._writer is None:
            return
        try:
            getattr(self._writer, method)(*arguments, **named)
        except OSError:
            self._writer = None


def is_utf8(path: Path) -> bool:
    """Return True if a path is valid UTF-8, as TensorBoard needs it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
