"""What is fitted after the last step: on how many items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vqkit import VQVAE
from vqkit.data import ArraySource
from vqkit.training import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.evaluators.watch import Watch
from vqkit.training.recalibration import Ending

pytestmark = pytest.mark.usefixtures("whole_endings")


class Counting:
    """A model that notes how many items it is finished with."""

    device = torch.device("cpu")
    items = 0

    def conditions_of(self, source: Any) -> None:
        """None."""

    def with_condition(self, batch: torch.Tensor) -> torch.Tensor:
        """As it is."""
        return batch

    def finish(self, batches: list[torch.Tensor]) -> None:
        """Count."""
        self.items = sum(len(batch) for batch in batches)


@pytest.mark.parametrize(("length", "wanted"), [(1 << 15, 256), (1 << 13, 320), (64, 320)])
def test_few_items_are_enough_where_each_holds_many_values(length: int, wanted: int) -> None:
    """4 million values at most, 256 items at least; of short items all that there are, 16 times."""
    sounds = ArraySource(np.zeros((20, 1, length + 1), np.float32), kind="sound")
    config, model = TrainConfig(steps=1, batch_size=8, crop=length), Counting()
    Ending(sounds, config, Processes(0, 1, torch.device("cpu")), Watch(None)).fit_last(model)  # type: ignore[arg-type]
    assert model.items == wanted


def fitted_scale(place: tuple[int, int], labels: np.ndarray) -> torch.Tensor:
    """The scale of the likelihood of a model with classes, as the process at this place fits it."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    torch.manual_seed(0)
    model = VQVAE(
        4,
        channels=1,
        hidden_channels=8,
        residual_channels=4,
        code_dim=4,
        downsampling=2,
        classes=3,
        likelihood="gaussian",
    ).eval()
    model.prepare([torch.from_numpy(pixels)])
    config = TrainConfig(steps=1, batch_size=8)
    processes = Processes(*place, torch.device("cpu"))
    Ending(ArraySource(pixels, labels=labels), config, processes, Watch(None)).fit_last(model)
    scale: Any = model.likelihood.log_scale
    return scale.detach().clone()


def test_every_process_fits_whole_batches_under_their_own_classes() -> None:
    """Not this process's share of the classes beside the whole batch of signals."""
    labels = np.arange(40) % 3
    one = fitted_scale((0, 1), labels)
    assert not torch.equal(one, fitted_scale((0, 1), labels[::-1].copy()))  # the classes count
    assert torch.equal(one, fitted_scale((0, 2), labels))
    assert torch.equal(one, fitted_scale((1, 2), labels))
