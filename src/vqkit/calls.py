"""Parts as a person writes them in one word: a name, or a name with options in brackets (``linear(final=0.1)``)."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

_LONGEST = 1024


def write_call(name: str, options: Mapping[str, Any]) -> str:
    """Return a name and its options in one spelling: ``linear(final=0.1)``, or the name alone without options."""
    inside = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return f"{name}({inside})" if inside else name


def read_call(node: ast.expr) -> tuple[str, dict[str, Any]]:
    """Return name and options of a parsed expression, the inverse of ``write_call``.

    Args:
        node: a name, or a call of a name with keyword arguments that are Python literals (JSON's too).

    Raises:
        SyntaxError: something else.
    """
    options: dict[str, Any] = {}
    name = node
    if isinstance(node, ast.Call):
        name = node.func
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise SyntaxError(f"options have names: {ast.unparse(name)}(scales=4)")
        options = {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    if not isinstance(name, ast.Name):
        raise SyntaxError(f"{ast.unparse(node)!r} is no name")
    return name.id, options


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and options of what a person wrote: ``linear(final=0.1)``.

    Raises:
        ValueError: says in a few words why it is none.

    Example:
        >>> from vqkit.calls import parse_call
        >>> parse_call(" linear(final = 0.1) ")
        ('linear', {'final': 0.1})
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text):,} characters")
    try:
        return read_call(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(error.msg if isinstance(error, SyntaxError) else str(error)) from error


def read_value(node: ast.expr, wanted: str) -> Any:
    """Return the value of a Python literal.

    Args:
        node: parsed.
        wanted: what it should be, for the message.

    Raises:
        SyntaxError: no literal.
    """
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise SyntaxError(f"{ast.unparse(node)!r} is no {wanted}") from None


def _literal(node: ast.expr) -> Any:
    """A value of an option: a Python literal, with JSON's ``true``, ``false`` and ``null`` too."""
    if isinstance(node, ast.Name) and node.id in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[node.id]
    return read_value(node, "number, word in quotes, or list of them")
