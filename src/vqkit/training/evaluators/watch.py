"""Evaluations that can end early: after some seconds, or when somebody asks to stop, with what they have by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.data import Source, evaluation_batches
from vqkit.training.distributed import Processes
from vqkit.training.interrupt import StoppedError, StopRequest

T = TypeVar("T")
_TELL_AFTER, _LONG = 5.0, 30.0
"""Seconds after which the duration is estimated, and durations that are worth a line."""


class Watch:
    """A time limit of an evaluation, and its loop over batches.

    Args:
        seconds: that it may take; it then goes through the items in an order that is spread over all of them, so that
            those it reaches stand for the whole. At least one batch, of one item, is done. None: all items, in their
            own order, in batches of one size.
        stop: asked to stop: ends the evaluation at once.
        keeps: whether what was judged before somebody asked to stop counts; else ``StoppedError`` is raised.
        processes: all of them end at the same item.
        say: told how long it will take, when that is long.
    """

    def __init__(
        self,
        seconds: float | None = None,
        *,
        stop: StopRequest | None = None,
        keeps: bool = False,
        processes: Processes | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.seconds = seconds
        self._stop = stop if stop is not None else StopRequest()
        self._keeps = keeps
        self._processes = processes
        self._say = say
        self._start = time.perf_counter()

    @property
    def limited(self) -> bool:
        """True if the time is limited."""
        return self.seconds is not None

    @property
    def left(self) -> float:
        """Seconds left; infinite without a limit."""
        return float("inf") if self.seconds is None else self.seconds - (time.perf_counter() - self._start)

    def over(self) -> bool:
        """Return True once the time is over; all processes agree."""
        (ended,) = self._agreed([float(self.left <= 0)])
        return bool(ended)

    def each(
        self,
        source: Source,
        batch_size: int,
        one: Callable[[npt.NDArray[Any], Tensor], T],
        *,
        most: int | None = None,
        share: float = 1.0,
    ) -> list[T]:
        """Return the results of ``one`` on batches of items, until all are done or the time is over.

        Args:
            source: the items.
            batch_size: at most.
            one: given the items' numbers and their values; changes nothing that an interruption could leave half done.
            most: items; None: all.
            share: of the time.

        Raises:
            StoppedError: somebody asked to stop, and what there is does not count.
        """
        found: list[T] = []
        try:
            with self._stop.at_once():
                for numbers, batch in self._batches(source, batch_size, most or len(source), share):
                    found.append(one(numbers, batch))
        except StoppedError:
            if not self._keeps:
                raise
        return found

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """Within the block ``StoppedError`` is raised at once when somebody asks to stop."""
        with self._stop.at_once():
            yield

    def _batches(
        self, source: Source, batch_size: int, most: int, share: float
    ) -> Iterator[tuple[npt.NDArray[Any], Tensor]]:
        start, done = time.perf_counter(), 0
        limit = None if self.seconds is None else share * self.left
        if limit is None:
            few = source if len(source) <= most else source.subset(range(most))
            for numbers, batch in evaluation_batches(few, batch_size):
                yield numbers, batch
                done += len(numbers)
                if done < len(few) and self._ends(False):
                    return
                self._tell(time.perf_counter() - start, done, len(few))
            return
        order, size = spread_order(len(source))[:most], 1
        while done < len(order):
            here = order[done : done + size]
            for numbers, batch in evaluation_batches(source.subset(here), size):
                yield here[numbers], batch
            done += len(here)
            passed = time.perf_counter() - start
            fitting = int((limit - passed) / max(passed / done, 1e-9))
            size = min(2 * size, batch_size, max(fitting, 1))
            if self._ends(fitting < 1):
                return
            (size,) = (int(each) for each in self._agreed([float(size)]))

    def _ends(self, over: bool) -> bool:
        """Return True at the end of the evaluation; all processes agree."""
        ended, asked = self._agreed([float(over), float(self._stop.asked)])
        if asked and not self._keeps:
            raise StoppedError
        return bool(ended or asked)

    def _agreed(self, values: list[float]) -> list[float]:
        return values if self._processes is None else self._processes.agree(values)

    def _tell(self, passed: float, done: int, count: int) -> None:
        if self._say is None or passed < _TELL_AFTER or done >= count:
            return
        left = passed / done * (count - done)
        if left > _LONG:
            self._say(
                f"judging {count:,} items takes about {_duration(left)} more (Ctrl-C: keep the model, and the figures "
                "so far)"
            )
        self._say = None


def spread_order(count: int) -> npt.NDArray[np.int64]:
    """0 .. count - 1 in an order of which every beginning is spread evenly: by reversed bits (van der Corput)."""
    numbers = np.arange(count, dtype=np.int64)
    reversed_bits = np.zeros_like(numbers)
    for bit in range(max(count - 1, 1).bit_length()):
        reversed_bits = (reversed_bits << 1) | ((numbers >> bit) & 1)
    return reversed_bits.argsort(kind="stable")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
