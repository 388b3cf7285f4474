"""Crew of processes of this machine: each makes what it works with once, and does the tasks that it is given.

Whatever goes wrong in one of them arrives as the error that one process would have raised, of its type and in its
words; what it said on the way is its cause, for ``VQKIT_TRACEBACK``.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self, final

from vqkit.checking import reason
from vqkit.errors import ConfigError, WorkerError
from vqkit.registry import note_part_at_fault, part_at_fault
from vqkit.spelling import option

Work = Callable[[Any], Iterable[Any]]
"""What a worker does with a task: it says so much about it."""

_UNGUARDED, _DRIVER_GONE = 4, 3
"""Statuses of processes that ended before there was anything to say."""


@final
class Crew:
    """Processes that do tasks, each with something of its own that it has made; they end when the driver does.

    Args:
        make: a function of a module, called once in each process; it returns what does a task.
        given: its arguments, for each process.
        threads: of torch, in each.
        kept: what is to be said of the work that is done when one is lost: ``"shards that are whole are kept: encode
            again"``.

    Raises:
        ConfigError: the arguments cannot be sent to another process.

    Example:
        >>> with Crew(len_of, [()], kept="try again") as crew:  # doctest: +SKIP
        ...     sorted(crew.run([[1], [1, 2]]))
        [(0, 1), (1, 2)]
    """

    def __init__(
        self, make: Callable[..., Work], given: Sequence[tuple[Any, ...]], *, threads: int = 1, kept: str
    ) -> None:
        if getattr(current_process(), "_inheriting", False):
            raise SystemExit(_UNGUARDED)  # a worker that reads its script anew: what began it says so
        self._kept = kept
        words = [_sendable((make, *each)) for each in given]
        self._members: list[_Member] = []
        with _without_interrupts():
            for number in range(len(given)):
                self._members.append(_started(number, threads))
        for member, each in zip(self._members, words, strict=True):
            member.give(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the processes, whatever they do."""
        for member in self._members:
            member.stop()

    def run(self, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give tasks to whoever is free; yields the number of a task and what is said about it, in any order of tasks.

        A task is asked for when there is somebody to do it, so that not all have to be in memory.

        Raises:
            WorkerError: a process has ended by itself.
            Exception: the one that ended a task.
        """
        waiting = enumerate(tasks)
        busy: dict[Any, tuple[_Member, int]] = {}

        def give(member: _Member) -> None:
            for number, task in waiting:
                member.give(_sendable(task))
                busy[member.pipe] = member, number
                break

        for member in self._members:
            give(member)
        while busy:
            for pipe in connection.wait(list(busy)):
                member, number = busy[pipe]
                try:
                    said = member.pipe.recv()
                except (EOFError, OSError):
                    raise member.lost(self._kept) from None
                if isinstance(said, Failure):
                    raise said.error()
                if isinstance(said, _Done):
                    del busy[pipe]
                    give(member)
                else:
                    yield number, said


@dataclass(frozen=True)
class _Done:
    """What a worker says at the end of a task."""


@dataclass(frozen=True)
class Failure:
    """An error as another process can be told it.

    Attributes:
        pickled: the error itself; None where it cannot be sent.
        kind, words: its class and its message.
        said: its traceback, as text.
        part: the part of somebody else's that it arose in (see ``part_at_fault``).
    """

    pickled: bytes | None
    kind: str
    words: str
    said: str
    part: str | None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Take an error where it was raised."""
        said = "".join(traceback.format_exception(error))
        return cls(_pickled(error), type(error).__name__, str(error), said, part_at_fault(error))

    def error(self) -> Exception:
        """The error to raise where it is told: the same, or one in its words."""
        found: Exception = type(self.kind, (RuntimeError,), {})(self.words)  # of the same name at least
        if self.pickled is not None:
            with suppress(Exception):
                found = ForkingPickler.loads(self.pickled)
        found.__cause__ = _InWorker(self.said)
        if self.part is not None:
            note_part_at_fault(found, self.part)
        return found


class _InWorker(Exception):
    """The traceback of an error in another process, shown as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _pickled(error: BaseException) -> bytes | None:
    """Return an error in bytes that give the same error again; None where there are none."""
    try:
        found = bytes(ForkingPickler.dumps(error))
        again = ForkingPickler.loads(found)
        same = type(again) is type(error) and str(again) == str(error)
    except Exception:  # noqa: BLE001  (classes of others may raise anything)
        return None
    return found if same and isinstance(error, Exception) else None


def _sendable(words: Any) -> bytes:
    """Return what a process is given, in bytes.

    Raises:
        ConfigError: it cannot be sent.
    """
    try:
        return bytes(ForkingPickler.dumps(words))
    except Exception as error:
        raise ConfigError(
            f"the data or the settings cannot be given to other processes ({reason(error)}): {option('workers', 1)}, "
            "or data that has a name"
        ) from error


@dataclass
class _Member:
    """A process, and this end of its pipe."""

    number: int
    process: BaseProcess
    pipe: Connection

    def give(self, words: bytes) -> None:
        with suppress(OSError):  # it has ended; its end of the pipe says so
            self.pipe.send_bytes(words)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()

    def lost(self, kept: str) -> WorkerError:
        """What to say of a process that has ended by itself."""
        self.process.join()
        code = self.process.exitcode or 0
        if code == _UNGUARDED:
            return WorkerError(
                'workers read the script that asks for them: put what it does below if __name__ == "__main__":'
            )
        if code < 0:
            how = f"was ended by the system or by somebody ({signal.Signals(-code).name}); memory may not suffice"
        else:
            how = "could not begin (what it said stands above)" if code == 1 else f"ended with status {code}"
        return WorkerError(
            f"worker {self.number} (process {self.process.pid}) {how}; {kept}, with fewer {option('workers')} where "
            "memory is short"
        )


def _started(number: int, threads: int) -> _Member:
    """Start a process; its end of the pipe is then its own, so that the pipe ends with it."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, threads), name=f"vqkit-worker-{number}", daemon=True)
    process.start()
    there.close()
    return _Member(number, process, here)


def _work(pipe: Connection, threads: int) -> None:
    """Do what a worker does: the tasks that come, until the driver ends it or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with suppress(BrokenPipeError, EOFError):
        try:
            import torch

            torch.set_num_threads(threads)
            make, *given = pipe.recv()
            do = make(*given)
            while True:
                for said in do(pipe.recv()):
                    pipe.send(said)
                pipe.send(_Done())
        except (BrokenPipeError, EOFError):
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, the driver raises it)
            pipe.send(Failure.of(error))


def _end_with_driver() -> None:
    """Wait for the end of the driver, and end at once: whoever works here next is to be alone."""
    driver = parent_process()
    if driver is not None:
        driver.join()
    os._exit(_DRIVER_GONE)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let processes that are started in the block ignore Ctrl-C, which is the driver's to obey."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
