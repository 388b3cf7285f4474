"""The option ``--memory-limit`` of all commands that read data."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

_NAME = "memory_limit"
_Option = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Most memory for decoded data, such as 2GB; more is read from the disk (default: a quarter of all).",
    ),
]


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the option ``--memory-limit``, which holds for all data that it reads."""
    signature = inspect.signature(command, eval_str=True)
    hints = {**typing.get_type_hints(command, include_extras=True), _NAME: _Option}

    @functools.wraps(command)
    def limited(**values: Any) -> None:
        limit = values.pop(_NAME, None)
        if limit is None:
            command(**values)
            return
        from vqkit.resources import memory_limited

        with memory_limited(limit):
            command(**values)

    extra = inspect.Parameter(_NAME, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Option)
    del limited.__wrapped__  # typer would read its parameters, without the one added
    parameters = [*signature.parameters.values(), extra]
    limited.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    limited.__annotations__ = hints
    return limited
