"""Links to papers: ``arXiv 1711.00937`` in a page or a docstring leads to the paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_ID = re.compile(r"\barXiv[: ]\s?(\d{4}\.\d{4,5})\b")


def pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Cut a text into pieces, each with the address that it leads to, or None."""
    end = 0
    for found in _ID.finditer(text):
        yield text[end : found.start()], None
        yield found[0], f"https://arxiv.org/abs/{found[1]}"
        end = found.end()
    yield text[end:], None


def setup(app: Any) -> dict[str, Any]:
    """Register the transform."""
    from docutils import nodes
    from sphinx.transforms.post_transforms import SphinxPostTransform

    class Papers(SphinxPostTransform):
        """Make references of the texts that name a paper."""

        default_priority = 500

        def run(self, **unused: Any) -> None:
            """See ``SphinxPostTransform``."""
            for text in list(self.document.findall(nodes.Text)):
                if isinstance(
                    text.parent, nodes.reference | nodes.literal | nodes.literal_block | nodes.title | nodes.raw
                ):
                    continue
                cut = [(piece, address) for piece, address in pieces(text.astext()) if piece]
                if any(address for _, address in cut):
                    new = [
                        nodes.Text(piece) if address is None else nodes.reference("", piece, refuri=address)
                        for piece, address in cut
                    ]
                    text.parent.replace(text, new)

    app.add_post_transform(Papers)
    return {"version": "1", "parallel_read_safe": True}
