"""Registries: parts by name, from vqkit itself and from installed packages that offer some.

A part is a class (a quantizer, a network, an objective, a prior, a model, a kind of signal). It is found by the name
that configs, command lines and saved folders use. Three ways in: the decorator ``REGISTRY.register("name")``, an entry
point of an installed package (group ``vqkit.quantizers`` and so on), or no name at all: wherever a name is taken, an
instance is taken too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from vqkit.checking import shown
from vqkit.errors import ConfigError

Part = TypeVar("Part", bound=type)


class Registry(Mapping[str, Part], Generic[Part]):
    """The parts of one kind, by name, in the order in which they were registered.

    A mapping that is read like a dict; packages that offer parts are imported only when a name is asked for that is not
    known yet, or when all are listed.

    Args:
        kind: what the parts are, for messages: ``"quantizer"``.
        group: the group of entry points in which packages offer such parts: ``"vqkit.quantizers"``.
        base: what every part must be a subclass of; None: whatever is registered.

    Example:
        >>> shapes = Registry[type]("shape", "vqkit.shapes")
        >>> @shapes.register("square")
        ... class Square: ...
        >>> list(shapes), shapes.get_part("square") is Square
        (['square'], True)
    """

    def __init__(self, kind: str, group: str, base: type | None = None) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self._parts: dict[str, Part] = {}
        self._unlisted: set[str] = set()
        self._offered: dict[str, EntryPoint] | None = None

    def register(self, name: str, *, listed: bool = True) -> Callable[[Part], Part]:
        """Register the decorated class under a name.

        Args:
            name: for configs and command lines.
            listed: whether iteration gives it; parts that only saved configs name are not listed.

        Raises:
            ConfigError: the name is taken by another class, or the class is not of this kind.
        """

        def registered(part: Part) -> Part:
            self._check(name, part)
            known = self._parts.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (part.__module__, part.__qualname__):
                raise ConfigError(
                    f"{self.kind} {name!r} is taken by {known.__module__}.{known.__qualname__}; rename it"
                )
            self._parts[name] = part
            if not listed:
                self._unlisted.add(name)
            return part

        return registered

    def get_part(self, name: str) -> Part:
        """Return the class of a name.

        Raises:
            ConfigError: unknown (the known names are listed, and the nearest is suggested), or the package that offers
                it cannot be imported.
        """
        part = self._found(name)
        if part is None:
            near = get_close_matches(name, list(self), 1)
            suggestion = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(
                f"{self.kind} {shown(name)} is unknown{suggestion}; known: {', '.join(self)}; more come with "
                f"packages that offer {self.group}; import the module that registers yours first"
            )
        return part

    def name_of(self, part: type) -> str | None:
        """Return the name under which a class is registered, or None."""
        return next((name for name, known in self._parts.items() if known is part), None)

    def origin_of(self, part: type) -> str:
        """Return the distribution package that defines a class: ``"vqkit"``, or another's top-level name."""
        return part.__module__.partition(".")[0]

    def __getitem__(self, name: str) -> Part:
        part = self._found(name)
        if part is None:
            raise KeyError(name)
        return part

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._parts if name not in self._unlisted)
        yield from (name for name in self._entry_points() if name not in self._parts)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._parts or name in self._entry_points()

    def _found(self, name: str) -> Part | None:
        if name not in self._parts and name in self._entry_points():
            entry = self._entry_points()[name]
            package = entry.dist.name if entry.dist is not None else entry.value
            try:
                part = entry.load()
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise ConfigError(
                    f"{self.kind} {name!r} comes with the package {package}, which cannot be imported ({reason}); "
                    "update or uninstall it"
                ) from error
            self._check(name, part)
            self._parts.setdefault(name, part)
        return self._parts.get(name)

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._offered is None:
            self._offered = {entry.name: entry for entry in entry_points(group=self.group)}
        return self._offered

    def _check(self, name: str, part: object) -> None:
        if not isinstance(part, type) or (self.base is not None and not issubclass(part, self.base)):
            wanted = "a class" if self.base is None else f"a subclass of {self.base.__module__}.{self.base.__name__}"
            raise ConfigError(f"{self.kind} {name!r} is {shown(part)}: register {wanted}")
