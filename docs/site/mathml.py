r"""Formulas as MathML: what stands in ``$...$`` and in blocks of ``math`` is drawn by the browser, without a script.

A forge draws the same text by itself. Sphinx's own renderers need a script from another site, or LaTeX.
"""

from __future__ import annotations

import html
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.errors import SphinxError

_MATHML = "http://www.w3.org/1998/Math/MathML"
_BRACES = {"\N{BOTTOM CURLY BRACKET}": ("munder", "msub"), "\N{TOP CURLY BRACKET}": ("mover", "msup")}
_HTML_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z]\w*;")  # which XML does not know
ElementTree.register_namespace("", _MATHML)


def labelled(formula: str) -> str:
    """Return MathML with the labels of braces at the braces: docutils makes them an index beside what is braced."""
    root = ElementTree.fromstring(_HTML_ENTITY.sub(lambda found: html.unescape(found[0]), formula))
    for outer in root.iter():
        braced = outer[0] if len(outer) == 2 else None
        if braced is None or len(braced) != 2:
            continue
        over_or_under, index = _BRACES.get(braced[1].text or "", ("", ""))
        if braced.tag == f"{{{_MATHML}}}{over_or_under}" and outer.tag == f"{{{_MATHML}}}{index}":
            outer.tag = braced.tag
    return ElementTree.tostring(root, encoding="unicode")


def mathml(text: str, *, block: bool) -> str:
    """Return the MathML of a formula in LaTeX; what docutils cannot read is an error of the build."""
    try:
        return labelled(latex2mathml.tex2mathml(text, as_block=block))
    except Exception as error:
        raise SphinxError(f"the formula {text!r} is not understood: {error}") from error


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer; ``html_math_renderer`` in ``conf.py`` takes it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
