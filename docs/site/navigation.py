"""Navigation of the site from the pages that list others: a sidebar entry for each link, a caption for each section.

A forge shows such a page as it is, and it is written once. Sphinx asks for ``toctree`` directives, which a forge would
show as code; they are made here from the links.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


class Navigation(SphinxTransform):
    """Append a hidden ``toctree`` to each section of a listing page, of the pages that it links to first."""

    default_priority = 400

    def apply(self, **unused: Any) -> None:
        """See ``SphinxTransform``."""
        own = self.env.current_document.docname
        if own not in self.config.navigation_pages:
            return
        listed = {own, self.config.root_doc}
        for section in list(self.document.findall(nodes.section)):
            entries = []
            for link in section.findall(addnodes.pending_xref):
                nearest = link.parent
                while not isinstance(nearest, nodes.section):
                    nearest = nearest.parent
                if nearest is section and link["refdomain"] == "doc" and link["reftarget"] not in listed:
                    listed.add(link["reftarget"])
                    entries.append((link.astext() if link["refexplicit"] else None, link["reftarget"]))
            if entries:
                section += _toctree(own, entries, section.next_node(nodes.title).astext())


def _toctree(page: str, entries: list[tuple[str | None, str]], caption: str) -> nodes.Node:
    tree = addnodes.toctree()
    tree.update_all_atts(
        {
            "parent": page,
            "entries": entries,
            "includefiles": [page for _, page in entries],
            "maxdepth": 1,
            "caption": caption,
            "rawcaption": caption,
            "glob": False,
            "hidden": True,
            "includehidden": False,
            "numbered": 0,
            "titlesonly": True,
        }
    )
    wrapper = nodes.compound(classes=["toctree-wrapper"])
    wrapper += tree
    return wrapper


def setup(app: Any) -> dict[str, Any]:
    """Register the transform and the setting that names the listing pages."""
    app.add_config_value("navigation_pages", [], "env")
    app.add_transform(Navigation)
    return {"version": "1", "parallel_read_safe": True}
