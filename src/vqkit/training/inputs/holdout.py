"""Held-out items for validation."""

from __future__ import annotations

import numpy as np

from vqkit.data import Source, load_source, split
from vqkit.data.classes import all_names, foreign_names, shown
from vqkit.data.naming import GIVEN_PREFIX
from vqkit.data.views.boxes import halves
from vqkit.data.views.segments import Segments, in_segments
from vqkit.errors import ConfigError, DataError
from vqkit.spelling import option, spelled
from vqkit.tokens import index_source, load_tokens
from vqkit.tokens.manifest import find_manifest
from vqkit.training.config import TrainConfig

_HELD_OUT = {2: 256, 3: 64}
"""Sides of the parts that the held-out end of a single field is judged in."""


def validation_split(source: Source, config: TrainConfig) -> tuple[Source, Source]:
    """Training and validation items as ``TrainConfig.validation`` says; long ones in segments.

    Items are held out whole. Of a single long one, segments are; of a single short one of one axis (sound), and of a
    single field, its end is.

    Raises:
        ConfigError: a fraction or a number out of range.
        DataError: a validation source that cannot be read, or of another kind than the data.
    """
    other = held_out_data(config.validation)
    if other is not None:
        return in_segments(source), in_segments(fitting(other, source))
    source = in_segments(source) if len(source) == 1 else source
    text = str(config.validation)
    training, held_out = _ends(source, text) or _apart(source, text) or _parts(source, config)
    return in_segments(training), in_segments(held_out)


def _ends(source: Source, validation: str) -> tuple[Source, Source] | None:
    """The beginning and the end of a single item of one axis; None: there are more, or no end can be held out."""
    if len(source) != 1 or source.axes != 1 or source.dtype == np.int32 or validation.startswith("last:"):
        return None
    fraction, length = float(validation), source.item_size(0)[0]
    if not 0 < fraction < 1 or length < 2:
        return None
    ends = Segments(source, min(max(1, round(length * (1 - fraction))), length - 1))
    return ends.subset([0]), ends.subset(range(1, len(ends)))


def _apart(source: Source, validation: str) -> tuple[Source, Source] | None:
    """Most of a single field, which crops are trained on, and its end along the longest axis; None: it is no such."""
    if not is_cut(source) or validation.startswith("last:"):
        return None
    fraction = float(validation)
    if not 0 < fraction < 1:
        return None
    return halves(source, fraction, _HELD_OUT[source.axes])


def is_cut(source: Source) -> bool:
    """Return whether a source is one field of two axes or three, which is cut to train on a part of it."""
    wide = source.axes > 1 and max(source.item_size(0)) > 1
    return len(source) == 1 and source.dtype != np.int32 and source.kind.gaps and wide


def cut_note(source: Source, config: TrainConfig) -> str | None:
    """Return which part of a single field is held out, in words; None: another source, or none of it is."""
    other = is_other_data(config.validation)
    apart = None if other or not is_cut(source) else _apart(source, str(config.validation))
    if apart is None:
        return None
    whole, size = source.item_size(0), apart[0].item_size(0)
    axis = next(number for number, (a, b) in enumerate(zip(whole, size, strict=True)) if a != b)
    return (
        f"one field {'x'.join(map(str, whole))}: crops of its first {size[axis]:,} positions along axis {axis + 1} are "
        f"trained on, and the last {whole[axis] - size[axis]:,} held out"
    )


def _parts(source: Source, config: TrainConfig) -> tuple[Source, Source]:
    text = str(config.validation)
    if text.startswith("last:") and is_cut(source):
        raise ConfigError(
            f"validation={text!r}: the data is one field, of which a part is held out; give a fraction, such as 0.1"
        )
    if text.startswith("last:"):
        number = text.removeprefix("last:")
        if not number.isdigit() or not 0 < int(number) < len(source):
            raise ConfigError(
                f"validation={text!r}: give last:N with N from 1 to {len(source) - 1} (the data has {len(source)})"
            )
        first = len(source) - int(number)
        return source.subset(range(first)), source.subset(range(first, len(source)))
    fraction = float(text)
    if not 0 < fraction < 1:
        raise ConfigError(f"validation={text!r}: give a fraction between 0 and 1, last:N, or a data source")
    if source.overlaps:
        return _last(source, fraction)
    return split(source, fraction, config.seed if config.split_seed is None else config.split_seed)


def _last(source: Source, fraction: float) -> tuple[Source, Source]:
    """The first windows and the last ones, without those between that share values with both.

    Raises:
        DataError: too few windows.
    """
    count = len(source)
    first = count - min(max(1, round(count * fraction)), count - 1)
    if first <= source.overlaps:
        raise DataError(
            f"{source.name} has {count:,} windows, of which {1 + source.overlaps:,} overlap: too few to hold some out; "
            f"give a smaller window, a larger hop, or held-out data ({option('validation', ...)})"
        )
    return source.subset(range(first - source.overlaps)), source.subset(range(first, count))


def held_out_data(validation: str | float | Source) -> Source | None:
    """The data that ``TrainConfig.validation`` names, or is; None for a part of the training data.

    Raises:
        DataError: it cannot be read, or it was given in Python when a run began, and has no name.
    """
    if isinstance(validation, Source):
        return validation
    if not is_other_data(validation):
        return None
    text = str(validation)
    if text.startswith(GIVEN_PREFIX):
        given = spelled(python="vqkit.resume(RUN, validation=...)", command="--validation DATA")
        raise DataError(
            f"the held-out data of this run was given in Python ({text.removeprefix(GIVEN_PREFIX)}), so that it has no "
            f"name to be read by; give it again ({given}); to judge a model on it, name it as the data"
        )
    return index_source(load_tokens(text)) if find_manifest(text) is not None else load_source(text)


def fitting(other: Source, source: Source) -> Source:
    """Held-out data that fits the training data: images in its channels, classes numbered as there, by their names.

    Raises:
        DataError: data of another kind.
    """
    same = source.form[1:] == other.form[1:]
    if same and source.dtype != np.int32 and source.kind.converts_channels(other.channels, source.channels):
        other = other.with_channels(source.channels)
    if other.form != source.form:
        raise DataError(f"validation data {other.describe()} does not match {source.describe()}")
    if source.labels is None or other.labels is None:
        return other
    if source.class_names is None and other.class_names is None:
        return other
    found = other.with_classes(all_names(source.labels, source.class_names))
    lacks = unknown_classes(found, source)
    if lacks:
        found.notes = [*found.notes, lacks]
    return found


def unknown_classes(held_out: Source, source: Source) -> str | None:
    """Return a note on classes of the held-out data that the training data lacks; None: it lacks none."""
    if source.labels is None or held_out.labels is None:
        return None
    known = all_names(source.labels, source.class_names)
    foreign = foreign_names(held_out.labels, all_names(held_out.labels, held_out.class_names), known)
    if not foreign:
        return None
    return f"classes of the held-out data that the training data has not: {shown(foreign)}; it has {shown(known)}"


def is_other_data(validation: str | float | Source) -> bool:
    """Return True if ``TrainConfig.validation`` is or names another data set, not a part of the training data."""
    if isinstance(validation, Source):
        return True
    text = str(validation)
    if text.startswith("last:"):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
