"""Prefetching: the next batch is read by a thread while the one before is worked on."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def read_ahead(batches: Generator[T]) -> Generator[T]:
    """Yield what a generator yields, one ahead of what is asked for.

    Its code runs in one thread of its own, so that reading and decoding do not wait for the caller. An error of it is
    raised in its place. When the caller closes this, the generator is closed too, after the batch that it is at.

    Args:
        batches: of which two are in memory at a time.

    Example:
        >>> from vqkit.data.ahead import read_ahead
        >>> list(read_ahead(number * number for number in range(4)))
        [0, 1, 4, 9]
    """
    end, context = object(), copy_context()

    def following() -> Any:
        return context.run(next, batches, end)

    with closing(batches), ThreadPoolExecutor(1, thread_name_prefix="vqkit-ahead") as pool:
        coming = pool.submit(following)
        while (batch := coming.result()) is not end:
            coming = pool.submit(following)
            yield batch
