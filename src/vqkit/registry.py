"""Registries: parts by name, from vqkit itself and from installed packages that offer some.

A part is a class (a quantizer, a network, an objective, a prior, a model, a kind of signal). It is found by the name
that configs, command lines and saved folders use. Three ways in: the decorator ``REGISTRY.register("name")``, an entry
point of an installed package (group ``vqkit.quantizers`` and so on), or no name at all: wherever a name is taken, an
instance is taken too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points, packages_distributions
from traceback import walk_tb
from typing import Any, Generic, TypeVar, cast

from vqkit.checking import shown
from vqkit.errors import ConfigError

Part = TypeVar("Part", bound=type)
Given = TypeVar("Given", bound=type)


_REGISTRIES: list[Registry[Any]] = []
_FAULT = "_vqkit_part_at_fault"


class Registry(Mapping[str, Part], Generic[Part]):
    """The parts of one kind, by name, in the order in which they were registered.

    A mapping that is read like a dict; packages that offer parts are imported only when a name is asked for that is not
    known yet, or when all are listed.

    Args:
        kind: what the parts are, for messages: ``"quantizer"``.
        group: the group of entry points in which packages offer such parts: ``"vqkit.quantizers"``.
        base: what every part must be a subclass of; None: whatever is registered.
        attribute: a class attribute that holds the name (``"model_type"``); registering sets it.
        elsewhere: of parts that live on a higher floor than the registry, where they are: ``{"rate": "module:Class"}``.

    Example:
        >>> shapes = Registry[type]("shape", "vqkit.shapes")
        >>> @shapes.register("square")
        ... class Square: ...
        >>> list(shapes), shapes.get_part("square") is Square
        (['square'], True)
    """

    def __init__(
        self,
        kind: str,
        group: str,
        base: type | None = None,
        *,
        attribute: str | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self.attribute = attribute
        self._parts: dict[str, Part] = {}
        self._unlisted: set[str] = set()
        self._citations: dict[str, tuple[str, ...]] = {}
        self._elsewhere = {name: EntryPoint(name, value, group) for name, value in (elsewhere or {}).items()}
        self._offered: dict[str, EntryPoint] | None = None
        _REGISTRIES.append(self)

    def register(
        self, name: str, *, listed: bool = True, citations: Sequence[str] | None = None
    ) -> Callable[[Given], Given]:
        """Register the decorated class under a name.

        Args:
            name: for configs and command lines.
            listed: whether iteration gives it; parts that only saved configs name are not listed.
            citations: what to cite for it, see ``citations_of``; none: it is the author's own; None: it is not said.

        Raises:
            ConfigError: the name is taken by another class, or the class is not of this kind.
        """

        def registered(part: Given) -> Given:
            self._check(name, part)
            known = self._parts.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (part.__module__, part.__qualname__):
                raise ConfigError(
                    f"{self.kind} {name!r} is taken by {known.__module__}.{known.__qualname__}; rename it"
                )
            self._mark(name, part)
            self._parts[name] = cast("Part", part)
            if not listed:
                self._unlisted.add(name)
            if citations is not None:
                self._citations[name] = tuple(citations)
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

    def available(self) -> dict[str, Part]:
        """Return the listed parts that can be imported: a broken package stops nobody who asks for others."""
        found: dict[str, Part] = {}
        for name in self:
            with suppress(ConfigError):
                found[name] = self.get_part(name)
        return found

    def name_of(self, part: type) -> str | None:
        """Return the name under which a class is registered, or None."""
        return next((name for name, known in self._parts.items() if known is part), None)

    def citations_of(self, name: str) -> tuple[str, ...] | None:
        """Return what a paper that uses a part cites: keys of vqkit's references, or whole BibTeX entries (``@...``).

        That is what it was registered with, or the attribute ``citations`` of its class; () of a part that no paper
        describes; None where it is not said.

        Raises:
            ConfigError: as ``get_part``.
        """
        part = self.get_part(name)
        found = self._citations.get(name, part.__dict__.get("citations"))
        return None if found is None else tuple(found)

    @property
    def variable(self) -> str:
        """The name of the registry's variable, from its group: ``QUANTIZERS`` for ``vqkit.quantizers``."""
        return self.group.rpartition(".")[2].upper()

    def missing(self, name: str, package: str | None) -> str:
        """Return in words how to come by a part that a saved folder names and that is not registered here.

        Args:
            name: of the part, or ``module:Class`` of one that was not registered when it was saved.
            package: the distribution that it came from, as ``origin_of`` gave it; None: not recorded.
        """
        module, colon, _ = name.partition(":")
        repair = f"import the module that registers it first (@{self.variable}.register({shown(name)}))"
        if colon:
            repair = f"register the class first (import {shown(module)[1:-1]}, and decorate it with register)"
        installed = "" if package in (None, "__main__", "vqkit") else f"install the package {shown(package)}, or "
        return f"the {self.kind} {shown(name)} is not known here: {installed}{repair}; known: {', '.join(self)}"

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

    def _foreign(self) -> Iterator[type]:
        """The registered classes that are not vqkit's."""
        yield from (part for part in self._parts.values() if origin_of(part) != "vqkit")

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
            self._mark(name, part)
            self._parts.setdefault(name, part)
        return self._parts.get(name)

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._offered is None:
            self._offered = {entry.name: entry for entry in entry_points(group=self.group)} | self._elsewhere
        return self._offered

    def _mark(self, name: str, part: type) -> None:
        """Set the attribute that holds the name.

        Raises:
            ConfigError: the class has another name already, by which its folders are known.
        """
        if self.attribute is None:
            return
        known = part.__dict__.get(self.attribute, name)
        if known != name:
            raise ConfigError(
                f"{self.kind} {name!r}: {part.__qualname__}.{self.attribute} is {known!r}; register it under that name"
            )
        setattr(part, self.attribute, name)

    def _check(self, name: str, part: object) -> None:
        if not isinstance(part, type) or (self.base is not None and not issubclass(part, self.base)):
            wanted = "a class" if self.base is None else f"a subclass of {self.base.__module__}.{self.base.__name__}"
            raise ConfigError(f"{self.kind} {name!r} is {shown(part)}: register {wanted}")


