"""Which items are held out for validation."""

from __future__ import annotations

from vqkit.data import CentreCrops, Source, load_source, split
from vqkit.errors import ConfigError, DataError
from vqkit.training.config import TrainConfig
from vqkit.training.trainable import Trainable


def validation_split(source: Source, config: TrainConfig) -> tuple[Source, Source]:
    """Training and validation items as ``TrainConfig.validation`` says.

    Raises:
        ConfigError: a fraction or a number out of range.
        DataError: a validation source that cannot be read, or of another kind than the data.
    """
    text = str(config.validation)
    if text.startswith("last:"):
        number = text.removeprefix("last:")
        if not number.isdigit() or not 0 < int(number) < len(source):
            raise ConfigError(
                f"validation={text!r}: give last:N with N from 1 to {len(source) - 1} (the data has {len(source)})"
            )
        first = len(source) - int(number)
        return source.subset(range(first)), source.subset(range(first, len(source)))
    try:
        fraction = float(text)
    except ValueError:
        other = load_source(text)
        if (other.channels, other.axes) != (source.channels, source.axes):
            raise DataError(f"validation data {other.describe()} does not match {source.describe()}") from None
        return source, other
    if not 0 < fraction < 1:
        raise ConfigError(f"validation={text!r}: give a fraction between 0 and 1, last:N, or a data source")
    return split(source, fraction, config.seed)


def readable(model: Trainable, source: Source) -> Source:
    """The items as a model of one size can judge them: of images of other sizes the middle; else as they are."""
    size = getattr(model, "only_size", None)
    if size is None or source.axes != 2 or source.size == size or size[0] != size[1]:
        return source
    return CentreCrops(source, size[0])
