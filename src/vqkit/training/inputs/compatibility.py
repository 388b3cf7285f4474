"""Compatibility of a trainable and the size of the items that it is to be trained on."""

from __future__ import annotations

from vqkit.errors import ConfigError
from vqkit.training.trainable import Trainable


def check_size(model: Trainable, size: tuple[int, ...] | None) -> None:
    """Check the size of the training items (None: of several) against that of a model of one size.

    Args:
        model: to be trained.
        size: of the items, or of the crops.

    Raises:
        ConfigError: the model reads another size only.
    """
    only = model.only_size
    if only is not None and only != size:
        shown = "several sizes" if size is None else f"size {list(size)}"
        raise ConfigError(
            f"the model reads signals of size {list(only)} only, and training shows it {shown}; make it for the size "
            "of the data (or of the crops: crop=)"
        )
