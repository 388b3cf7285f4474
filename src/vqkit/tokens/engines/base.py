"""Base of the engines of an encoding, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from vqkit.models import IndexModel
from vqkit.registry import Registry
from vqkit.tokens.encoder import Encoding, Message
from vqkit.tokens.pieces import Piece


class Engine(ABC):
    """Base of engines: whatever runs the encoders of a data set.

    An engine is of one encoding. It is given shards that are not there yet; each of its workers makes an ``Encoder`` of
    the encoding and of a model of its own, runs tasks with it, and says what the encoder says. Where a worker ends or
    fails, the engine stops the others and raises; what has been said so far is kept.

    Attributes:
        name: by which it is registered.

    Example:
        >>> from vqkit.tokens.engines import ENGINES
        >>> "processes" in ENGINES
        True
    """

    name: ClassVar[str]

    def check_installed(self) -> None:  # noqa: B027  (most engines need nothing)
        """Raise ``MissingExtraError`` unless it can run here."""

    def workers(self, asked: int) -> int:
        """Return how many workers there are, where so many were asked for."""
        return asked

    @property
    def leads(self) -> bool:
        """Whether this process leads; one that does not calls ``follow``, which engines of one program never need."""
        return True

    def together(self) -> AbstractContextManager[None]:
        """The time in which several processes that call the same work together."""
        return nullcontext()

    def follow(self, encoding: Encoding, model: IndexModel) -> None:
        """Encode what the process that leads gives, until it has ended."""
        raise NotImplementedError

    @abstractmethod
    def run(
        self, encoding: Encoding, model: IndexModel, tasks: Sequence[Sequence[Piece]], workers: int
    ) -> Iterator[Message]:
        """Encode all tasks; yields what the encoders say, in any order.

        Args:
            encoding: what to encode; it is sent to processes.
            model: the tokenizer, on its device.
            tasks: consecutive shards each.
            workers: at most so many tasks at a time.

        Raises:
            WorkerError: a worker ended by itself.
            Exception: of a worker.
        """


ENGINES: Registry[type[Engine]] = Registry("engine", "vqkit.engines", Engine, attribute="name")


def engine(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        ConfigError: unknown.
        MissingExtraError: it cannot run here.

    Example:
        >>> from vqkit.tokens.engines import engine
        >>> engine("processes").name
        'processes'
    """
    found = ENGINES.get_part(name)()
    found.check_installed()
    return found
