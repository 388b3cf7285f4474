"""Titles in the place of file names: a link with the text ``parts.md`` shows the title of that page on the site.

On a forge, where files are what a reader sees, the name of the file stays.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


class PageTitles(SphinxTransform):
    """Make links whose text is the name of their page's file implicit: Sphinx puts in the title."""

    default_priority = 395

    def apply(self, **unused: Any) -> None:
        """See ``SphinxTransform``."""
        for link in self.document.findall(addnodes.pending_xref):
            name = PurePosixPath(link.get("reftarget", "")).name
            if link.get("refdomain") == "doc" and link.astext() in (f"{name}.md", f"{link['reftarget']}.md"):
                link["refexplicit"] = False
                link.children[:] = [nodes.inline("", "", classes=["std", "std-doc"])]


def setup(app: Any) -> dict[str, Any]:
    """Register the transform."""
    app.add_transform(PageTitles)
    return {"version": "1", "parallel_read_safe": True}
