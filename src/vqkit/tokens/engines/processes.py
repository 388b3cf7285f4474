"""Processes of this machine, each with a model of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast, final

import torch

from vqkit.crew import Crew
from vqkit.models import IndexModel
from vqkit.models.copies import device_of, load_copy, saved_copy, threads_of_each
from vqkit.threads import ThreadChoice, choice_of_threads
from vqkit.tokens.encoder import Encoder, Encoding, Message
from vqkit.tokens.engines.base import ENGINES, Engine
from vqkit.tokens.pieces import Piece

Task = Sequence[Piece]
_KEPT = "shards that are whole are kept: encode again"


@ENGINES.register("processes")
@final
class Processes(Engine):
    """Processes of this machine, each with a copy of the model; one worker, or one task: this process itself.

    The CPU threads of the driver are shared among them. They end when the driver does, however it ends.
    """

    def run(self, encoding: Encoding, model: IndexModel, tasks: Sequence[Task], workers: int) -> Iterator[Message]:
        """See ``Engine.run``."""
        if workers == 1 or len(tasks) <= 1:
            with choice_of_threads(model.device) as threads:
                encoder = Encoder(encoding, model, threads)
                for task in tasks:
                    yield from encoder.run(task)
            return
        each = threads_of_each(workers)
        with saved_copy(model) as (place, digest):
            numbers = range(min(workers, len(tasks)))
            given = [(encoding, place, digest, device_of(model, number), each) for number in numbers]
            with Crew(_encoder, given, threads=each, kept=_KEPT) as crew:
                for _, message in crew.run(tasks):
                    yield message


def _encoder(
    encoding: Encoding, place: str, digest: str, device: torch.device, threads: int
) -> Callable[[Task], Iterator[Message]]:
    """What a worker encodes with."""
    model = cast("IndexModel", load_copy(place, digest, device))
    return Encoder(encoding, model, ThreadChoice([threads])).run
