"""A signal to compress, and what a model does not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.signals import Signal as Kind

Array = npt.NDArray[np.generic]


@final
@dataclass(frozen=True)
class Signal:
    """One signal to compress: ``[channels, *size]``, and the name that the file is to keep, if any."""

    values: Array
    name: str | None = None

    def check(self, channels: int, kind: Kind) -> None:
        """Raise unless a model of so many channels and this kind of signal reads it.

        Raises:
            DataError: another shape, integers whose range nobody knows, numbers that are none, or out of range.
        """
        axes = kind.axes
        values, name = self.values, self.name or "a signal"
        if values.ndim != 1 + axes or values.shape[0] != channels or 0 in values.shape:
            raise DataError(
                f"{name} has shape {list(values.shape)}; this model reads [{channels} channels, {axes} axes] and no "
                "empty axis"
            )
        if values.dtype != np.uint8 and values.dtype.kind != "f":
            raise DataError(
                f"{name} has numbers of {values.dtype}: give uint8 (0 to 255), or floats in the signal's own range; "
                "of other integers nobody knows the range"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{name} holds NaN or infinity, which no index stands for; replace them by finite values")
        if values.dtype.kind == "f":
            kind.check_range(float(values.min()), float(values.max()), name)
