"""The tables of docs/results-format.md, made from the JSON schemas; ``python -m tests.docs.tables`` writes them too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqkit.results import SCHEMAS, schema

PAGE = Path(__file__).parents[2] / "docs" / "results-format.md"


def rows(found: dict[str, Any], before: str = "") -> Iterator[str]:
    """Rows of the keys of a schema, those within others after a point."""
    required = found.get("required", [])
    for name, each in found.get("properties", {}).items():
        kinds = each.get("type", "any" if "enum" not in each and "const" not in each else "string")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        inner = each.get("items", {}) if "array" in kinds else each
        place = f"{before}{name}{'[]' if 'array' in kinds else ''}"
        there = "yes" if name in required else ""
        told = each.get("description", "") or (", ".join(each["enum"]) if "enum" in each else "")
        yield f"| `{place}` | {' or '.join(kinds)} | {there} | {told.replace('|', chr(92) + '|')} |"
        yield from rows(inner, f"{place}.")
    for pattern, each in found.get("patternProperties", {}).items():
        yield f"| `{before}*{pattern.removesuffix('$')}` | {' or '.join(each['type'])} |  | {each['description']} |"


def table(name: str) -> str:
    """Return the table of a schema."""
    return "\n".join(["| key | type | always | what |", "|---|---|---|---|", *rows(schema(name))])


def filled(text: str) -> str:
    """Return the page with the tables between its marks made anew."""
    for name in SCHEMAS:
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        assert text.count(start) == text.count(end) == 1, f"{PAGE.name}: the marks {start} and {end}, once each"
        made = f"{start}\n{table(name)}\n{end}"
        text = re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, made=made: made, text, flags=re.DOTALL)
    return text
