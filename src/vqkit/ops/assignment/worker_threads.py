"""Worker threads for loops of tensor operations on a CPU: dynamic scheduling of jobs, one torch thread in each worker.

torch shares every single operation among its threads, which wait for one another at its end (a barrier). A loop of
many short operations then runs at the speed of the slowest thread: when another process takes one core, each barrier
can last a time slice of the scheduler, milliseconds, and the loop nearly stands. Here every worker computes whole
jobs by itself and draws the next one when it is free, so that a slowed worker merely does fewer of them, and the
workers wait for one another once.

Example:
    >>> import torch
    >>> squares = torch.empty(4)
    >>> def compute(share: Share) -> torch.Tensor:
    ...     def work(rows: Iterator[int]) -> None:
    ...         for row in rows:
    ...             squares[row] = float(row * row)
    ...
    ...     share(range(4), work)
    ...     return squares
    >>> in_workers(compute, 2).tolist()
    [0.0, 1.0, 4.0, 9.0]
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Protocol, TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


class Share(Protocol):
    """A way to have jobs done: it returns when all are done."""

    def __call__(self, jobs: Sequence[Job], work: Callable[[Iterator[Job]], None], /) -> None:
        """Call ``work(drawn)``, once or in several threads at a time; each job is drawn exactly once."""


def alone(jobs: Sequence[Job], work: Callable[[Iterator[Job]], None], /) -> None:
    """Do all jobs in the calling thread."""
    work(iter(jobs))


def in_workers(compute: Callable[[Share], Result], count: int) -> Result:
    """Run ``compute(share)`` in a worker thread; what it shares is done by ``count`` workers at most, itself included.

    Workers compute without gradients, in the caller's inference mode, outside its autocast and dispatch modes. An
    exception in any of them ends all after the jobs that they have begun, and is raised here; so does an interruption
    of the waiting caller. Where no thread can be started (at the end of the interpreter, say), the caller computes.
    """
    crew = _Crew(count)
    try:
        result = crew.pool.submit(crew.run, compute, crew.share)
    except RuntimeError:
        return compute(alone)
    try:
        return result.result()
    except BaseException as failure:  # of the computation, or Ctrl-C in this thread
        crew.failure = failure
        wait([result])
        raise


class _Crew:
    """The workers of one computation, and the first exception in any of them."""

    def __init__(self, count: int) -> None:
        self.pool = _open_pool(count)
        self.failure: BaseException | None = None
        self._count = count
        self._inference = torch.is_inference_mode_enabled()

    def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in the caller's inference mode, which a thread does not inherit, and without gradients."""
        with torch.inference_mode(self._inference), torch.no_grad():
            return function(*arguments)

    def share(self, jobs: Sequence[Job], work: Callable[[Iterator[Job]], None], /) -> None:
        """Draw jobs in this thread, and in those of the pool that are free."""
        drawn = _Draws(self, iter(jobs))
        helpers: list[Future[None]] = []
        with suppress(RuntimeError):  # no further thread to be had: fewer helpers
            helpers.extend(
                self.pool.submit(self.run, self._try, work, drawn) for _ in range(min(self._count, len(jobs)) - 1)
            )
        self._try(work, drawn)
        wait([helper for helper in helpers if not helper.cancel()])
        if self.failure is not None:
            raise self.failure

    def _try(self, work: Callable[[Iterator[Job]], None], drawn: Iterator[Job]) -> None:
        try:
            work(drawn)
        except BaseException as failure:  # noqa: BLE001 -- raised by `share`
            self.failure = self.failure or failure


class _Draws(Iterator[Job]):
    """Jobs for several threads to draw from; none is left after a failure."""

    def __init__(self, crew: _Crew, jobs: Iterator[Job]) -> None:
        self._crew, self._jobs, self._lock = crew, jobs, threading.Lock()

    def __next__(self) -> Job:
        with self._lock:
            if self._crew.failure is not None:
                raise StopIteration
            return next(self._jobs)


_START_SECONDS = 1.0
"""For workers to begin, at most; a computation goes on without those that need longer."""
_lock, _opening = threading.Lock(), threading.Lock()
_pool: ThreadPoolExecutor | None = None
_begun = 0


def _open_pool(count: int) -> ThreadPoolExecutor:
    """The workers of this process; so many have begun, since one that begins changes a number of the whole process."""
    global _pool, _begun
    most = os.cpu_count() or 1
    count = min(count, most)
    with _opening:
        if _pool is None:
            _pool = ThreadPoolExecutor(most, "vqkit-worker", _use_one_thread)
        if _begun < count:
            _begin(_pool, count)
            _begun = count
        return _pool


def _begin(pool: ThreadPoolExecutor, count: int) -> None:
    """Start workers up to this number: each waits for the others, so that none does the work of two."""
    meeting = threading.Barrier(count, timeout=_START_SECONDS)

    def meet() -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait()

    begun: list[Future[None]] = []
    try:
        begun.extend(pool.submit(meet) for _ in range(count))
    except RuntimeError:  # no further thread to be had
        meeting.abort()
    wait(begun)


def forget_workers() -> None:
    """Have the next computation start new workers: a child process has none of its parent's threads."""
    global _lock, _opening, _pool, _begun
    _lock, _opening, _pool, _begun = threading.Lock(), threading.Lock(), None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_workers)


def _use_one_thread() -> None:
    """Have the operations of this worker run on its own thread alone.

    ``torch.set_num_threads`` sets the calling thread's number, and the one that threads begin with that are yet to
    come. The latter is read, and put back by a thread that ends with it.
    """
    with _lock:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        restorer = threading.Thread(target=torch.set_num_threads, args=(before,))
        restorer.start()
        restorer.join()
