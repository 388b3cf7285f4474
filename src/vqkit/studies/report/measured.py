"""Cells of numbers that were measured with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vqkit.studies.report.page import Cell, Measured
from vqkit.studies.spread import deviation


def measured(entry: Mapping[str, Any], key: str, cell: Callable[[Any], Cell] = lambda value: value) -> Cell:
    """A number of an entry as a cell, with its deviation over seeds where there were several.

    Args:
        entry: of ``over_seeds``.
        key: of the number.
        cell: makes a cell of what is there.

    Example:
        >>> from vqkit.studies.report.measured import measured
        >>> found = measured({"mse": 2.0, "spread": {"mse": {"deviation": 0.5, "values": [1.5, 2.5]}}}, "mse")
        >>> found, found.deviation
        (2.0, 0.5)
    """
    value, error = cell(entry.get(key)), deviation(entry, key)
    return Measured(value, error) if error is not None and isinstance(value, int | float) else value
