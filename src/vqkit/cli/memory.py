"""The options ``--memory-limit``, ``--kind``, ``--labels``, those of fields and of series, of all that read data."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Any

import typer

_NAME = "memory_limit"
_KIND = "signal_kind"
_LABELS = "label_source"
_KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="What the data are: {signals}; sound@16000: resampled (default: as files and shapes say).",
    ),
]
_FIELDS = "Fields"
_FieldOptions: dict[str, Any] = {
    "field_layout": Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="LETTERS",
            help="Of fields: the axes of the array, such as NCHW, NHWC, NCT, NCDHW, CHW (default: guessed, and said).",
            rich_help_panel=_FIELDS,
        ),
    ],
    "field_nodata": Annotated[
        float | None,
        typer.Option(
            "--nodata",
            metavar="NUMBER",
            help="Of fields: the number that stands for a gap (default: NaN alone).",
            rich_help_panel=_FIELDS,
        ),
    ],
    "field_scaling": Annotated[
        str | None,
        typer.Option(
            "--scaling",
            metavar="NAME",
            help="Of fields: standard (mean, deviation) or robust (median, quartiles), of each channel.",
            rich_help_panel=_FIELDS,
        ),
    ],
    "field_rgb": Annotated[
        str | None,
        typer.Option(
            "--rgb",
            metavar="BANDS",
            help="Of fields: the channels, from 1, that pictures show in red, green and blue, such as 4,3,2; or one.",
            rich_help_panel=_FIELDS,
        ),
    ],
    "picture_depth": Annotated[
        int | None,
        typer.Option(
            "--depth",
            metavar="BITS",
            help="16: read pictures as fields of their full depth (default: 8, as images).",
            rich_help_panel=_FIELDS,
        ),
    ],
}
_SERIES = "Series"
_SeriesOptions: dict[str, Any] = {
    "series_columns": Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="Of CSV, TSV and Parquet: columns that are the channels, such as x,y (default: all of numbers).",
            rich_help_panel=_SERIES,
        ),
    ],
    "series_group": Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Of these: the column that says where another series begins, such as patient.",
            rich_help_panel=_SERIES,
        ),
    ],
    "series_window": Annotated[
        int | None,
        typer.Option(
            "--window",
            min=1,
            metavar="N",
            help="Rows (of .npy positions) of an item (default: of tables 512, else whole series).",
            rich_help_panel=_SERIES,
        ),
    ],
    "series_hop": Annotated[
        int | None,
        typer.Option(
            "--hop",
            min=1,
            metavar="N",
            help="From one item to the next (default: the window; less: they overlap).",
            rich_help_panel=_SERIES,
        ),
    ],
}
_LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE[:KEY]",
        help="Classes of the items: labels.json or labels.csv beside them, or a column of Parquet (default: folders).",
    ),
]
_Option = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Most memory for decoded data, such as 2GB; more is read from the disk (default: a quarter of all).",
    ),
]


def reading(command: Callable[..., None], *, kind: bool = True, labels: bool = True) -> Callable[..., None]:
    """Add ``--memory-limit``, ``--kind`` and ``--labels`` to a command, which hold for all data that it reads.

    ``kind`` is False for a command with an option ``--kind`` of its own; a name of data says it too: ``sound:NAME``. So
    is ``labels`` for one with ``--labels``.
    """
    signature = inspect.signature(command, eval_str=True)
    more: dict[str, Any] = {
        _NAME: _Option,
        **({_KIND: _KindOption} if kind else {}),
        **({_LABELS: _LabelsOption} if labels else {}),
    }
    own = typing.get_type_hints(command, include_extras=True)
    series = {name: hint for name, hint in _SeriesOptions.items() if name.partition("_")[2] not in own}
    more |= {**_FieldOptions, **series} if kind else {}
    hints = {**own, **more}

    @functools.wraps(command)
    def limited(**values: Any) -> None:
        limit, said, classes = (values.pop(name, None) for name in (_NAME, _KIND, _LABELS))
        fields = {name.partition("_")[2]: values.pop(name, None) for name in _FieldOptions}
        choice = {name.partition("_")[2]: values.pop(name, None) for name in _SeriesOptions}
        with ExitStack() as stack:
            if limit is not None:
                from vqkit.resources import memory_limited

                stack.enter_context(memory_limited(limit))
            chosen = any(each is not None for each in choice.values())
            if chosen or any(each is not None for each in (said, *fields.values())):
                from vqkit.signals import kind_assumed
                from vqkit.signals.fields.options import field_named

                stack.enter_context(kind_assumed(field_named("field" if chosen and said is None else said, **fields)))
            if chosen:
                from vqkit.data.grids.choosing import SeriesChoice, series_chosen

                stack.enter_context(series_chosen(SeriesChoice(**choice)))
            if classes is not None:
                from vqkit.data import labels_assumed

                stack.enter_context(labels_assumed(classes))
            command(**values)

    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in more.items()
    ]
    del limited.__wrapped__  # typer would read its parameters, without the one added
    parameters = [*signature.parameters.values(), *extra]
    limited.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    limited.__annotations__ = hints
    return limited
