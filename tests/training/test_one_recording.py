"""A single recording: its end is held out, and the rest is trained on."""

import numpy as np
import pytest

import vqkit
from vqkit.errors import DataError
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.holdout import validation_split

SOUND = np.sin(np.arange(16_000, dtype=np.float32) / 7)[None, None]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.9])
def test_its_end_is_held_out(fraction: float) -> None:
    source = vqkit.load_source(SOUND, kind="sound@16000")
    training, held_out = validation_split(source, TrainConfig(validation=fraction))
    assert len(training) == 1
    parts = [*map(training.read, range(len(training))), *map(held_out.read, range(len(held_out)))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), SOUND[0])
    assert abs(sum(held_out.item_sizes()) - 16_000 * fraction) <= 1


def test_what_cannot_be_cut_is_refused() -> None:
    for source in (
        vqkit.load_source(SOUND[..., :1], kind="sound@16000"),
        vqkit.load_source(np.zeros((1, 1, 8, 8), np.uint8)),
    ):
        with pytest.raises(DataError, match="a split needs at least 2"):
            validation_split(source, TrainConfig(validation=0.1))
