"""Values from files and command lines against the types that a function declares."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from vqkit.errors import ConfigError

T = TypeVar("T")
_MOST = {
    "channels": 1 << 26,
    "code_dim": 1 << 20,
    "latent_dim": 1 << 24,
    "components": 1 << 24,
    "condition_dim": 1 << 20,
    "hidden_channels": 1 << 16,
    "residual_channels": 1 << 16,
    "token_channels": 1 << 16,
    "widths": 1 << 16,
    "features": 1 << 16,
    "residual_blocks": 1 << 12,
    "layers": 1 << 12,
    "token_layers": 1 << 12,
    "heads": 1 << 12,
    "num_codebooks": 1 << 12,
    "kernel": 1 << 8,
    "downsampling": 1 << 16,
    "size": 1 << 24,
    "grid": 1 << 20,
    "classes": 1 << 31,
    "codebook_size": 1 << 62,
}
_MOST_NUMBERS = 64
"""In a list: sizes, grids and widths have a few, levels of a scalar quantizer some dozens."""
_LONGEST = 120
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_SHOWN = 80


def check_types(function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise unless each value has the type that ``function`` declares for the parameter of that name.

    Knows what configs hold: bool, int, float (an int will do), str, None, sequences, mappings, and unions of these.
    Names and types that it does not know pass.

    Raises:
        ConfigError: names the value, what was received and what is allowed; also for a size beyond ``check_sizes``.
    """
    hints = typing.get_type_hints(function)
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{name}={shown(value)}: give {_words(hints[name])}")
    check_sizes(values)


def refuse_class(given: object, what: str) -> None:
    """Raise ``ConfigError`` for a class where an instance (or a name) belongs.

    Args:
        given: whatever was given.
        what: the name of the setting.
    """
    if isinstance(given, type):
        raise ConfigError(f"{what} is the class {given.__name__}; call it: {what}={given.__name__}(...)")


def check_fields(found: Any, fields: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the object of a JSON document, its fields of the types that are declared.

    Args:
        found: what was read.
        fields: types of those that must be there, by name.
        optional: types of those that may be there; others are not looked at.

    Raises:
        ValueError: what is missing, or of another type.
    """
    if not isinstance(found, dict):
        raise ValueError(f"it holds {_kind(found)}, where names with values belong")
    missing = [name for name in fields if name not in found]
    if missing:
        raise ValueError(f"it has no {', '.join(missing)}")
    for name, hint in {**fields, **(optional or {})}.items():
        if name in found and not _fits(found[name], hint):
            raise ValueError(f"its {name} is {shown(found[name])}, and should be {_words(hint)}")
    return found


def _kind(value: Any) -> str:
    named = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return named.get(type(value), "a number")


def check_sizes(values: Mapping[str, Any]) -> None:
    """Raise unless the sizes among a config's values are such as a machine can count to, before any is looped over.

    Raises:
        ConfigError: names the value, what was received and what is allowed.
    """
    for name, value in values.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if len(numbers) > _MOST_NUMBERS:
            raise ConfigError(f"{name} has {len(numbers):,} numbers; give {_MOST_NUMBERS} at most")
        for each in numbers:
            if isinstance(each, int) and each > _MOST.get(name, each):
                raise ConfigError(f"{name}={shown(value)}: give {_MOST[name]:,} at most")


def shown(value: Any) -> str:
    """A value as an error shows it: on one line, the middle of a long one left out."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists within lists
        text = f"a {type(value).__name__} that is too large to show"
    return _cut(text)


def listed(names: Iterable[str]) -> str:
    """Names of settings, by commas, the middle of a long list left out."""
    return _cut(", ".join(names))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]} ... {text[-15:]}"


def from_values(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """A dataclass of settings from JSON values.

    Args:
        kind: the dataclass.
        values: by field.
        what: what has these settings, for the message: "training".

    Raises:
        ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
    """
    valid = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(valid))
    if unknown:
        raise ConfigError(f"{what} takes no {listed(unknown)}; it takes: {', '.join(valid)}")
    check_types(kind.__init__, values)
    return kind(**values)


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], *, free: Collection[str] = ()) -> list[str]:
    """List the differences of two sets of settings as ``name: was X, now Y``; a name in only one counts as null.

    Args:
        there: what was recorded, as JSON values.
        asked: what is asked for now; sequences count as lists.
        free: names that may differ.
    """
    mine = json.loads(json.dumps(dict(asked)))
    names = [name for name in dict.fromkeys([*mine, *there]) if name not in free]
    return [
        f"{name}: was {_shown(there.get(name))}, now {_shown(mine.get(name))}"
        for name in names
        if there.get(name) != mine.get(name)
    ]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is abc.Sequence:
        return (
            isinstance(value, abc.Sequence)
            and not isinstance(value, str)
            and all(_fits(each, arguments[0]) for each in value)
        )
    if origin is abc.Mapping:
        fitting = arguments[1] if arguments else Any
        return isinstance(value, abc.Mapping) and all(_fits(each, fitting) for each in value.values())
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if hint is float:
            return isinstance(value, float) or (whole and abs(value) <= sys.float_info.max)
        return whole
    return isinstance(value, hint) if hint in (bool, str, types.NoneType) else True


def _words(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        ordered = sorted(arguments, key=lambda each: each is not types.NoneType)
        return " or ".join("null" if each is types.NoneType else _words(each) for each in ordered)
    if origin is abc.Sequence:
        return f"a list, each {_words(arguments[0])}"
    return "names with values" if origin is abc.Mapping else _WORDS.get(hint, str(hint))


def counted(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun: ``1 image``, ``2,000 images``.

    Args:
        number: how many.
        noun: of one.
        several: of more, where it is not the noun and an s.
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
