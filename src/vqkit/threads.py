"""Number of CPU threads, chosen while a pass or a training runs.

torch shares each operation on a CPU among its threads, and they wait for one another at its end. Where another process
keeps a core busy, that wait lasts a time slice of the scheduler: milliseconds where the operation takes microseconds,
so that two threads on two cores can be many times slower than one. No fixed number is right. Here the wait itself is
measured (``is_contended``), and steps are timed with other numbers from time to time; the faster number stays.

A number that a person has chosen holds: ``threads=``, ``--threads``, ``torch.set_num_threads``, ``OMP_NUM_THREADS``.
Results of torch depend on the number in their last bits where sums are shared among threads: gradients, and matrix
products over 1,024 inputs and more. Convolutions give the same bits with any number.

Example:
    >>> choice = ThreadChoice([1, 2])
    >>> for batch in choice.each([torch.ones(4), torch.ones(4)]):
    ...     total = batch.sum()
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import torch

from vqkit.errors import ConfigError

Item = TypeVar("Item")
Plan = Generator[int, tuple[float, float], float]
"""Yields the number of threads of the next step; is sent its seconds and its work; returns seconds per unit of work."""

AUTO = "auto"
MOST = 4096
_OWN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
_SHARED = 1 << 17
"""Numbers in a tensor that torch shares among several threads, and that takes microseconds."""
_WAIT = 3e-4
"""Seconds of an operation on it that say that its threads do not run at the same time."""
_SLICE = 3e-3
"""Seconds that a time slice of the scheduler lasts at least: one such wait is enough."""
_STEPS, _SECONDS, _LONG = 3, 0.2, 0.5
"""A measurement: so many steps and seconds; fewer steps where they take long."""
_BETTER, _MUCH = 0.95, 1.4
"""Of the time of a step: what is worth a change, and what is clear after one measurement."""
_SLOWER = 1.25
"""Times the time of a step before: something has changed on the machine."""
_LOOK, _TRY, _LONGEST = 1.5, 5.0, 60.0
"""Seconds from one look for free cores to the next, and from one trial to the next, which doubles without a change."""

_MOST_TOLD = 5
"""Changes that are told, so that a machine whose neighbors come and go does not fill the screen."""

_recent = (0, 0, float("-inf"))
"""The number chosen last, of how many, and when it was looked for: many short passes do not each look anew."""
_lock = threading.Lock()
_asked: int | str | None = None


def check_threads(threads: int | str | None) -> int | str | None:
    """Return a number of threads, ``"auto"`` or None as it is.

    Raises:
        ConfigError: anything else.
    """
    whole = isinstance(threads, int) and not isinstance(threads, bool) and 1 <= threads <= MOST
    if threads is None or threads == AUTO or whole:
        return threads
    raise ConfigError(f"threads={threads!r}: give a number from 1 to {MOST}, or {AUTO!r}")


def set_threads(threads: int | str | None) -> Callable[[], None]:
    """Set the number of threads of this process, or ``"auto"``; None leaves it as it is.

    Returns:
        What puts it back.
    """
    global _asked
    before, count = _asked, torch.get_num_threads()

    def put_back() -> None:
        global _asked
        _asked = before
        torch.set_num_threads(count)

    if check_threads(threads) is not None:
        _asked = threads
        if isinstance(threads, int):
            torch.set_num_threads(threads)
    return put_back


def choice_of_threads(device: torch.device, threads: int | str | None = None, *, fixed: bool = False) -> ThreadChoice:
    """Return the choice of threads of a pass or a training.

    Args:
        device: where it computes; only a CPU leaves a choice.
        threads: as asked for; None: as it was asked for in this process.
        fixed: all that torch has, unless somebody has asked for ``"auto"``.
    """
    if isinstance(check_threads(threads), int):
        return ThreadChoice([int(threads or 1)])
    most = torch.get_num_threads()
    if device.type != "cpu":
        return ThreadChoice([most], contended=lambda _: False)
    wanted = _asked if threads is None else threads
    free = wanted == AUTO or (wanted is None and not fixed and _is_default(most))
    return ThreadChoice(counts_up_to(most) if free else [most])


def counts_up_to(most: int) -> list[int]:
    """Return the numbers that are tried, ascending: halves of the most, three quarters, and one less than all.

    Example:
        >>> counts_up_to(8)
        [1, 2, 3, 4, 6, 7, 8]
    """
    counts, half = {1, most, max(1, most - 1)}, most
    while half > 1:
        counts |= {half, 3 * half // 4}
        half //= 2
    return sorted(counts)


def is_contended(count: int) -> bool:
    """Return True if so many threads wait for one another now, because other processes have some of their cores.

    It takes 0.1 ms where they do not, and a few time slices of the scheduler where they do.
    """
    if count == 1:
        return False
    before = torch.get_num_threads()
    values = torch.ones(_SHARED, device="cpu")
    waits = 0
    use_threads(count)
    try:
        for number in range(7):
            start = time.perf_counter()
            values.add_(0.0)
            wait = time.perf_counter() - start
            waits += number > 1 and wait > _WAIT  # the first ones wake the threads
            if waits > 2 or (number > 0 and wait > _SLICE):
                return True
    finally:
        use_threads(before)
    return False


def use_threads(count: int) -> None:
    """Set the number of torch's threads for operations of the calling thread.

    ``torch.set_num_threads`` does so too, and sets the number that threads begin with that are yet to come; this one
    puts the latter back, so that a thread that begins now does not keep a number that is being tried.
    """
    if torch.get_num_threads() == count:
        return
    with _lock:
        start = _in_another_thread(torch.get_num_threads)
        torch.set_num_threads(count)
        _in_another_thread(torch.set_num_threads, start)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block the calling thread computes alone, so that results do not depend on the number of threads."""
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


