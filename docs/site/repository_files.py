"""Links from pages to files and folders of the repository: each gets a page with its text, in colors.

On a forge ``[layer.py](../examples/at_home/layer.py)`` leads to the file. Here it does, too: without the forge.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

_MARK = "repository_path"
_LEFT_OUT = ("__pycache__", ".pyc")


class RepositoryFiles(SphinxTransform):
    """Take the place of links to files that are no pages, and to folders; before Sphinx copies or refuses them."""

    default_priority = 5

    def apply(self, **unused: Any) -> None:
        """See ``SphinxTransform``."""
        page = self.env.current_document.docname
        links = [*self.document.findall(addnodes.download_reference), *self.document.findall(addnodes.pending_xref)]
        for link in links:
            root = Path(self.env.srcdir).resolve()
            target = link.get("reftarget", "").split("#")[0]
            if not target or "://" in target or target in self.env.found_docs:
                continue
            named = (
                root / f"{target}.md"
                if link.get("refdomain") == "doc"
                else Path(self.env.doc2path(page)).parent / target
            )
            found = named.resolve()
            if found.exists() and found.is_relative_to(root):
                where = found.relative_to(root).as_posix()
                self.env.repository_paths.setdefault(page, set()).add(where)
                link.replace_self(nodes.reference("", "", *link.children, refuri=where, **{_MARK: where}))


def _page(path: str) -> str:
    return f"files/{path}"


def _point(app: Any, doctree: nodes.document, docname: str) -> None:
    for link in doctree.findall(nodes.reference):
        if _MARK in link and app.builder.format == "html":
            target = f"{_page(link[_MARK])}{app.builder.out_suffix}"
            link["refuri"] = relative_uri(app.builder.get_target_uri(docname), target)


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not any(part in str(path) for part in _LEFT_OUT)
    )


def _pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    root = Path(app.srcdir).resolve()
    wanted = {root / path for paths in app.env.repository_paths.values() for path in paths}
    folders = {path for path in wanted if path.is_dir()}
    for path in sorted(wanted.union(*(_files(folder) for folder in folders))):
        name = path.relative_to(root).as_posix()
        body = _listing(app, path, root) if path in folders else _text(path)
        yield _page(name), {"title": name, "body": f"<h1>{html.escape(name)}</h1>\n{body}"}, "page.html"


def _listing(app: Any, folder: Path, root: Path) -> str:
    here = f"{_page(folder.relative_to(root).as_posix())}{app.builder.out_suffix}"
    items = []
    for path in _files(folder):
        target = f"{_page(path.relative_to(root).as_posix())}{app.builder.out_suffix}"
        if path.suffix == ".md" and path.relative_to(root).with_suffix("").as_posix() in app.env.found_docs:
            target = app.builder.get_target_uri(path.relative_to(root).with_suffix("").as_posix())
        items.append(f'<li><a href="{relative_uri(here, target)}">{path.relative_to(folder).as_posix()}</a></li>')
    return f"<ul>\n{''.join(items)}\n</ul>"


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return f"<p>{path.stat().st_size:,} bytes, no text.</p>"
    try:
        colored = highlight(text, get_lexer_for_filename(path.name), HtmlFormatter())
    except ClassNotFound:
        colored = f"<pre>{html.escape(text)}</pre>"
    return f'<div class="highlight">{colored}</div>'


def _begin(app: Any, env: Any, names: Any) -> None:
    if not hasattr(env, "repository_paths"):
        env.repository_paths = {}


def _forget(app: Any, env: Any, docname: str) -> None:
    getattr(env, "repository_paths", {}).pop(docname, None)


def _merge(app: Any, env: Any, docnames: Any, other: Any) -> None:
    env.repository_paths.update(other.repository_paths)


def setup(app: Any) -> dict[str, Any]:
    """Register the transform and the pages that it leads to."""
    app.add_transform(RepositoryFiles)
    app.connect("env-before-read-docs", _begin)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("doctree-resolved", _point)
    app.connect("html-collect-pages", _pages)
    return {"version": "1", "parallel_read_safe": True}
