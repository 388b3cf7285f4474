"""Directive ``public-names``: each name in ``__all__`` of ``vqkit``, its first line, and a link to its description.

The names come from the packages of vqkit, on whose pages they are described.
"""

from __future__ import annotations

import importlib
from typing import Any

from docstrings import escaped
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class PublicNames(SphinxDirective):
    """``.. public-names:: MODULE``, of a module that says in ``_NAMES`` where its names come from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """See ``Directive``."""
        module = importlib.import_module(self.arguments[0])
        lines = []
        for name in module.__all__:
            home = vars(module)["_NAMES"][name]
            package = ".".join(home.split(".")[:2])
            place = package if name in getattr(importlib.import_module(package), "__all__", ()) else home
            part = getattr(module, name)
            first = (part.__doc__ or "").strip().splitlines()[0] if callable(part) else "A registry of parts by name."
            lines += [f":py:obj:`{module.__name__}.{name} <{place}.{name}>`", f"    {escaped(first)}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("public-names", PublicNames)
    return {"version": "1", "parallel_read_safe": True}