def _in_another_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments)))
    thread.start()
    thread.join()
    return found[0]


class ThreadChoice:
    """Chooses among numbers of torch's threads by the time that steps take.

    Within ``with choice:`` torch has the chosen number; without that, within each step.

    Args:
        counts: ascending; with one there is nothing to choose.
        clock: seconds.
        contended: whether so many threads wait for one another now.

    Attributes:
        chosen: the number.
        say: told of every change.
        contended: whether so many threads wait for one another now.
    """

    def __init__(
        self,
        counts: Sequence[int],
        clock: Callable[[], float] = time.perf_counter,
        contended: Callable[[int], bool] = is_contended,
    ) -> None:
        self.counts = list(counts)
        self.chosen = self.counts[-1]
        self.say: Callable[[str], None] | None = None
        self._clock, self.contended = clock, contended
        self._plan: Plan | None = None
        self._trying = self.chosen
        self._before: list[int] = []
        self._last_trial, self._told = 0.0, 0

    def __enter__(self) -> ThreadChoice:
        self._before.append(torch.get_num_threads())
        self._begin()
        use_threads(self._trying)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        use_threads(self._before.pop())

    @contextmanager
    def step(self, work: float = 1.0) -> Iterator[None]:
        """A step within the block, with the number that is to be tried; its time counts, per unit of its ``work``."""
        global _recent
        self._begin()
        before = torch.get_num_threads()
        use_threads(self._trying)
        start = self._clock()
        try:
            yield
        finally:
            elapsed = self._clock() - start
            if not self._before:
                use_threads(before)
        if self._plan is not None:
            self._trying = self._plan.send((elapsed, work))
            _recent = (self.chosen, self.counts[-1], _recent[2])
            if self._before:
                use_threads(self._trying)

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items; what is done with one before the next is asked for is a step."""
        for item in items:
            with self.step():
                yield item

    def _begin(self) -> None:
        global _recent
        if self._plan is None and len(self.counts) > 1:
            self._last_trial = now = self._clock()
            count, most, when = _recent
            if most == self.counts[-1] and 0 <= now - when < _LOOK:
                self.chosen = count
            else:
                self._descend()
                _recent = (self.chosen, self.counts[-1], now)
            self._plan = self._choose()
            self._trying = next(self._plan)

    def _descend(self) -> bool:
        """Go down to a number of threads that do not wait for one another; returns True if it is another one."""
        before = self.chosen
        while self.chosen > 1 and self.contended(self.chosen):
            self.chosen = self._neighbors(above=False)[0]
        if self.chosen != before:
            self._tell(f"{before} wait for one another, because other processes use their cores")
        return self.chosen != before

    def _choose(self) -> Plan:
        yield from self._measure(self.chosen)  # what is prepared and compiled in the first steps is nobody's pace
        pace = yield from self._measure(self.chosen)
        pace = yield from self._climb(pace)
        wait = _TRY
        while True:
            before = self.chosen
            pace = yield from self._stay(pace, wait)
            pace = yield from self._climb(pace)
            wait = _TRY if self.chosen != before else min(2 * wait, _LONGEST)

    def _stay(self, pace: float, wait: float) -> Plan:
        """Go on for so many seconds, or until steps are slower, or more threads would run at the same time."""
        best, start, looked, free = pace, self._clock(), self._clock(), 0
        while self._clock() - start < wait:
            pace = yield from self._measure(self.chosen)
            if pace > _SLOWER * best:
                if self._descend():
                    pace = yield from self._measure(self.chosen)
                break
            best = min(best, pace)
            above = [count for count in self.counts if count > self.chosen][:1]
            if above and self._clock() - looked > _LOOK:
                looked, free = self._clock(), 0 if self.contended(above[0]) else free + 1
                if free == 2:
                    break
        return pace

    def _measure(self, count: int) -> Plan:
        """Return the seconds per unit of work with so many threads."""
        seconds = work = 0.0
        steps = 0
        while (steps < _STEPS or seconds < _SECONDS) and seconds < _LONG:
            elapsed, done = yield count
            seconds, work, steps = seconds + elapsed, work + done, steps + 1
        return seconds / work

    def _climb(self, pace: float) -> Plan:
        """Try the neighbors of the chosen number, go to a better one, and so on; returns the pace of the last."""
        tried = {self.chosen}
        while challengers := [count for count in self._neighbors() if count not in tried]:
            count = challengers[0]
            tried.add(count)
            if count > self.chosen and self._is_out_of_reach(count):
                continue
            other = yield from self._compare(count, pace)
            if other < pace:
                before, self.chosen = self.chosen, count
                self._tell(f"{pace / other:.1f} times as fast as {before}, with what else runs on this machine")
                pace = other
        return pace

    def _is_out_of_reach(self, count: int) -> bool:
        """True if so many threads wait for one another; now and then False nevertheless, so that a step decides."""
        if not self.contended(count):
            return False
        due = self._clock() - self._last_trial > _LONGEST
        if due:
            self._last_trial = self._clock()
        return not due

    def _neighbors(self, *, above: bool = True) -> list[int]:
        """The next number above, the next below, and about half of the chosen one."""
        higher = [count for count in self.counts if count > self.chosen][:1] if above else []
        lower = [count for count in self.counts if count < self.chosen]
        half = [count for count in lower if count <= max(1, self.chosen // 2)]
        return [*higher, *lower[-1:], *half[-1:]]

    def _compare(self, count: int, pace: float) -> Plan:
        """Return the pace with so many threads if it is better than with the chosen number; else infinity."""
        first = yield from self._measure(count)
        if first > _MUCH * pace:
            return float("inf")
        if first < pace / _MUCH:
            return first
        again = yield from self._measure(self.chosen)
        second = yield from self._measure(count)
        return (first + second) / 2 if first + second < _BETTER * (pace + again) else float("inf")

    def _tell(self, why: str) -> None:
        self._told += 1
        if self.say is not None and self._told <= _MOST_TOLD:
            self.say(f"{self.chosen} of {self.counts[-1]} CPU threads from now on: {why}")


def _is_default(count: int) -> bool:
    """True if a number of threads is what torch takes by itself, so that nobody has chosen it."""
    cores = os.cpu_count() or 1
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return not any(os.environ.get(name) for name in _OWN) and count in {cores, own, cores // 2, own // 2}