def origin_of(part: type) -> str:
    """Return the distribution package that defines a class: ``"vqkit"``, another's name, or ``"__main__"`` (a script).

    Where no distribution is known, the name of the class's top-level module.
    """
    top = part.__module__.partition(".")[0]
    if top in ("vqkit", "__main__"):
        return top
    return _distributions().get(top, [top])[0]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions of top-level modules, asked for once: a second where hundreds are installed."""
    return packages_distributions()


def part_at_fault(error: BaseException) -> str | None:
    """Return in words the registered part of a user's or a package's own that an exception arose in.

    That is where the innermost frame of vqkit's or of such parts' modules is one of theirs; None: it is vqkit's.
    """
    known: str | None = getattr(error, _FAULT, None)
    if known is not None:
        return known
    foreign = [(registry, part) for registry in _REGISTRIES for part in registry._foreign()]
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    for module in reversed(frames):
        top = module.partition(".")[0]
        if top == "vqkit":
            return None
        own = [(registry, part) for registry, part in foreign if part.__module__.partition(".")[0] == top]
        for registry, part in sorted(own, key=lambda pair: pair[1].__module__ != module):
            if part.__module__ != module and origin_of(part) == top:
                continue  # modules of no distribution need not belong together
            return f"the {registry.kind} {registry.name_of(part)!r} (package {origin_of(part)})"
    return None


def note_part_at_fault(error: BaseException, part: str) -> None:
    """Let ``part_at_fault`` say so of an error that was raised in another process, whose frames are not here."""
    with suppress(AttributeError):
        setattr(error, _FAULT, part)
