"""Models with a solution in closed form: passes over all training items instead of gradient steps."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from vqkit.codec.encoding import fitting_batch
from vqkit.data import Batches, Source, evaluation_batches
from vqkit.training.config import TrainConfig
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.progress import Progress
from vqkit.training.trainable import Trainable

_ITEMS = 256


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
    if config.crop is None and not config.flip:
        for _, batch in evaluation_batches(training, fitting_batch(training, _ITEMS)):
            yield batch
        return
    with Batches(training, config.batch_size, crop=config.crop, flip=config.flip, seed=config.seed) as batches:
        for step in range(-(-len(training) // config.batch_size)):
            yield batches.batch(step)
