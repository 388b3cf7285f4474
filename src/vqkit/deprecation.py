"""Names that have moved: they keep working for one version, with a DeprecationWarning that gives the new place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def moved(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a module's ``__getattr__`` for names that have moved elsewhere (PEP 562).

    Args:
        module: the old place, ``__name__``.
        names: the new place of each name, ``"package.module:name"``.
    """

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, new = names[name].split(":")
        warnings.warn(f"{module}.{name} is now {place}.{new}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(place), new)

    return lookup


def moved_into(module: str, place: str) -> Callable[[str], Any]:
    """Make a module's ``__getattr__`` for a module that became a package: its names are in ``module.place``."""

    def lookup(name: str) -> Any:
        if not name.startswith("__") and name != place and hasattr(new := import_module(f"{module}.{place}"), name):
            warnings.warn(f"{module}.{name} is now {new.__name__}.{name}", DeprecationWarning, stacklevel=2)
            return getattr(new, name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return lookup


def renamed(old: str, new: str) -> None:
    """Warn, in an attribute or a method that is only another's old name, of the new one."""
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=3)
