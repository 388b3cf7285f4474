"""Choice of indices for items: the nearest of each, and the next best ones, in this process or in several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.crew import Crew
from vqkit.data import Source, evaluation_batches
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.copies import device_of, load_copy, saved_copy, threads_of_each
from vqkit.quantizers.candidates import nearest_choices, squared_distances
from vqkit.spelling import option

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
_WIDTH = 16
"""Prefixes that are kept in the search for candidates: most of them differ in their last digit."""
_TURNS = 4
"""Times that each process is given some at least."""


@dataclass(frozen=True)
class Choosing:
    """What is chosen.

    Attributes:
        levels: how many indices of an item are kept.
        batch_size: items at a time.
        with_distances: also how far the nearest codewords are.
        candidates: next best choices of an item.
    """

    levels: int
    batch_size: int
    with_distances: bool
    candidates: int


class Chooser(ABC):
    """Base of what chooses indices: this process, or several."""

    @abstractmethod
    def encode(self, progress: Progress | None) -> tuple[Ints, Floats]:
        """Return the indices of all items ``[N, levels]``, and how far their codewords are (0 where nobody asks)."""

    @abstractmethod
    def wishes(self, items: Ints) -> tuple[Ints, Floats]:
        """Return the candidates of items ``[n, candidates, codebooks]``, and how far they are ``[n, candidates]``."""


@contextmanager
def chooser(model: IndexModel, source: Source | None, choosing: Choosing, workers: int) -> Iterator[Chooser]:
    """What chooses indices for the items of a source (None: there are none), with so many processes.

    Raises:
        ConfigError: no such number of processes.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ConfigError(f"{option('workers', workers)}: give 1 or more")
    workers = 1 if source is None else min(workers, -(-len(source) // choosing.batch_size))  # a batch is of one
    if source is None or workers == 1:
        yield One(model, source, choosing)
        return
    each = threads_of_each(workers)
    with saved_copy(model) as (place, digest):
        given = [(place, digest, device_of(model, number), source, choosing) for number in range(workers)]
        with Crew(_choosing, given, threads=each, kept="make the ids again") as crew:
            yield Several(crew, len(source), choosing, workers)


@final
class One(Chooser):
    """Chooses in this process."""

    def __init__(self, model: IndexModel, source: Source | None, choosing: Choosing) -> None:
        self._model, self._source, self._choosing = model, source, choosing

    def encode(self, progress: Progress | None) -> tuple[Ints, Floats]:
        """See ``Chooser.encode``."""
        count = 0 if self._source is None else len(self._source)
        found, far = np.empty((count, self._choosing.levels), np.int64), np.zeros(count, np.float32)
        for first, indices, distances in self.encoded(0, count):
            found[first : first + len(indices)], far[first : first + len(indices)] = indices, distances
            if progress is not None:
                progress(first + len(indices), count)
        return found, far

    @torch.no_grad()
    def encoded(self, first: int, stop: int) -> Iterator[tuple[int, Ints, Floats]]:
        """Yield the number of the first item, the indices and the distances of batches that begin at ``first``."""
        if self._source is None:
            return
        with closing(cast("Any", evaluation_batches(self._source, self._choosing.batch_size, first=first))) as batches:
            for numbers, batch in batches:
                latents = self._latents(batch)
                indices = self._model.quantizer.encode(latents).reshape(len(numbers), -1)
                far = np.zeros(len(numbers), np.float32)
                if self._choosing.with_distances:
                    far = squared_distances(self._model.quantizer, latents, indices.unsqueeze(1))[:, 0].cpu().numpy()
                yield int(numbers[0]), indices[:, : self._choosing.levels].cpu().numpy(), far
                if numbers[-1] + 1 >= stop:
                    return

    @torch.no_grad()
    def wishes(self, items: Ints) -> tuple[Ints, Floats]:
        """See ``Chooser.wishes``."""
        assert self._source is not None
        latents = self._latents(torch.from_numpy(np.asarray(self._source.gather(items))))
        count = self._choosing.candidates
        indices, distances = nearest_choices(self._model.quantizer, latents, count, min(_WIDTH, count))
        return indices.cpu().numpy(), distances.cpu().numpy()

    def _latents(self, batch: Tensor) -> Tensor:
        latents = self._model.latents(batch.to(self._model.device))
        return latents.reshape(len(latents), -1)


@final
class Several(Chooser):
    """Chooses in several processes, in the batches of one."""

    def __init__(self, crew: Crew, count: int, choosing: Choosing, workers: int) -> None:
        self._crew, self._count, self._choosing, self._workers = crew, count, choosing, workers

    def encode(self, progress: Progress | None) -> tuple[Ints, Floats]:
        """See ``Chooser.encode``."""
        count, batch = self._count, self._choosing.batch_size
        found, far = np.empty((count, self._choosing.levels), np.int64), np.zeros(count, np.float32)
        step = max(1, -(-count // (_TURNS * self._workers * batch))) * batch
        done = 0
        for _, (first, indices, distances) in self._crew.run(
            [(at, min(at + step, count)) for at in range(0, count, step)]
        ):
            found[first : first + len(indices)], far[first : first + len(indices)] = indices, distances
            done += len(indices)
            if progress is not None:
                progress(done, count)
        return found, far

    def wishes(self, items: Ints) -> tuple[Ints, Floats]:
        """See ``Chooser.wishes``."""
        parts = np.array_split(items, min(self._workers, len(items)))
        told = dict(self._crew.run(parts))
        return tuple(np.concatenate([told[number][side] for number in range(len(parts))]) for side in (0, 1))  # type: ignore[return-value]


def _choosing(
    place: str, digest: str, device: torch.device, source: Source, choosing: Choosing
) -> Callable[[Any], Iterator[Any]]:
    """What a worker chooses with: of a pair the items from the first to before the second are encoded."""
    own = One(cast("IndexModel", load_copy(place, digest, device)), source, choosing)

    def do(task: Any) -> Iterator[Any]:
        if isinstance(task, tuple):
            yield from own.encoded(*task)
        else:
            yield own.wishes(task)

    return do
