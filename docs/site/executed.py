"""Tutorials that the build runs: under each block of Python stands what it printed and drew.

``executed_pages`` in ``conf.py`` names the pages, each with what is made smaller. All Python blocks are run, and the
command lines after ``<!-- run: at build -->``; a block after ``<!-- run: skip, reason -->`` is not. Outputs are kept in
``build/executed`` under a digest of the code and of vqkit itself, so that a page is run anew when it can say something
new. A page whose code fails is a warning, and so an error of ``make docs``.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from execution import ROOT, outputs_of
from page_language import language_of
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

_NOTES = {
    None: "Run when this site was built, with fewer steps and smaller networks than the code above says: it shows the "
    "way.",
    "zh": "以下是构建本站时运行上面的代码得到的结果，步数比代码里写的少，网络也更小，只为演示过程。",
}
"""By the language of the page."""
_LOGGER = logging.getLogger(__name__)


class Executed(SphinxTransform):
    """Put the outputs of a page's blocks under them."""

    default_priority = 390

    def apply(self, **unused: Any) -> None:
        """See ``SphinxTransform``."""
        outcome = getattr(self.app, "executed", {}).get(self.env.current_document.docname)
        if outcome is None:
            return
        if "error" in outcome:
            _LOGGER.warning("the code of %s fails:\n%s", self.env.current_document.docname, outcome["error"])
            return
        noted: nodes.paragraph | None = None
        language = language_of(self.env.current_document.docname)
        fenced = [block for block in self.document.findall(nodes.literal_block) if block.get("language") != "none"]
        for block, output in zip(fenced, outcome["outputs"], strict=True):
            if output:
                held = nodes.container(classes=["executed"])
                changes = self.config.executed_pages[self.env.current_document.docname]
                if changes and not noted:
                    noted = nodes.paragraph("", "", nodes.emphasis("", _NOTES[language]))
                    held += noted
                held += nodes.raw("", output, format="html")
                block.parent.insert(block.parent.index(block) + 1, held)


def _begin(app: Any) -> None:
    pages = app.config.executed_pages if app.builder.format == "html" else {}
    app.executed = outputs_of(pages, ROOT / "build" / "executed")
    if app.executed:
        seconds = {page: each.get("seconds") for page, each in app.executed.items()}
        _LOGGER.info("code of pages, processor seconds: %s", seconds)


def _outdated(app: Any, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
    before, now = getattr(env, "executed_keys", {}), {page: each["key"] for page, each in app.executed.items()}
    env.executed_keys = now
    return [page for page, key in now.items() if before.get(page) != key and page in env.found_docs]


def setup(app: Any) -> dict[str, Any]:
    """Register the setting, the run before pages are read, and the transform."""
    app.add_config_value("executed_pages", {}, "env")
    app.connect("builder-inited", _begin)
    app.connect("env-get-outdated", _outdated)
    app.add_transform(Executed)
    return {"version": "1", "parallel_read_safe": True}
