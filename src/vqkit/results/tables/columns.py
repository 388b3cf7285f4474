"""Columns of a table of results: which there are, their heads, and the digits of their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from vqkit.errors import ConfigError
from vqkit.evaluation import MEASURES, KnownMeasure
from vqkit.results.seeds import Group, Spread

Cell = str | Spread | None
"""Text, a number, or nothing."""
TEXTS: dict[str, tuple[str, Callable[[Group], Cell]]] = {
    "name": ("Name", lambda group: group.first.name),
    "model": ("Model", lambda group: group.first.model),
    "quantizer": ("Quantizer", lambda group: group.first.quantizer or None),
    "codebook": ("Codes", lambda group: group.first.codebook or None),
    "data": ("Data", lambda group: group.first.data or None),
    "items": ("Items", lambda group: None if group.first.items is None else f"{group.first.items:,}"),
    "seeds": ("Seeds", lambda group: str(len(group.results))),
}
_SHOWN = (
    "nominal_bits",
    "entropy_bits",
    "prior_bits",
    "bits_per_position",
    "entropy_bits_per_position",
    "bytes_per_vector",
    "bits_per_pixel",
    "kbps",
    "bits_per_item",
    "uniform_bits_per_item",
    "lossless_bits_per_dim",
    "psnr_db",
    "ssim",
    "ms_ssim_db",
    "si_sdr_db",
    "mel_distance",
    "stoi",
    "pesq",
    "visqol",
    "cosine",
    "recall_1",
    "recall_10",
    "recall_100",
    "usage",
    "perplexity",
    "frechet_samples",
    "linear_probe_accuracy",
    "bits_per_dim",
)
"""Measures of a table that is not told which; a reader of several hundred numbers looks at none."""
_INSTEAD = {"nmse": ("psnr_db",), "loss": tuple(MEASURES)}
"""Measures that are shown where those beside them are not there."""
_APART = ("setting", "labels", "representation", "probe", "parts")
"""What tells rows of one report apart."""
_MOST_DIGITS = 8


@dataclass(frozen=True)
class TableColumn:
    """A column.

    Attributes:
        name: by which it is asked for, and the head in CSV.
        title: the head elsewhere.
        unit: of its numbers.
        better: ``"high"``, ``"low"``, or None.
        percent: whether fractions are shown in per cent.
        digits: after the decimal point; None of text.

    Example:
        >>> from vqkit.results import TableColumn
        >>> TableColumn("psnr_db", "PSNR", "dB", "high", digits=2).title
        'PSNR'
    """

    name: str
    title: str
    unit: str = ""
    better: str | None = None
    percent: bool = False
    digits: int | None = None


def choose(groups: Sequence[Group], names: Sequence[str] | None) -> tuple[list[TableColumn], list[list[Cell]]]:
    """Return the columns of a table, and its rows.

    Args:
        groups: of results.
        names: of the columns: ``name``, ``model``, ``quantizer``, ``codebook``, ``data``, ``items``, ``seeds``, a
            measure, or a setting; None: those that say what each row is, and the measures that papers print.

    Raises:
        ConfigError: a name that none of the results has.
    """
    chosen = _standard(groups) if names is None else [_known(name, groups) for name in names]
    cells = [[_cell(name, group) for group in groups] for name in chosen]
    columns = [_column(name, of) for name, of in zip(chosen, cells, strict=True)]
    return columns, [list(row) for row in zip(*cells, strict=True)]


def available(groups: Sequence[Group]) -> list[str]:
    """Names of all columns that a table of these results can have."""
    measures = dict.fromkeys(name for group in groups for name in group.measures)
    settings = dict.fromkeys(name for group in groups for name in group.first.settings)
    return list(dict.fromkeys([*TEXTS, *measures, *settings]))


def _known(name: str, groups: Sequence[Group]) -> str:
    names = available(groups)
    if name in names:
        return name
    near = get_close_matches(name, names, 1)
    suggestion = f" (did you mean {near[0]!r}?)" if near else ""
    told = [each for each in names if each in TEXTS or any(each in group.measures for group in groups)]
    raise ConfigError(
        f"column {name!r}: these results have none{suggestion}; they have {', '.join(told)}, and settings"
    )


def _standard(groups: Sequence[Group]) -> list[str]:
    told = [name for name in ("model", "quantizer", "codebook", "data") if any(_cell(name, group) for group in groups)]
    told += telling(groups, told)
    measures = {name for group in groups for name in group.measures}
    shown = [name for name in _SHOWN if name in measures]
    shown += [name for name, others in _INSTEAD.items() if name in measures and not measures & set(others) - {name}]
    if not shown:  # of a trainable that is judged by its own measures
        shown = list(dict.fromkeys(name for group in groups for name in group.measures))
    several = any(len(group.results) > 1 for group in groups)
    return [*told, *shown, *(["seeds"] if several else [])]


def telling(groups: Sequence[Group], told: Sequence[str]) -> list[str]:
    """The settings that tell rows apart which would look the same; where none does, the name."""
    found = [name for name in _APART if len({_cell(name, group) for group in groups}) > 1]
    rows = [tuple(_cell(name, group) for name in [*told, *found]) for group in groups]
    same = [group for group, row in zip(groups, rows, strict=True) if rows.count(row) > 1]
    if not same:
        return found
    keys = dict.fromkeys(name for group in same for name in group.first.settings)
    differ = [name for name in keys if name != "seed" and len({_cell(name, group) for group in same}) > 1]
    return [*found, *(differ[:3] or ["name"])]


def _cell(name: str, group: Group) -> Cell:
    if name in TEXTS:
        return TEXTS[name][1](group)
    if name in group.measures:
        return group.measures[name]
    return _text(group.first.settings.get(name))


def cell_text(name: str, group: Group) -> str:
    """The words of a column that is no measure; "" where there are none."""
    found = TEXTS[name][1](group) if name in TEXTS else _text(group.first.settings.get(name))
    return found if isinstance(found, str) else ""


def _text(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items()) or None
    if isinstance(value, list | tuple):
        return ", ".join(str(_text(each)) for each in value) or None
    return str(value) if isinstance(value, bool | int) else f"{value:g}"


def _column(name: str, cells: Sequence[Cell]) -> TableColumn:
    numbers = [cell for cell in cells if isinstance(cell, Spread)]
    title = TEXTS[name][0] if name in TEXTS else name.replace("_", " ").capitalize()
    if not numbers:
        return TableColumn(name, title)
    known = MEASURES.get(name, KnownMeasure(title=title, about=""))
    column = TableColumn(name, known.title, known.unit, known.better, known.percent)
    return replace(column, digits=_digits(numbers, known))


def _digits(numbers: Sequence[Spread], known: KnownMeasure) -> int:
    """As papers print the measure, and enough for one digit of the smallest deviation; else three significant ones."""
    scale = 100 if known.percent else 1
    digits = known.digits
    if digits is None:
        least = min((abs(each.mean) * scale for each in numbers if each.mean), default=1.0)
        digits = 0 if all(each.mean == int(each.mean) for each in numbers) else 2 - math.floor(math.log10(least))
    deviations = [each.deviation * scale for each in numbers if each.deviation]
    if deviations:
        digits = max(digits, min(-math.floor(math.log10(min(deviations))), digits + 2))
    return min(max(digits, 0), _MOST_DIGITS)
