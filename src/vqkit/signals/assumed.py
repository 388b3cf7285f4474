"""Kind of signal that data are of whose kind is not said, within a block of a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from vqkit.signals.base import Signal, signal_kind

_assumed: ContextVar[Signal | None] = ContextVar("kind", default=None)


def assumed_kind() -> Signal | None:
    """Return the kind that ``kind_assumed`` says, or None.

    Example:
        >>> from vqkit.signals import assumed_kind, kind_assumed
        >>> with kind_assumed("image"):
        ...     assumed_kind().name
        'image'
    """
    return _assumed.get()


@contextmanager
def kind_assumed(kind: str | Signal | None) -> Iterator[None]:
    """Within the block, data whose kind is not said is read as of this kind (None: as before).

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> from vqkit.signals import assumed_kind, kind_assumed
        >>> with kind_assumed("image"):  # what load_source takes data for that do not say it
        ...     assumed_kind().name
        'image'
    """
    token = _assumed.set(_assumed.get() if kind is None else signal_kind(kind))
    try:
        yield
    finally:
        _assumed.reset(token)
