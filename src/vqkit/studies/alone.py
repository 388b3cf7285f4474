"""A study that is the only one in its folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from vqkit.storage.lock import file_lock

P = ParamSpec("P")
R = TypeVar("R")

_held: ContextVar[frozenset[Path]] = ContextVar("_held", default=frozenset())


def alone(function: Callable[P, R]) -> Callable[P, R]:
    """A study's function that holds the lock of its folder ``out``; studies that are made of others hold it once.

    The lock lies beside the folder, which a study may empty or set aside. A second process gets a ``ConfigError`` that
    says who holds it.
    """
    about = inspect.signature(function)

    @wraps(function)
    def held(*words: P.args, **named: P.kwargs) -> R:
        bound = about.bind(*words, **named)
        bound.apply_defaults()
        path = Path(bound.arguments["out"]).resolve()
        if path in _held.get():
            return function(*words, **named)
        with file_lock(path, "running a study"):
            token = _held.set(_held.get() | {path})
            try:
                return function(*words, **named)
            finally:
                _held.reset(token)

    return held
