"""The language of objectives: ``"likelihood + 0.1*gradient(scales=4)"``, a sum of names with weights and options."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from vqkit.calls import read_call, read_value, write_call
from vqkit.checking import refuse_class, shown
from vqkit.errors import ConfigError
from vqkit.objectives.base import OBJECTIVES, Objective, WeightedSum, check_weight
from vqkit.recording import build_part

_LONGEST = 4096


@dataclass(frozen=True)
class Term:
    """One term of a sum: a name of ``OBJECTIVES``, its weight and keyword arguments of its class.

    Example:
        >>> from vqkit.objectives import Term
        >>> Term("gradient", 0.1, {"scales": 2}).name
        'gradient'
    """

    name: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ("" if self.weight == 1 else f"{self.weight!r}*") + write_call(self.name, self.options)


def parse_objective(text: str) -> list[Term]:
    """Parse a sum of objectives; whether the names are known is not asked.

    Args:
        text: terms joined by ``+``; a term is a name, with keyword arguments in brackets where it takes any, and a
            number before it that it is multiplied by.

    Raises:
        ConfigError: no such sum, or a weight that is not finite or below 0.

    Example:
        >>> from vqkit.objectives import parse_objective
        >>> [str(term) for term in parse_objective("likelihood + 0.10 * gradient(scales=4)")]
        ['likelihood', '0.1*gradient(scales=4)']
    """
    try:
        if len(text) > _LONGEST:
            raise SyntaxError(f"it has {len(text):,} characters")
        tree = ast.parse(text.strip(), mode="eval").body
        return [_term(node) for node in _summands(tree)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(
            f"objective {shown(text)} is not a sum of objectives ({reason}); write it as "
            f"'likelihood + 0.1*gradient'; known: {', '.join(OBJECTIVES)}"
        ) from error


def build_objective(given: str | Objective) -> Objective:
    """Build the objective that a text names; an instance is taken as it is.

    Args:
        given: as ``parse_objective`` takes it, or an instance.

    Raises:
        ConfigError: a text that names no objective (the known ones are listed), or options that its class does not
            take.

    Example:
        >>> from vqkit.objectives import build_objective
        >>> str(build_objective("likelihood + 0.1*gradient"))
        'likelihood + 0.1*gradient'
    """
    refuse_class(given, "objective")
    if isinstance(given, Objective):
        return given
    terms = [(term.weight, _built(term)) for term in parse_objective(given)]
    return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else WeightedSum(terms)


def _built(term: Term) -> Objective:
    OBJECTIVES.get_part(term.name)  # an unknown name is told with the nearest one
    built: Objective = build_part({"type": term.name, "config": term.options}, OBJECTIVES)
    return built


def _summands(node: ast.expr) -> list[ast.expr]:
    found = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _term(node: ast.expr) -> Term:
    weight: float = 1.0
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        weight, node = _number(node.left), node.right
    name, options = read_call(node)
    check_weight(weight, name)
    return Term(name, weight, options)


def _number(node: ast.expr) -> float:
    """A weight; ``nan`` and ``inf`` are read, so that they are refused as weights."""
    if isinstance(node, ast.Name) and node.id.lower() in ("nan", "inf"):
        return float(node.id)
    value = read_value(node, "number; the weight comes first, as in 0.1*gradient")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SyntaxError(f"{ast.unparse(node)!r} is no weight")
    return value
