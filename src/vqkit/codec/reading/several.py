"""Signals of a file restored in several processes, each with a copy of the models: the same as one process writes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from vqkit.codec.entropy.models import entropy_model
from vqkit.codec.lossless import PixelCoder
from vqkit.coding.archive.access import Access, open_access
from vqkit.crew import Crew
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.copies import device_of, load_copy, saved_copy, threads_of_each, useful_workers
from vqkit.pixels import PixelPrior
from vqkit.priors import load_prior
from vqkit.spelling import option

if TYPE_CHECKING:
    from vqkit.codec.decompressor import Decompressor

_TOGETHER = 1 << 21
"""Numbers of signals in a task."""

_KEPT = "decompress again"


@dataclass(frozen=True)
class _Plan:
    """What a worker makes its decompressor of."""

    file: str
    model: str
    digest: str
    device: torch.device
    prior: str | None
    pixels: str | None
    settings: dict[str, Any]
    temperature: float | None
    threads: int


@dataclass(frozen=True)
class _Task:
    """Groups of a file by their places, and where their signals are written."""

    places: tuple[int, ...]
    paths: tuple[Path, ...]


def restore_in_processes(
    decompressor: Decompressor,
    file: Path,
    path_of: Callable[[int], Path],
    workers: int,
    temperature: float | None = None,
) -> Generator[int, None, None]:
    """Write every signal of a verified file in so many processes; yields how many each task has written.

    A group is one process's: a file of one group is restored by one.

    Args:
        decompressor: what one process would read it with.
        file: a whole ``.vqk`` file.
        path_of: where a signal is written, by its number.
        workers: processes; as many as there are processors and tasks at most.
        temperature: see ``Model.drawing_at``.

    Raises:
        ConfigError: a pixel model of one's own, which no other process can have.
        BitstreamError: see ``Decompressor.read``.
        WorkerError: a process has ended by itself.
    """
    model, exact = decompressor.model, decompressor.pixel_model
    if exact is not None and not isinstance(exact, PixelCoder):
        raise ConfigError(f"a pixel model of one's own decodes in one process: give {option('workers', 1)}")
    with saved_copy(model) as (place, digest), tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        prior = pixels = None
        if decompressor.entropy.prior is not None:
            prior = str(Path(folder) / "prior")
            decompressor.entropy.prior.save_pretrained(prior)
        if exact is not None:
            pixels = str(Path(folder) / "pixels")
            exact.prior.save_pretrained(pixels)
        with file.open("rb") as opened:
            tasks = list(_tasks(open_access(opened), path_of))
        workers = max(1, min(useful_workers(model, workers), len(tasks)))
        threads = threads_of_each(workers)
        given = [
            (
                _Plan(
                    file=str(file),
                    model=place,
                    digest=digest,
                    device=device_of(model, number),
                    prior=prior,
                    pixels=pixels,
                    settings=decompressor.settings,
                    temperature=temperature,
                    threads=threads,
                ),
            )
            for number in range(workers)
        ]
        with Crew(_restorer, given, threads=threads, kept=_KEPT) as crew:
            for _, count in crew.run(tasks):
                yield count


def _tasks(access: Access, path_of: Callable[[int], Path]) -> Iterator[_Task]:
    """Cut a file into groups that follow each other, and that are not too many numbers."""
    places: list[int] = []
    paths: list[Path] = []
    numbers = 0
    for number in range(access.signals):
        place, own = access.place(number)
        if own == 0:
            values = access.group_header(place, verify=False).values(access.header)
            if places and numbers + values > _TOGETHER:
                yield _Task(tuple(places), tuple(paths))
                places, paths, numbers = [], [], 0
            places.append(place)
            numbers += values
        paths.append(path_of(number))
    if places:
        yield _Task(tuple(places), tuple(paths))


def _restorer(plan: _Plan) -> Callable[[_Task], Iterator[int]]:
    """What a worker restores with."""
    from vqkit.codec.decompressor import Decompressor

    model = cast("IndexModel", load_copy(plan.model, plan.digest, plan.device))
    prior = None if plan.prior is None else load_prior(plan.prior).to(plan.device)
    pixels = None if plan.pixels is None else PixelCoder(PixelPrior.from_pretrained(plan.pixels).to(plan.device))
    reader = Decompressor(model, entropy_model(prior, model.codebook_size), pixel_model=pixels, **plan.settings)
    access = open_access(Path(plan.file).open("rb"))  # noqa: SIM115  (open as long as the process lives)

    def do(task: _Task) -> Iterator[int]:
        groups = (group for place in task.places for group in access.groups(place))
        with model.drawing_at(plan.temperature):
            found = reader.group_pieces(access.header, groups)
            for number, pieces in groupby(found, key=attrgetter("number")):
                model.kind.write_pieces((each.values.numpy() for each in pieces), task.paths[number], durable=False)
        yield len(task.paths)

    return do
