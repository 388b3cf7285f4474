"""Names that have moved: they keep working for one version, with a DeprecationWarning that gives the new place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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


def renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn, in an attribute or a method that is only another's old name, of the new one."""
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=stacklevel)


def renamed_keyword(old: str, new: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function's keyword argument be given under its old name (decorator)."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: Any, **options: Any) -> T:
            if old in options and new not in options:
                renamed(f"{function.__name__}({old}=)", f"{new}=")
                options[new] = options.pop(old)
            return function(*args, **options)

        return call

    return decorate


class OldName:
    """Descriptor of a class's attribute under its old name: gives what the new name gives, with a warning.

    Args:
        old: name.
        new: name.
        value: what the class has under the new name.
    """

    def __init__(self, old: str, new: str, value: Any) -> None:
        self.old = old
        self.new = new
        self.value = value

    def __get__(self, instance: Any, owner: type) -> Any:
        renamed(f"{owner.__name__}.{self.old}", self.new)
        if instance is not None and _attribute(owner, self.old) is self:
            return getattr(instance, self.new)
        get = getattr(self.value, "__get__", None)  # by super(), or of the class: what is defined here, not an override
        return self.value if get is None else get(instance, owner)


def keep_old_names(cls: type, names: Mapping[str, str]) -> None:
    """Let attributes of a class be read, and overridden, under their old names.

    Called for a base class, and in its ``__init_subclass__``: a subclass that defines only the old name of something
    overrides it under the new one (a DeprecationWarning points at its class statement).

    Args:
        cls: base, or subclass.
        names: the new name of each old one.
    """
    for old, new in names.items():
        for base in cls.__mro__:
            own = vars(base)
            if new in own:
                if old not in vars(cls) and (base is cls or _attribute(cls, old) is None):
                    setattr(cls, old, OldName(old, new, own[new]))
                break
            if old in own and not isinstance(own[old], OldName):
                renamed(f"{cls.__name__}.{old}", new, stacklevel=5)
                setattr(cls, new, own[old])
                break


def _attribute(cls: type, name: str) -> Any:
    """Return the attribute of a class or its bases as defined, without calling descriptors; None: no such name."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
