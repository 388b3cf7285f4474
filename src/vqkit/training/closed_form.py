"""Models with a solution in closed form: passes over all training items instead of gradient steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from vqkit.data import Batches, Source, evaluation_batches
from vqkit.data.batches import fitting_batch
from vqkit.errors import ConfigError
from vqkit.spelling import option, spelled
from vqkit.training.config import TrainConfig
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.record.progress import Progress
from vqkit.training.trainable import Trainable

_ITEMS = 256
_USED = {"batch_size", "crop", "device", "flip", "gain", "seed", "split_seed", "threads", "validation"}


def refuse_steps(kind: Any, given: Iterable[str]) -> None:
    """Raise ``ConfigError`` where settings of gradient steps are given for a class that is solved in closed form.

    Args:
        kind: the class.
        given: names of ``TrainConfig``.
    """
    names = sorted(set(given) - _USED)
    if kind.closed_form and names:
        options = ", ".join(spelled(python=name, command=option(name)) for name in names)
        raise ConfigError(
            f"{options}: a {kind.__name__} is solved in closed form, without gradient steps, so that this would change "
            f"nothing; leave it out (it takes: {', '.join(sorted(_USED))})"
        )


def solve(model: Trainable, training: Source, config: TrainConfig, progress: Progress, stop: StopRequest) -> bool:
    """``model.fit`` on every training item (with crops or mirroring: as many random ones); False when stopped."""

    def stream() -> Iterable[Tensor]:
        done = 0
        for batch in _batches(training, config):
            yield batch
            done += len(batch)
            progress.update({}, min(done / len(training), 1.0), float("nan"))

    try:
        with stop.at_once():
            model.fit(stream)
    except StoppedError:
        return False
    return not stop.asked


def _batches(training: Source, config: TrainConfig) -> Iterable[Tensor]:
    if config.crop is None and not config.flip and not config.gain:
        for _, batch in evaluation_batches(training, fitting_batch(training, _ITEMS)):
            yield batch
        return
    with Batches(
        training, config.batch_size, crop=config.crop, flip=config.flip, gain=config.gain, seed=config.seed
    ) as batches:
        for step in range(-(-len(training) // config.batch_size)):
            yield batches.batch(step)
