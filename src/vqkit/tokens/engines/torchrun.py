"""Processes that torchrun started, on one machine or several: rank 0 leads, and all of them encode."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar, final

import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d
from torch.distributed.rendezvous import rendezvous

from vqkit.crew import Failure
from vqkit.errors import ConfigError, WorkerError
from vqkit.models import IndexModel
from vqkit.spelling import spelled
from vqkit.threads import choice_of_threads
from vqkit.tokens.encoder import Encoder, Encoding, Message
from vqkit.tokens.engines.base import ENGINES, Engine
from vqkit.tokens.pieces import Piece

_PAUSE = 0.05
_NEXT, _SAID, _TASKS, _END = "next", "said", "tasks", "end"
_DONE = "done"


@ENGINES.register("torchrun")
@final
class Torchrun(Engine):
    """Processes that `torchrun` started; each calls the same with a model of its own, and gets the same token set.

    The folder and the data have to be at the same paths for all of them. They speak through the store of torchrun,
    which needs no GPU: rank 0 keeps the journal, and everyone takes the next shards when the last are written.
    """

    _calls: ClassVar[int] = 0

    def __init__(self) -> None:
        self._store: Any = None

    def check_installed(self) -> None:
        """Raise ``ConfigError`` unless torchrun started this process."""
        if not dist.is_available() or "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            raise ConfigError(
                "the engine torchrun is of processes that torchrun starts: "
                + spelled(
                    python="torchrun --nproc-per-node 4 SCRIPT.py",
                    command="torchrun --nproc-per-node 4 -m vqkit encode ...",
                )
                + ", or choose the engine processes"
            )

    def workers(self, asked: int) -> int:  # noqa: ARG002  (torchrun was told)
        """Return how many there are."""
        return int(os.environ["WORLD_SIZE"])

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return os.environ["RANK"] == "0"

    @contextmanager
    def together(self) -> Iterator[None]:
        """The time in which the processes work together; rank 0 tells the others how it ended."""
        self._store = self._opened()
        try:
            yield
        except BaseException:
            if self.leads:
                self._store.set(_END, b"failed")
            raise
        if self.leads:
            self._store.set(_END, b"well")

    def run(
        self, encoding: Encoding, model: IndexModel, tasks: Sequence[Sequence[Piece]], workers: int
    ) -> Iterator[Message]:
        """See ``Engine.run``."""
        del workers  # whoever is there
        store = self._store
        store.set(_TASKS, _packed(list(tasks)))
        done = heard = 0
        with choice_of_threads(model.device) as threads:
            encoder = Encoder(encoding, model, threads)
            while (task := _next(store, tasks)) is not None:
                for message in encoder.run(task):
                    yield message
                    for other in self._heard(heard):
                        heard += 1
                        done += other == _DONE
                        if other != _DONE:
                            yield other
                done += 1
        while done < len(tasks):
            for other in self._heard(heard):
                heard += 1
                done += other == _DONE
                if other != _DONE:
                    yield other
            time.sleep(_PAUSE if done < len(tasks) else 0)

    def follow(self, encoding: Encoding, model: IndexModel) -> None:
        """Do what rank 0 gives, until it has ended.

        Raises:
            WorkerError: rank 0 has failed.
        """
        store = self._store
        while not store.check([_TASKS]):
            if store.check([_END]):
                return self._leave()
            time.sleep(_PAUSE)
        tasks = ForkingPickler.loads(store.get(_TASKS))
        try:
            with choice_of_threads(model.device) as threads:
                encoder = Encoder(encoding, model, threads)
                while (task := _next(store, tasks)) is not None:
                    for message in encoder.run(task):
                        self._say(message)
                    self._say(_DONE)
        except Exception as error:  # noqa: BLE001  (whatever it is, rank 0 raises it)
            self._say(Failure.of(error))
        while not store.check([_END]):
            time.sleep(_PAUSE)
        return self._leave()

    def _leave(self) -> None:
        if self._store.get(_END) != b"well":
            raise WorkerError(
                "the process of rank 0 has ended with an error, which it says; mend that and encode again"
            )

    def _say(self, words: Any) -> None:
        number = self._store.add(_SAID, 1)
        self._store.set(f"{_SAID}/{number}", _packed(words))

    def _heard(self, before: int) -> Iterator[Any]:
        """Yield what the others have said since. Raises what one of them was ended by."""
        for number in range(before + 1, self._store.add(_SAID, 0) + 1):
            words = ForkingPickler.loads(self._store.get(f"{_SAID}/{number}"))
            self._store.delete_key(f"{_SAID}/{number}")
            if isinstance(words, Failure):
                raise words.error()
            yield words

    def _opened(self) -> Any:
        """The store that all processes have; every encoding has its own words in it."""
        if dist.is_initialized():
            store = c10d._get_default_store()
        else:
            store, _, _ = next(iter(rendezvous("env://")))
        Torchrun._calls += 1
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return c10d.PrefixStore(f"vqkit/encoding/{again}/{Torchrun._calls}", store)


def _next(store: Any, tasks: Sequence[Any]) -> Any:
    """The next task that nobody has taken; None: there is none."""
    number = store.add(_NEXT, 1) - 1
    return tasks[number] if number < len(tasks) else None


def _packed(words: Any) -> bytes:
    return bytes(ForkingPickler.dumps(words))
