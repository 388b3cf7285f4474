"""What is fitted after the last step: on how many items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vqkit.data import ArraySource
from vqkit.training import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.evaluators.watch import Watch
from vqkit.training.recalibration import Ending


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
