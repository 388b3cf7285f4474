"""Recorded configs: the arguments of a constructor, written once, and from which a saved part is rebuilt."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vqkit.checking import check_types, shown
from vqkit.docstrings import share_argument_docs
from vqkit.errors import ConfigError
from vqkit.registry import Registry, origin_of


def recorded(constructor: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a constructor as strict JSON values, checked against the types that it declares.

    The first line of a constructor: ``config = recorded(VQVAE.__init__, locals())``.

    Raises:
        ConfigError: a value of another type, or a size beyond what machines hold.
    """
    names = [name for name in inspect.signature(constructor).parameters if name != "self"]
    config = {name: list(values[name]) if isinstance(values[name], tuple) else values[name] for name in names}
    check_types(constructor, config)
    if isinstance(values.get("self"), Recorded):
        object.__setattr__(values["self"], "_recorded_by", _name(constructor))
    return config


def own_config(part: Recorded, registries: Sequence[Registry[Any]] = ()) -> dict[str, Any]:
    """Return the arguments of a part's outermost constructor as strict JSON values.

    Args:
        part: made by any subclass of ``Recorded``.
        registries: of the parts that may be among the arguments.

    Raises:
        ConfigError: an argument that JSON cannot hold, or one of another type than the constructor declares.
    """
    kind = type(part)
    config = {name: _plain(kind, name, value, registries) for name, value in part._arguments.items()}
    check_types(kind.__init__, {name: config[name] for name in inspect.signature(kind).parameters if name in config})
    return config


def has_own_constructor(part: Recorded) -> bool:
    """Return whether a subclass has put a constructor of its own before the one that recorded its config."""
    return getattr(part, "_recorded_by", None) != _name(type(part).__init__)


class Recorded:
    """A class whose instances know the arguments that they were made with, those of subclasses included.

    Nothing has to be written for it: the constructor of every subclass is wrapped when the class is made. The outermost
    constructor counts, so a subclass with arguments of its own is rebuilt with these.
    """

    _arguments: dict[str, Any]
    _recorded_by: str

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        share_argument_docs(cls)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]


def part_config(part: object, registry: Registry[Any]) -> dict[str, Any]:
    """Return what rebuilds a part: its registered name (or its module and class), and its arguments.

    An argument that was changed since, on an attribute of its name, counts as it is now.

    Raises:
        ConfigError: an argument that JSON cannot hold.
    """
    kind = type(part)
    arguments = getattr(part, "_arguments", {})
    config = {
        name: _plain(kind, name, current_argument(part, name, value), [registry]) for name, value in arguments.items()
    }
    name = registry.name_of(kind) or f"{kind.__module__}:{kind.__qualname__}"
    return {"type": name, "package": origin_of(kind), "config": config}


def build_part(config: Mapping[str, Any], registry: Registry[Any]) -> Any:
    """Build a part from ``part_config``; only classes that are registered are ever made, never a module's of a config.

    Raises:
        ConfigError: not such a config, a class that is not registered here (the package to install or the module to
            import is named), or arguments that the class does not take.
    """
    if not isinstance(config.get("type"), str) or not isinstance(config.get("config"), Mapping):
        raise ConfigError(f"{registry.kind}={shown(dict(config))}: give a name, or an object with type and config")
    name, package = config["type"], config.get("package")
    if name not in registry:
        raise ConfigError(registry.missing(name, package if isinstance(package, str) else None))
    arguments = {key: _rebuilt(value, registry) for key, value in config["config"].items()}
    kind = registry.get_part(name)
    valid = inspect.signature(kind.__init__).parameters
    keywords = any(item.kind is item.VAR_KEYWORD for item in valid.values())
    unknown = [key for key in arguments if key not in valid and not keywords]
    if unknown:
        allowed = ", ".join(key for key in valid if key != "self")
        raise ConfigError(f"{registry.kind} {name!r} takes no {', '.join(map(shown, unknown))}; it takes: {allowed}")
    check_types(kind.__init__, arguments)
    return kind(**arguments)


def current_argument(part: object, name: str, value: Any) -> Any:
    """Return an argument as the attribute of its name has it now, where both are plain numbers or words."""
    current = vars(part).get(name, value)
    plain = (bool, int, float, str)
    return current if isinstance(value, plain) and isinstance(current, plain) else value


def changed_arguments(part: object) -> dict[str, Any]:
    """Return the arguments of a part's constructor that are not its defaults, as its attributes have them now."""
    defaults = inspect.signature(type(part).__init__).parameters
    made = getattr(part, "_arguments", {})
    given = {name: current_argument(part, name, value) for name, value in made.items()}
    return {name: value for name, value in given.items() if value != defaults[name].default}


def _recording(constructor: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def wrapper(self: Any, *arguments: Any, **options: Any) -> None:
        if "_arguments" not in self.__dict__:
            try:
                bound = signature.bind(self, *arguments, **options)
            except TypeError as error:
                names = [name for name in signature.parameters if name != "self"]
                raise TypeError(f"{type(self).__name__}: {error}; it takes: {', '.join(names)}") from None
            bound.apply_defaults()
            kept: dict[str, Any] = {}
            for name, item in list(signature.parameters.items())[1:]:
                value = bound.arguments[name]
                kept.update(value if item.kind is item.VAR_KEYWORD else {name: value})
            object.__setattr__(self, "_arguments", kept)
        constructor(self, *arguments, **options)

    return wrapper


def _plain(kind: type, name: str, value: Any, registries: Sequence[Registry[Any]]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(kind, name, item, registries) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(kind, name, item, registries) for item in value]
    fitting = [registry for registry in registries if isinstance(value, registry.base or Recorded)]
    for registry in sorted(fitting, key=lambda registry: registry.name_of(type(value)) is None):
        return part_config(value, registry)
    raise ConfigError(
        f"{kind.__name__}({name}={shown(value)}): a {type(value).__name__} cannot be saved in a config; let the "
        "constructor take numbers, words and lists of them, and make the rest itself"
    )


def _name(constructor: Callable[..., Any]) -> str:
    return f"{constructor.__module__}.{constructor.__qualname__}"


def _rebuilt(value: Any, registry: Registry[Any]) -> Any:
    if isinstance(value, Mapping) and {"type", "config"} <= set(value):
        return build_part(value, registry)
    if isinstance(value, list):
        return [_rebuilt(item, registry) for item in value]
    return value
