"""Callbacks: what may watch a run, such as a tracker of experiments; TensorBoard is one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from vqkit.checking import refuse_class, shown
from vqkit.errors import ConfigError, TrainingStopped
from vqkit.spelling import resuming
from vqkit.training.record.run import Run


class Callback:
    """Base of a user's own watcher of a run; every event does nothing until it is overridden.

    Given to ``train`` and ``resume`` as ``callbacks=[...]``. Events come in the first process only, in the order in
    which they happen, ``on_start`` before all others. The model is the one that was given to ``train``, which trains in
    place. An exception in an event stops the training with the callback's name; the last checkpoint is whole, and
    ``resume`` goes on from it. ``stop`` ends the run in an orderly way.

    Example:
        >>> from vqkit import Callback
        >>> class GoodEnough(Callback):
        ...     def on_evaluation(self, step, values):
        ...         if values["psnr_db"] > 30:
        ...             self.stop("30 dB are enough")
    """

    _ask: Callable[[str], None] | None = None

    @final
    def stop(self, reason: str = "") -> None:
        """End the run before its next step, as at its last one.

        What comes after the last step is done: the model is saved and evaluated, and the run is ``finished``. The
        reason is said, and in ``log.jsonl`` and ``run.json`` (``run.stop_reason``); in several processes all end at the
        same step. ``resume`` with ``steps`` (or ``minutes``) goes on after all. Models that are solved in closed form
        have no steps to stop at.

        Raises:
            ConfigError: it was given to no run, or its run has ended.
        """
        name = type(self).__name__
        if self._ask is None:
            raise ConfigError(f"the callback {name} watches no run; give it to vqkit.train(..., callbacks=[...])")
        self._ask(f"{name}: {reason}" if reason else f"the callback {name} asked for it")

    def on_start(self, run: Run) -> None:
        """Called when the run's folder and settings are there, before the first step; again when it is resumed."""

    def on_step(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Called after each optimizer step.

        Args:
            step: optimizer steps done.
            values: ``loss``, ``gradient_norm`` and the model's metrics of this step: scalars on the model's device, so
                that a step does not wait for them unless they are read (``float(values["loss"])``).
        """

    def on_metrics(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Called for every line of the log.

        Args:
            step: optimizer steps done.
            kind: ``"train"`` (every ``log_every`` steps), ``"validation"``, ``"final"``, ``"warning"``, ``"error"``,
                ``"data"``, ``"stop"`` or ``"time"``.
            values: numbers and words by name; a number that is not finite is None.
        """

    def on_evaluation(self, step: int, values: Mapping[str, Any]) -> None:
        """Called after each evaluation along the way; the last one, of the finished model, is ``run.evaluation``.

        Args:
            step: optimizer steps done.
            values: measures by name, as in the log.
        """

    def on_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Called with each sheet of originals and reconstructions."""

    def on_sound(self, step: int, name: str, samples: npt.NDArray[np.float32], rate: int) -> None:
        """Called with each of the first originals and reconstructions of a model of sound, after its sheet.

        Args:
            step: optimizer steps done.
            name: ``"original/0"``, ``"reconstruction/0"`` ...
            samples: ``[channels, time]``, in [-1, 1].
            rate: samples a second.
        """

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Called when a checkpoint is whole on the disk."""

    def on_end(self, run: Run) -> None:
        """Called once at the end: the run is finished, or was interrupted and can be resumed (``run.finished``)."""


_START = "on_start"
EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


def as_callbacks(given: Any) -> tuple[Callback, ...]:
    """Return callbacks as they may be given: one, or several.

    Raises:
        ConfigError: something that is no ``Callback``, a method named like an event that there is not, or an event that
            takes other arguments.
    """
    refuse_class(given, "callbacks")
    if not isinstance(given, Callback | Iterable) or isinstance(given, str):
        raise ConfigError(f"callbacks={shown(given)}: give a list of instances of subclasses of vqkit.Callback")
    callbacks = (given,) if isinstance(given, Callback) else tuple(given)
    for callback in callbacks:
        refuse_class(callback, "callbacks")
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks: a {type(callback).__name__} is none; give instances of subclasses of vqkit.Callback"
            )
        _check_events(callback)
    return callbacks


def _check_events(callback: Callback) -> None:
    kind = type(callback)
    for name in (each for each in dir(kind) if each.startswith("on_")):
        if name not in EVENTS:
            near = get_close_matches(name, EVENTS, 1)
            suggestion = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(
                f"the callback {kind.__name__} has a method {name}, and there is no such event{suggestion}; events: "
                f"{', '.join(EVENTS)}"
            )
        wanted = list(inspect.signature(getattr(Callback, name)).parameters)[1:]
        try:
            inspect.signature(getattr(callback, name)).bind(*wanted)
        except TypeError as error:
            raise ConfigError(
                f"the callback {kind.__name__}: {name} is called with ({', '.join(wanted)}), and takes other arguments "
                f"({error})"
            ) from error


class Callbacks:
    """The callbacks of a run, told of its events one after another.

    Events that come before ``on_start`` (what reading the data skipped, the first checkpoint) wait for it.

    Args:
        callbacks: in this order.
        folder: the run's, for messages.
        ask: what ``Callback.stop`` calls with its reason.
    """

    def __init__(self, callbacks: Sequence[Callback], folder: Path, ask: Callable[[str], None]) -> None:
        self._callbacks = tuple(callbacks)
        self._folder = folder
        self._ask = ask
        self._waiting: list[tuple[Any, ...]] | None = []
        for callback in self._callbacks:
            object.__setattr__(callback, "_ask", ask)  # a frozen dataclass is a callback too

    def release(self) -> None:
        """Let the callbacks go after the run: they watch none."""
        for callback in self._callbacks:
            if callback._ask is self._ask:
                object.__delattr__(callback, "_ask")

    def listen(self, event: str) -> bool:
        """Return True if any callback overrides an event."""
        plain = getattr(Callback, event)
        return any(
            event in vars(callback) or getattr(type(callback), event) is not plain for callback in self._callbacks
        )

    def tell(self, event: str, *arguments: Any) -> None:
        """Call one event of every callback.

        Raises:
            TrainingStopped: a callback failed; names it.
        """
        if self._waiting is not None:
            if event != _START:
                self._waiting.append((event, *arguments))
                return
            waiting, self._waiting = self._waiting, None
            for each in [(event, *arguments), *waiting]:
                self.tell(*each)
            return
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

    def on_sound(self, step: int, name: str, samples: npt.NDArray[np.float32], rate: int) -> None:
        """Write the sound, mono, to be played."""
        mono = samples.mean(axis=0, keepdims=True)
        self._write("add_audio", f"sounds/{name}", mono, step, sample_rate=rate)

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
