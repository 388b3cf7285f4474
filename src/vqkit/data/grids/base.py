"""Formats of grids: what a file of science says of its axes, items and names, and how values go back into one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.registry import Registry


@dataclass(frozen=True)
class Selection:
    """What a name of data asks of a file: ``wind.nc:u,v@latitude,longitude``, ``ecg.csv:lead@window=512,hop=256``.

    Attributes:
        names: variables, columns or a series, in the order of the channels; empty: what the format takes by itself.
        words: after the ``@``: axes, or a way to read.
        settings: after the ``@`` with a value.

    Example:
        >>> from vqkit.data.grids.base import Selection
        >>> Selection.of("u,v", "latitude,longitude")
        Selection(names=('u', 'v'), words=('latitude', 'longitude'), settings={})
    """

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, names: str, more: str) -> Selection:
        """Return what two lists say, each with commas between its parts."""
        parts = [part.strip() for part in more.split(",") if part.strip()]
        pairs = [part.partition("=") for part in parts]
        return cls(
            tuple(part.strip() for part in names.split(",") if part.strip()),
            tuple(name for name, equals, _ in pairs if not equals),
            {name.strip(): value.strip() for name, equals, value in pairs if equals},
        )


class GridFormat(ABC):
    """One opened file (or folder) of a format.

    Attributes:
        extensions: of its files, with the dot; of several dots too.
        asks_for_field: whether files of these extensions are grids only where somebody says so.
        axes: of the grid of one item, 1 to 3.
        item_names: of the items, of their times and coordinates; None where there is nothing to say.
        channel_names: of the channels.
        units: theirs, "" where nobody says; of as many channels, or ().
        overlaps: how many items after one share values with it.
        exact: whether ``write`` leaves out a packing that would move values, which are promised as they are.
        notes: what a person should know.
        dtype: of the values where that is not the blocks' own; None: theirs.

    Args:
        path: of the file or folder.
        chosen: what the name of the data asks of it.

    Raises:
        DataError: damaged, or without what is asked for.
        MissingExtraError: without the package that reads it.
    """

    extensions: ClassVar[tuple[str, ...]] = ()
    asks_for_field: ClassVar[bool] = False
    axes: int
    item_names: Sequence[str | None] | None = None
    channel_names: Sequence[str] = ()
    units: Sequence[str] = ()
    overlaps: int = 0
    exact: bool = False

    def __init__(self, path: Path, chosen: Selection) -> None:
        self.path = path
        self.chosen = chosen
        self.notes: list[str] = []

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Return whether a path is a file (or folder) of the format, by its name."""
        return path.name.lower().endswith(cls.extensions)

    @classmethod
    def writes(cls) -> bool:
        """Return whether files like one of the format can be written."""
        return cls.write is not GridFormat.write

    @abstractmethod
    def blocks(self) -> Iterator[Array]:
        """Yield the items ``[n, C, *grid]`` in order, a few at a time; NaN for gaps."""

    def channel_labels(self) -> list[str]:
        """Return what each channel is, with its units where the file says them; [] where it says nothing."""
        names = self.channel_names or [f"channel {number}" for number in range(len(self.units))]
        units = self.units or [""] * len(names)
        return [f"{name} [{unit.strip()}]" if unit.strip() else name for name, unit in zip(names, units, strict=True)]

    def check_out(self, out: Path) -> None:
        """Raise ``DataError`` where a file like this one cannot be written, or is not called so."""
        if not self.writes():
            raise DataError(f"{out}: files like {self.path} are only read; decode into a folder of .npy instead")
        if not self.reads(out):
            known = ", ".join(self.extensions)
            raise DataError(f"{out}: a file like {self.path} is called so too; give a name that ends in {known}")

    def write(self, values: Array, out: Path) -> None:
        """Write items ``[N, C, *grid]``, NaN for gaps, as a file like the one that was opened.

        Raises:
            DataError: files of the format are only read.
        """
        del values
        raise DataError(f"{out}: files like {self.path} are only read; decode into a folder of .npy instead")

    def refuse_words(self, *known: str) -> None:
        """Raise ``DataError`` for words or settings after the ``@`` that the format does not know."""
        odd = [each for each in (*self.chosen.words, *self.chosen.settings) if each not in known]
        if odd:
            raise DataError(f"{self.path}: @{odd[0]} says nothing here; known: {', '.join(known) or 'nothing'}")

    def check_values(self, values: Array, shape: Sequence[int]) -> None:
        """Raise ``DataError`` where values to write are of another shape than the file that they are to be like."""
        if tuple(values.shape) != tuple(shape):
            raise DataError(
                f"{self.path} holds items of the shape {list(shape)}, and the decoded are {list(values.shape)}: name "
                "the data that was encoded, with its variables and axes"
            )


GRID_FORMATS: Registry[type[GridFormat]] = Registry("format of grids", "vqkit.grid_formats", GridFormat)
"""Formats of files with axes and coordinates, by name."""


def moves(values: Array, stored: Array) -> bool:
    """Return whether stored values are others, by more than the rounding of float32."""
    there = ~np.isnan(values)
    if (np.isnan(stored) == there).any():
        return True
    far = np.abs(values[there].astype(np.float64) - stored[there].astype(np.float64))
    return bool((far > 1e-6 * np.abs(values[there].astype(np.float64))).any())
