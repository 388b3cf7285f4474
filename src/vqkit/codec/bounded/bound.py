"""``MaxError``: how far decoded values may be from those that were given; and blocks of values that keep to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.checking import shown
from vqkit.codec.bounded.blocks import decode_values, encode_values
from vqkit.codec.bounded.lattice import outside
from vqkit.coding import Block, integers_crc
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.spelling import option

if TYPE_CHECKING:
    from vqkit.codec.signals import LongBatch


@final
@dataclass(frozen=True)
class MaxError:
    """The largest error of each channel, absolute or as a part of the channel's range in the signals coded together.

    Attributes:
        sizes: one for all channels, or one for each; each 0 or more.
        relative: of each, whether it is a part of the range (from the least value to the largest).

    Example:
        >>> from vqkit.codec.bounded.bound import MaxError
        >>> MaxError.read("0.5,1%")
        MaxError(sizes=(0.5, 0.01), relative=(False, True))
    """

    sizes: tuple[float, ...]
    relative: tuple[bool, ...]

    @classmethod
    def read(cls, text: str) -> MaxError:
        """From ``"0.1"``, ``"0.1%"``, or one for each channel with commas between.

        Raises:
            ConfigError: no such numbers.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            sizes = [float(part.removesuffix("%")) for part in parts]
        except ValueError:
            sizes = [-1.0]
        relative = tuple(part.endswith("%") for part in parts)
        found = tuple(size / 100 if part else size for size, part in zip(sizes, relative, strict=False))
        if not all(0 <= size < math.inf for size in found):
            raise ConfigError(
                f"{option('max_error')} {shown(text)}: give a number (0.1, in the units of the data), a part of each "
                "channel's range (0.1%), or one for each channel with commas between; none below 0"
            )
        return cls(found, relative)

    @classmethod
    def of(cls, given: MaxError | float | str | Sequence[float | str], model: IndexModel) -> MaxError:
        """What was given, for a model.

        Raises:
            ConfigError: no such numbers, not one for each channel, or a model of no fields.
        """
        if isinstance(given, MaxError):
            found = given
        elif isinstance(given, str):
            found = cls.read(given)
        else:
            found = cls.read(",".join(map(str, given)) if isinstance(given, Sequence) else str(given))
        if model.kind.number_type is None:
            raise ConfigError(
                f"{option('max_error')}: for fields, and this model reads {model.kind.noun[1]}; of images "
                "lossless files are exact"
            )
        if len(found.sizes) not in (1, model.channels):
            raise ConfigError(
                f"{option('max_error')}: {len(found.sizes)} bounds for {model.channels} channels; give one, or each"
            )
        return found

    def settled(self, batch: Tensor | LongBatch, model: IndexModel) -> tuple[tuple[float, ...], str]:
        """The absolute bounds of each channel for signals ``[n, channels, *grid]``, and the type they are written in.

        Raises:
            DataError: signals too long to be in memory.
        """
        if not isinstance(batch, Tensor):
            raise DataError("values within a bound: a series that is read a part at a time is too long; cut it up")
        kind = model.kind.number_type
        assert kind is not None
        sizes = self.sizes * model.channels if len(self.sizes) == 1 else self.sizes
        relative = self.relative * model.channels if len(self.relative) == 1 else self.relative
        found = []
        for channel, (size, part) in enumerate(zip(sizes, relative, strict=True)):
            values = batch[:, channel].double()
            there = values[~values.isnan()]
            if part and there.numel():
                size = min(size * (float(there.max()) / 2 - float(there.min()) / 2), float(np.finfo(float).max) / 4) * 2
            found.append(size)
        return tuple(found), kind


def coded_values(values: Tensor, bounds: Sequence[float], number_type: str) -> tuple[bytes, int]:
    """The bytes of a block of values ``[n, channels, *grid]``, each checked against its bound, and their checksum.

    Raises:
        DataError: a value that its type cannot hold to within the bound.
    """
    kind = np.dtype(number_type)
    given = values.detach().cpu().numpy().astype(np.float64)
    data, decoded = encode_values(given, bounds, kind)
    for channel, bound in enumerate(bounds):
        beyond = outside(_written(decoded[:, channel], kind), given[:, channel], bound)
        if beyond.any():
            value = float(given[:, channel][beyond][0])
            raise DataError(
                f"{value!r} of channel {channel} is no number of {number_type} to within {bound:g}, and the model's "
                f"fields are written in {number_type}; train one with kind=field@... of the data's type, or raise "
                f"{option('max_error')}"
            )
    return data, integers_crc(_as_integers(decoded))


def decoded_values(block: Block, gaps: npt.NDArray[np.bool_], number_type: str) -> Tensor:
    """Float64 values of a block, NaN where ``gaps`` are.

    Raises:
        BitstreamError: it is damaged.
    """
    found = decode_values(block.data, gaps, np.dtype(number_type))
    block.check(_as_integers(found))
    return torch.from_numpy(found)


def _written(values: npt.NDArray[np.float64], kind: np.dtype[Any]) -> npt.NDArray[np.float64]:
    gaps = np.isnan(values)
    with np.errstate(over="ignore"):
        return np.where(gaps, np.nan, np.where(gaps, 0, values).astype(kind).astype(np.float64))


def _as_integers(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The bits of float64 values, as the checksum of a block reads them: NaN and 0 have one form each."""
    plain = np.where(np.isnan(values), np.nan, values + 0.0)
    return np.ascontiguousarray(plain, ">f8").view(">i4").astype(np.int32)
