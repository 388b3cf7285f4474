"""Evaluation by several processes: each measures some of the batches, and the driver folds them in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import torch

from vqkit.crew import Crew
from vqkit.data import Source
from vqkit.data.batches import batches_or_long
from vqkit.data.long_items import LongItem
from vqkit.errors import ConfigError
from vqkit.evaluation.long_sounds import judged_segments
from vqkit.evaluation.parts import BatchMeasures, BatchPart, latents_count
from vqkit.models import Model
from vqkit.models.copies import device_of, load_copy, saved_copy, threads_of_each
from vqkit.priors.labels import picked
from vqkit.spelling import option
from vqkit.threads import ThreadChoice

Task = tuple[int, int]
"""Items from the first to before the second: the batches that begin among them."""
_TASK_BATCHES = 8
_TURNS = 4
_KEPT = "evaluate again"


def check_workers(workers: int, source: Source | None) -> None:
    """Raise ``ConfigError`` unless so many processes can judge this.

    Args:
        workers: how many are asked for.
        source: what is judged; None: batches that were handed over.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ConfigError(f"{option('workers', workers)}: give 1 or more")
    if workers == 1:
        return
    if source is None:
        raise ConfigError(f"{option('workers', workers)}: batches are judged where they are made; give data instead")


def parts_of_workers(
    model: Model, source: Source, batch_size: int, bits: bool, codebooks: int | None, workers: int
) -> Iterator[BatchPart]:
    """Yield the measures of all batches of a source in order, taken by so many processes.

    Raises:
        WorkerError: a process has ended by itself.
        Exception: of a worker.
    """
    items = max(batch_size, min(_TASK_BATCHES * batch_size, -(-len(source) // (_TURNS * workers))))
    tasks = [(first, min(first + items, len(source))) for first in range(0, len(source), items)]
    each = threads_of_each(workers)
    with saved_copy(model) as (place, digest):
        numbers = range(min(workers, len(tasks)))
        given = [
            (place, digest, device_of(model, number), source, batch_size, bits, codebooks, each) for number in numbers
        ]
        with Crew(_judge, given, threads=each, kept=_KEPT) as crew:
            early: dict[int, list[BatchPart]] = {}
            done: set[int] = set()
            turn = 0
            for number, part in crew.run(tasks):
                if part is not None:
                    early.setdefault(number, []).append(part.as_tensors())
                else:
                    done.add(number)
                while turn in done:
                    yield from early.pop(turn, [])
                    turn += 1


def _judge(
    place: str,
    digest: str,
    device: torch.device,
    source: Source,
    batch_size: int,
    bits: bool,
    codebooks: int | None,
    threads: int,
) -> Callable[[Task], Iterator[BatchPart | None]]:
    """What a worker measures with; the end of a task is None."""
    model = load_copy(place, digest, device)
    measures, choice = BatchMeasures(model, bits, codebooks), ThreadChoice([threads])
    labels: Any = model.known_conditions_of(source)

    def sent(part: BatchPart, before: int) -> BatchPart:
        """With the latents only where the driver may count them: of items of one size these are the first."""
        if part.kept and source.size is not None and not latents_count(before, part.kept[0][0].numel()):
            part = replace(part, kept=())
        return part.as_arrays()

    @torch.no_grad()
    def do(task: Task) -> Iterator[BatchPart | None]:
        first, stop = task
        found = batches_or_long(source, batch_size, first=first)
        with closing(cast("Any", found)) as batches:
            for numbers, signals in batches:
                if numbers[0] >= stop:
                    break
                if numbers[0] < first:
                    continue  # it began in the task before
                condition = picked(labels, numbers, model.device)
                given = condition[0] if condition else None
                with choice.step():
                    if isinstance(signals, LongItem):
                        for piece, (x, made) in enumerate(judged_segments(model, signals, given, codebooks=codebooks)):
                            yield sent(measures.of(x, given, made, place=(int(numbers[0]), piece)), int(numbers[0]))
                    else:
                        yield sent(measures.of(signals, given, place=(int(numbers[0]),)), int(numbers[0]))
                if numbers[-1] + 1 >= stop:
                    break
        yield None

    return do
