"""Built-in examples: photographs and sentences that come with vqkit, and held-out items of a run's own data."""

from __future__ import annotations

import numpy as np

from vqkit.data import load_source
from vqkit.data.builtin import PHOTOS, SAMPLES, SENTENCES
from vqkit.data.images.reading import decode_image
from vqkit.errors import DataError
from vqkit.lab.acts.uploads import Upload, of_array
from vqkit.lab.workshop import OpenModel
from vqkit.models.matching import in_channels

_PICTURES = {"cat": "chelsea", "cup of coffee": "coffee", "astronaut": "astronaut", "rocket": "rocket"}
_HELD_OUT, _HELD_OUT_ROWS = "held-out item", "held-out vectors"
_FEW = 3
_ROWS = 256


def example_names(opened: OpenModel) -> list[str]:
    """Return the names of the examples for a model."""
    own = [f"{_HELD_OUT} {number + 1}" for number in range(_own(opened))]
    if opened.kind == "image":
        return [*_PICTURES, *own]
    if opened.kind == "sound":
        return [*(_sentences() if opened.model.kind.rate else ()), *own]
    return [*([_HELD_OUT_ROWS] if own else ()), "Gaussian vectors"]


def read_example(opened: OpenModel, name: str, side: int | None = None) -> Upload:
    """Return an example as the model reads it.

    Args:
        opened: the model.
        name: of ``example_names``.
        side: see ``read_upload``.

    Raises:
        DataError: no such example.
    """
    if name not in example_names(opened):
        raise DataError(f"no example {name!r} for {opened.name}; there are {', '.join(example_names(opened))}")
    data = opened.data
    if name.startswith(_HELD_OUT) and data is not None:
        return of_array(opened, np.asarray(data.read(int(name.rpartition(" ")[2]) - 1)), name, side)
    if opened.kind == "image":
        pixels = decode_image(SAMPLES / PHOTOS[_PICTURES[name]])[0]
        return of_array(opened, pixels, name, side)
    if opened.kind == "sound":
        return _sentence(opened, name)
    if name == _HELD_OUT_ROWS and data is not None:
        rows = np.asarray(data.gather(range(min(len(data), _ROWS))), dtype=np.float32)
    else:
        rows = np.random.default_rng(0).normal(size=(_ROWS, opened.model.channels)).astype(np.float32)
    return Upload(name, rows, rows.nbytes)


def is_held_out(name: str) -> bool:
    """Return whether an example is of a run's own data, and so another signal in another run."""
    return name.startswith(_HELD_OUT) or name == _HELD_OUT_ROWS


def _own(opened: OpenModel) -> int:
    """How many held-out items are offered."""
    return 0 if opened.data is None else min(_FEW, len(opened.data))


def _sentences() -> list[str]:
    return [text.rstrip(".") for text in SENTENCES.values()]


def _sentence(opened: OpenModel, name: str) -> Upload:
    number = _sentences().index(name)
    source = load_source("builtin:speech", kind=opened.model.kind.name)
    return of_array(opened, np.asarray(in_channels(opened.model, source).read(number)), name)
