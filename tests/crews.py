"""A crew without processes: what it makes and does is that of a crew of processes, in the least kind order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


class OneAfterAnother:
    """Members that work in this process, the last task first."""

    def __init__(
        self, make: Callable[..., Any], given: Sequence[tuple[Any, ...]], *, threads: int = 1, kept: str
    ) -> None:
        self._members = [make(*each) for each in given]

    def __enter__(self) -> OneAfterAnother:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Crew.run``."""
        for number, task in reversed(list(enumerate(tasks))):
            for said in self._members[number % len(self._members)](task):
                yield number, said
