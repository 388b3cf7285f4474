"""``help()`` of a class tells of every argument of its constructor, also of those that its bases document."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tests.docs.tables import REGISTRIES
from tests.docs.test_doctests import PUBLIC
from vqkit.docstrings import argument_docs
from vqkit.recording import Recorded
from vqkit.registry import origin_of

PARTS = {
    f"{name}.{key}": registry[key]
    for name, registry in REGISTRIES.items()
    for key in registry
    if name != "signals" and origin_of(registry[key]) == "vqkit"
}


def named(part: Any) -> list[str]:
    """Return the arguments of a constructor that have names."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, item in inspect.signature(part).parameters.items() if item.kind not in kinds]


@pytest.mark.parametrize("name", PARTS)
def test_help_tells_of_every_argument_in_order(name: str) -> None:
    told = list(argument_docs(inspect.getdoc(PARTS[name]) or ""))
    assert told == named(PARTS[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_no_docstring_sends_from_argument_to_argument(name: str) -> None:
    assert "likewise" not in (PUBLIC[name].__doc__ or "")


class Base(Recorded):
    """A base.

    Args:
        size: of all,
            in meters.
        hidden: of the base alone.
    """

    def __init__(self, size: int, hidden: int) -> None: ...


def test_arguments_of_bases_are_added_in_the_order_of_the_constructor() -> None:
    class Part(Base):
        """A part.

        Args:
            first: its own.
            last: its own too.

        Raises:
            ValueError: never.
        """

        def __init__(self, first: int, size: int, last: int) -> None:
            super().__init__(size, 0)

    assert inspect.getdoc(Part) == (
        "A part.\n\nArgs:\n    first: its own.\n    size: of all,\n        in meters.\n    last: its own too.\n\n"
        "Raises:\n    ValueError: never."
    )

    class Other(Part):
        """Another.

        Example:
            >>> 1
            1
        """

        def __init__(self, size: int) -> None:
            super().__init__(1, size, 2)

    assert inspect.getdoc(Other) == (
        "Another.\n\nArgs:\n    size: of all,\n        in meters.\n\nExample:\n    >>> 1\n    1"
    )

    class Bare(Other):
        def __init__(self, size: int) -> None:
            super().__init__(size)

    assert Bare.__doc__ is None

    class Same(Base):
        """What has no constructor of its own takes what its base takes."""

    assert argument_docs(inspect.getdoc(Same) or "") == argument_docs(inspect.getdoc(Base) or "")

    class Short(Base):
        """One line."""

        def __init__(self, size: int) -> None:
            super().__init__(size, 1)

    assert inspect.getdoc(Short) == "One line.\n\nArgs:\n    size: of all,\n        in meters."
