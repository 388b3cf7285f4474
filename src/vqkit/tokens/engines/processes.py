"""Processes of this machine, each with a model of its own."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import final

import torch

from vqkit.errors import VqkitError, WorkerError
from vqkit.models import IndexModel
from vqkit.pretrained.identity import model_digest
from vqkit.spelling import option
from vqkit.threads import ThreadChoice, choice_of_threads
from vqkit.tokens.encoder import Encoder, Encoding, Message
from vqkit.tokens.engines.base import ENGINES, Engine
from vqkit.tokens.engines.model import device_of, load_copy
from vqkit.tokens.pieces import Piece

Task = Sequence[Piece]


@ENGINES.register("processes")
@final
class Processes(Engine):
    """Processes of this machine, each with a copy of the model; one worker: this process itself.

    The CPU threads of the driver are shared among them. They end when the driver does, however it ends.
    """

    def run(self, encoding: Encoding, model: IndexModel, tasks: Sequence[Task], workers: int) -> Iterator[Message]:
        """See ``Engine.run``."""
        if workers == 1 or not tasks:
            with choice_of_threads(model.device) as threads:
                encoder = Encoder(encoding, model, threads)
                for task in tasks:
                    yield from encoder.run(task)
            return
        with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
            place, digest = str(Path(folder) / "model"), model_digest(model)
            model.save_pretrained(place)
            threads_each = max(1, torch.get_num_threads() // workers)
            crew: list[_Worker] = []
            try:
                with _without_interrupts():
                    for number in range(min(workers, len(tasks))):
                        device = device_of(model, number)
                        crew.append(_started(number, (encoding, place, digest, device, threads_each)))
                yield from _directed(crew, deque(tasks))
            finally:
                for worker in crew:
                    worker.stop()


@dataclass
class _Worker:
    """A process, and this end of its pipe."""

    number: int
    process: BaseProcess
    pipe: Connection

    def give(self, task: Task | None) -> None:
        with suppress(OSError):  # it has ended; its end of the pipe says so
            self.pipe.send(task)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()

    def lost(self) -> WorkerError:
        """What to say of a process that has ended by itself."""
        self.process.join()
        code = self.process.exitcode or 0
        if code == 1:
            how = (
                "could not begin, or failed (what it said stands above; a script that encodes with several workers "
                'does so below: if __name__ == "__main__":)'
            )
        elif code < 0:
            how = f"was ended by the system or by somebody ({signal.Signals(-code).name}); memory may not suffice"
        else:
            how = f"ended with status {code}"
        return WorkerError(
            f"worker {self.number} (process {self.process.pid}) {how}; shards that are whole are kept: encode again, "
            f"with fewer {option('workers')} where memory is short"
        )


def _started(number: int, words: tuple[Encoding, str, str, torch.device, int]) -> _Worker:
    """Start a process; its end of the pipe is then its own, so that the pipe ends with it."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, *words), name=f"vqkit-worker-{number}", daemon=True)
    process.start()
    there.close()
    return _Worker(number, process, here)


def _directed(crew: list[_Worker], tasks: deque[Task]) -> Iterator[Message]:
    """Give tasks to whoever is free, and yield what they say.

    Raises:
        WorkerError: a process has ended.
        Exception: the one that ended a task.
    """
    busy = {worker.pipe: worker for worker in crew}
    for worker in crew:
        worker.give(tasks.popleft())
    while busy:
        for pipe in connection.wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError) as error:
                raise worker.lost() from error
            if isinstance(message, BaseException):
                raise message
            if message is not None:
                yield message
            elif tasks:
                worker.give(tasks.popleft())
            else:
                worker.give(None)
                del busy[worker.pipe]


def _work(pipe: Connection, encoding: Encoding, place: str, digest: str, device: torch.device, threads: int) -> None:
    """Do what a worker does: the tasks that come, until there are no more or the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with suppress(BrokenPipeError, EOFError):
        try:
            torch.set_num_threads(threads)
            encoder = Encoder(encoding, load_copy(place, digest, device), ThreadChoice([threads]))
            while (task := pipe.recv()) is not None:
                for message in encoder.run(task):
                    pipe.send(message)
                pipe.send(None)
        except (BrokenPipeError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the driver raises it)
            pipe.send(_told(error))


def _told(error: Exception) -> Exception:
    """Return an error as it can be sent: what a user can repair as it is, others with their traceback in words."""
    if type(error).__module__ == VqkitError.__module__ or type(error) in (OSError, MemoryError):
        return error
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError("".join(traceback.format_exception(error)).strip().splitlines()[-1])


def _end_with_driver() -> None:
    """Wait for the end of the driver, and end at once: whoever encodes here next is to be alone."""
    driver = parent_process()
    if driver is not None:
        driver.join()
    os._exit(3)


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
