"""Directive ``public-names``: each name in ``__all__`` of ``vqkit``, its first line, and a link to its description.

The names come from the packages of vqkit, on whose pages they are described. A public name of any package that no page
describes is a warning, and so an error of ``make docs``.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docstrings import escaped
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from vqkit.registry import Registry

_LOGGER = logging.getLogger(__name__)


def home_of(module: Any, name: str) -> str:
    """Return the full name under which a page describes a name of ``vqkit``: of its package, else of its module."""
    home: str = vars(module)["_NAMES"][name]
    package = ".".join(home.split(".")[:2])
    return f"{package if name in getattr(importlib.import_module(package), '__all__', ()) else home}.{name}"


def public_names() -> list[str]:
    """Return the full names that pages have to describe: all in ``__all__`` of vqkit and of its packages."""
    vqkit = importlib.import_module("vqkit")
    modules = [importlib.import_module(f"vqkit.{package}") for package in vars(vqkit)["_PACKAGES"]]
    names = [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ())]
    return [*names, *(home_of(vqkit, name) for name in vqkit.__all__)]


class PublicNames(SphinxDirective):
    """``.. public-names:: MODULE``, of a module that says in ``_NAMES`` where its names come from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """See ``Directive``."""
        module = importlib.import_module(self.arguments[0])
        lines = []
        for name in module.__all__:
            part = getattr(module, name)
            first = (part.__doc__ or "").strip().splitlines()[0] if callable(part) else "A registry of parts by name."
            lines += [f":py:obj:`{module.__name__}.{name} <{home_of(module, name)}>`", f"    {escaped(first)}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


class OtherNames(SphinxDirective):
    """``.. other-names:: PACKAGE``: public names that are no classes or functions, which autodoc leaves out."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """See ``Directive``."""
        module = importlib.import_module(self.arguments[0])
        lines = []
        for name in module.__all__:
            part = getattr(module, name)
            if not inspect.isclass(part) and not inspect.isroutine(part):
                said = f"The registry of: ``{', '.join(part)}``." if isinstance(part, Registry) else f"``{part!r}``"
                lines += [f".. py:data:: {name}", f"   :module: {module.__name__}", "", f"   {said}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def _check(app: Any, env: Any) -> None:
    described = env.domains.python_domain.objects
    for name in public_names():
        if name not in described:
            _LOGGER.warning("no page describes the public name %s: see docs/api", name)


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("public-names", PublicNames)
    app.add_directive("other-names", OtherNames)
    app.connect("env-check-consistency", _check)
    return {"version": "1", "parallel_read_safe": True}
